"""Memory: the least recently used entry goes first, bounded by count and by bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic

from ..concurrency.forks import RenewedAfterFork
from .base import Value


class MemoryTier(RenewedAfterFork, Generic[Value]):
    """Values as they are, in this process. ``size_of`` gives a value's bytes."""

    name = "memory"

    def __init__(self, entries: int, nbytes: int, size_of: Callable[[Value], int]) -> None:
        self._max_entries, self._max_bytes, self._size_of = entries, nbytes, size_of
        self._values: OrderedDict[str, tuple[Value, int]] = OrderedDict()
        self._bytes = 0
        super().__init__()

    def renew_locks(self) -> None:
        self._lock = threading.Lock()

    def open(self) -> None:
        """Nothing to get ready."""

    def get(self, key: str) -> Value | None:
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return None
            self._values.move_to_end(key)
            return found[0]

    def put(self, key: str, value: Value) -> None:
        size = self._size_of(value)
        with self._lock:
            self._drop(key)
            if size > self._max_bytes or not self._max_entries:
                return  # too large to ever fit: everything else would go for nothing
            self._values[key] = value, size
            self._bytes += size
            while len(self._values) > self._max_entries or self._bytes > self._max_bytes:
                self._drop(next(iter(self._values)))

    def delete(self, key: str) -> bool:
        with self._lock:
            return self._drop(key)

    def delete_voice(self, prefix: str) -> int:
        with self._lock:
            return sum([self._drop(key) for key in list(self._values) if key.startswith(prefix)])

    def clear(self) -> int:
        with self._lock:
            count = len(self._values)
            self._values.clear()
            self._bytes = 0
            return count

    def keys(self, prefix: str = "") -> list[str]:
        with self._lock:
            return [key for key in self._values if key.startswith(prefix)]

    def __len__(self) -> int:
        return len(self._values)

    def nbytes(self) -> int:
        return self._bytes

    def close(self) -> None:
        """Nothing is open."""

    def _drop(self, key: str) -> bool:
        found = self._values.pop(key, None)
        if found is None:
            return False
        self._bytes -= found[1]
        return True
