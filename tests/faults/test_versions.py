"""Two versions of the library, with different schemas, on one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached import ConditionalCache
from tests.support import assert_same_conditionals


def test_each_version_reads_its_own_entries_and_leaves_the_others_alone(
    english: Any, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "voices"
    this = ConditionalCache(folder)
    expected = this.get_or_prepare(english, voice)
    with monkeypatch.context() as another_version:
        for module in ("identity", "store", "wire"):
            another_version.setattr(f"chatterbox_cached.{module}.SCHEMA", 2)
        that = ConditionalCache(folder)
        assert_same_conditionals(that.get_or_prepare(english, voice), expected)
        that.clear_memory()
        that.get_or_prepare(english, voice)
        now = that.get_cache_stats()
        assert (now["misses"], now["disk_hits"], now["disk_cached_items"]) == (1, 1, 2)
        assert that.check().sound
        that.forget(voice)
        that.close()
    this.clear_memory()
    this.get_or_prepare(english, voice)
    now = this.get_cache_stats()
    assert (now["misses"], now["disk_hits"], now["disk_cached_items"], now["errors"]) == (1, 1, 1, {})
