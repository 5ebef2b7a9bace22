"""The tiers below memory as one: the nearest that has an entry gives it, and those above it keep a copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .guarded import GuardedTier


class TierChain:
    """Byte tiers, nearest first. One that fails is left out of that call."""

    def __init__(self, tiers: Sequence[GuardedTier]) -> None:
        self.tiers = tuple(tiers)

    def open(self) -> None:
        """Get every tier ready."""
        for tier in self.tiers:
            tier.open()

    def found(self, key: str) -> Iterator[tuple[GuardedTier, bytes]]:
        """Each tier that has an entry, with the entry, nearest first."""
        for tier in self.tiers:
            if (value := tier.get(key)) is not None:
                yield tier, value

    def keep_nearer(self, than: GuardedTier, key: str, value: bytes) -> None:
        """Keep the entry in every tier that is nearer than the one it was found in."""
        for nearer in self.tiers[: self.tiers.index(than)]:
            if nearer.name != than.name:  # one folder on disk is as near as another
                nearer.put(key, value)

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
