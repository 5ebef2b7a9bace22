"""A tier that never raises: what fails is told, answered as an empty tier would, and the tier is then left alone."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import TypeVar

from ..concurrency.breaker import Breaker, Clock
from ..concurrency.signals import pass_on
from ..errors import EntryError
from .base import Tier

_Result = TypeVar("_Result")
# Told where something failed, such as "disk put", and with what.
Failed = Callable[[str, Exception], None]


def _pass(*_: object) -> None:
    pass


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


class GuardedTier:
    """A tier below memory with its breakers: a full disk still gives what it holds, but what can't be read can't be
    written either.

    What is asked for by hand and must not be passed over in silence is tried even in a pause: dropping a voice, and
    dropping everything.
    """

    def __init__(self, tier: Tier[bytes], failed: Failed, clock: Clock = time.monotonic) -> None:
        self.tier, self.name, self._failed = tier, tier.name, failed
        self._reading, self._writing = Breaker(clock), Breaker(clock)
        self._left: dict[str, str] = {}  # by key, what is there and of no use

    def fails_with(self, other: GuardedTier) -> None:
        """Be in order, or left alone, as ``other`` is: both are in one place."""
        self._reading, self._writing = other._reading, other._writing

    def open(self) -> None:
        """Get the tier ready."""
        # A tier may have nothing to do for this, so only a failure says something.
        trial, reading = self._writing.attempt(claim=False), self._reading.attempt(claim=False)
        if trial is not None and reading is not None:

            def out_of_order() -> None:
                self._reading.failed(reading)
                self._writing.failed(trial)

            self._try("open", self.tier.open, None, out_of_order=out_of_order)

    def get(self, key: str) -> bytes | None:
        """The value under ``key``, if there is one that can be read."""
        nothing: bytes | None = None
        value = self._read("get", lambda: self._from_tier(key), nothing)
        return None if value is None or self.is_left(key, value) else value

    def leave(self, key: str, value: bytes) -> None:
        """Take this value for none: it is of no use here and can't be dropped, and need not be told of again."""
        self._left[key] = _digest(value)

    def is_left(self, key: str, value: bytes) -> bool:
        """Whether this value is to be taken for none."""
        return key in self._left and self._left[key] == _digest(value)

    def keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with ``prefix``."""
        nothing: list[str] = []
        return self._read("keys", lambda: self.tier.keys(prefix), nothing)

    def __len__(self) -> int:
        return self._read(None, lambda: len(self.tier), 0)

    def nbytes(self) -> int:
        """Bytes in use. A tier that is out of order counts as empty: looking at a cache is no failure of it."""
        return self._read(None, self.tier.nbytes, 0)

    def put(self, key: str, value: bytes) -> None:
        """Keep ``value``, if that can be done."""
        self._write("put", lambda: self.tier.put(key, value), None)

    def delete(self, key: str) -> bool:
        """Drop one entry; says whether there was one."""
        return self._write("delete", lambda: self.tier.delete(key), False)

    def delete_voice(self, prefix: str) -> int:
        """Drop all entries of a voice; says how many there were."""
        return self._try("delete", lambda: self.tier.delete_voice(prefix), 0)

    def clear(self) -> int:
        """Drop everything; says how many entries."""
        return self._try("clear", self.tier.clear, 0)

    def close(self) -> None:
        """Let go of files and connections."""
        self._try("close", self.tier.close, None)

    def try_again(self) -> None:
        """End all pauses: the tier was seen to, or has just worked."""
        self._reading.worked()
        self._writing.worked()

    def _from_tier(self, key: str) -> bytes | None:
        return self.tier.get(key)

    def _read(self, what: str | None, operation: Callable[[], _Result], otherwise: _Result) -> _Result:
        trial = self._reading.attempt()
        if trial is None:
            return otherwise
        writing = self._writing.attempt(claim=False)

        def out_of_order() -> None:
            self._reading.failed(trial)
            if writing is not None:
                self._writing.failed(writing)

        return self._try(what, operation, otherwise, self._reading.worked, out_of_order)

    def _write(self, what: str, operation: Callable[[], _Result], otherwise: _Result) -> _Result:
        trial = self._writing.attempt()
        if trial is None:
            return otherwise
        return self._try(what, operation, otherwise, self.try_again, lambda: self._writing.failed(trial))

    def _try(
        self,
        what: str | None,
        operation: Callable[[], _Result],
        otherwise: _Result,
        worked: Callable[[], None] = _pass,
        out_of_order: Callable[[], None] = _pass,
    ) -> _Result:
        try:
            result = operation()
        except Exception as error:
            pass_on(error)
            # A damaged entry is no failing tier: it was found and given.
            (worked if isinstance(error, EntryError) else out_of_order)()
            if what is not None:
                self._failed(f"{self.name} {what}", error)
            return otherwise
        worked()
        return result
