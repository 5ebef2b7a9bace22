"""One voice as the page shows it: one that has a name, or a recording of which something is cached, or both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ..accounting.account import VoiceAccount
from ..library.voices import Voice
from ..named.record import NamedVoice


@dataclass(frozen=True)
class Row:
    """``named``: what is known under its name; ``cached``: what the cache folder has of its recording; one of them at
    least. ``known``: what was counted of it. ``models``: those that it is good for, looked up for what is shown only.
    """

    digest: str
    named: NamedVoice | None
    cached: Voice | None
    known: VoiceAccount | None
    models: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        if self.named is not None:
            return self.named.name
        return self.cached.label if self.cached else self.digest[:12]

    @property
    def path(self) -> str:
        """Where its own page is."""
        return f"/named/{quote(self.named.name, safe='')}" if self.named else f"/cached/{self.digest}"

    @property
    def is_default(self) -> bool:
        return self.named is not None and self.named.is_default

    @property
    def description(self) -> str:
        return self.named.description if self.named else ""

    @property
    def seconds(self) -> float | None:
        counted = self.known.duration if self.known else None
        return self.named.seconds if self.named and self.named.seconds is not None else counted

    @property
    def hits(self) -> int:
        return self.known.hits if self.known else 0

    @property
    def saved(self) -> float:
        return self.known.saved_seconds if self.known else 0.0

    @property
    def last_used(self) -> float:
        """Of the cache, or in the cache; 0 for a voice that never was."""
        cached = self.cached.last_used if self.cached else 0.0
        return max(cached, self.known.last_used if self.known else 0.0)

    def matches(self, wanted: str) -> bool:
        """Whether a search for this, in lower case, finds it."""
        said = (self.name, *self.named.aliases, self.named.description) if self.named else (self.name,)
        return any(wanted in text.casefold() for text in said) or self.digest.startswith(wanted)


_BY: dict[str, Callable[[Row], Any]] = {
    "name": lambda row: row.name.casefold(),
    "length": lambda row: row.seconds or 0.0,
    "hits": lambda row: row.hits,
    "saved": lambda row: row.saved,
    "used": lambda row: row.last_used,
}
USUAL_ORDER = "-used"


def is_order(order: str) -> bool:
    """Whether rows can be put in an order of this name: what they are sorted by, with a minus for the most first."""
    return order.removeprefix("-") in _BY


def ordered(rows: list[Row], order: str) -> list[Row]:
    """The rows in an order; in each, voices with names come before those without where nothing else is said."""
    alike = sorted(rows, key=lambda row: (row.named is None, row.name.casefold()))
    return sorted(alike, key=_BY[order.removeprefix("-")], reverse=order.startswith("-"))
