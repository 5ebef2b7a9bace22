"""Voice conversion: the voice that speech is converted to is kept, and nothing of the speech."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from chatterbox.vc import ChatterboxVC

import chatterbox_cached
from chatterbox_cached import CachedTTS, CachedVC, ConditionalCache
from chatterbox_cached.demo import rehearsal
from chatterbox_cached.demo.hub import hub_folder
from chatterbox_cached.identity.key import Identity
from chatterbox_cached.upstream.calls import asked_for
from chatterbox_cached.upstream.families import named
from chatterbox_cached.voice.snapshot import Snapshot
from tests.support.commands import REPOSITORY, SHORTENED
from tests.support.comparison import assert_same_conditionals, assert_same_dicts
from tests.support.preloaded import Preloaded
from tests.support.small_voices import snapshot, snapshot_of_vc
from tests.support.speech import convert


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is to be converted; 0.5 s is soon done."""
    return rehearsal.reference_clip(tmp_path_factory.mktemp("speech") / "speech.wav", seconds=0.5, seed=2)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ConditionalCache]:
    with chatterbox_cached.enabled(tmp_path / "voices") as enabled:
        yield enabled


@pytest.fixture(scope="module")
def upstreams(vc: Any, voice: Path, other_voice: Path) -> dict[Path, dict[str, Any]]:
    """What upstream alone makes of each voice."""
    made = {}
    for each in (voice, other_voice):
        vc.set_target_voice(each)
        made[each] = {name: value if value is None else value.detach().clone() for name, value in vc.ref_dict.items()}
    return made


@pytest.fixture(scope="module")
def said(vc: Any, voice: Path, other_voice: Path, speech: Path) -> dict[Path, torch.Tensor]:
    """What upstream alone makes of the speech in each voice."""
    return {each: convert(vc, speech, target_voice_path=each) for each in (voice, other_voice)}


def counted(cache: ConditionalCache) -> tuple[int, int, int, dict[str, int]]:
    """Misses, hits in memory and on disk, and bypasses."""
    stats = cache.get_cache_stats()
    return stats["misses"], stats["memory_hits"], stats["disk_hits"], stats["bypasses"]


@pytest.mark.parametrize("around", [contextlib.nullcontext, torch.inference_mode])
def test_samples_are_upstreams_on_a_miss_and_on_hits(
    around: Callable[[], Any],
    vc: Any,
    voice: Path,
    other_voice: Path,
    speech: Path,
    said: dict[Path, torch.Tensor],
    tmp_path: Path,
) -> None:
    assert not torch.equal(said[voice], said[other_voice])
    with around(), chatterbox_cached.enabled(tmp_path / "voices") as cache:
        for each in (voice, other_voice, voice):
            assert torch.equal(convert(vc, speech, target_voice_path=each), said[each])
        assert counted(cache) == (2, 1, 0, {})
        cache.clear_memory()
        assert torch.equal(convert(vc, speech, target_voice_path=voice), said[voice])
        assert counted(cache) == (2, 1, 1, {})


def test_each_hit_leaves_a_dict_of_its_own_such_as_upstreams(
    vc: Any, voice: Path, speech: Path, cache: ConditionalCache, upstreams: dict[Path, dict[str, Any]]
) -> None:
    given = []
    for _ in range(3):
        vc.set_target_voice(voice)
        assert_same_dicts(vc.ref_dict, upstreams[voice])
        given.append(vc.ref_dict)
        vc.ref_dict["embedding"].zero_()
    convert(vc, speech)  # which casts what is in the dict
    assert vc.ref_dict["prompt_token"].dtype == torch.float32
    vc.set_target_voice(voice)
    assert_same_dicts(vc.ref_dict, upstreams[voice])
    assert len(set(map(id, [*given, vc.ref_dict]))) == 4
    assert counted(cache) == (1, 3, 0, {})


def test_nothing_of_the_speech_that_is_converted_is_kept(
    vc: Any, voice: Path, speech: Path, said: dict[Path, torch.Tensor], tmp_path: Path
) -> None:
    more = rehearsal.reference_clip(tmp_path / "more.wav", seconds=0.5, seed=3)
    expected = {speech: said[voice], more: convert(vc, more, target_voice_path=voice)}
    assert not torch.equal(expected[speech], expected[more])
    with chatterbox_cached.enabled(tmp_path / "voices") as cache:
        for each, samples in expected.items():
            assert torch.equal(convert(vc, each, target_voice_path=voice), samples)
        assert counted(cache) == (1, 1, 0, {})
        assert cache.get_cache_stats()["disk_cached_items"] == 1


NEW_PROCESS = """
import sys
import torch
import chatterbox_cached
from tests.support.speech import convert

speech, voice, folder, target = sys.argv[1:]
cache = chatterbox_cached.enable(folder)
from chatterbox import ChatterboxVC
model = ChatterboxVC.from_pretrained("cpu")
builtin = model.ref_dict
torch.save((builtin, [convert(model, speech, target_voice_path=voice) for _ in range(2)]), target)
chatterbox_cached.CachedVC(model).set_target_voice(voice)
stats = cache.get_cache_stats()
print(stats["misses"], stats["memory_hits"], stats["disk_hits"], stats["bypasses"])
"""


def test_an_unchanged_script_in_a_new_process_has_only_hits(
    vc: Any,
    voice: Path,
    speech: Path,
    said: dict[Path, torch.Tensor],
    parts: rehearsal.Parts,
    tmp_path: Path,
    preloaded_chatterbox: Preloaded,
) -> None:
    with chatterbox_cached.enabled(tmp_path / "voices"):
        vc.set_target_voice(voice)
    hub = hub_folder(tmp_path / "hub", models=("vc",), parts=parts)
    path = os.pathsep.join(map(str, (SHORTENED, REPOSITORY)))
    own = {"HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1", "PYTHONPATH": path}
    program = [sys.executable, "-c", NEW_PROCESS, speech, voice, tmp_path / "voices", tmp_path / "said.pt"]
    done = preloaded_chatterbox.run(program, env=os.environ | own, cwd=tmp_path)
    shutil.rmtree(hub)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0 2 1 {}"
    builtin, samples = torch.load(tmp_path / "said.pt")
    assert all(torch.equal(each, said[voice]) for each in samples)
    vc.set_target_voice(rehearsal.reference_clip(tmp_path / "builtin.wav", seed=1))
    assert_same_dicts(builtin, vc.ref_dict)


def test_the_guard_has_nothing_to_say(vc: Any, voice: Path, speech: Path, tmp_path: Path) -> None:
    with chatterbox_cached.enabled(tmp_path / "voices", on_mismatch="error") as cache:
        for exaggeration in (0.9, "none at all"):
            assert cache.get_or_prepare(vc, voice, exaggeration=exaggeration) is vc.ref_dict
        convert(vc, speech)
        assert cache.get_cache_stats()["mismatches"] == 0
        assert counted(cache) == (1, 1, 0, {})


def test_by_hand_a_voice_is_had_verified_refreshed_and_forgotten(
    vc: Any, voice: Path, tmp_path: Path, upstreams: dict[Path, dict[str, Any]]
) -> None:
    cache = ConditionalCache(tmp_path / "voices")
    assert not cache.serving.by_hand.has(vc, voice)
    assert_same_dicts(cache.get_or_prepare(vc, voice), upstreams[voice])
    assert cache.serving.by_hand.has(vc, voice)
    before = vc.ref_dict
    assert cache.verify(vc, [voice]).same == (str(voice),)
    assert vc.ref_dict is before
    assert_same_dicts(cache.get_or_prepare(vc, voice, force_refresh=True), upstreams[voice])
    assert counted(cache) == (2, 0, 0, {})
    assert cache.forget(voice) == 1
    assert not cache.serving.by_hand.has(vc, voice)


def test_a_voice_for_texts_and_one_for_speech_are_two_entries(
    vc: Any, english: Any, voice: Path, tmp_path: Path, upstreams: dict[Path, dict[str, Any]]
) -> None:
    english.prepare_conditionals(voice)
    of_english = english.conds
    with chatterbox_cached.enabled(tmp_path / "voices") as cache:
        for _ in range(2):
            english.prepare_conditionals(voice)
            vc.set_target_voice(voice)
            assert_same_conditionals(english.conds, of_english)
            assert_same_dicts(vc.ref_dict, upstreams[voice])
        assert cache.get_cache_stats()["disk_cached_items"] == 2
        assert cache.get_cache_stats()["seams"] == {"voices": 2, "encoders": 1}  # what both ask S3Gen for


@pytest.mark.filterwarnings("ignore::chatterbox_cached.CacheWarning")
@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize(("kind", "planted"), [("vc", snapshot), ("english", snapshot_of_vc)])
def test_an_entry_of_the_other_kind_is_never_given_to_a_model_whatever_its_key_says(
    kind: str,
    planted: Callable[[], Snapshot],
    where: str,
    voice: Path,
    tmp_path: Path,
    upstreams: dict[Path, dict[str, Any]],
    request: pytest.FixtureRequest,
) -> None:
    model, family = request.getfixturevalue(kind), named(kind)
    with chatterbox_cached.enabled(tmp_path / "voices") as cache:
        key = Identity().key(asked_for(model, family, voice, 0.5))
        cache.serving.store.keep(key.text, "cpu", planted(), durable=where == "disk", made_by=key.made_by)
        if where == "disk":
            cache.clear_memory()
        for _ in ("miss", "hit"):
            getattr(model, family.prepare)(voice)
            given = getattr(model, family.slot)
            assert_same_dicts(given if kind == "vc" else given.gen, upstreams[voice])
        assert counted(cache) == (1, 1, 0, {})
        cache.clear_memory()
        getattr(model, family.prepare)(voice)
        assert counted(cache) == (1, 1, 1, {})
        assert set(cache.get_cache_stats()["errors"]) == {"hit"}


def test_a_voice_that_was_brought_in_is_for_models_of_its_kind(
    vc: Any, english: Any, voice: Path, other_voice: Path, tmp_path: Path, upstreams: dict[Path, dict[str, Any]]
) -> None:
    file, cache = tmp_path / "voice.pt", ConditionalCache()
    cache.get_or_prepare(vc, other_voice)
    cache.save(other_voice, 0.5, file)
    again = ConditionalCache()
    again.load(file, voice)  # which stands for another voice from here on
    assert_same_dicts(again.get_or_prepare(vc, voice), upstreams[other_voice])
    assert counted(again) == (0, 1, 0, {})
    assert_same_dicts(again.get_or_prepare(english, voice).gen, upstreams[voice])
    again.save(voice, 0.5, file)  # that of speech still
    with chatterbox_cached.disabled():
        english.prepare_conditionals(other_voice)
    english.conds.save(file)
    again.load(file, voice)
    assert_same_dicts(again.get_or_prepare(english, voice).gen, upstreams[other_voice])
    assert_same_dicts(again.get_or_prepare(vc, voice), upstreams[voice])


def test_a_target_that_can_not_be_read_is_upstreams_error_and_nothing_is_kept(
    vc: Any, speech: Path, tmp_path: Path, cache: ConditionalCache
) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    for path in (tmp_path / "missing.wav", tmp_path / "text.wav"):
        with chatterbox_cached.disabled(), pytest.raises(Exception) as upstreams:  # noqa: PT011 - whatever it is
            vc.generate(speech, target_voice_path=path)
        with pytest.raises(type(upstreams.value)):
            vc.generate(speech, target_voice_path=path)
    with pytest.raises(AssertionError, match="target_voice_path"):
        vc.generate(speech)
    assert cache.get_cache_stats()["disk_cached_items"] == 0


@pytest.mark.filterwarnings("ignore::chatterbox_cached.CacheWarning")
def test_a_subclasses_own_way_to_set_a_voice_is_its_own(vc: Any, voice: Path, cache: ConditionalCache) -> None:
    class Louder(ChatterboxVC):
        def set_target_voice(self, wav_fpath: Any) -> None:
            super().set_target_voice(wav_fpath)
            self.ref_dict["prompt_feat"] = self.ref_dict["prompt_feat"] + 1

    model = Louder.__new__(Louder)
    vars(model).update(vars(vc))
    for _ in range(2):
        cache.get_or_prepare(model, voice)
        louder = model.ref_dict["prompt_feat"]
        vc.set_target_voice(voice)
        assert torch.equal(louder, vc.ref_dict["prompt_feat"] + 1)
    assert cache.get_cache_stats()["misses"] == 1


def test_the_drop_in_is_for_voice_conversion_alone(vc: Any, english: Any) -> None:
    assert isinstance(CachedVC(vc), ChatterboxVC)
    with pytest.raises(TypeError, match=r"is for ChatterboxVC of chatterbox\.vc"):
        CachedVC(english)
    with pytest.raises(TypeError, match=r"is for ChatterboxTTS of chatterbox\.tts,"):
        CachedTTS(vc)


def test_the_drop_in_caches_what_it_converts_to(
    vc: Any, voice: Path, speech: Path, said: dict[Path, torch.Tensor]
) -> None:
    proxy = CachedVC(vc, ConditionalCache())
    for _ in range(2):
        assert torch.equal(convert(proxy, speech, target_voice_path=voice), said[voice])
    proxy.set_target_voice(voice)
    assert counted(proxy.cache) == (1, 2, 0, {})
    assert "ref_dict" in vars(vc)
