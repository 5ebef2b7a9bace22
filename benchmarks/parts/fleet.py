"""Stores that machines share, on real servers over loopback: hits, workers at once, a new worker, misses, outages."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from unittest import mock

from chatterbox_cached import ConditionalCache

from .. import clock, ways
from ..proxy import proxy
from ..servers import BUCKET, Seaweed, Valkey, running
from ..stage import Stage, in_child
from .crowds import together
from .outages import KEY, entry_of, misses, outages

WORKERS = (1, 8, 64)
_PATIENCE = 60.0  # seconds
_ENTRIES = 300  # fewer than may wait

Stores = dict[str, str]


def fleet(stage: Stage) -> dict[str, Any]:
    """Milliseconds, unless a name says else. Workers are processes, each with a cache folder of its own."""
    with running(Valkey) as valkey, running(Seaweed) as seaweed, mock.patch.dict(os.environ, seaweed.environment):
        stores = {"Valkey": valkey.url, "S3": seaweed.url}
        in_child(_filled, stage, stores)
        figures = in_child(_hits, stage, stores, valkey.port)
        for name, store in stores.items():
            figures |= _workers(stage, name, store)
        figures |= _new_workers(stage, stores)
        figures |= in_child(_written, stage, stores)
        figures |= in_child(misses, stage, stores)
        with proxy(valkey.port) as between:
            address = f"valkey://127.0.0.1:{between.port}/0"
            between.silent = True
            figures |= in_child(outages, stage, "silent Valkey", address)
            between.refuse()
            figures |= in_child(outages, stage, "refusing Valkey", address)
    return {"unit": "ms, unless it says else", **figures}


def _cache(stage: Stage, store: str | None) -> ConditionalCache:
    # 64 workers on a few cores keep each other waiting for seconds, which is not what is asked here.
    return ConditionalCache(stage.new_folder(), shared=store, signing_key=KEY, operation_seconds=_PATIENCE)


def _filled(stage: Stage, stores: Stores) -> None:
    for store in stores.values():
        with contextlib.closing(_cache(stage, store)) as cache:
            for seconds in (6, 10):
                cache.get_or_prepare(stage.model, stage.clips[seconds])


# Hits


def _hits(stage: Stage, stores: Stores, valkey_port: int) -> dict[str, Any]:
    clip = str(stage.clips[10])
    caches = {"disk": _cache(stage, None), **{name: _cache(stage, store) for name, store in stores.items()}}
    works: dict[str, tuple[clock.Around, clock.Work, clock.Work]] = {}
    for name, cache in caches.items():
        for seconds in (6, 10):
            cache.get_or_prepare(stage.model, stage.clips[seconds])
        before = functools.partial(_before_a_hit, stage, cache, disk=name != "disk")
        works[f"hit, {name}"] = nullcontext, functools.partial(cache.get_or_prepare, stage.model, clip), before
    entry = entry_of(caches["disk"])[1]
    for name, get in _bare(entry, valkey_port).items():
        works[f"floor: one GET of the bytes by {name}'s own client"] = nullcontext, get, clock.nothing
    return clock.singles(works, rounds=stage.times(30, 5), scale=1e3, calls=10)


def _before_a_hit(stage: Stage, cache: ConditionalCache, disk: bool = True) -> None:
    """Empty the cache, and have it give another voice: in the time that it takes to empty a disk the weights are due to
    be looked at in full, which would count for a shared hit and not for one from disk."""
    cache.clear_memory()
    if disk:
        cache.clear_disk()
    cache.get_or_prepare(stage.model, stage.clips[6])


def _bare(entry: bytes, valkey_port: int) -> dict[str, Callable[[], bytes]]:
    import boto3
    import redis

    valkey, s3 = redis.Redis(port=valkey_port), boto3.session.Session().client("s3")
    valkey.set("bare", entry)
    s3.put_object(Bucket=BUCKET, Key="bare", Body=entry)
    return {
        "Valkey": lambda: valkey.get("bare"),
        "S3": lambda: s3.get_object(Bucket=BUCKET, Key="bare")["Body"].read(),
    }


def _workers(stage: Stage, name: str, store: str) -> dict[str, Any]:
    figures = {}
    for count in WORKERS:
        hits = stage.times(10, 3)
        each = together(stage, count, _hits_of_one, store, hits)
        rate = count * hits / max(sum(taken) for taken in each)
        figures[f"hit, {name}, {count} workers at once"] = clock.figure([s for taken in each for s in taken], 1e3)
        figures[f"hits/s, {name}, {count} workers at once"] = clock.figure([rate])
    return figures


def _hits_of_one(stage: Stage, ready: int, go: int, store: str, hits: int) -> list[float]:
    cache, clip = _cache(stage, store), str(stage.clips[10])
    cache.get_or_prepare(stage.model, clip)
    os.write(ready, b"x")
    os.read(go, 1)
    taken = []
    for _ in range(hits):
        _before_a_hit(stage, cache)
        started = time.perf_counter()
        cache.get_or_prepare(stage.model, clip)
        taken.append(time.perf_counter() - started)
    assert cache.get_cache_stats()["misses"] == 0
    return taken


# A new worker


def _new_workers(stage: Stage, stores: Stores) -> dict[str, Any]:
    taken: dict[str, list[float]] = {}
    for _ in range(stage.times(7, 2)):
        for name, store in {"upstream's preparation": None, **stores}.items():
            taken.setdefault(f"first voice of a new process, {name}", []).append(in_child(_first, stage, store))
    return {name: clock.figure(values, 1e3) for name, values in taken.items()}


def _first(stage: Stage, store: str | None) -> float:
    clip = str(stage.clips[10])
    started = time.perf_counter()
    if store is None:
        ways.Upstream(stage.model, stage.folder).prepare(clip)
        return time.perf_counter() - started
    cache = _cache(stage, store)
    cache.get_or_prepare(stage.model, clip)
    taken = time.perf_counter() - started
    assert cache.get_cache_stats()["shared_hits"] == 1
    return taken


# The background writer


def _written(stage: Stage, stores: Stores) -> dict[str, Any]:
    local = _cache(stage, None)
    local.get_or_prepare(stage.model, stage.clips[10])
    _, entry = entry_of(local)
    figures = {}
    for name, store in stores.items():
        rates = [_ENTRIES / _seconds_to_write(stage, store, entry) for _ in range(stage.times(5, 1))]
        figures[f"writer, {name}, entries/s"] = clock.figure(rates)
        figures[f"writer, {name}, MB/s"] = clock.figure(rates, len(entry) / 1e6)
    return figures


def _seconds_to_write(stage: Stage, store: str, entry: bytes) -> float:
    with contextlib.closing(ConditionalCache(None, shared=store, signing_key=KEY, namespace="written")) as cache:
        (tier,) = cache.serving.store.shared.tiers
        started = time.perf_counter()
        for number in range(_ENTRIES):
            tier.put(f"v1/{number:064x}/{'0' * 64}", entry)
        assert tier.writer.flush(60)
        return time.perf_counter() - started
