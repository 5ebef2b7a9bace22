"""The voices as the page shows them: found, sorted, a part at a time, each with its picture."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from ..cache import ConditionalCache
from ..errors import EntryError, NotCachedError, UnknownVoiceError
from ..library import voices
from ..library.named_voices import Voices
from ..library.voices import Folder, Voice
from ..named.record import CONDITIONALS, NamedVoice
from ..settings import Settings
from ..tiers.store import VoiceStore
from ..voice.key_format import voice_prefix
from . import picture, rows
from .rows import Row

AT_ONCE = 50  # voices that one page shows


class Part(NamedTuple):
    """The rows of one page of the list; ``page`` counts from 1. ``found``: how many there are on all ``pages``."""

    rows: list[Row]
    found: int
    of: int
    page: int
    pages: int


class Shelf:
    """The voices of these settings. What is asked of it raises ChatterboxCachedError or OSError where it can't be
    looked at; ``tell`` is told in a sentence of what was passed over.
    """

    def __init__(self, settings: Settings, tell: Callable[[str], None]) -> None:
        self.settings, self._tell = settings, tell
        self.cache = ConditionalCache.from_settings(settings)
        self.named = Voices(lambda: self.cache)
        # Beside the folder, which knows of all voices, and so takes long to open for each picture.
        self._store = VoiceStore(settings._replace(shared=()), lambda place, error: None)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Folder]:
        """The cache folder."""
        with voices.opened(self.settings, self._tell) as folder:
            yield folder

    def part(self, wanted: str, order: str, page: int) -> Part:
        """A page of what a search finds, all where ``wanted`` is empty. A page out of bounds is the nearest."""
        with self.opened() as folder:
            everything = self._rows(folder)
            sought = wanted.strip().casefold()
            found = rows.ordered([row for row in everything if row.matches(sought)], order)
            pages = max(1, -(-len(found) // AT_ONCE))
            page = min(max(page, 1), pages)
            shown = [self._with_models(folder, row) for row in found[(page - 1) * AT_ONCE : page * AT_ONCE]]
        return Part(shown, len(found), len(everything), page, pages)

    def of_name(self, name: str) -> Row:
        """The voice that has this name. Raises UnknownVoiceError where there is none."""
        if name not in self.named:  # "default" is not its name
            raise UnknownVoiceError(f"No voice is called {name!r} any more.")
        return self._one(lambda row: row.named is not None and row.named.name == self.named[name].name)

    def of_digest(self, digest: str) -> Row:
        """The recording that has this digest, and of which something is cached. Raises NotCachedError."""
        return self._one(lambda row: row.digest == digest and row.cached is not None)

    def everything(self) -> list[Row]:
        """All voices."""
        with self.opened() as folder:
            return self._rows(folder)

    def picture(self, digest: str) -> bytes | None:
        """The picture of a voice as a PNG; None where nothing is kept that one could be made of."""
        for key, entry in self._entries(digest):
            with contextlib.suppress(EntryError):
                if (made := picture.of_entry(key, entry, self.settings.keyring)) is not None:
                    return made
        named = next((voice for voice in self.named.library.names().voices if voice.digest == digest), None)
        if named is not None and named.kind == CONDITIONALS:
            return picture.of_file(self.named.library.conditionals_of(named), digest)
        return None

    def _one(self, is_it: Callable[[Row], bool]) -> Row:
        with self.opened() as folder:
            for row in self._rows(folder):
                if is_it(row):
                    return self._with_models(folder, row)
        raise NotCachedError("Nothing is kept of that voice any more.")

    def _rows(self, folder: Folder) -> list[Row]:
        cached = {voice.digest: voice for voice in folder.voices()}
        counted = folder.account.voices
        given = self.named.library.names()
        of_names = [Row(each.digest, each, cached.get(each.digest), counted.get(each.digest)) for each in given.voices]
        others = [voice for digest, voice in cached.items() if digest not in given.digests]
        return of_names + [Row(voice.digest, None, voice, voice.known) for voice in others]

    def _with_models(self, folder: Folder, row: Row) -> Row:
        kept = _models_of_cached(folder, row.cached) if row.cached else set[str]()
        return replace(row, models=tuple(sorted(kept | self._models_of_named(row.named))))

    def _models_of_named(self, named: NamedVoice | None) -> set[str]:
        """The models without what else is known of them."""
        return set() if named is None else {said.partition(" (")[0] for said in self.named.models(named.name)}

    def _entries(self, digest: str) -> Iterator[tuple[str, bytes]]:
        """What is kept of a voice, the newest first."""
        prefix, library = voice_prefix(digest), self.named.library
        for key in reversed(self._store.lower.keys(prefix)):
            with contextlib.suppress(EntryError):
                yield key, self._store.entry(key)
        if library.has_entries():
            for key in reversed(library.entries.keys(prefix)):
                with contextlib.suppress(EntryError):
                    yield key, library.entries.entry(key)


def _models_of_cached(folder: Folder, voice: Voice) -> set[str]:
    return {folder.made(entry).model for entry in voice.entries}
