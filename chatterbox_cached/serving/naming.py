"""Voices asked for by name: which recording a name stands for, and what to say where there is nothing to speak with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import UnknownVoiceError, VoiceLibraryError
from ..identity.audio import Audio, NamedAudio, path_of
from ..identity.key import Key
from ..named.asked import name_in
from ..named.library import Library
from ..named.names import BUILTIN, PREFIX, folded
from ..named.record import CONDITIONALS, NamedVoice
from ..named.sharing import SharedNames
from ..notices import tell
from ..upstream import builtin, pt_file
from ..upstream.calls import Preparation
from ..voice import entry_format
from ..voice.snapshot import Snapshot

if TYPE_CHECKING:
    from .voices import Serving


class Naming:
    """Of one cache."""

    def __init__(self, serving: Serving, library: Library) -> None:
        self._serving, self.library = serving, library
        failures = serving.failures
        self.shared = SharedNames(library, serving.store.shared, failures.report, failures.warn_once)
        self._kept = set[str]()  # keys of which the library is known to have the entry

    def resolved(self, audio: object) -> object:
        """What the user means: a NamedAudio for a name, or ``audio`` as it is.

        Raises UnknownVoiceError and VoiceLibraryError, since there is nothing that upstream could do with a name.
        """
        path = audio if type(audio) is str else "" if type(audio) is NamedAudio else path_of(audio)
        name = name_in(path) if path else None
        if name is None:
            return audio
        if folded(name) == BUILTIN:
            return builtin.NAME
        return self._named(self.shared.find(name))

    def call(self, audio: object, make: Callable[[object], Preparation]) -> Preparation:
        """The call that ``make`` makes for a path, with what is meant in its place: ``audio`` is as ``resolved``."""
        if not isinstance(audio, NamedAudio):
            return make(audio)
        call = make(str(audio))._replace(audio=audio)
        if audio.identified.path:
            return call
        return call._replace(upstream=partial(self._refuse, audio, call.model))

    def recording_of(self, named: NamedAudio) -> str:
        """The path of its recording. Raises UnknownVoiceError where that is not here."""
        if not named.identified.path:
            raise UnknownVoiceError(
                f"The recording of the voice {named.identified.name!r} is not here, and this program loads recordings"
                " in its own code. Add it again with its recording: chatterbox-cached voices add AUDIO --as"
                f" {named.identified.name!r} --replace --keep-audio"
            )
        return str(named)

    def keep_too(self, key: Key, snapshot: Snapshot) -> None:
        """Keep in the library what was found elsewhere, so that it stays when it goes there."""
        settings = self._serving.settings
        if key.text in self._kept or not settings.stores or key.uncertain or key.maker is None:
            return
        self._kept.add(key.text)
        try:
            entries = self.library.entries
            if entries.get(key.text) is None:
                entries.put(key.text, entry_format.encode(key.text, snapshot, settings.keyring, key.made_by))
        except Exception as error:
            self._serving.failures.report("voices put", error)

    def forget(self, digests: frozenset[str]) -> None:
        """Take away the names of what was forgotten, and say so; what fails is counted and told of."""
        try:
            gone = self.library.forget(digests)
        except (VoiceLibraryError, OSError) as error:
            self._serving.failures.report("voices delete", error)
            return
        for voice in gone:
            tell(f"The voice {voice.name!r} was forgotten with its recording, so its name was taken away.")

    def _named(self, voice: NamedVoice) -> NamedAudio:
        if voice.kind == CONDITIONALS and voice.digest not in self._serving.brought:
            self._bring(voice)
        audio = self.library.recording(voice, self._serving.identity.audio)
        known = audio or Audio(voice.digest, "", "", lambda: False)
        return NamedAudio.of(known._replace(name=voice.name), known.path or PREFIX + voice.name)

    def _bring(self, voice: NamedVoice) -> None:
        file = self.library.conditionals_of(voice)
        try:
            self._serving.brought[voice.digest] = pt_file.read(file, "cpu")
        except (OSError, ValueError) as error:
            raise UnknownVoiceError(
                f"What was kept of the voice {voice.name!r} can't be read: {error} Add it again with --replace."
            ) from error

    def _refuse(self, named: NamedAudio, model: Any) -> NoReturn:
        from ..named.models import models_of

        name, kind = named.identified.name, type(model).__name__
        good = "; ".join(models_of(self.library, self.library.find(name)))
        has = f"It is good for: {good}." if good else "Nothing was ever prepared of it."
        raise UnknownVoiceError(
            f"The voice {name!r} is not prepared for this {kind}, and its recording is not here to do it now. {has} Add"
            f" it again with its recording: chatterbox-cached voices add AUDIO --as {name!r} --replace --keep-audio"
        )
