"""The tiers below memory as one: the nearest that has an entry gives it, and those above it keep a copy."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..concurrency.breaker import Clock
from .base import Tier
from .guarded import Failed, GuardedTier


class TierChain:
    """Byte tiers, nearest first. One that fails is left out of that call; ``failed`` is told where and why."""

    def __init__(self, tiers: Sequence[Tier[bytes]], failed: Failed, clock: Clock = time.monotonic) -> None:
        self.tiers = tuple(GuardedTier(tier, failed, clock) for tier in tiers)

    def open(self) -> None:
        """Get every tier ready."""
        for tier in self.tiers:
            tier.open()

    def get(self, key: str) -> tuple[str, bytes] | None:
        """Name of the tier that has an entry, and the entry."""
        for depth, tier in enumerate(self.tiers):
            if (value := tier.get(key)) is not None:
                for nearer in self.tiers[:depth]:
                    if nearer.name != tier.name:  # one folder on disk is as near as another
                        nearer.put(key, value)
                return tier.name, value
        return None

    def put(self, key: str, value: bytes) -> None:
        """Keep the entry in every tier."""
        for tier in self.tiers:
            tier.put(key, value)

    def delete(self, key: str) -> int:
        """Drop one entry from every tier; says from how many."""
        return sum([tier.delete(key) for tier in self.tiers])

    def delete_voice(self, prefix: str) -> int:
        """Drop all entries of a voice from every tier; says how many there were."""
        return sum([tier.delete_voice(prefix) for tier in self.tiers])

    def keys(self, prefix: str = "") -> list[str]:
        """The keys of all tiers that begin with ``prefix``, each once."""
        return list(dict.fromkeys(key for tier in self.tiers for key in tier.keys(prefix)))

    def close(self) -> None:
        """Let go of files and connections."""
        for tier in self.tiers:
            tier.close()
