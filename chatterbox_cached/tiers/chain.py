"""The tiers below memory as one: the nearest that has an entry gives it, and those above it keep a copy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from .base import Tier

_Result = TypeVar("_Result")
Failed = Callable[[str, Exception], None]


class TierChain:
    """Byte tiers, nearest first. A tier that fails is left out of that call; ``failed`` is told where and why."""

    def __init__(self, tiers: Sequence[Tier[bytes]], failed: Failed) -> None:
        self._tiers = tuple(tiers)
        self._failed = failed

    def open(self) -> None:
        """Get every tier ready."""
        for tier in self._tiers:
            self._try(tier, "open", tier.open, None)

    def get(self, key: str) -> tuple[str, bytes] | None:
        """Name of the tier that has an entry, and the entry."""
        for depth, tier in enumerate(self._tiers):
            value = self._try(tier, "get", lambda tier=tier: tier.get(key), None)  # type: ignore[misc]
            if value is not None:
                self._put(self._tiers[:depth], key, value)
                return tier.name, value
        return None

    def put(self, key: str, value: bytes) -> None:
        """Keep the entry in every tier."""
        self._put(self._tiers, key, value)

    def delete(self, key: str) -> int:
        """Drop one entry from every tier; says from how many."""
        return self._sum("delete", lambda tier: int(tier.delete(key)))

    def delete_voice(self, prefix: str) -> int:
        """Drop all entries of a voice from every tier; says how many there were."""
        return self._sum("delete", lambda tier: tier.delete_voice(prefix))

    def clear(self) -> int:
        """Drop everything from every tier; says how many entries."""
        return self._sum("clear", lambda tier: tier.clear())

    def keys(self, prefix: str = "") -> list[str]:
        """The keys of all tiers that begin with ``prefix``, each once."""
        found: dict[str, None] = {}
        for tier in self._tiers:
            found.update(dict.fromkeys(self._try(tier, "keys", lambda tier=tier: tier.keys(prefix), [])))  # type: ignore[misc]
        return list(found)

    def __len__(self) -> int:
        return self._measured(len)

    def nbytes(self) -> int:
        """Bytes in use in all tiers."""
        return self._measured(lambda tier: tier.nbytes())

    def close(self) -> None:
        """Let go of files and connections."""
        for tier in self._tiers:
            self._try(tier, "close", tier.close, None)

    def _put(self, tiers: Sequence[Tier[bytes]], key: str, value: bytes) -> None:
        for tier in tiers:
            self._try(tier, "put", lambda tier=tier: tier.put(key, value), None)  # type: ignore[misc]

    def _measured(self, measure: Callable[[Tier[bytes]], int]) -> int:
        """The sum over all tiers. One that is out of order counts as empty: looking at a cache is no failure of it."""
        total = 0
        for tier in self._tiers:
            with contextlib.suppress(Exception):
                total += measure(tier)
        return total

    def _sum(self, what: str, count: Callable[[Tier[bytes]], int]) -> int:
        return sum(self._try(tier, what, lambda tier=tier: count(tier), 0) for tier in self._tiers)  # type: ignore[misc]

    def _try(self, tier: Tier[bytes], what: str, operation: Callable[[], _Result], otherwise: _Result) -> _Result:
        try:
            return operation()
        except Exception as error:
            self._failed(f"{tier.name} {what}", error)
            return otherwise
