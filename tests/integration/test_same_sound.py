"""With the cache or without, a seeded call returns the same samples: one row per way to come by a voice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import chatterbox_cached
from chatterbox_cached import CachedMultilingualTTS, CachedTTS, ConditionalCache
from tests.support.commands import REPOSITORY
from tests.support.comparison import assert_same_conditionals
from tests.support.preloaded import Preloaded
from tests.support.speech import speak

KINDS = ("english", "multilingual")
EXAGGERATION = 0.7


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(kind: str, request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(kind)


@pytest.fixture
def sister(kind: str, request: pytest.FixtureRequest) -> Any:
    """The model of the other class."""
    return request.getfixturevalue(next(other for other in KINDS if other != kind))


@pytest.fixture
def expected(model: Any, upstream_says: Callable[..., torch.Tensor]) -> torch.Tensor:
    return upstream_says(model, EXAGGERATION)


def the_miss(model: Any, sister: Any, voice: Path) -> str:
    return "upstream"


def a_memory_hit(model: Any, sister: Any, voice: Path) -> str:
    model.prepare_conditionals(voice)
    return "memory"


def a_disk_hit(model: Any, sister: Any, voice: Path) -> str:
    model.prepare_conditionals(voice)
    cache = chatterbox_cached.get_cache()
    assert cache is not None
    cache.clear_memory()
    return "disk"


def a_hit_after_a_generation_with_another_exaggeration(model: Any, sister: Any, voice: Path) -> str:
    speak(model, audio_prompt_path=voice, exaggeration=0.2)
    speak(model, exaggeration=1.5)
    return "memory"


def a_hit_after_another_model_used_the_voice(model: Any, sister: Any, voice: Path) -> str:
    model.prepare_conditionals(voice)
    speak(sister, audio_prompt_path=voice)
    return "memory"


def a_hit_after_the_live_conditionals_were_moved(model: Any, sister: Any, voice: Path) -> str:
    model.prepare_conditionals(voice)
    model.conds.t3.to(dtype=torch.float64)
    model.conds.to("cpu")
    return "memory"


def a_hit_after_the_live_conditionals_were_overwritten(model: Any, sister: Any, voice: Path) -> str:
    model.prepare_conditionals(voice)
    for tensor in (*vars(model.conds.t3).values(), *model.conds.gen.values()):
        if tensor is not None:
            tensor.zero_()
    return "memory"


@pytest.mark.parametrize(
    "way",
    [
        the_miss,
        a_memory_hit,
        a_disk_hit,
        a_hit_after_a_generation_with_another_exaggeration,
        a_hit_after_another_model_used_the_voice,
        a_hit_after_the_live_conditionals_were_moved,
        a_hit_after_the_live_conditionals_were_overwritten,
    ],
)
def test_the_samples_are_upstreams(
    way: Callable[[Any, Any, Path], str], model: Any, sister: Any, voice: Path, expected: torch.Tensor, tmp_path: Path
) -> None:
    with chatterbox_cached.enabled(tmp_path / "voices") as cache:
        source = way(model, sister, voice)
        before = cache.get_cache_stats()
        said = speak(model, audio_prompt_path=voice, exaggeration=EXAGGERATION)
        after = cache.get_cache_stats()
    assert torch.equal(said, expected)
    counter = {"upstream": "misses", "memory": "memory_hits", "disk": "disk_hits"}[source]
    assert after[counter] == before[counter] + 1
    assert not after["bypasses"]
    assert not after["errors"]


NEW_PROCESS = """
import sys, torch, chatterbox_cached
from tests.support import short_models
from tests.support.speech import speak

kind, voice, exaggeration, folder, target = sys.argv[1:]
cache = chatterbox_cached.enable(folder)
said = speak(getattr(short_models, kind)(), audio_prompt_path=voice, exaggeration=float(exaggeration))
stats = cache.get_cache_stats()
assert (stats["disk_hits"], stats["misses"]) == (1, 0), stats
torch.save(said, target)
"""


def test_the_samples_of_a_disk_hit_in_a_new_process_are_upstreams(
    kind: str,
    model: Any,
    voice: Path,
    expected: torch.Tensor,
    tmp_path: Path,
    preloaded_chatterbox: Preloaded,
) -> None:
    """English in a new Python, multilingual in a fork of a preloaded one: its model is made there all the same."""
    with chatterbox_cached.enabled(tmp_path / "voices"):
        model.prepare_conditionals(voice)
    arguments = [kind, str(voice), str(EXAGGERATION), str(tmp_path / "voices"), str(tmp_path / "said.pt")]
    program = [sys.executable, "-c", NEW_PROCESS, *arguments]
    if kind == "english":
        subprocess.run(program, cwd=REPOSITORY, check=True)
    else:
        run = preloaded_chatterbox.run(program, cwd=REPOSITORY, env=os.environ)
        assert run.returncode == 0, run.stderr
    assert torch.equal(torch.load(tmp_path / "said.pt"), expected)


@pytest.mark.parametrize("exaggeration", [0.0, 0.25, 1])
def test_one_entry_serves_every_exaggeration(
    exaggeration: float, model: Any, voice: Path, upstream_says: Callable[..., torch.Tensor], tmp_path: Path
) -> None:
    expected = upstream_says(model, exaggeration)
    with chatterbox_cached.enabled(tmp_path / "voices") as cache:
        model.prepare_conditionals(voice, exaggeration=EXAGGERATION)
        said = speak(model, audio_prompt_path=voice, exaggeration=exaggeration)
        assert cache.get_cache_stats()["disk_cached_items"] == 1
        assert cache.get_cache_stats()["memory_hits"] == 1
    assert torch.equal(said, expected)


def test_the_samples_through_a_proxy_are_upstreams(kind: str, model: Any, voice: Path, expected: torch.Tensor) -> None:
    cache = ConditionalCache()
    proxy = {"english": CachedTTS, "multilingual": CachedMultilingualTTS}[kind](model, cache)
    for _ in range(2):
        assert torch.equal(speak(proxy, audio_prompt_path=voice, exaggeration=EXAGGERATION), expected)
    assert cache.get_cache_stats()["misses"] == 1
    assert cache.get_cache_stats()["memory_hits"] == 1


def test_the_samples_after_get_or_prepare_are_upstreams(model: Any, voice: Path, expected: torch.Tensor) -> None:
    cache = ConditionalCache()
    for _ in range(2):
        cache.get_or_prepare(model, voice, exaggeration=EXAGGERATION)
        assert torch.equal(speak(model, exaggeration=EXAGGERATION), expected)
    assert cache.get_cache_stats()["memory_hits"] == 1


def test_a_hit_and_a_miss_leave_conditionals_like_upstreams(model: Any, voice: Path, tmp_path: Path) -> None:
    model.prepare_conditionals(voice, exaggeration=EXAGGERATION)
    upstreams = model.conds
    with chatterbox_cached.enabled(tmp_path / "voices") as cache:
        for _ in ("miss", "memory hit"):
            model.prepare_conditionals(voice, exaggeration=EXAGGERATION)
            assert_same_conditionals(model.conds, upstreams)
            assert type(model.conds) is type(upstreams)
            assert type(model.conds.t3) is type(upstreams.t3)
        cache.clear_memory()
        model.prepare_conditionals(voice, exaggeration=EXAGGERATION)
        assert_same_conditionals(model.conds, upstreams)


def test_a_preparation_leaves_torchs_generator_alone(model: Any, voice: Path) -> None:
    before = torch.get_rng_state()
    with chatterbox_cached.enabled():
        for _ in ("miss", "hit"):
            model.prepare_conditionals(voice)
            assert torch.equal(torch.get_rng_state(), before)
