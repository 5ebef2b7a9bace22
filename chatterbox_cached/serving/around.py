"""The preparation that calls of the encoders are a part of, where it is known: of what audio, and what came of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

from ..errors import Unidentifiable
from ..identity.audio import Audio
from ..upstream.encodings import part_of
from ..voice.snapshot import Snapshot, equal

_NEAR = ("memory", "disk")  # farther than these are the stores that machines share


@dataclass
class Part:
    """What one call of an encoder gave: the ``maker`` that ends its key, and from which tier; None for upstream.

    ``took`` is how long it took to serve or to make, in seconds. ``uncertain``: as of its key. ``keep`` keeps it by
    itself.
    """

    name: str
    maker: str
    snapshot: Snapshot
    tier: str | None
    took: float
    uncertain: str
    keep: Callable[[], None]


@dataclass
class Around:
    """One preparation. ``keep_parts``: whether what the encoders make is kept by itself, and not with the voice.

    ``waits``: whether it has waited for its turn among those that prepare this voice.
    """

    audio: Audio | None
    keep_parts: bool
    waits: bool
    parts: list[Part] = field(default_factory=list)
    refused: list[Unidentifiable] = field(default_factory=list)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """While it runs, in this thread or task."""
        token = _around.set(self)
        try:
            yield
        finally:
            _around.reset(token)

    @property
    def served(self) -> list[Part]:
        """The parts that upstream did not have to make."""
        return [part for part in self.parts if part.tier is not None]

    @property
    def tier(self) -> str | None:
        """From where all of its parts came, the farthest; None where upstream has made one, or none was asked for."""
        tiers = {part.tier or "" for part in self.parts}
        if not tiers or "" in tiers:
            return None
        return max(tiers, key=lambda tier: _NEAR.index(tier) if tier in _NEAR else len(_NEAR))

    @property
    def seconds_of_served(self) -> float:
        """How long upstream took to make the parts that were served."""
        return sum(part.snapshot.prepare_seconds for part in self.served)

    @property
    def uncertain(self) -> str:
        """Of what in the making of its parts it can't be told what it does; empty for nothing."""
        return next((part.uncertain for part in self.parts if part.tier is None and part.uncertain), "")

    def keep_all(self) -> None:
        """Keep by themselves the parts that upstream has made."""
        for part in self.parts:
            if part.tier is None:
                part.keep()

    def links(self, voice: Snapshot) -> dict[str, list[str | int]]:
        """Which parts of a voice are what its encoders gave: by name their maker, and the milliseconds they take."""
        return {
            part.name: [part.maker, round(1000 * part.snapshot.prepare_seconds)]
            for part in self.parts
            if (same := part_of(voice, part.name)) is not None and equal(same, part.snapshot)
        }


_around: ContextVar[Around | None] = ContextVar("chatterbox_cached_around", default=None)
around_now = _around.get
