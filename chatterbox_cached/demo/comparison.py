"""The same seeded calls without the cache and with it, each timed."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import chatterbox_cached
from chatterbox_cached import ConditionalCache
from chatterbox_cached.upstream.families import Family

TEXTS = ("Good morning, everyone.", "The kettle is on.", "Who left the door open?", "See you on Friday.")
_SOURCES = {"memory_hits": "memory", "disk_hits": "disk", "shared_hits": "store", "misses": "upstream"}


class Spoken(NamedTuple):
    """One text, or clip, spoken: its samples, the seconds of both halves of the work, and where the voice came from."""

    samples: Any
    preparing: float
    generating: float
    source: str


class Comparison(NamedTuple):
    """The same seeded calls: without the cache, with it, and the first of them once more as after a new start."""

    without: list[Spoken]
    cached: list[Spoken]
    restarted: Spoken
    stats: Mapping[str, Any]

    @property
    def same(self) -> list[bool]:
        """For each of them whether its samples are the same with the cache; the last is the one after a new start."""
        equal = import_module("torch").equal
        pairs = zip((*self.without, self.without[0]), (*self.cached, self.restarted), strict=True)
        return [equal(one.samples, other.samples) for one, other in pairs]


def compare(model: Any, family: Family, calls: Sequence[Mapping[str, Any]], say: Callable[..., None]) -> Comparison:
    """Make these calls of ``generate`` without the cache and with it, which begins with an empty folder.

    ``say`` prints what it is at.
    """
    with timed_preparations(model, family.prepare) as timed, tempfile.TemporaryDirectory() as folder:
        say("", f"{'Speaking in' if family.speaks_texts else 'Converting to'} this voice, without the cache ...")
        without = [speak(model, timed, call) for call in calls]
        say("The same calls after chatterbox_cached.enable() ...")
        try:
            cache = chatterbox_cached.enable(folder)
            cached = [speak(model, timed, call) for call in calls]
            stats = cache.get_cache_stats()
            # As after a new start of the script: a cache that has nothing but the folder.
            again = chatterbox_cached.enable(cache=ConditionalCache(folder))
            restarted = speak(model, timed, calls[0])
        finally:
            chatterbox_cached.disable()
        for opened in (cache, again):
            opened.close()  # or Windows could not remove the folder
    return Comparison(without, cached, restarted, stats)


def speak(model: Any, timed: list[float], call: Mapping[str, Any]) -> Spoken:
    """One seeded ``generate``, timed; what is not preparation is generation."""
    torch = import_module("torch")
    timed.clear()
    before = chatterbox_cached.stats()
    torch.manual_seed(0)
    started = time.perf_counter()
    samples = model.generate(**call)
    total, preparing = time.perf_counter() - started, sum(timed)
    after = chatterbox_cached.stats()
    source = next((_SOURCES[name] for name in _SOURCES if before and after[name] > before[name]), "no cache")
    return Spoken(samples, preparing, total - preparing, source)


@contextlib.contextmanager
def timed_preparations(model: Any, prepare: str) -> Iterator[list[float]]:
    """The seconds of each call of ``prepare`` that ``model`` makes on itself, which it does inside generate."""
    seconds: list[float] = []

    def timed(*args: Any, **kwargs: Any) -> Any:
        # Found on the class anew each time: with the cache enabled, what is there is the cached method.
        method = vars(type(model))[prepare].__get__(model, type(model))
        started = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - started)

    setattr(model, prepare, timed)
    try:
        yield seconds
    finally:
        delattr(model, prepare)
