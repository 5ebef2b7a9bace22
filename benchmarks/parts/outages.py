"""What a miss does besides upstream's preparation: with a store that has nothing, and with one that does not answer."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, nullcontext
from typing import Any
from unittest import mock

from chatterbox_cached import ConditionalCache
from chatterbox_cached.concurrency import deadline
from chatterbox_cached.tiers.shared import objects, valkey
from chatterbox_cached.voice import entry_format

from .. import clock
from ..stage import Stage

KEY = "a key of the team, of 16 bytes and more"
CALLS = 100
_APART = 0.04  # seconds between two calls, so that there is more than one pause
TIMEOUT = 0.2 + 1.0  # to connect, and for an answer: the settings' own


def entry_of(cache: ConditionalCache) -> tuple[str, bytes]:
    """An entry that this cache has on disk, with its key."""
    key = cache.serving.store.lower.keys()[0]
    ((_, entry),) = cache.serving.store.lower.found(key)
    return key, entry


class Misses:
    """The work of misses by a cache of its own, without upstream's preparation, and with another voice each time."""

    def __init__(self, stage: Stage, namespace: str, **settings: Any) -> None:
        with closing(ConditionalCache(stage.new_folder(), signing_key=KEY)) as local:
            local.get_or_prepare(stage.model, stage.clips[10])
            key, entry = entry_of(local)
            self._snapshot = entry_format.decode(key, entry, local.serving.settings.keyring)
        self.cache = ConditionalCache(stage.new_folder(), signing_key=KEY, namespace=namespace, **settings)
        self._number = 0

    def settled(self) -> None:
        """Wait until all is written."""
        for tier in self.cache.serving.store.shared.tiers:
            assert tier.writer.flush()

    def one(self) -> None:
        """What Serving does for a voice that is nowhere."""
        self._number += 1
        key, serving = f"v1/{self._number:064x}/{'0' * 64}", self.cache.serving
        assert serving.store.from_lower_tiers(key, "cpu") is None
        serving.store.lower.open()
        with serving.flights.flight(key):
            assert serving.store.find(key, "cpu") is None
            serving.store.keep(key, "cpu", self._snapshot, durable=True)


def misses(stage: Stage, stores: dict[str, str]) -> dict[str, Any]:
    """Milliseconds of a miss without upstream's preparation, and how often it goes to the store."""
    each = {"no store": Misses(stage, "misses")}
    each |= {f"an empty {name}": Misses(stage, "misses", shared=store) for name, store in stores.items()}
    works = {
        f"a miss but for upstream's part, {name}": (nullcontext, one.one, one.settled) for name, one in each.items()
    }
    figures: dict[str, Any] = clock.singles(works, rounds=stage.times(10, 2), scale=1e3, calls=5)
    for one in each.values():
        one.settled()
    for name, one in each.items():
        if name != "no store":
            waited, behind = _operations(one)
            figures[f"operations of a miss that its caller waits for, {name}"] = clock.figure([waited])
            figures[f"operations of a miss behind its caller's back, {name}"] = clock.figure([behind])
    return figures


def _operations(one: Misses) -> tuple[int, int]:
    """Those that the caller of a miss waits for, and those of other threads; each is one trip to the store."""
    seen, within = Counter[bool](), deadline.within

    def counted(seconds: float, operation: Callable[[], Any]) -> Any:
        seen[threading.current_thread() is threading.main_thread()] += 1
        return within(seconds, operation)

    with mock.patch.object(valkey, "within", counted), mock.patch.object(objects, "within", counted):
        one.one()
        one.settled()
    return seen[True], seen[False]


def outages(stage: Stage, name: str, address: str) -> dict[str, Any]:
    """What a store that does not answer adds to misses, 40 ms apart, beside one timeout for each pause."""
    failures: list[str] = []

    def failed(what: str, error: Exception) -> None:
        if threading.current_thread() is threading.main_thread():  # the writer's are nobody's wait
            failures.append(what)

    one = Misses(stage, "outages", shared=address)
    for tier in one.cache.serving.store.shared.tiers:
        tier._failed = failed
    plain, added = Misses(stage, "outages"), []
    for _ in range(CALLS):
        added.append(_seconds(one) - _seconds(plain))
        time.sleep(_APART)
    in_all = sum(added)
    return {
        f"{CALLS} misses but for upstream's part, {name}, added": clock.figure([in_all], 1e3),
        f"of it to one of them, at most, {name}": clock.figure([max(added)], 1e3),
        f"pauses that they began, {name}": clock.figure([len(failures)]),
        f"added over one timeout for each pause, {name}": clock.figure([in_all / (len(failures) * TIMEOUT)]),
    }


def _seconds(one: Misses) -> float:
    started = time.perf_counter()
    one.one()
    return time.perf_counter() - started
