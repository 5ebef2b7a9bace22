"""A cached voice that is not upstream's is noticed, told of once and replaced, and the caller gets upstream's."""

from __future__ import annotations

import random
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from chatterbox_cached import CacheWarning, ConditionalCache
from chatterbox_cached.conditionals import Snapshot, differing
from tests.support import assert_same_conditionals
from tests.unit.voices import snapshot


@pytest.fixture(scope="module")
def upstreams(english: Any, voice: Path) -> Any:
    english.prepare_conditionals(voice)
    return english.conds


def make_wrong(cache: ConditionalCache) -> None:
    """One bit of one number in the embedding, in memory and on disk."""
    store = cache._store
    (found,) = store.memory.keys()
    kept = store.memory.get(found)
    assert kept is not None
    embedding = kept.tensors()["gen.embedding"].clone()
    embedding[0, 0] = torch.nextafter(embedding[0, 0], torch.tensor(float("inf")))
    wrong = Snapshot(kept.t3, {**kept.gen, "embedding": embedding}, kept.prepare_seconds)
    key, _, device = found.rpartition("@")
    store.keep(key, device, wrong, durable=True)


def ours(warned: list[warnings.WarningMessage]) -> list[str]:
    return [str(warning.message) for warning in warned if warning.category is CacheWarning]


@pytest.mark.parametrize("tier", ["memory", "disk"])
def test_a_wrong_entry_is_noticed_and_replaced(
    tier: str, english: Any, voice: Path, upstreams: Any, tmp_path: Path
) -> None:
    cache = ConditionalCache(tmp_path / "voices", verify=1)
    cache.get_or_prepare(english, voice)
    make_wrong(cache)
    if tier == "disk":
        cache.clear_memory()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(2):
            assert_same_conditionals(cache.get_or_prepare(english, voice), upstreams)
    (told,) = ours(warned)
    assert str(voice) in told
    assert "gen.embedding differ" in told
    assert cache.get_cache_stats()["errors"] == {"verify": 1}
    unverified = ConditionalCache(tmp_path / "voices")
    assert_same_conditionals(unverified.get_or_prepare(english, voice), upstreams)
    assert unverified.get_cache_stats()["disk_hits"] == 1


def test_the_share_of_hits_is_kept_to(english: Any, voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ConditionalCache(verify=0.25)
    cache.get_or_prepare(english, voice)
    prepared: list[Any] = []
    whole = english.s3gen.embed_ref
    monkeypatch.setattr(english.s3gen, "embed_ref", lambda *a, **k: prepared.append(1) or whole(*a, **k))
    states = torch.random.get_rng_state(), random.getstate()
    for _ in range(8):
        cache.get_or_prepare(english, voice)
    assert len(prepared) == 2
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    now = cache.get_cache_stats()
    assert (now["memory_hits"], now["misses"], now["errors"]) == (8, 1, {})


def test_without_the_setting_nothing_is_prepared_again(english: Any, voice: Path, upstreams: Any) -> None:
    cache = ConditionalCache()
    cache.get_or_prepare(english, voice)
    make_wrong(cache)
    assert not torch.equal(cache.get_or_prepare(english, voice).gen["embedding"], upstreams.gen["embedding"])


def test_an_upstream_that_fails_leaves_the_hit(
    english: Any, voice: Path, upstreams: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ConditionalCache(verify=1)
    cache.get_or_prepare(english, voice)

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("no memory left")

    monkeypatch.setattr(english.s3gen, "embed_ref", fails)
    with pytest.warns(CacheWarning, match="verification"):
        assert_same_conditionals(cache.get_or_prepare(english, voice), upstreams)


def test_voices_are_verified_on_request(english: Any, voice: Path, other_voice: Path, tmp_path: Path) -> None:
    cache = ConditionalCache(tmp_path / "voices")
    cache.get_or_prepare(english, voice)
    cache.clear_memory()
    english.conds = before = object()
    report = cache.verify(english, [voice, other_voice, tmp_path / "none.wav"])
    assert report
    assert report.same == (str(voice),)
    assert report.not_compared == (str(other_voice), str(tmp_path / "none.wav"))
    assert english.conds is before
    now = cache.get_cache_stats()
    assert (now["misses"], now["bypasses"], now["memory_hits"], now["disk_hits"]) == (1, {}, 0, 0)  # no call was made
    make_wrong(cache)
    with pytest.warns(CacheWarning, match=r"gen\.embedding"):
        report = cache.verify(english, [voice])
    assert not report
    assert report.different == {str(voice): ("gen.embedding",)}
    assert cache.verify(english, [voice]).same == (str(voice),)


def test_the_fields_that_differ_are_named() -> None:
    one, other = snapshot(), snapshot(seed=1)
    assert differing(one, snapshot()) == ()
    assert "gen.prompt_feat" in differing(one, other)
    assert differing(one, replace(one, gen={**one.gen, "embedding": None})) == ("gen.embedding",)
