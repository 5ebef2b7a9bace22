"""Timing side by side: A B A B, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Work = Callable[[], Any]
Around = Callable[[], contextlib.AbstractContextManager[Any]]
Figure = dict[str, float]


def figure(values: list[float], scale: float = 1.0) -> Figure:
    """Median and spread (10th and 90th percentile) of ``values`` times ``scale``."""
    ordered = sorted(value * scale for value in values)
    last = len(ordered) - 1
    return {
        "median": statistics.median(ordered),
        "low": ordered[round(0.1 * last)],
        "high": ordered[round(0.9 * last)],
        "n": len(ordered),
    }


_LOOP_SECONDS = 0.1


def loops(works: Mapping[str, tuple[Around, Work]], *, rounds: int, calls: int) -> dict[str, Figure]:
    """Microseconds per call, each value a loop of ``calls``, or of fewer where they take long."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, (around, work) in works.items():
            with around():
                work()  # the first call after a change may have to look at more
                once = _seconds(work, 1)
                count = max(1, min(calls, round(_LOOP_SECONDS / once)))
                taken[name].append(_seconds(work, count) / count)
    return {name: figure(values, 1e6) for name, values in taken.items()}


def _seconds(work: Work, count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        work()
    return time.perf_counter() - started


def singles(
    works: Mapping[str, tuple[Around, Work, Work]], *, rounds: int, scale: float, calls: int = 1
) -> dict[str, Figure]:
    """Seconds times ``scale`` of single calls, each after an untimed call of the third of its works."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, (around, work, before) in works.items():
            with around():
                for _ in range(calls):
                    before()
                    started = time.perf_counter()
                    work()
                    taken[name].append(time.perf_counter() - started)
    return {name: figure(values, scale) for name, values in taken.items()}


def nothing() -> None:
    """To be done before a call that needs nothing done before it."""
