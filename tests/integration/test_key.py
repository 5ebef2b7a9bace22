"""What is the same voice for the same model, and what is not: each thing that must make another entry, by name."""

from __future__ import annotations

import copy
import io
import os
import shutil
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import soundfile
import torch

from chatterbox_cached import CacheWarning, ConditionalCache
from chatterbox_cached.demo import rehearsal
from chatterbox_cached.identity.audio import AudioIndex
from chatterbox_cached.identity.code import libraries, looks
from chatterbox_cached.upstream import packages
from tests.support import short_models
from tests.support.comparison import assert_own_voice, assert_same_conditionals


@pytest.fixture
def model(parts: rehearsal.Parts) -> Any:
    """A model that a test may change: its encoders are its own."""
    return short_models.english()


def counts(cache: ConditionalCache) -> tuple[int, int, int]:
    """Hits, misses and bypasses."""
    now = cache.get_cache_stats()
    return now["memory_hits"] + now["disk_hits"], now["misses"], sum(now["bypasses"].values())


def prepare(model: Any, audio: Any, cache: ConditionalCache) -> Any:
    before = counts(cache)
    cache.get_or_prepare(model, audio)
    hit, miss, bypass = (now - then for now, then in zip(counts(cache), before, strict=True))
    assert hit + miss + bypass == 1
    return "hit" if hit else "miss" if miss else "bypass"


class TestTheAudio:
    def test_the_same_content_under_another_path_is_a_hit(self, english: Any, voice: Path, tmp_path: Path) -> None:
        cache = ConditionalCache()
        assert prepare(english, voice, cache) == "miss"
        copy = Path(shutil.copy(voice, tmp_path / "upload-4711.wav"))
        assert prepare(english, copy, cache) == "hit"
        assert prepare(english, str(copy), cache) == "hit"
        assert prepare(english, os.path.relpath(copy), cache) == "hit"

    def test_a_file_object_is_a_hit_and_is_left_at_its_start(self, english: Any, voice: Path) -> None:
        cache = ConditionalCache()
        with voice.open("rb") as file:
            assert prepare(english, file, cache) == "miss"
            assert file.tell() == 0
            assert prepare(english, file, cache) == "hit"
        assert prepare(english, io.BytesIO(voice.read_bytes()), cache) == "hit"
        assert prepare(english, voice, cache) == "hit"

    def test_a_changed_file_is_prepared_again(
        self, english: Any, voice: Path, other_voice: Path, tmp_path: Path
    ) -> None:
        cache, path = ConditionalCache(), Path(shutil.copy(voice, tmp_path / "voice.wav"))
        assert prepare(english, path, cache) == "miss"
        before = path.stat()
        path.write_bytes(other_voice.read_bytes())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_size == before.st_size
        assert prepare(english, path, cache) == "miss"
        english.prepare_conditionals(other_voice)
        upstreams = english.conds
        assert_same_conditionals(cache.get_or_prepare(english, path), upstreams)

    def test_a_file_that_changes_while_it_is_prepared_is_not_stored(
        self, english: Any, voice: Path, other_voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache, path = ConditionalCache(tmp_path / "voices"), Path(shutil.copy(voice, tmp_path / "voice.wav"))
        embed = english.ve.embeds_from_wavs

        def meanwhile(*args: Any, **kwargs: Any) -> Any:
            path.write_bytes(other_voice.read_bytes())
            return embed(*args, **kwargs)

        monkeypatch.setattr(type(english.ve), "embeds_from_wavs", lambda self, *a, **k: meanwhile(*a, **k))
        assert prepare(english, path, cache) == "miss"
        now = cache.get_cache_stats()
        assert now["not_stored"] == {"audio changed during the preparation": 1}
        assert now["memory_cached_items"] == now["disk_cached_items"] == 0

    def test_audio_that_can_not_be_identified_goes_to_upstream_untouched(self, english: Any, voice: Path) -> None:
        cache = ConditionalCache()
        with soundfile.SoundFile(voice) as file:  # librosa takes it; nothing says what is in it
            assert prepare(english, file, cache) == "bypass"
        assert english.conds is not None

    @pytest.mark.parametrize("audio", ["missing.wav", "text.wav", "empty.wav"])
    def test_upstreams_own_error_comes_through_and_nothing_is_stored(
        self, audio: str, english: Any, tmp_path: Path
    ) -> None:
        (tmp_path / "text.wav").write_text("this is no audio")
        (tmp_path / "empty.wav").write_bytes(b"")
        with pytest.raises(Exception) as upstreams:  # noqa: PT011  whatever upstream raises is what is wanted
            english.prepare_conditionals(tmp_path / audio)
        cache = ConditionalCache(tmp_path / "voices")
        for _ in range(2):
            with pytest.raises(type(upstreams.value)) as ours:
                cache.get_or_prepare(english, tmp_path / audio)
            assert str(ours.value) == str(upstreams.value)
        assert cache.get_cache_stats()["disk_cached_items"] == 0


def other_weights(model: Any) -> None:
    model.ve.load_state_dict(rehearsal.build_parts(seed=1).ve.state_dict())


def one_other_weight(model: Any) -> None:
    state = {"xvector.dense.linear.weight": model.s3gen.speaker_encoder.xvector.dense.linear.weight.detach() + 1}
    model.s3gen.speaker_encoder.load_state_dict(state, strict=False)


def an_edit_in_place(model: Any) -> None:
    with torch.no_grad():
        model.s3gen.tokenizer.encoder.blocks[-1].mlp[0].weight.add_(1)


def another_encoder(model: Any) -> None:
    model.ve = rehearsal.build_parts(seed=1).ve


def half_and_back(model: Any) -> None:
    model.s3gen.speaker_encoder.half().float()


def another_constant(model: Any) -> None:
    model.ENC_COND_LEN = 5 * 16000


def another_prompt_length(model: Any) -> None:
    model.t3.hp.speech_cond_prompt_len = 100


@pytest.mark.parametrize(
    "change",
    [
        other_weights,
        one_other_weight,
        an_edit_in_place,
        another_encoder,
        half_and_back,
        another_constant,
        another_prompt_length,
    ],
)
def test_after_this_change_the_model_does_not_get_the_old_voice(
    change: Callable[[Any], None], model: Any, voice: Path
) -> None:
    cache = ConditionalCache()
    assert prepare(model, voice, cache) == "miss"
    assert prepare(model, voice, cache) == "hit"
    change(model)
    time.sleep(2 * looks.FULL_LOOK_SECONDS)
    assert prepare(model, voice, cache) == "miss"
    assert prepare(model, voice, cache) == "hit"
    assert_own_voice(model, voice)


def test_another_version_of_a_library_is_another_entry(
    english: Any, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With NumPy 1.26.4 and 2.4.6, ``speaker_emb`` has other bits."""
    assert prepare(english, voice, ConditionalCache(tmp_path / "voices")) == "miss"
    assert prepare(english, voice, ConditionalCache(tmp_path / "voices")) == "hit"
    version = metadata.version
    for library in ("numpy", "scipy", "soundfile", "librosa", "torch"):
        with monkeypatch.context() as patch:
            patch.setattr(metadata, "version", lambda name, other=library: "99.9" if name == other else version(name))
            libraries.version_of.cache_clear()  # none changes while a process runs
            assert not ConditionalCache(tmp_path / "voices").serving.by_hand.has(english, voice), library
    with monkeypatch.context() as patch:
        patch.setattr(soundfile, "__libsndfile_version__", "99.9")
        packages._libsndfile.cache_clear()
        assert not ConditionalCache(tmp_path / "voices").serving.by_hand.has(english, voice)
    packages._libsndfile.cache_clear()
    libraries.version_of.cache_clear()
    assert prepare(english, voice, ConditionalCache(tmp_path / "voices")) == "hit"


def test_another_version_of_chatterbox_with_the_same_code_is_the_same_entry(
    english: Any, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prepare(english, voice, ConditionalCache(tmp_path / "voices")) == "miss"
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.1.8" if name == "chatterbox-tts" else version(name))
    packages.version_of_package.cache_clear()
    assert packages.version_of_class(type(english)) == "chatterbox-tts 0.1.8"
    assert prepare(english, voice, ConditionalCache(tmp_path / "voices")) == "hit"
    monkeypatch.undo()
    packages.version_of_package.cache_clear()


def test_the_two_classes_have_their_own_entries(english: Any, multilingual: Any, voice: Path) -> None:
    cache = ConditionalCache()
    assert prepare(english, voice, cache) == "miss"
    assert prepare(multilingual, voice, cache) == "miss"
    assert cache.get_cache_stats()["memory_cached_items"] == 2


def test_what_upstream_can_not_do_under_autocast_a_hit_does_not_hide(english: Any, voice: Path) -> None:
    cache = ConditionalCache()
    assert prepare(english, voice, cache) == "miss"
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(TypeError, match="BFloat16"):
            cache.get_or_prepare(english, voice)
    assert cache.get_cache_stats()["bypasses"] == {}
    assert prepare(english, voice, cache) == "hit"


def test_a_voice_encoder_in_half_precision_has_entries_of_its_own(model: Any, voice: Path) -> None:
    """As programs do it that save memory: the encoder in bfloat16, and what it is given cast to that."""
    cache = ConditionalCache()
    assert prepare(model, voice, cache) == "miss"
    model.ve.to(torch.bfloat16)
    inner = model.ve.forward
    model.ve.forward = MethodType(lambda self, mels: inner(mels.to(torch.bfloat16)).float(), model.ve)
    assert prepare(model, voice, cache) == "miss"
    assert prepare(model, voice, cache) == "hit"
    assert_own_voice(model, voice)


def test_other_precision_settings_are_another_entry(english: Any, voice: Path) -> None:
    cache, before = ConditionalCache(), torch.get_float32_matmul_precision()
    assert prepare(english, voice, cache) == "miss"
    try:
        torch.set_float32_matmul_precision("high")
        assert prepare(english, voice, cache) == "miss"
    finally:
        torch.set_float32_matmul_precision(before)
    assert prepare(english, voice, cache) == "hit"


def test_weights_that_are_not_in_memory_go_round_the_cache_with_one_warning(
    english: Any, voice: Path, parts: rehearsal.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, offloaded = ConditionalCache(), copy.copy(english)
    offloaded.ve = copy.deepcopy(parts.ve).to("meta")
    monkeypatch.setattr(type(english), "prepare_conditionals", lambda self, wav_fpath, exaggeration=0.5: None)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(3):
            assert prepare(offloaded, voice, cache) == "bypass"
    (only,) = warned
    assert only.category is CacheWarning
    assert "Load the model onto a device" in str(only.message)
    assert cache.get_cache_stats()["bypasses"] == {"weights are not in memory": 3}


def test_an_unchanged_file_is_not_read_again(english: Any, voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatterbox_cached.identity.audio._CLOCK_GRAIN_NS", 0)
    index, opened = AudioIndex(), []
    index.identify(voice)
    monkeypatch.setattr("builtins.open", lambda *args, **kwargs: opened.append(args))
    index.identify(voice)
    assert not opened
