"""A cached voice that is not upstream's is noticed, told of once and replaced, and the caller gets upstream's."""

from __future__ import annotations

import os
import random
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

from chatterbox_cached import CacheWarning, ConditionalCache
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.snapshot import differing
from tests.support.beside import at_each_call
from tests.support.comparison import assert_same_conditionals
from tests.support.scenery import ended_well, voices
from tests.support.scenery import forked as in_a_child
from tests.support.small_voices import snapshot, with_field
from tests.support.stage import Stage

SHARE, HITS, LIVES = 0.1, 5, 300


@pytest.fixture(scope="module")
def upstreams(english: Any, voice: Path) -> Any:
    english.prepare_conditionals(voice)
    return english.conds


def failing(model: Any) -> AbstractContextManager[None]:
    """Upstream fails while this lasts; its code is the same."""

    def fail() -> None:
        raise RuntimeError("no memory left")

    return at_each_call(type(model.s3gen).embed_ref, fail)


def make_wrong(cache: ConditionalCache, where: str = "everywhere") -> None:
    """One bit of one number in the embedding, in memory and on disk, or in one of them."""
    store = cache.serving.store
    (found,) = store.memory.keys()
    kept = store.memory.get(found)
    assert kept is not None
    embedding = kept.tensors()["gen.embedding"].clone()
    embedding[0, 0] = torch.nextafter(embedding[0, 0], torch.tensor(float("inf")))
    wrong = with_field(kept, "gen.embedding", embedding)
    key, _, device = found.rpartition("@")
    if where == "on disk":
        store.lower.put(key, entry_format.encode(key, wrong))
    else:
        store.keep(key, device, wrong, durable=where == "everywhere")


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


def test_the_share_of_hits_is_kept_to(english: Any, voice: Path) -> None:
    cache, prepared = ConditionalCache(verify=0.25), list[int]()
    cache.get_or_prepare(english, voice)
    states = torch.random.get_rng_state(), random.getstate()
    with at_each_call(type(english.s3gen).embed_ref, lambda: prepared.append(1)):
        for _ in range(8):
            cache.get_or_prepare(english, voice)
    assert len(prepared) == 2
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    now = cache.get_cache_stats()
    assert (now["memory_hits"], now["misses"], now["errors"]) == (8, 1, {})


def short_lives(folder: Path, forked: bool) -> Any:
    """How many hits of many short lives were compared, and whether random numbers were drawn for that."""
    from chatterbox.tts import ChatterboxTTS

    model, (voice,) = ChatterboxTTS(), voices(folder, 1)
    shared = ConditionalCache(folder / "voices", verify=SHARE)
    shared.get_or_prepare(model, voice)
    ChatterboxTTS.log = folder / "log"
    states = torch.random.get_rng_state(), random.getstate()

    def live(cache: ConditionalCache) -> None:
        for _ in range(HITS):
            cache.get_or_prepare(model, voice)

    for _ in range(LIVES):
        if forked:
            assert ended_well(in_a_child(lambda: live(shared)))
        else:
            live(ConditionalCache(folder / "voices", verify=SHARE))
    untouched = torch.equal(torch.random.get_rng_state(), states[0]) and random.getstate() == states[1]
    return len((folder / "log").read_text().split()), untouched


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.parametrize("forked", [False, True], ids=["caches", "forks of one"])
def test_the_share_is_kept_to_over_many_lives_of_few_hits_each(stage: Stage, tmp_path: Path, forked: bool) -> None:
    compared, untouched = stage(short_lives, forked, folder=tmp_path)
    # In a life of five hits it is one or none, evenly: this is five standard deviations.
    assert abs(compared - SHARE * HITS * LIVES) < 5 * (LIVES / 4) ** 0.5
    assert untouched


def test_without_the_setting_nothing_is_prepared_again(english: Any, voice: Path, upstreams: Any) -> None:
    cache = ConditionalCache()
    cache.get_or_prepare(english, voice)
    make_wrong(cache)
    assert not torch.equal(cache.get_or_prepare(english, voice).gen["embedding"], upstreams.gen["embedding"])


def test_an_upstream_that_fails_leaves_the_hit(english: Any, voice: Path, upstreams: Any) -> None:
    cache = ConditionalCache(verify=1)
    cache.get_or_prepare(english, voice)
    with failing(english), pytest.warns(CacheWarning, match="verification"):
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
    cache.get_or_prepare(english, voice)
    make_wrong(cache)
    with pytest.warns(CacheWarning, match=r"gen\.embedding"):
        report = cache.verify(english, [voice])
    assert not report
    assert report.different == {str(voice): ("gen.embedding",)}
    assert cache.verify(english, [voice]).same == (str(voice),)


@pytest.mark.parametrize("where", ["on disk", "in memory", "everywhere"])
def test_a_request_finds_what_is_wrong_wherever_it_is(
    where: str, english: Any, voice: Path, upstreams: Any, tmp_path: Path
) -> None:
    cache = ConditionalCache(tmp_path / "voices")
    cache.get_or_prepare(english, voice)
    make_wrong(cache, where)
    with pytest.warns(CacheWarning, match=r"gen\.embedding") as told:
        report = cache.verify(english, [voice])
    assert report.different == {str(voice): ("gen.embedding",)}
    assert len(told) == 1
    assert cache.get_cache_stats()["errors"] == {"verify": 1}
    assert cache.verify(english, [voice]).same == (str(voice),)
    for tier in (cache, ConditionalCache(tmp_path / "voices")):
        assert_same_conditionals(tier.get_or_prepare(english, voice), upstreams)
        assert tier.get_cache_stats()["misses"] == (tier is cache)


def test_a_request_leaves_what_is_near_where_nothing_can_be_compared(
    english: Any, voice: Path, upstreams: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ConditionalCache(tmp_path / "voices")
    cache.get_or_prepare(english, voice)
    make_wrong(cache, "on disk")
    with failing(english), pytest.warns(CacheWarning, match="verification"):
        report = cache.verify(english, [voice])
    assert report.not_compared == (str(voice),)
    assert_same_conditionals(cache.get_or_prepare(english, voice), upstreams)


def test_the_fields_that_differ_are_named() -> None:
    one, other = snapshot(), snapshot(seed=1)
    assert differing(one, snapshot()) == ()
    assert "gen.prompt_feat" in differing(one, other)
    assert differing(one, with_field(one, "gen.embedding", None)) == ("gen.embedding",)
