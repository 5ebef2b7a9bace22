"""What all caches of this process have counted together, those that are gone included, and how much they hold.

Nothing is done for it when something is counted: the counts of each cache are added up when they are asked for.
"""

from __future__ import annotations

import weakref
from collections import defaultdict, deque
from collections.abc import Mapping
from itertools import count
from typing import Any, NamedTuple, Protocol

from ..concurrency.forks import ForkSafeLock

Count = tuple[str, str]  # what is counted, and by which tier, reason or place


class Cache(Protocol):
    """As much of a ConditionalCache as is asked here."""

    def get_cache_stats(self) -> dict[str, Any]: ...


class Held(NamedTuple):
    """How many voices there are in memory and on disk, and how many bytes they take."""

    memory_entries: int
    memory_bytes: int
    disk_entries: int
    disk_bytes: int


_lock = ForkSafeLock()
_numbers = count()
_living: dict[int, Mapping[Count, float]] = {}
# A counter must never go back, so what a cache has counted stays when it goes.
_ended: deque[int] = deque()  # told by the garbage collector, which comes at any moment and so must take no lock
_past: defaultdict[Count, float] = defaultdict(int)
_caches: weakref.WeakSet[Cache] = weakref.WeakSet()


def include(owner: object, counts: Mapping[Count, float]) -> None:
    """Add ``counts``, which its ``owner`` goes on counting for as long as it lives."""
    with _lock:
        number = next(_numbers)
        _living[number] = counts
        _bury()
    weakref.finalize(owner, _ended.append, number).atexit = False


def counted() -> dict[Count, float]:
    """The sum over all caches that this process has ever had."""
    with _lock:
        _bury()
        whole = _past.copy()
        for counts in _living.values():
            _add(whole, dict(counts))
        return whole


def include_cache(cache: Cache) -> None:
    """Add what ``cache`` holds for as long as it lives."""
    with _lock:
        _caches.add(cache)


def held() -> Held:
    """The sum over all caches that there are, each folder on disk once."""
    with _lock:
        caches = list(_caches)
    figures = [cache.get_cache_stats() for cache in caches]
    folders = {each["cache_dir"]: each for each in figures}.values()
    return Held(
        sum(each["memory_cached_items"] for each in figures),
        round(sum(each["memory_size_mb"] for each in figures) * 1e6),
        sum(each["disk_cached_items"] for each in folders),
        round(sum(each["disk_cache_size_mb"] for each in folders) * 1e6),
    )


def _bury() -> None:
    while _ended:
        _add(_past, _living.pop(_ended.popleft()))


def _add(whole: defaultdict[Count, float], counts: Mapping[Count, float]) -> None:
    for each, number in counts.items():
        whole[each] += number
