"""Turbo: its voices, which take no exaggeration, and the loudness that it brings them to."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import torch

import chatterbox_cached
from chatterbox_cached import CachedTTS, CachedTurboTTS, ConditionalCache
from chatterbox_cached.demo import rehearsal
from tests.support.commands import REPOSITORY
from tests.support.comparison import assert_same_conditionals
from tests.support.speech import speak


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Turbo takes none of 5 s or less."""
    return rehearsal.reference_clip(tmp_path_factory.mktemp("voices") / "long.wav", seconds=5.5, seed=0)


@pytest.fixture(scope="module")
def other_voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rehearsal.reference_clip(tmp_path_factory.mktemp("voices") / "other.wav", seconds=5.5, seed=1)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ConditionalCache]:
    with chatterbox_cached.enabled(tmp_path / "voices") as enabled:
        yield enabled


def _counted(cache: ConditionalCache) -> tuple[int, int, int, dict[str, int]]:
    """Misses, hits in memory and on disk, and bypasses."""
    stats = cache.get_cache_stats()
    return stats["misses"], stats["memory_hits"], stats["disk_hits"], stats["bypasses"]


def test_samples_are_upstreams_on_a_miss_and_on_hits(
    turbo: Any, voice: Path, other_voice: Path, tmp_path: Path
) -> None:
    expected = {each: speak(turbo, audio_prompt_path=each) for each in (voice, other_voice)}
    assert not torch.equal(expected[voice], expected[other_voice])
    with chatterbox_cached.enabled(tmp_path / "voices") as cache:
        for _ in range(2):
            for each, samples in expected.items():
                assert torch.equal(speak(turbo, audio_prompt_path=each), samples)
        assert _counted(cache) == (2, 2, 0, {})
        cache.clear_memory()
        assert torch.equal(speak(turbo, audio_prompt_path=voice), expected[voice])
        assert _counted(cache) == (2, 2, 1, {})


NEW_PROCESS = """
import sys
import torch
import chatterbox_cached
from chatterbox.tts_turbo import ChatterboxTurboTTS
from tests.support.speech import speak

voice, folder, target = sys.argv[1:]
model = chatterbox_cached.CachedTurboTTS.from_pretrained("cpu", cache=chatterbox_cached.ConditionalCache(folder))
assert isinstance(model, ChatterboxTurboTTS)
torch.save(speak(model, audio_prompt_path=voice), target)
print(model.cache.get_cache_stats()["misses"], model.cache.get_cache_stats()["disk_hits"])
"""


def test_a_voice_that_one_process_prepared_is_a_hit_in_the_next(
    hub_environment: dict[str, str], voice: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, **hub_environment}
    said = []
    for number in range(2):
        target = tmp_path / f"{number}.pt"
        command = [sys.executable, "-c", NEW_PROCESS, str(voice), str(tmp_path / "voices"), str(target)]
        done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said.append((done.stdout.splitlines()[-1], torch.load(target)))
    assert [counted for counted, _ in said] == ["1 0", "0 1"]
    assert torch.equal(said[0][1], said[1][1])


@pytest.mark.parametrize("on_mismatch", ["warn", "error", "follow"])
def test_the_guard_has_nothing_to_say_of_an_exaggeration_that_is_not_heard(
    on_mismatch: Any, turbo: Any, voice: Path, tmp_path: Path
) -> None:
    with chatterbox_cached.enabled(tmp_path / "voices", on_mismatch=on_mismatch) as cache, warnings.catch_warnings():
        warnings.simplefilter("error", chatterbox_cached.ExaggerationMismatchWarning)
        cache.get_or_prepare(turbo, voice, exaggeration=0.9)
        silent = speak(turbo)
        turbo.prepare_conditionals(voice, exaggeration=0.2)
        assert torch.equal(speak(turbo, exaggeration=0.7), silent)
        assert cache.get_cache_stats()["mismatches"] == 0
        assert _counted(cache) == (1, 1, 0, {})


@pytest.mark.parametrize("exaggeration", [0.0, 0.9, 1])
def test_one_entry_serves_every_exaggeration_and_leaves_what_upstream_leaves(
    exaggeration: float, turbo: Any, voice: Path, cache: ConditionalCache
) -> None:
    turbo.prepare_conditionals(voice)
    turbo.prepare_conditionals(voice, exaggeration=exaggeration)
    given = turbo.conds
    assert _counted(cache) == (1, 1, 0, {})
    with chatterbox_cached.disabled():
        turbo.prepare_conditionals(voice, exaggeration=exaggeration)
    assert_same_conditionals(given, turbo.conds)
    assert type(given) is type(turbo.conds)


def test_the_loudness_that_a_voice_is_brought_to_is_in_its_key(
    turbo: Any, voice: Path, cache: ConditionalCache
) -> None:
    for arguments in ({}, {"norm_loudness": True}, {"norm_loudness": False}, {"norm_loudness": False}):
        turbo.prepare_conditionals(voice, **arguments)
        given = turbo.conds
        with chatterbox_cached.disabled():
            turbo.prepare_conditionals(voice, **arguments)
        assert_same_conditionals(given, turbo.conds)
    assert _counted(cache)[:2] == (2, 2)
    assert cache.get_cache_stats()["disk_cached_items"] == 2


def _quieter(self: Any, wav: Any, sr: int, target_lufs: float = -27) -> Any:
    return wav * 0.25


def _quieter_on_the_class(turbo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(turbo), "norm_loudness", _quieter)


def _quieter_on_the_model(turbo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turbo, "norm_loudness", MethodType(_quieter, turbo), raising=False)


def _another_target(turbo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(turbo).norm_loudness, "__defaults__", (-20,))


def _another_meter(turbo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyloudnorm

    monkeypatch.setattr(pyloudnorm.Meter, "integrated_loudness", lambda self, data: -20.0)


@pytest.mark.parametrize("change", [_quieter_on_the_class, _quieter_on_the_model, _another_target, _another_meter])
def test_another_way_to_bring_a_voice_to_its_loudness_is_another_voice(
    change: Callable[[Any, pytest.MonkeyPatch], None],
    turbo: Any,
    voice: Path,
    cache: ConditionalCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(2):
        turbo.prepare_conditionals(voice)
    before = turbo.conds.gen["prompt_feat"].clone()
    with monkeypatch.context() as patch:
        change(turbo, patch)
        time.sleep(0.02)  # what is changed within a function or a library shows in the next full look
        for _ in range(2):
            turbo.prepare_conditionals(voice)
            changed = turbo.conds.gen["prompt_feat"].clone()
            with chatterbox_cached.disabled():
                turbo.prepare_conditionals(voice)
            assert torch.equal(changed, turbo.conds.gen["prompt_feat"])
            assert not torch.equal(changed, before)
    time.sleep(0.02)
    turbo.prepare_conditionals(voice)
    assert torch.equal(turbo.conds.gen["prompt_feat"], before)


def test_a_voice_that_is_too_short_is_upstreams_error_and_is_not_kept(
    turbo: Any, tmp_path: Path, cache: ConditionalCache
) -> None:
    short = rehearsal.reference_clip(tmp_path / "short.wav", seconds=3)
    for _ in range(2):
        with pytest.raises(AssertionError, match="longer than 5 seconds"):
            turbo.generate("Hello there.", audio_prompt_path=short)
    assert cache.get_cache_stats()["disk_cached_items"] == 0


def test_each_class_has_entries_of_its_own(turbo: Any, english: Any, voice: Path, cache: ConditionalCache) -> None:
    for model in (turbo, english):
        cache.get_or_prepare(model, voice)
    assert _counted(cache) == (2, 0, 0, {})


def test_the_drop_in_is_for_turbo_alone(turbo: Any, english: Any) -> None:
    with pytest.raises(TypeError, match=r"is for ChatterboxTurboTTS of chatterbox\.tts_turbo"):
        CachedTurboTTS(english)
    with pytest.raises(TypeError, match=r"is for ChatterboxTTS of chatterbox\.tts,"):
        CachedTTS(turbo)


def test_the_drop_in_caches_what_it_generates_with(turbo: Any, voice: Path) -> None:
    expected = speak(turbo, audio_prompt_path=voice)
    proxy = CachedTurboTTS(turbo, ConditionalCache())
    for _ in range(2):
        assert torch.equal(speak(proxy, audio_prompt_path=voice), expected)
    assert _counted(proxy.cache) == (1, 1, 0, {})
