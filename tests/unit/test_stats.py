"""Everything that is counted is in the snapshot, and nothing is lost between threads."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from chatterbox_cached.accounting.process_wide import Count
from chatterbox_cached.accounting.stats import ENCODERS, Stats, listen

NOTHING = {
    "memory_hits": 0,
    "disk_hits": 0,
    "shared_hits": 0,
    "shared_hits_in": {},
    "shared_dropped": {},
    "seams": {},
    "classes": {},
    "encoder_classes": {},
    "misses": 0,
    "bypasses": {},
    "not_stored": {},
    "errors": {},
    "mismatches": 0,
    "prepare_seconds": 0.0,
    "saved_seconds": 0.0,
}


def test_at_first_nothing_is_counted() -> None:
    assert Stats().snapshot() == NOTHING


def test_hits_are_counted_by_tier_and_save_what_they_did_not_take() -> None:
    stats = Stats()
    stats.hit("memory", 2.0, 0.5)
    stats.hit("disk", 3.0, 0.25)
    stats.hit("disk", 3.0, 0.25, ENCODERS)
    seams = {"voices": 2, "encoders": 1}
    assert stats.snapshot() == NOTHING | {"memory_hits": 1, "disk_hits": 2, "seams": seams, "saved_seconds": 7.0}


def test_what_concerns_shared_stores_is_counted_by_store() -> None:
    stats, store = Stats(), "valkey://cache.internal:6379/0"
    stats.hit("disk", 2.0, 2.0)
    stats.hit(store, 2.0, 2.0)
    stats.hit("s3://bucket/prefix", 2.0, 2.0)
    stats.hit(store, 2.0, 2.0)
    stats.not_shared(store, 3)
    stats.not_shared(store, 2)
    now = stats.snapshot()
    assert (now["disk_hits"], now["shared_hits"]) == (1, 3)
    assert now["shared_hits_in"] == {store: 2, "s3://bucket/prefix": 1}
    assert now["shared_dropped"] == {store: 5}


def test_misses_are_counted_with_what_upstream_took() -> None:
    stats = Stats()
    stats.miss()
    stats.prepared(1.5)
    stats.miss()
    assert stats.snapshot() == NOTHING | {"misses": 2, "prepare_seconds": 1.5}


def test_reasons_are_counted_apart() -> None:
    stats = Stats()
    for reason in ("disabled", "autocast is on", "disabled"):
        stats.bypass(reason)
    stats.not_stored("audio changed")
    stats.error("disk put")
    assert stats.snapshot() == NOTHING | {
        "bypasses": {"disabled": 2, "autocast is on": 1},
        "not_stored": {"audio changed": 1},
        "errors": {"disk put": 1},
    }


def test_mismatches_are_counted() -> None:
    stats = Stats()
    stats.mismatch()
    stats.mismatch()
    assert stats.snapshot() == NOTHING | {"mismatches": 2}


def test_a_listener_is_told_of_what_every_cache_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[Stats.__module__], "_listeners", [])
    heard: list[Mapping[Count, float]] = []
    listen(heard.append)
    Stats().hit("disk", 2.0, 0.5)
    Stats().bypass("disabled")
    assert heard == [
        {("hits", "disk"): 1, ("seams", "voices"): 1, ("saved_seconds", ""): 1.5},
        {("bypasses", "disabled"): 1},
    ]


def test_a_snapshot_stands_still() -> None:
    stats = Stats()
    stats.bypass("disabled")
    before = stats.snapshot()
    stats.bypass("disabled")
    stats.miss()
    assert before == NOTHING | {"bypasses": {"disabled": 1}}


def test_nothing_is_lost_between_threads() -> None:
    stats = Stats()

    def count(_: int) -> None:
        for _ in range(500):
            stats.hit("memory", 2.0, 1.0)
            stats.miss()
            stats.bypass("disabled")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(8)))
    now = stats.snapshot()
    assert (now["memory_hits"], now["misses"], now["bypasses"], now["saved_seconds"]) == (
        4000,
        4000,
        {"disabled": 4000},
        4000.0,
    )
