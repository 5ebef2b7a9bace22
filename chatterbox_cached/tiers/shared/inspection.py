"""A store that machines share, looked at by hand: what it is, and what may be done there."""

from __future__ import annotations

import os
import statistics
import time
import uuid
from collections.abc import Callable
from typing import NamedTuple

from .protocol import About, SharedTier

READ, PUT, DROP, LEASE, CONDITION = "read", "put", "drop", "take leases", "put under a condition"
_ROUND_TRIPS = 5
_LEASE_SECONDS = 10.0
_A_VOICE = 170_000  # bytes


class Inspection(NamedTuple):
    """What was found. None is what could not be found.

    ``ahead``: seconds that the server's clock is ahead of ours. ``round_trip``: seconds, the median of some.
    ``tried``: each thing that was tried of those that machines do there, with what came of it where it can't be done.
    """

    about: About
    ahead: float | None
    round_trip: float | None
    tried: dict[str, Exception | None]


def inspected(tier: SharedTier, *, writes: bool) -> Inspection:
    """Look at a store, and try what machines do there, with ``writes`` at an entry and a lease of our own that are
    removed.

    Raises what keeps it from being reached.
    """
    before = time.time()
    about = tier.about()
    ahead = None if about.clock is None else about.clock - (before + time.time()) / 2
    name, took = f"doctor-{uuid.uuid4().hex}", list[float]()
    tried = {READ: _failure(lambda: _read(tier, f"{name}/0/scratch", took))}
    if writes and tried[READ] is None:
        tried[PUT] = _failure(lambda: _put(tier, f"{name}/0/scratch"))
        tried[DROP] = _failure(lambda: _drop(tier, f"{name}/0/"))
        tried[LEASE] = _failure(lambda: _take_lease(tier, name))
        if tried[LEASE] is None:
            tried[CONDITION] = _failure(lambda: _put_under_conditions(tier, name))
    return Inspection(about, ahead, statistics.median(took) if took else None, tried)


def _failure(act: Callable[[], None]) -> Exception | None:
    try:
        act()
    except Exception as error:  # whatever its client raises
        return error
    return None


def _read(tier: SharedTier, key: str, took: list[float]) -> None:
    tier.forgotten("")
    for _ in range(_ROUND_TRIPS):
        began = time.perf_counter()
        tier.contains(key)
        took.append(time.perf_counter() - began)


def _put(tier: SharedTier, key: str) -> None:
    value = os.urandom(_A_VOICE)
    tier.put(key, value)
    if tier.get(key) != value:
        raise OSError("something else came back")


def _drop(tier: SharedTier, voice: str) -> None:
    tier.delete_voice(voice)
    if tier.keys(voice):
        raise OSError("what was dropped is still there")


def _take_lease(tier: SharedTier, name: str) -> None:
    if not tier.acquire(name, name, _LEASE_SECONDS):
        raise OSError("a lease that no machine has was not given")
    tier.release(name, name)


def _put_under_conditions(tier: SharedTier, name: str) -> None:
    if not tier.keeps_conditions(name):
        raise OSError("what may be put only under a condition was put without it")
