"""The drop-ins: everything is the model's, and what it prepares comes from the cache."""

from __future__ import annotations

import copy
import inspect
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from chatterbox.mtl_tts import ChatterboxMultilingualTTS
from chatterbox.tts import ChatterboxTTS

import chatterbox_cached
from chatterbox_cached import CachedMultilingualTTS, CachedTTS, ConditionalCache, SettingsError
from tests.support.comparison import assert_same_conditionals
from tests.support.speech import speak

PROXIES = {"english": (CachedTTS, ChatterboxTTS), "multilingual": (CachedMultilingualTTS, ChatterboxMultilingualTTS)}


@pytest.fixture(params=PROXIES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(kind: str, request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(kind)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the module, so that the voice is prepared once per model."""
    return tmp_path_factory.mktemp("voices")


@pytest.fixture
def tts(kind: str, model: Any, folder: Path) -> Any:
    return PROXIES[kind][0](model, cache=ConditionalCache(folder))


def served(cache: ConditionalCache) -> int:
    now = cache.get_cache_stats()
    return int(now["memory_hits"] + now["disk_hits"] + now["misses"] + sum(now["bypasses"].values()))


def test_a_proxy_is_an_instance_of_upstreams_class(kind: str, tts: Any) -> None:
    assert isinstance(tts, PROXIES[kind][1])
    assert isinstance(tts, PROXIES[kind][0])


def test_every_attribute_is_the_models(tts: Any, model: Any) -> None:
    for name in ("sr", "t3", "s3gen", "ve", "tokenizer", "device", "ENC_COND_LEN", "watermarker", "conds"):
        assert getattr(tts, name) is getattr(model, name)
    assert set(dir(model)) <= set(dir(tts))


def test_setting_an_attribute_reaches_the_model(tts: Any, model: Any) -> None:
    conditionals = object()
    tts.conds = conditionals
    assert model.conds is conditionals
    tts.note = "kept"
    assert model.note == "kept"
    del tts.note
    assert not hasattr(model, "note")


@pytest.mark.parametrize("method", ["generate", "prepare_conditionals"])
def test_signatures_and_docstrings_are_upstreams(method: str, tts: Any, model: Any) -> None:
    assert inspect.signature(getattr(tts, method)) == inspect.signature(getattr(model, method))
    assert getattr(tts, method).__doc__ == getattr(model, method).__doc__
    assert getattr(tts, method).__name__ == method


def test_nothing_outside_the_proxy_is_patched(kind: str, tts: Any, model: Any, voice: Path) -> None:
    before = dict(vars(PROXIES[kind][1])), dict(vars(model))
    tts.prepare_conditionals(voice)
    done = served(tts.cache)
    model.prepare_conditionals(voice)
    assert served(tts.cache) == done
    model.conds = None
    assert (dict(vars(PROXIES[kind][1])), dict(vars(model))) == before


def test_a_voice_is_prepared_once_for_generate_and_prepare_conditionals(tts: Any, voice: Path) -> None:
    speak(tts, audio_prompt_path=voice)
    tts.prepare_conditionals(voice)
    speak(tts, audio_prompt_path=str(voice))
    assert served(tts.cache) == 3
    assert tts.cache.get_cache_stats()["misses"] <= 1


def test_both_at_once_do_no_work_twice(tts: Any, model: Any, voice: Path, folder: Path) -> None:
    with chatterbox_cached.enabled(folder) as other:
        done = served(other), served(tts.cache)
        speak(tts, audio_prompt_path=voice)
        assert (served(other), served(tts.cache)) == (done[0], done[1] + 1)
        speak(model, audio_prompt_path=voice)
        assert (served(other), served(tts.cache)) == (done[0] + 1, done[1] + 1)


def test_a_miss_through_a_proxy_while_enabled_is_one_miss(tts: Any, other_voice: Path, kind: str, model: Any) -> None:
    proxy = PROXIES[kind][0](model, cache=ConditionalCache())
    with chatterbox_cached.enabled() as other:
        proxy.prepare_conditionals(other_voice)
        assert served(other) == 0
    assert proxy.cache.get_cache_stats()["misses"] == 1


def test_without_a_cache_of_its_own_it_uses_that_of_enable(kind: str, model: Any) -> None:
    proxy = PROXIES[kind][0](model)
    with chatterbox_cached.enabled() as cache:
        assert proxy.cache is cache
    assert proxy.cache is cache


def test_an_impossible_setting_in_the_environment_is_an_error_at_once(
    kind: str, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATTERBOX_CACHED_SIZE_LIMIT", "lots")
    with pytest.raises(SettingsError, match="CHATTERBOX_CACHED_SIZE_LIMIT"):
        PROXIES[kind][0](model)


def test_from_local_takes_upstreams_arguments_and_a_cache(
    english: Any, monkeypatch: pytest.MonkeyPatch, hub: Path, voice: Path
) -> None:
    from chatterbox.models.t3.llama_configs import LLAMA_CONFIGS

    monkeypatch.setitem(LLAMA_CONFIGS["Llama_520M"], "num_hidden_layers", 2)
    cache = ConditionalCache()
    tts = CachedTTS.from_local(next(hub.rglob("t3_cfg.safetensors")).parent, device="cpu", cache=cache)
    assert tts.cache is cache
    assert tts.conds is not None, "the built-in voice"
    tts.prepare_conditionals(voice)
    english.prepare_conditionals(voice)
    assert_same_conditionals(tts.conds, english.conds)


def test_a_proxy_around_a_proxy_is_one_proxy(kind: str, tts: Any, model: Any) -> None:
    assert PROXIES[kind][0](tts).__wrapped__ is model


def test_get_or_prepare_takes_a_proxy(tts: Any, model: Any, voice: Path) -> None:
    assert tts.cache.get_or_prepare(tts, voice) is model.conds


def test_a_model_of_another_class_is_refused(english: Any, multilingual: Any) -> None:
    with pytest.raises(TypeError, match="CachedTTS is for ChatterboxTTS"):
        CachedTTS(multilingual)
    with pytest.raises(TypeError, match="CachedMultilingualTTS is for ChatterboxMultilingualTTS"):
        CachedMultilingualTTS(english)


def test_methods_that_a_subclass_adds_gain_too(english: Any, voice: Path, folder: Path) -> None:
    class Streaming(ChatterboxTTS):
        def generate_stream(self, text: str, audio_prompt_path: Any = None) -> Any:
            """As chatterbox-streaming does it: prepares, then yields."""
            self.prepare_conditionals(audio_prompt_path)
            yield self.conds

        def generate(self, text: str, *args: Any, **kwargs: Any) -> Any:
            return super().generate(text.upper(), *args, **kwargs)

    model = Streaming(english.t3, english.s3gen, english.ve, english.tokenizer, "cpu")
    tts = CachedTTS(model, cache=ConditionalCache(folder))
    for _ in range(2):
        assert next(tts.generate_stream("Hello", voice)) is model.conds
    speak(tts, audio_prompt_path=voice)
    assert tts.cache.get_cache_stats()["memory_hits"] == 2
    with chatterbox_cached.enabled(cache=tts.cache) as cache:
        before, misses = served(cache), cache.get_cache_stats()["misses"]
        for _ in range(2):
            next(model.generate_stream("Hello", voice))
        speak(model, audio_prompt_path=voice)
        assert served(cache) == before + 3
        assert cache.get_cache_stats()["misses"] == misses


def test_a_subclass_with_its_own_way_to_prepare_is_not_cached_as_a_whole(
    english: Any, voice: Path, folder: Path
) -> None:
    class Louder(ChatterboxTTS):
        gain = 1.0

        def prepare_conditionals(self, wav_fpath: Any, exaggeration: float = 0.5) -> None:
            super().prepare_conditionals(wav_fpath, exaggeration)
            self.conds.gen["prompt_feat"] = self.conds.gen["prompt_feat"] + self.gain

    model = Louder(english.t3, english.s3gen, english.ve, english.tokenizer, "cpu")
    cache = ConditionalCache(folder)
    one = cache.get_or_prepare(model, voice)
    model.gain = 2.0
    two = CachedTTS(model, cache)
    two.prepare_conditionals(voice)
    assert not torch.equal(one.gen["prompt_feat"], model.conds.gen["prompt_feat"])
    with chatterbox_cached.enabled(folder) as enabled:
        for _ in range(2):
            model.prepare_conditionals(voice)
            assert_same_conditionals(model.conds, two.conds)
        assert enabled.get_cache_stats()["misses"] <= 1
        assert enabled.get_cache_stats()["memory_hits"] >= 1


def test_a_method_replaced_on_the_instance_stays_replaced(english: Any) -> None:
    model = copy.copy(english)
    model.generate = lambda text: text
    assert CachedTTS(model).generate("as it is") == "as it is"


def test_a_proxy_is_copied_and_pickled_with_its_model(folder: Path) -> None:
    # A model without weights: what is pickled of those is PyTorch's business.
    model = ChatterboxTTS.__new__(ChatterboxTTS)
    model.device, model.conds = "cpu", None
    tts = CachedTTS(model, cache=ConditionalCache(folder))
    for other in (copy.copy(tts), copy.deepcopy(tts), pickle.loads(pickle.dumps(tts))):
        assert type(other) is CachedTTS
        assert other.__wrapped__ is not model
        assert vars(other.__wrapped__) == vars(model)
        assert other.cache.settings == tts.cache.settings


def test_an_enabled_method_is_pickled_and_copied_as_upstreams_is() -> None:
    model = ChatterboxTTS.__new__(ChatterboxTTS)
    model.device, model.conds = "cpu", None
    with chatterbox_cached.enabled():
        method = pickle.loads(pickle.dumps(model.generate))
        assert type(method.__self__) is ChatterboxTTS
        assert type(copy.deepcopy(model.generate).__self__) is ChatterboxTTS
        assert copy.deepcopy(model.generate).__self__ is not model
        assert copy.copy(model.generate).__self__ is model
        assert pickle.loads(pickle.dumps(ChatterboxTTS.generate)).__qualname__ == "ChatterboxTTS.generate"
        assert pickle.loads(pickle.dumps(ChatterboxTTS)) is ChatterboxTTS
