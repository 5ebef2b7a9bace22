"""Voices with names between a library and bundles."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Collection, Iterable
from dataclasses import replace as changed
from pathlib import Path

from ..errors import BundleError, EntryError, Unidentifiable, UnknownVoiceError, VoiceFileError, VoiceNameError
from ..identity.audio import AudioIndex
from ..named import asked
from ..named.library import Library
from ..named.names import checked, folded
from ..named.record import CONDITIONALS, NamedVoice
from ..tiers.disk.stored import Stored
from ..voice.bundle_names import NamedInBundle
from . import adding
from .voices import Folder, find


class Kept:
    """All that can be exported: the entries of a cache folder, and those that are kept of voices with names."""

    def __init__(self, folder: Folder, library: Library) -> None:
        self._folder, self._library = folder, library
        self._in_library: list[Stored] = []
        if library.has_entries():
            self._in_library = library.entries.listing()

    def keys(self) -> list[str]:
        """Those stored longest ago first, each once."""
        entries = sorted([*self._folder.entries(), *self._in_library], key=lambda entry: entry.stored)
        return list(dict.fromkeys(entry.key for entry in entries))

    def entry(self, key: str) -> bytes:
        """Raises EntryError where it is gone."""
        try:
            return self._folder.store.entry(key)
        except EntryError:
            if not self._in_library:
                raise
            return self._library.entries.entry(key)

    def digest_of(self, wanted: str) -> str:
        """The voice that the user names: a name that it was given, or as in library.voices.find.

        Raises NotCachedError where there is none.
        """
        with contextlib.suppress(UnknownVoiceError):
            return self._library.find(asked.name_in(wanted) or wanted).digest
        return find(self._folder, wanted).digest

    def named(self, digests: Collection[str] | None) -> list[NamedVoice]:
        """The voices with names that have these digests; for None, all."""
        return [voice for voice in self._library.names().voices if digests is None or voice.digest in digests]


def for_bundle(library: Library, voices: Iterable[NamedVoice], *, with_audio: bool) -> dict[NamedInBundle, Path | None]:
    """What a bundle is to say of these voices, with the file that goes with each.

    Raises BundleError where the recording of one is wanted and was not kept.
    """
    said = dict[NamedInBundle, Path | None]()
    for voice in voices:
        file = library.conditionals_of(voice) if voice.kind == CONDITIONALS else voice.audio if with_audio else None
        if with_audio and file is None:
            raise BundleError(
                f"The recording of {voice.name!r} was not kept, so it can't be exported. Add it again with its"
                " recording: chatterbox-cached voices add AUDIO --replace --keep-audio"
            )
        said[_in_bundle(voice)] = file
    return said


def _in_bundle(voice: NamedVoice) -> NamedInBundle:
    return NamedInBundle(
        voice.name, voice.aliases, voice.description, voice.consent, voice.digest, voice.kind, voice.seconds
    )


class Newcomers:
    """The voices with names of one bundle, on their way into a library: all are looked at before any is kept.

    ``known`` are those that the library has already, just so.
    """

    def __init__(self, library: Library) -> None:
        self._library, self.names, self.known = library, list[str](), list[str]()
        self._folded = set[str]()

    def check(self, named: NamedInBundle, content: bytes | None) -> None:
        """Raises BundleError for what can't be taken in, and VoiceNameError for a name that is taken."""
        self.names.append(named.name)
        try:
            if any(checked(name) != name for name in (named.name, *named.aliases)):
                raise BundleError(f"{named.name!r} is no name as this library keeps them")
            self._refuse_twice({folded(name) for name in (named.name, *named.aliases)}, named.name)
        except VoiceNameError as error:
            raise BundleError(str(error).rstrip(".")) from error
        if content is not None and named.kind != CONDITIONALS and _digest_of(content) != named.digest:
            raise BundleError(f"the recording of {named.name!r} is another than the voice's")
        if content is not None and named.kind == CONDITIONALS:
            _refuse_no_conditionals(named.name, content)
        for name in (named.name, *named.aliases):
            taken = self._library.register.find(name)
            if taken is not None and (taken.name, taken.digest) != (named.name, named.digest):
                raise VoiceNameError(
                    f"There is a voice called {taken.name!r} here, so nothing was imported. Rename or remove it first:"
                    f" chatterbox-cached voices rename {taken.name!r} NEW"
                )

    def _refuse_twice(self, names: set[str], shown: str) -> None:
        if names & self._folded:
            raise BundleError(f"{shown!r} has a name that another voice in it has, too")
        self._folded |= names

    def keep(self, named: NamedInBundle, content: bytes | None) -> None:
        """Keep one that was checked. Raises what the library raises."""
        if self._library.register.find(named.name) is not None:
            self.known.append(named.name)
            return
        voice = NamedVoice(
            named.name, named.digest, named.kind, named.aliases, named.description, named.consent, named.seconds,
            added=time.time(),
        )  # fmt: skip
        if content is not None:
            file = io.BytesIO(content)
            voice = changed(
                voice, audio=adding.keep_files(self._library, voice, file, keep_audio=True, suffix=named.suffix)
            )
        self._library.register.add(voice)

    def keep_prepared(self) -> None:
        """Keep for good what the cache folder has of them by now."""
        for name in self.names:
            if (voice := self._library.register.find(name)) is not None:
                adding.keep_prepared(self._library, voice)


def _digest_of(content: bytes) -> str:
    try:
        return AudioIndex().identify(io.BytesIO(content)).digest
    except Unidentifiable as error:
        raise BundleError("a recording in it can't be read") from error


def _refuse_no_conditionals(name: str, content: bytes) -> None:
    from ..upstream import pt_file

    with tempfile.TemporaryDirectory(prefix="chatterbox-cached-") as folder:
        file = Path(folder, "voice.pt")
        file.write_bytes(content)
        try:
            pt_file.read(file, "cpu")
        except VoiceFileError as error:
            raise BundleError(f"the file of {name!r} holds no conditionals") from error
