"""The metrics of one of several worker processes, written as prometheus_client's multiprocess mode wants them.

Each process has files of its own, and a forked child begins new ones at zero, so what is written is what happens, and
never what a process has counted so far: a child has its parent's counts as well.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from itertools import starmap

from prometheus_client import Counter, Gauge, Histogram

from ..concurrency.forks import RenewedAfterFork, unforked
from ..notices import tell
from . import metrics, process_wide
from .process_wide import Count
from .stats import PREPARE_BOUNDS

SIZES_SECONDS = 5.0  # that the sizes may be behind


class Writer(RenewedAfterFork):
    """``add`` is told of everything that is counted; the sizes follow a little later, from a thread of their own."""

    def __init__(self) -> None:
        # In no registry: all that is in the files is shown, and what is in a registry besides would be shown twice.
        self._counters = {
            each.counts: Counter(each.name, each.help, [each.label] if each.label else [], registry=None)
            for each in metrics.COUNTERS
        }
        self._series: dict[Count, Counter] = {}
        for each in metrics.COUNTERS:
            for by in each.always:
                self._one((each.counts, by))
        preparations = metrics.PREPARATIONS
        self._preparations = Histogram(preparations.name, preparations.help, buckets=PREPARE_BOUNDS, registry=None)
        self._sizes = list(starmap(_gauge, metrics.SIZES))
        self._failed = False
        super().__init__()

    def renew_locks(self) -> None:
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, counts: Mapping[Count, float]) -> None:
        """Count; never raises."""
        try:
            # prometheus_client has one lock for all values, and a fork that came while it is taken would leave it so.
            unforked.run(lambda: self._add(counts))
            if not self._wanted.is_set():
                self._wanted.set()
                self._start()
        except Exception as error:  # its folder is gone, for one
            self._tell(error)

    def _add(self, counts: Mapping[Count, float]) -> None:
        for count, number in counts.items():
            if count[0] in self._counters:
                self._one(count).inc(max(number, 0))  # seconds saved, which may be fewer than none: those are lost ones
            elif count[0] == metrics.PREPARATIONS.counts and number:
                self._preparations.observe(number)

    def _one(self, count: Count) -> Counter:
        series = self._series.get(count)
        if series is None:
            counter = self._counters[count[0]]
            series = self._series[count] = counter.labels(count[1]) if count[1] else counter
        return series

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._follow, name="chatterbox-cached metrics", daemon=True)
                self._thread.start()

    def _follow(self) -> None:
        while True:
            self._wanted.wait()
            time.sleep(SIZES_SECONDS)
            self._wanted.clear()
            try:
                self._measured = process_wide.held()
                unforked.run(self._set)
            except Exception as error:
                self._tell(error)

    def _set(self) -> None:
        for gauge, size in zip(self._sizes, self._measured, strict=True):
            gauge.set(size)

    def _tell(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            tell(f"Metrics can't be written ({type(error).__name__}: {error}). The cache is not affected.")


def _gauge(counts: str, name: str, text: str, *_: object) -> Gauge:
    # Each process has a memory of its own, and all together have the folder.
    if counts.startswith("memory"):
        return Gauge(name, text, multiprocess_mode="livesum", registry=None)
    return Gauge(name, text, multiprocess_mode="mostrecent", registry=None)
