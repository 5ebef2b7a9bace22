"""The rehearsal models keep what other tests build on: they hear what they are told, and repeat themselves."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from chatterbox_cached.demo import rehearsal, shortening
from tests.support import short_models
from tests.support.comparison import assert_same_conditionals
from tests.support.preloaded import Preloaded
from tests.support.speech import speak

KINDS = ("english", "multilingual")

LOAD_AND_SPEAK = """
import sys
from importlib import import_module
import torch
from tests.support import short_models
from tests.support.preloaded import Preloaded
from tests.support.speech import speak

module, class_name, target = sys.argv[1:]
model = getattr(import_module(module), class_name).from_pretrained("cpu")
torch.save(speak(model), target)
"""


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


def test_a_seeded_generation_repeats(model: Any, voice: Path) -> None:
    first = speak(model, audio_prompt_path=voice)
    assert first.shape[0] == 1
    assert first.isfinite().all()
    assert torch.equal(first, speak(model, audio_prompt_path=voice))


@pytest.mark.parametrize("exaggeration", [0.4, 0.6])
def test_exaggeration_is_heard(model: Any, voice: Path, exaggeration: float) -> None:
    plain = speak(model, audio_prompt_path=voice)
    assert not torch.equal(plain, speak(model, exaggeration=exaggeration))


def test_the_voice_is_heard(model: Any, voice: Path, other_voice: Path) -> None:
    assert not torch.equal(speak(model, audio_prompt_path=voice), speak(model, audio_prompt_path=other_voice))


def test_the_seed_is_heard(model: Any, voice: Path) -> None:
    assert not torch.equal(speak(model, audio_prompt_path=voice), speak(model, seed=1))


def test_two_voices_differ_in_every_part_of_the_conditionals(model: Any, voice: Path, other_voice: Path) -> None:
    model.prepare_conditionals(voice)
    one = model.conds
    model.prepare_conditionals(other_voice)
    two = model.conds
    for field in ("speaker_emb", "cond_prompt_speech_tokens"):
        assert not torch.equal(getattr(one.t3, field), getattr(two.t3, field)), field
    for field in ("prompt_token", "prompt_feat", "embedding"):
        assert not torch.equal(one.gen[field], two.gen[field]), field


def test_the_two_models_have_different_embeddings(english: Any, multilingual: Any) -> None:
    assert not torch.equal(english.t3.speech_emb.weight, multilingual.t3.speech_emb.weight)


def test_the_same_seed_builds_the_same_model_and_leaves_torchs_generator_alone(
    english: Any, parts: rehearsal.Parts
) -> None:
    before = torch.get_rng_state()
    again = short_models.english(parts)
    assert torch.equal(before, torch.get_rng_state())
    for name, weight in again.t3.state_dict().items():
        assert torch.equal(weight, english.t3.state_dict()[name]), name


def test_the_config_of_t3_is_put_back(english: Any) -> None:
    configs = import_module("chatterbox.models.t3.llama_configs").LLAMA_CONFIGS
    assert configs["Llama_520M"]["num_hidden_layers"] == 30


def test_a_chatterbox_without_what_came_later_or_went_again_is_rehearsed_too(
    parts: rehearsal.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to 0.1.2 there is one configuration, and no Multilingual; after 0.1.7 nothing watches the alignment."""
    monkeypatch.delattr("chatterbox.models.t3.modules.t3_config.T3Config.english_only")
    monkeypatch.delattr("chatterbox.models.tokenizers.tokenizer.ChineseCangjieConverter")
    monkeypatch.setitem(sys.modules, "chatterbox.mtl_tts", None)
    monkeypatch.setitem(sys.modules, "chatterbox.models.t3.inference.alignment_stream_analyzer", None)
    shortening.fold_aligned_layers.cache_clear()
    try:
        assert short_models.english(parts).tokenizer.encode("a") == [ord("a")]
    finally:
        shortening.fold_aligned_layers.cache_clear()


@pytest.mark.parametrize("place", [(9,), (0, 9, 2)])
def test_a_short_t3_is_watched_in_one_of_its_layers(place: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to 0.1.2 it is given the layer alone, later also a buffer and a head."""
    watched = []
    analyzer = import_module("chatterbox.models.t3.inference.alignment_stream_analyzer").AlignmentStreamAnalyzer
    monkeypatch.setattr(analyzer, "_add_attention_spy", lambda _self, _t3, *place: watched.append(place))
    shortening.fold_aligned_layers.__wrapped__()
    analyzer._add_attention_spy(None, SimpleNamespace(layers=[None, None]), *place)
    assert watched == [tuple(1 if each == 9 else each for each in place)]


def test_a_reference_clip_repeats(tmp_path: Path, voice: Path) -> None:
    again = rehearsal.reference_clip(tmp_path / "again.wav", seconds=2, seed=0)
    assert again.read_bytes() == voice.read_bytes()


@pytest.mark.parametrize(
    ("kind", "module", "class_name"),
    [
        ("english", "chatterbox.tts", "ChatterboxTTS"),
        ("multilingual", "chatterbox.mtl_tts", "ChatterboxMultilingualTTS"),
        ("turbo", "chatterbox.tts_turbo", "ChatterboxTurboTTS"),
    ],
)
def test_from_pretrained_reads_the_hub_folder(
    kind: str,
    module: str,
    class_name: str,
    preloaded_chatterbox: Preloaded,
    hub: Path,
    hub_environment: dict[str, str],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    target = tmp_path / "audio.pt"
    program = [sys.executable, "-c", LOAD_AND_SPEAK, module, class_name, str(target)]
    run = preloaded_chatterbox.run(program, env=os.environ | hub_environment, cwd=tmp_path)
    assert run.returncode == 0, run.stderr

    model = request.getfixturevalue(kind)
    model.conds = import_module(module).Conditionals.load(_builtin_voice(hub, model))
    assert torch.equal(torch.load(target), speak(model))


def _builtin_voice(hub: Path, model: Any) -> Path:
    repository = import_module(type(model).__module__).REPO_ID
    return next((hub / f"models--{repository.replace('/', '--')}").rglob("conds.pt"))


def test_the_builtin_voice_is_a_preparation(hub: Path, english: Any, tmp_path: Path) -> None:
    english.prepare_conditionals(rehearsal.reference_clip(tmp_path / "builtin.wav", seed=1))
    stored = import_module("chatterbox.tts").Conditionals.load(_builtin_voice(hub, english))
    assert_same_conditionals(stored, english.conds)
