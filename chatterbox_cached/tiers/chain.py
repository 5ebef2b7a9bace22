"""The tiers below memory as one: the nearest that has an entry gives it, and those above it keep a copy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from ..concurrency.breaker import Breakers, Clock
from ..errors import EntryError
from .base import Tier

_Result = TypeVar("_Result")
Failed = Callable[[str, Exception], None]


class TierChain:
    """Byte tiers, nearest first. A tier that fails is left out of that call; ``failed`` is told where and why.

    After a failure the tier is left alone for a while, see ``Breaker``. What is asked for by hand and must not be
    passed over in silence is tried all the same: dropping a voice, and dropping everything.
    """

    def __init__(self, tiers: Sequence[Tier[bytes]], failed: Failed, clock: Clock = time.monotonic) -> None:
        self._tiers = tuple((tier, Breakers(clock)) for tier in tiers)
        self._failed = failed

    def open(self) -> None:
        """Get every tier ready."""
        for tier, breakers in self._tiers:
            # A tier may have nothing to do for this, so only a failure says something.
            trial, reading = breakers.writing.attempt(claim=False), breakers.reading.attempt(claim=False)
            if trial is not None and reading is not None:
                try:
                    tier.open()
                except Exception as error:
                    breakers.reading.failed(reading)
                    breakers.writing.failed(trial)
                    self._failed(f"{tier.name} open", error)

    def get(self, key: str) -> tuple[str, bytes] | None:
        """Name of the tier that has an entry, and the entry."""
        for depth, (tier, breakers) in enumerate(self._tiers):
            value = self._read(tier, breakers, "get", lambda tier=tier: tier.get(key), None)  # type: ignore[misc]
            if value is not None:
                self._put(depth, key, value)
                return tier.name, value
        return None

    def put(self, key: str, value: bytes) -> None:
        """Keep the entry in every tier."""
        self._put(len(self._tiers), key, value)

    def delete(self, key: str) -> int:
        """Drop one entry from every tier; says from how many."""
        return sum(
            self._write(tier, breakers, "delete", lambda tier=tier: int(tier.delete(key)), 0)  # type: ignore[misc]
            for tier, breakers in self._tiers
        )

    def delete_voice(self, prefix: str) -> int:
        """Drop all entries of a voice from every tier; says how many there were."""
        return self._insist("delete", lambda tier: tier.delete_voice(prefix))

    def clear(self) -> int:
        """Drop everything from every tier; says how many entries."""
        return self._insist("clear", lambda tier: tier.clear())

    def keys(self, prefix: str = "") -> list[str]:
        """The keys of all tiers that begin with ``prefix``, each once."""
        found: dict[str, None] = {}
        for tier, breakers in self._tiers:
            none: list[str] = []
            found.update(
                dict.fromkeys(self._read(tier, breakers, "keys", lambda tier=tier: tier.keys(prefix), none))  # type: ignore[misc]
            )
        return list(found)

    def __len__(self) -> int:
        return self._measured(len)

    def nbytes(self) -> int:
        """Bytes in use in all tiers."""
        return self._measured(lambda tier: tier.nbytes())

    def close(self) -> None:
        """Let go of files and connections."""
        for tier, _ in self._tiers:
            self._try(tier, "close", tier.close, None)

    def try_again(self) -> None:
        """End all pauses: somebody has seen to the tiers."""
        for _, breakers in self._tiers:
            breakers.mended()

    def _put(self, depth: int, key: str, value: bytes) -> None:
        for tier, breakers in self._tiers[:depth]:
            self._write(tier, breakers, "put", lambda tier=tier: tier.put(key, value), None)  # type: ignore[misc]

    def _measured(self, measure: Callable[[Tier[bytes]], int]) -> int:
        """The sum over all tiers. One that is out of order counts as empty: looking at a cache is no failure of it."""
        return sum(
            self._read(tier, breakers, None, lambda tier=tier: measure(tier), 0)  # type: ignore[misc]
            for tier, breakers in self._tiers
        )

    def _insist(self, what: str, count: Callable[[Tier[bytes]], int]) -> int:
        return sum(self._try(tier, what, lambda tier=tier: count(tier), 0) for tier, _ in self._tiers)  # type: ignore[misc]

    def _read(
        self,
        tier: Tier[bytes],
        breakers: Breakers,
        what: str | None,
        operation: Callable[[], _Result],
        otherwise: _Result,
    ) -> _Result:
        trial = breakers.reading.attempt()
        if trial is None:
            return otherwise
        writing = breakers.writing.attempt(claim=False)

        def out_of_order() -> None:
            breakers.reading.failed(trial)
            if writing is not None:
                breakers.writing.failed(writing)

        return self._try(tier, what, operation, otherwise, worked=breakers.reading.worked, out_of_order=out_of_order)

    def _write(
        self, tier: Tier[bytes], breakers: Breakers, what: str, operation: Callable[[], _Result], otherwise: _Result
    ) -> _Result:
        trial = breakers.writing.attempt()
        if trial is None:
            return otherwise
        return self._try(
            tier,
            what,
            operation,
            otherwise,
            worked=breakers.mended,
            out_of_order=lambda: breakers.writing.failed(trial),
        )

    def _try(
        self,
        tier: Tier[bytes],
        what: str | None,
        operation: Callable[[], _Result],
        otherwise: _Result,
        worked: Callable[[], None] = lambda: None,
        out_of_order: Callable[[], None] = lambda: None,
    ) -> _Result:
        try:
            result = operation()
        except Exception as error:
            # A damaged entry is no failing tier: it was found and given.
            (worked if isinstance(error, EntryError) else out_of_order)()
            if what is not None:
                self._failed(f"{tier.name} {what}", error)
            return otherwise
        worked()
        return result
