"""The voice that a model came with, back after a prompt has taken its place."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import chatterbox_cached
from chatterbox_cached import CachedTTS, ConditionalCache, NotCachedError, builtin_voice
from chatterbox_cached.demo.rehearsal import reference_clip
from chatterbox_cached.upstream import builtin
from tests.support.comparison import assert_same_conditionals
from tests.support.speech import convert, speak

OWN = "voice:builtin"


@pytest.fixture(autouse=True)
def _never_seen() -> Iterator[None]:
    """The session's models as if they had just been loaded."""
    builtin._own.clear()
    yield
    builtin._own.clear()


@pytest.fixture(params=["english", "multilingual", "turbo"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """With conditionals of its own, as from_pretrained leaves them."""
    model = request.getfixturevalue(request.param)
    with torch.no_grad():
        model.prepare_conditionals(reference_clip(tmp_path / "own.wav", 6, seed=7), exaggeration=0.5)
    return model


def test_it_is_back_as_it_was_after_a_prompt(model: Any, tmp_path: Path) -> None:
    voice = reference_clip(tmp_path / "prompt.wav", 6, seed=8)  # longer than Turbo's least
    own = copy.deepcopy(model.conds)
    expected = speak(model)
    model.conds = copy.deepcopy(own)
    with chatterbox_cached.enabled() as cache:
        for _ in range(2):
            other = speak(model, audio_prompt_path=voice)
            assert torch.equal(speak(model, audio_prompt_path=OWN), expected)
        assert not torch.equal(other, expected)
        model.prepare_conditionals(OWN)
        assert_same_conditionals(model.conds, own)
        now = cache.get_cache_stats()
    assert (now["misses"] + now["memory_hits"], now["bypasses"], now["errors"]) == (2, {}, {})


def test_it_is_there_although_it_has_spoken_before_the_first_prompt(
    english: Any, voice: Path, other_voice: Path
) -> None:
    with torch.no_grad():
        english.prepare_conditionals(other_voice, exaggeration=0.5)
    expected = speak(english, exaggeration=0.7)  # T3 leaves what it has made of it there
    with chatterbox_cached.enabled():
        english.prepare_conditionals(voice)
        assert torch.equal(speak(english, audio_prompt_path=OWN, exaggeration=0.7), expected)


def test_what_is_done_to_it_does_not_reach_the_next(english: Any, voice: Path, other_voice: Path) -> None:
    with torch.no_grad():
        english.prepare_conditionals(other_voice, exaggeration=0.5)
    own = copy.deepcopy(english.conds)
    with chatterbox_cached.enabled():
        english.prepare_conditionals(voice)
        english.prepare_conditionals(OWN)
        english.conds.t3.speaker_emb.zero_()
        english.conds.gen["embedding"].zero_()
        english.prepare_conditionals(OWN)
    assert_same_conditionals(english.conds, own)


def test_it_comes_back_by_a_function_too_and_by_a_drop_in(english: Any, voice: Path, other_voice: Path) -> None:
    with torch.no_grad():
        english.prepare_conditionals(other_voice, exaggeration=0.5)
    own = copy.deepcopy(english.conds)
    cached = CachedTTS(english, ConditionalCache())
    cached.prepare_conditionals(voice)
    assert_same_conditionals(builtin_voice(cached), own)
    cached.prepare_conditionals(voice)
    cached.prepare_conditionals(OWN)
    assert_same_conditionals(english.conds, own)
    cache = ConditionalCache()
    cache.get_or_prepare(english, voice)
    assert_same_conditionals(cache.get_or_prepare(english, OWN), own)


def test_a_model_that_converts_speech_has_one_too(vc: Any, voice: Path, other_voice: Path) -> None:
    with torch.no_grad():
        vc.set_target_voice(other_voice)
    expected = convert(vc, voice)
    with chatterbox_cached.enabled():
        assert not torch.equal(convert(vc, voice, target_voice_path=voice), expected)
        assert torch.equal(convert(vc, voice, target_voice_path=OWN), expected)


def test_a_model_that_came_without_one_says_so(english: Any, voice: Path) -> None:
    english.conds = None
    with chatterbox_cached.enabled():
        english.prepare_conditionals(voice)
        given = english.conds
        with pytest.raises(NotCachedError, match="ChatterboxTTS came without a voice of its own"):
            english.prepare_conditionals(OWN)
        assert english.conds is given
    with pytest.raises(NotCachedError, match="no class of Chatterbox"):
        builtin_voice(object())


def test_the_guard_knows_what_it_was_given_for(english: Any, voice: Path, other_voice: Path) -> None:
    with torch.no_grad():
        english.prepare_conditionals(other_voice, exaggeration=0.5)
    with chatterbox_cached.enabled():
        english.prepare_conditionals(voice)
        builtin_voice(english, exaggeration=0.8)
        with pytest.warns(chatterbox_cached.ExaggerationMismatchWarning):
            speak(english)
