"""Two versions of the library, with different schemas, on one folder."""

from __future__ import annotations

import importlib
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch

from chatterbox_cached import ConditionalCache
from chatterbox_cached.voice.key_format import SCHEMA
from tests.support.comparison import assert_same_conditionals
from tests.support.scenery import SECONDS, ended_well, forked, voices
from tests.support.stage import Stage

KNOW_THE_SCHEMA = ("key_format", "entry_format")


def test_each_version_reads_its_own_entries_and_leaves_the_others_alone(
    english: Any, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "voices"
    this = ConditionalCache(folder)
    expected = this.get_or_prepare(english, voice)
    with monkeypatch.context() as another_version:
        for module in KNOW_THE_SCHEMA:
            another_version.setattr(f"chatterbox_cached.voice.{module}.SCHEMA", SCHEMA + 1)
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


def two_versions_at_work(folder: Path) -> Any:
    """Two processes, round by round: each hears voices that only its own version prepares, checks, and drops one."""
    from chatterbox import tts

    plain, paths, together = tts.voice_of, voices(folder, 6), multiprocessing.get_context("fork").Barrier(2)

    def become(version: int) -> None:
        for module in KNOW_THE_SCHEMA:
            importlib.import_module(f"chatterbox_cached.voice.{module}").SCHEMA = version
        tts.voice_of = lambda content: plain(content) + version

    def work(version: int) -> None:
        become(version)
        cache, model = ConditionalCache(folder / "voices", memory_entries=0), tts.ChatterboxTTS()
        for dropped in paths:
            together.wait(SECONDS)
            for path in paths:
                heard = cache.get_or_prepare(model, path).gen["embedding"]
                assert torch.equal(heard, tts.voice_of(path.read_bytes())), "the other version's voice"
            assert cache.check()[1:3] == (0, 0), "damaged or missing"
            assert cache.forget(dropped) == 1
        now = cache.get_cache_stats()
        # All voices once, and again what was dropped in the round before.
        assert (now["misses"], now["disk_hits"], now["bypasses"], now["errors"]) == (11, 25, {}, {}), now

    assert ended_well(forked(lambda: work(SCHEMA)), forked(lambda: work(SCHEMA + 1)))
    return ConditionalCache(folder / "voices").get_cache_stats()["disk_cached_items"]


def test_two_versions_at_work_at_once_neither_lose_nor_believe_each_others_entries(
    stage: Stage, tmp_path: Path
) -> None:
    assert stage(two_versions_at_work, folder=tmp_path) == 5 + 5
