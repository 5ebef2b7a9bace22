"""The account of a cache that served a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached import ConditionalCache
from chatterbox_cached.accounting import account
from chatterbox_cached.accounting.stats import Stats


def test_a_cache_keeps_account_of_what_it_did(tmp_path: Path, english: Any, voice: Path) -> None:
    cache = ConditionalCache(tmp_path / "voices")
    for _ in range(3):
        cache.get_or_prepare(english, voice)
    cache.clear_memory()
    cache.get_or_prepare(english, voice)
    cache.close()
    written = account.read(tmp_path / "voices")
    now = cache.get_cache_stats()
    assert written.totals == {name: now[name] for name in Stats().snapshot()}
    assert (now["memory_hits"], now["disk_hits"], now["misses"]) == (2, 1, 1)
    (row,) = written.voices.values()
    assert (row.hits, row.path) == (3, str(voice))
    assert row.saved_seconds == pytest.approx(now["saved_seconds"])
    cache.forget(voice)
    assert account.read(tmp_path / "voices").voices == {}
