"""What a cache did, counted: every call is a hit, a miss or a bypass."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from .forks import renew_after_fork


class Stats:
    """Counters of one cache in this process; safe from any thread."""

    def __init__(self) -> None:
        self.on_call: Callable[[], None] = lambda: None  # told of every miss and bypass
        self.renew_locks()
        renew_after_fork(self)
        self._hits: Counter[str] = Counter()
        self._misses = 0
        self._bypasses: Counter[str] = Counter()
        self._not_stored: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._prepare_seconds = 0.0
        self._saved_seconds = 0.0

    def renew_locks(self) -> None:
        self._lock = threading.Lock()

    def hit(self, tier: str, prepare_seconds: float, took: float) -> float:
        """A call was served from ``tier`` in ``took`` seconds instead of the entry's own; gives the seconds saved."""
        saved = prepare_seconds - took
        with self._lock:
            self._hits[tier] += 1
            self._saved_seconds += saved
        return saved

    def miss(self) -> None:
        """No tier had it, so upstream prepares."""
        with self._lock:
            self._misses += 1
        self.on_call()

    def prepared(self, seconds: float) -> None:
        """What a miss took upstream."""
        with self._lock:
            self._prepare_seconds += seconds

    def bypass(self, reason: str) -> None:
        """The call went round the cache to upstream."""
        with self._lock:
            self._bypasses[reason] += 1
        self.on_call()

    def not_stored(self, reason: str) -> None:
        """What a miss prepared was not kept."""
        with self._lock:
            self._not_stored[reason] += 1

    def error(self, place: str) -> None:
        """The cache failed at ``place``; the caller did not notice."""
        with self._lock:
            self._errors[place] += 1

    def snapshot(self) -> dict[str, Any]:
        """All counters at one moment."""
        with self._lock:
            return {
                "memory_hits": self._hits["memory"],
                "disk_hits": self._hits["disk"],
                "misses": self._misses,
                "bypasses": dict(self._bypasses),
                "not_stored": dict(self._not_stored),
                "errors": dict(self._errors),
                "prepare_seconds": self._prepare_seconds,
                "saved_seconds": self._saved_seconds,
            }
