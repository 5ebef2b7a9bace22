"""The voices as the page shows them: found, sorted, a part at a time, each with its picture."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import EntryError, NotCachedError
from ..library import voices
from ..library.voices import Folder, Voice
from ..settings import Settings
from ..tiers.store import VoiceStore
from ..voice.key_format import voice_prefix
from . import picture

AT_ONCE = 50  # voices that one page shows


@dataclass(frozen=True)
class Row:
    """One voice in the list. ``models``: those that it is good for; filled in for what is shown only."""

    voice: Voice
    models: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        return self.voice.digest

    @property
    def name(self) -> str:
        return self.voice.label

    @property
    def path(self) -> str:
        """Where its own page is."""
        return f"/cached/{self.digest}"

    @property
    def is_default(self) -> bool:
        return False

    @property
    def description(self) -> str:
        return ""

    @property
    def seconds(self) -> float | None:
        return self.voice.known.duration if self.voice.known else None

    @property
    def hits(self) -> int:
        return self.voice.known.hits if self.voice.known else 0

    @property
    def saved(self) -> float:
        return self.voice.known.saved_seconds if self.voice.known else 0.0

    @property
    def last_used(self) -> float:
        return self.voice.last_used

    def matches(self, wanted: str) -> bool:
        """Whether a search for this, in lower case, finds it."""
        return wanted in self.name.casefold() or self.digest.startswith(wanted)


_BY: dict[str, Callable[[Row], Any]] = {
    "name": lambda row: row.name.casefold(),
    "length": lambda row: row.seconds or 0.0,
    "hits": lambda row: row.hits,
    "saved": lambda row: row.saved,
    "used": lambda row: row.last_used,
}
ORDERS = tuple(_BY)
USUAL_ORDER = "-used"


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
        # Beside the folder, which knows of all voices, and so takes long to open for each picture.
        self._store = VoiceStore(settings._replace(shared=()), lambda place, error: None)

    @contextmanager
    def _opened(self) -> Iterator[Folder]:
        with voices.opened(self.settings, self._tell) as folder:
            yield folder

    def part(self, wanted: str, order: str, page: int) -> Part:
        """A page of what a search finds, all where ``wanted`` is empty; ``order`` is one of ORDERS, with a minus for
        the most first. What is out of bounds is taken for the nearest.
        """
        with self._opened() as folder:
            everything = [Row(voice) for voice in folder.voices()]
            found = [row for row in everything if row.matches(wanted.strip().casefold())]
            by = _BY.get(order.removeprefix("-"), _BY["used"])
            found.sort(key=by, reverse=order.startswith("-"))
            pages = max(1, -(-len(found) // AT_ONCE))
            page = min(max(page, 1), pages)
            shown = found[(page - 1) * AT_ONCE : page * AT_ONCE]
            rows = [Row(row.voice, _models(folder, row.voice)) for row in shown]
        return Part(rows, len(found), len(everything), page, pages)

    def row(self, digest: str) -> Row:
        """The voice with this digest. Raises NotCachedError where there is none."""
        with self._opened() as folder:
            for voice in folder.voices():
                if voice.digest == digest:
                    return Row(voice, _models(folder, voice))
        raise NotCachedError("Nothing is kept of that voice any more.")

    def picture(self, digest: str) -> bytes | None:
        """The picture of a voice as a PNG; None where nothing is kept that one could be made of."""
        for key in reversed(self._store.lower.keys(voice_prefix(digest))):
            with contextlib.suppress(EntryError):
                made = picture.of_entry(key, self._store.entry(key), self.settings.keyring)
                if made is not None:
                    return made
        return None


def _models(folder: Folder, voice: Voice) -> tuple[str, ...]:
    return tuple(sorted({folder.made(entry).model for entry in voice.entries}))
