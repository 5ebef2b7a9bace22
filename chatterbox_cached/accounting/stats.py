"""What a cache did, counted: every call is a hit, a miss or a bypass."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from ..concurrency.forks import RenewedAfterFork
from . import process_wide
from .process_wide import Count

Listener = Callable[[Mapping[Count, float]], None]
_listeners: list[Listener] = []
VOICES, ENCODERS = "voices", "encoders"
CLASSES = {VOICES: "classes", ENCODERS: "encoder_classes"}  # what found_class counts
# Seconds; a preparation is counted under the first that it did not exceed.
PREPARE_BOUNDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, math.inf)


def listen(listener: Listener) -> None:
    """Have ``listener`` told of everything that any cache in this process counts. It must not raise."""
    _listeners.append(listener)


def _tell(counts: Mapping[Count, float]) -> None:
    for listener in _listeners:
        listener(counts)


class Stats(RenewedAfterFork):
    """Counters of one cache in this process; safe from any thread."""

    def __init__(self) -> None:
        self.on_call: Callable[[], None] = lambda: None  # told of every miss and bypass, and of what was given up
        super().__init__()
        self._counts: defaultdict[Count, float] = defaultdict(int)
        process_wide.include(self, self._counts)

    def renew_locks(self) -> None:
        self._lock = threading.Lock()

    def hit(self, tier: str, prepare_seconds: float, took: float, seam: str = VOICES) -> float:
        """A call was served from ``tier`` in ``took`` seconds instead of the entry's own; gives the seconds saved.

        ``seam``: whether as a whole, VOICES, or by its ENCODERS' calls.
        """
        saved = prepare_seconds - took
        counts = {("hits", tier): 1, ("seams", seam): 1, ("saved_seconds", ""): saved}
        if saved < 0:
            counts["lost_seconds", ""] = -saved
        self._count(counts)
        return saved

    def miss(self) -> None:
        """No tier had it, so upstream prepares."""
        self._count({("misses", ""): 1})
        self.on_call()

    def prepared(self, seconds: float) -> None:
        """What a miss took upstream; 0 where upstream raised, so that nothing was prepared."""
        counts = {("prepare_seconds", ""): seconds}
        if seconds:
            counts["prepared_within", str(PREPARE_BOUNDS[bisect_left(PREPARE_BOUNDS, seconds)])] = 1
        self._count(counts)

    def bypass(self, reason: str) -> None:
        """The call went round the cache to upstream."""
        self._count({("bypasses", reason): 1})
        self.on_call()

    def not_stored(self, reason: str) -> None:
        """What a miss prepared was not kept."""
        self._count({("not_stored", reason): 1})

    def not_shared(self, store: str, number: int) -> None:
        """So many entries that were to be put into this store were given up."""
        self._count({("shared_dropped", store): number})
        self.on_call()  # it may be at the end of the program, long after its last call

    def found_class(self, name: str, seam: str) -> None:
        """A class of Chatterbox was found: from now on its voices are kept, or what its encoders make of any.

        It is counted once, however often it is found.
        """
        count = CLASSES[seam], name
        with self._lock:
            if self._counts.get(count):
                return
            self._counts[count] = 1
        _tell({count: 1})

    def error(self, place: str) -> None:
        """The cache failed at ``place``; the caller did not notice."""
        self._count({("errors", place): 1})

    def mismatch(self) -> None:
        """``generate`` was about to speak with another exaggeration than was prepared."""
        self._count({("mismatches", ""): 1})

    def snapshot(self) -> dict[str, Any]:
        """All counters at one moment."""
        with self._lock:
            counts = self._counts.copy()
        in_stores = {tier: number for tier, number in _by_name(counts, "hits").items() if "://" in tier}
        return {
            "memory_hits": counts["hits", "memory"],
            "disk_hits": counts["hits", "disk"],
            "shared_hits": sum(in_stores.values()),
            "shared_hits_in": in_stores,
            "shared_dropped": _by_name(counts, "shared_dropped"),
            "seams": _by_name(counts, "seams"),
            **{kind: _by_name(counts, kind) for kind in CLASSES.values()},
            "misses": counts["misses", ""],
            "bypasses": _by_name(counts, "bypasses"),
            "not_stored": _by_name(counts, "not_stored"),
            "errors": _by_name(counts, "errors"),
            "mismatches": counts["mismatches", ""],
            "prepare_seconds": float(counts["prepare_seconds", ""]),
            "saved_seconds": float(counts["saved_seconds", ""]),
        }

    def _count(self, counts: Mapping[Count, float]) -> None:
        with self._lock:
            for count, number in counts.items():  # several times as quick as a Counter's update()
                self._counts[count] += number
        _tell(counts)


def _by_name(counts: Mapping[Count, float], kind: str) -> dict[str, float]:
    return {name: number for (each, name), number in counts.items() if each == kind}
