"""The voices in a cache folder: entries by voice, what made them, and how a user names one.

Nothing here makes a folder, loads torch, or drops an entry for want of room.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..accounting import account
from ..accounting.account import Account, VoiceAccount
from ..errors import ChatterboxCachedError, EntryError, NotCachedError, ReadOnlyFolder, Unidentifiable
from ..identity import origin
from ..identity.audio import AudioIndex
from ..settings import Settings, folder_of
from ..tiers.disk.folder import refuse_strangers
from ..tiers.disk.frozen import FrozenFolder
from ..tiers.disk.repair import CheckReport
from ..tiers.disk.stored import Stored
from ..tiers.store import VoiceStore
from ..voice import key_format

_DIGEST = re.compile(r"[0-9a-f]{4,64}")
_NO_LIMIT = 2**62  # a program may use the folder with a higher limit than is known here: nothing is to go for it
_SHOWN = 5


@dataclass(frozen=True)
class Voice:
    """One reference audio and the entries that were made of it, those stored longest ago first."""

    digest: str
    entries: tuple[Stored, ...]
    known: VoiceAccount | None

    @property
    def label(self) -> str:
        """Its name or, where that is not known, the beginning of its digest."""
        return label(self.digest, self.known)

    @property
    def nbytes(self) -> int:
        return sum(entry.nbytes for entry in self.entries)

    @property
    def stored(self) -> float:
        """When its newest entry was stored."""
        return self.entries[-1].stored

    @property
    def last_used(self) -> float:
        return max(self.stored, self.known.last_used if self.known else 0.0)

    def facts(self) -> dict[str, Any]:
        """What is known of it, for a program to read; None for what is not known."""
        known = self.known
        return {
            "digest": self.digest,
            "name": known and known.name,
            "path": known and known.path,
            "duration": known and known.duration,
            "bytes": self.nbytes,
            "last_used": self.last_used,
            "hits": known and known.hits,
            "saved_seconds": known and known.saved_seconds,
        }


@dataclass(frozen=True)
class Made:
    """What an entry says of its making: ``by`` as in identity.Key and ``origin`` as in identity.origin, both parsed;
    ``flaw`` is why a hit would not use it.
    """

    by: dict[str, Any]
    origin: dict[str, Any]
    seconds: float
    flaw: str | None = None

    @property
    def model(self) -> str:
        """The class in a word, such as "english", or "encoders"; a subclass by its own name."""
        return "unusable" if self.flaw else plain(origin.model_of(self.origin)).rpartition(".")[2]

    def is_of_waveform(self, voice: str) -> bool:
        """Whether the voice that it is of is no recording, but a waveform that a program has given an encoder."""
        return self.by.get("waveform") == voice

    def elsewhere(self) -> tuple[str, ...]:
        """In what this machine, with as many threads as this process has, differs from where it was made, as phrases.

        Loads torch where the entry says anything of that.
        """
        return origin.elsewhere_than_here(self.origin, str(self.by.get("device", "cpu")))


@dataclass(frozen=True)
class Folder:
    """A cache folder that was opened, with those that are only read."""

    root: Path
    store: VoiceStore
    account: Account
    trusted: bool
    tell: Callable[[str], None]

    def entries(self) -> list[Stored]:
        """Every entry, those stored longest ago first; one that is in several folders as the first of them has it."""
        found = {entry.key: entry for entry in self.store.listing()}
        for entries in self.read_only.values():
            found = {**{entry.key: entry for entry in entries}, **found}
        return sorted(found.values(), key=lambda entry: entry.stored)

    @functools.cached_property
    def read_only(self) -> dict[Path, list[Stored]]:
        """The folders of read_only_dirs with their entries. One that can't be used is told of, and passed over."""
        found = {folder.root: self._listing(folder) for folder in self.store.read_only}
        return {root: entries for root, entries in found.items() if entries is not None}

    def _listing(self, folder: FrozenFolder) -> list[Stored] | None:
        try:
            return folder.listing()
        except OSError as error:
            self.tell(f"{folder.root} is passed over: {error}.")
            return None

    def voices(self) -> list[Voice]:
        """All voices, the one used last first."""
        entries: dict[str, list[Stored]] = {}
        for entry in self.entries():
            if key := key_format.parsed(entry.key):
                entries.setdefault(key.audio, []).append(entry)
        known = self._known()
        found = [Voice(digest, tuple(its), known.get(digest)) for digest, its in entries.items()]
        return sorted(found, key=lambda voice: voice.last_used, reverse=True)

    def _known(self) -> dict[str, VoiceAccount]:
        """What is known of voices, by their digests; of one that the cache folder knows nothing of, elsewhere."""
        known = self.account.voices
        for folder in self.store.read_only:
            with contextlib.suppress(ChatterboxCachedError):
                known = {**account.read(folder.root, trusted=self.trusted).voices, **known}
        return known

    def made(self, entry: Stored) -> Made:
        """Reads the entry."""
        try:
            header = self.store.header(entry.key)
            by, told = (_parsed(text) for text in (header.made_by, header.origin))
            return Made(by, told, float(header.prepare_seconds))
        except (EntryError, ValueError, TypeError, OverflowError, RecursionError) as error:  # whatever it holds
            return Made({}, {}, 0.0, str(error))

    def clear(self) -> None:
        """Drop everything in the cache folder, and what is known of the voices. Raises ReadOnlyFolder."""
        if self.store.is_read_only():
            raise ReadOnlyFolder(_only_read(self.root))
        self.store.clear_disk()
        account.clear(self.root, trusted=self.trusted)

    def check(self, fix: bool) -> CheckReport:
        """Look through the folder and, with ``fix``, repair it."""
        return account.also_checked(self.store.check(fix), self.root, fix, trusted=self.trusted)

    def remove(self, voices: Collection[Voice]) -> None:
        """Drop these entries of these voices, and what is known of a voice that has no other.

        Raises ReadOnlyFolder, and drops none, where one is in a folder that can only be read.
        """
        if not voices:
            return
        for entry in (entry for voice in voices for entry in voice.entries):
            if entry.only_read_in is not None:
                raise ReadOnlyFolder(_only_read(entry.only_read_in))
        for entry in (entry for voice in voices for entry in voice.entries):
            self.store.lower.delete(entry.key)
        left = {voice.digest for voice in self.voices()}
        gone = [voice.digest for voice in voices if voice.digest not in left]
        account.forget(self.root, gone, trusted=self.trusted)


def _only_read(folder: Path) -> str:
    return f"{folder} can only be read, so nothing was removed. Do this where it can be written to."


def _parsed(text: str) -> dict[str, Any]:
    said = json.loads(text or "{}")
    return said if isinstance(said, dict) else {}


@contextmanager
def opened(settings: Settings, tell: Callable[[str], None]) -> Iterator[Folder]:
    """The cache folder of these settings, for as long as it is looked at. One that is not there is empty.

    ``tell`` is told in a sentence of what was passed over, or had to be begun anew.
    Raises ChatterboxCachedError or OSError with what to do where the folder can't be used.
    """
    root, trusted = folder_of(settings), settings.trust_cache_dir

    def failed(place: str, error: Exception) -> None:
        # What a program's cache passes over, the user who asked for it by hand is told of.
        if place != "disk index moved aside":
            raise error
        tell(moved_aside(error))

    try:
        if not trusted:
            refuse_strangers(root)
        store = VoiceStore(settings._replace(size_limit=_NO_LIMIT, shared=()), failed)  # nothing is connected to
        yield Folder(root, store, _account(root, trusted, tell), trusted, tell)
        store.lower.close()
    except PermissionError as error:
        raise ChatterboxCachedError(
            f"The cache folder {root} can't be used ({error.strerror}). Do this as its owner, or give another folder"
            " with --cache-dir."
        ) from error
    except sqlite3.Error as error:
        raise ChatterboxCachedError(
            f"The index of the cache folder {root} can't be used ({error}). If another program keeps it busy, try"
            " again; if the disk is full or read-only, see to that first."
        ) from error


def _account(root: Path, trusted: bool, tell: Callable[[str], None]) -> Account:
    """The names and counts; voices can be seen and removed without them."""
    try:
        return account.read(root, trusted=trusted)
    except ChatterboxCachedError as error:
        tell(f"Names and hits are not known: {error}")
        return Account({}, None, {})


def moved_aside(error: Exception) -> str:
    """What to say when an index had to be begun anew."""
    return f"The index was malformed ({error}); it was moved aside and a new one begun."


def find(folder: Folder, wanted: str) -> Voice:
    """The voice that the user names: a path of its audio, a name or path it was last seen under, or the beginning of
    its digest (4 or more hex characters).

    Raises NotCachedError where there is none, or more than one.
    """
    voices = folder.voices()
    for matches in (_by_content(voices, wanted), _by_name(voices, wanted), _by_digest(voices, wanted)):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise NotCachedError(f"{wanted!r} may be any of {_listed(matches)}. Give more of the digest, or its path.")
    if Path(wanted).is_file():
        raise NotCachedError(f"Nothing is cached of the audio in {wanted}. `chatterbox-cached ls` shows what is.")
    raise NotCachedError(
        f"No voice is known as {wanted!r}. Give its audio file, its name, or the beginning of its digest;"
        " `chatterbox-cached ls` shows them."
    )


def _by_content(voices: list[Voice], wanted: str) -> list[Voice]:
    try:
        digest = AudioIndex().identify(wanted).digest
    except Unidentifiable:
        return []
    return [voice for voice in voices if voice.digest == digest]


def _by_name(voices: list[Voice], wanted: str) -> list[Voice]:
    paths = {wanted, str(Path(wanted).absolute())}
    at_path = [voice for voice in voices if voice.known and voice.known.path in paths]
    return at_path or [voice for voice in voices if voice.known and wanted in (voice.known.name, voice.label)]


def _by_digest(voices: list[Voice], wanted: str) -> list[Voice]:
    beginning = wanted.lower()
    if not _DIGEST.fullmatch(beginning):
        return []
    return [voice for voice in voices if voice.digest.startswith(beginning)]


def _listed(voices: list[Voice]) -> str:
    shown = [f"{voice.digest[:12]} ({voice.label})" for voice in voices[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(voices) - _SHOWN} more" if len(voices) > _SHOWN else "")


def label(digest: str, known: VoiceAccount | None) -> str:
    """What a voice is called: by its name or, where that is not known, by the beginning of its digest."""
    return plain(known.name) if known and known.name else digest[:12]


def plain(text: str) -> str:
    """The text without what would steer a terminal; names come from the maker of the file."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
