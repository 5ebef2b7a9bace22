"""The voices that were given names, with what was kept of each."""

from __future__ import annotations

import contextlib
from functools import cached_property
from pathlib import Path

from ..errors import Unidentifiable, UnknownVoiceError, VoiceLibraryError
from ..identity.audio import Audio, AudioIndex
from ..settings import Settings
from ..tiers.disk.either import FolderTier
from ..tiers.named import NamedTier
from ..voice.key_format import voice_prefix
from .names import BUILTIN, DEFAULT, folded, nearest
from .places import Places, places_of
from .record import CONDITIONALS, NamedVoice
from .register import Names, Register

_NO_LIMIT = 2**62  # nothing that has a name goes for want of room


class Library:
    """The named voices of these settings; safe from any thread and process. Nothing is made before it is needed."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self._places = settings, places_of(settings)

    @property
    def places(self) -> Places:
        """Where it is. Raises VoiceLibraryError for a user who has no place for it."""
        if self._places is None:
            raise VoiceLibraryError(
                "There is no folder for voices with names: this user has no home folder. Name one with voices_dir= or"
                " CHATTERBOX_CACHED_VOICES_DIR."
            )
        return self._places

    @cached_property
    def register(self) -> Register:
        """The names. Raises VoiceLibraryError as ``places``."""
        return Register(self.places.root, self.places.audio, trusted=self.settings.trust_cache_dir)

    def names(self) -> Names:
        """What has a name now. Raises VoiceLibraryError where it can't be read."""
        return Names() if self._places is None else self.register.names()

    def find(self, name: str) -> NamedVoice:
        """The voice that ``voice:NAME`` means. Raises UnknownVoiceError where there is none, VoiceLibraryError."""
        if (voice := self.known(name)) is not None:
            return voice
        names, wanted = self.names(), folded(name)
        if wanted == DEFAULT:
            raise UnknownVoiceError("No voice is the default. Choose one: chatterbox-cached voices default NAME")
        if wanted == BUILTIN:
            raise UnknownVoiceError("The voice that a model came with belongs to the model: it is in no library.")
        known = [each for voice in names.voices for each in voice.names]
        raise UnknownVoiceError(f"No voice is called {name!r}. {nearest(name, known)}")

    def known(self, name: str) -> NamedVoice | None:
        """The voice that ``voice:NAME`` means, if there is one. Raises VoiceLibraryError."""
        names, wanted = self.names(), folded(name)
        if wanted == DEFAULT:
            return next((voice for voice in names.voices if voice.is_default), None)
        return names.by_name.get(wanted)

    def recording(self, voice: NamedVoice, index: AudioIndex) -> Audio | None:
        """The voice's recording: the one kept with it, or else the file that it came from, where that is as it was."""
        for path in filter(None, (voice.audio and str(voice.audio), voice.source)):
            with contextlib.suppress(Unidentifiable):
                if (audio := index.identify(path)).digest == voice.digest:
                    return audio
        return None

    @property
    def namespace(self) -> str | None:
        """In which machines share what is named here; None where they don't, or where this one only reads."""
        settings = self.settings
        writes = settings.shared_mode != "read" and not settings.only_checks
        return settings.namespace if settings.shared and writes else None

    def conditionals_of(self, voice: NamedVoice) -> Path:
        """The ``.pt`` file that a voice of that kind came from."""
        return self.places.conditionals / f"{voice.digest}.pt"

    @cached_property
    def entries(self) -> FolderTier:
        """What was prepared of all of them, as bytes by key. Raises VoiceLibraryError as ``places``."""
        return FolderTier(self.places.prepared, _NO_LIMIT, trusted=self.settings.trust_cache_dir)

    def has_entries(self) -> bool:
        """Whether anything was ever prepared of any of them."""
        return self._places is not None and self._places.prepared.exists()

    def tier(self) -> NamedTier | None:
        """The same for a cache to keep what it makes of them; None for a user who has no place for it."""
        return None if self._places is None else NamedTier(self.entries, self._digests)

    def _digests(self) -> frozenset[str]:
        # Where the names can't be read, as those of another user whose home folder HOME still names, no voice has one
        # for a program that has not asked for any; whoever asks is told.
        try:
            return self.names().digests
        except VoiceLibraryError:
            return frozenset()

    def close(self) -> None:
        """Let go of files; the next call opens them again."""
        if "entries" in vars(self):
            self.entries.close()

    def forget(self, digests: frozenset[str]) -> tuple[NamedVoice, ...]:
        """Take the names of all voices with these digests away, with everything that was kept of them.

        Raises VoiceLibraryError where that can't be done.
        """
        if not digests & self.names().digests:
            return ()
        gone = self.register.remove_digests(digests)
        self.drop_files(gone)
        return gone

    def drop_files(self, gone: tuple[NamedVoice, ...]) -> None:
        """Drop what was kept of voices that have no names any more, where no other has the same.

        A recording goes with the last name that it was kept with: other names of the voice need not have asked for it.
        """
        left = self.names()
        wanted = {voice.audio for voice in left.voices}
        for voice in gone:
            for recording in {*self.places.audio.glob(f"{voice.digest}*")} - wanted:
                recording.unlink(missing_ok=True)
            if voice.kind == CONDITIONALS and voice.digest not in left.digests:
                self.conditionals_of(voice).unlink(missing_ok=True)
        self._drop_entries({voice.digest for voice in gone} - left.digests)

    def _drop_entries(self, digests: set[str]) -> None:
        if self.has_entries():
            for digest in digests:
                self.entries.delete_voice(voice_prefix(digest))
