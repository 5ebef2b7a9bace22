"""The exaggeration guard on real models: what it says, when it is silent, and that it leaves the sound alone."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import chatterbox_cached
from chatterbox_cached import (
    CachedMultilingualTTS,
    CachedTTS,
    ConditionalCache,
    ExaggerationMismatchError,
    ExaggerationMismatchWarning,
)
from tests.support.speech import speak

PREPARED, OTHER = 0.7, 0.3


@pytest.fixture(params=("english", "multilingual"))
def model(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ConditionalCache:
    """One cache for the module, so that the voice is prepared once per model."""
    return ConditionalCache(tmp_path_factory.mktemp("voices"))


def using(cache: ConditionalCache, action: str) -> Any:
    """The same voices with another setting."""
    return chatterbox_cached.enabled(cache.settings.cache_dir, on_mismatch=action)


def by_prepare_conditionals(model: Any, voice: Path) -> None:
    model.prepare_conditionals(voice, exaggeration=PREPARED)


def by_get_or_prepare(model: Any, voice: Path) -> None:
    in_use = chatterbox_cached.get_cache()
    assert in_use is not None
    in_use.get_or_prepare(model, voice, exaggeration=PREPARED)


@pytest.mark.parametrize("prepare", [by_prepare_conditionals, by_get_or_prepare])
def test_the_default_wins_and_the_warning_says_so(
    prepare: Any, model: Any, voice: Path, cache: ConditionalCache
) -> None:
    with using(cache, "warn"):
        prepare(model, voice)
        with pytest.warns(ExaggerationMismatchWarning) as warned:
            said = speak(model)
    message = str(warned[0].message)
    assert "default wins" in message
    assert "exaggeration=0.7" in message
    assert "exaggeration=0.5" in message
    assert "pass exaggeration=0.7" in message
    assert "on_mismatch='follow'" in message
    model.prepare_conditionals(voice, exaggeration=PREPARED)
    assert torch.equal(said, speak(model))


def test_what_is_passed_is_used_and_the_warning_says_so(model: Any, voice: Path, cache: ConditionalCache) -> None:
    with using(cache, "warn"):
        model.prepare_conditionals(voice, exaggeration=PREPARED)
        with pytest.warns(ExaggerationMismatchWarning, match=r"was passed exaggeration=0\.3"):
            said = speak(model, exaggeration=OTHER)
    model.prepare_conditionals(voice, exaggeration=OTHER)
    assert torch.equal(said, speak(model, exaggeration=OTHER))


def test_follow_speaks_as_prepared_when_nothing_is_passed(model: Any, voice: Path, cache: ConditionalCache) -> None:
    with using(cache, "follow"), warnings.catch_warnings():
        warnings.simplefilter("error", ExaggerationMismatchWarning)
        model.prepare_conditionals(voice, exaggeration=PREPARED)
        said = speak(model)
    model.prepare_conditionals(voice, exaggeration=PREPARED)
    assert torch.equal(said, speak(model, exaggeration=PREPARED))


def test_follow_uses_what_is_passed_and_warns(model: Any, voice: Path, cache: ConditionalCache) -> None:
    with using(cache, "follow"):
        model.prepare_conditionals(voice, exaggeration=PREPARED)
        with pytest.warns(ExaggerationMismatchWarning, match=r"spoken with exaggeration=0\.3"):
            said = speak(model, exaggeration=OTHER)
    model.prepare_conditionals(voice, exaggeration=OTHER)
    assert torch.equal(said, speak(model, exaggeration=OTHER))


@pytest.mark.parametrize("passed", [{}, {"exaggeration": OTHER}], ids=["default", "explicit"])
def test_error_is_raised_before_anything_is_generated(
    passed: dict[str, float], model: Any, voice: Path, cache: ConditionalCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated: list[Any] = []
    monkeypatch.setattr(model.tokenizer, "text_to_tokens", lambda *args, **kwargs: generated.append(args))
    with using(cache, "error"):
        model.prepare_conditionals(voice, exaggeration=PREPARED)
        with pytest.raises(ExaggerationMismatchError, match="Nothing was generated"):
            speak(model, **passed)
    assert not generated


def test_off_is_silent(model: Any, voice: Path, cache: ConditionalCache) -> None:
    with using(cache, "off"), warnings.catch_warnings():
        warnings.simplefilter("error", ExaggerationMismatchWarning)
        model.prepare_conditionals(voice, exaggeration=PREPARED)
        speak(model)
        speak(model, exaggeration=OTHER)


@pytest.mark.parametrize("exaggeration", [0.7, 0.1, 1 / 3, 0, 2])
def test_a_value_is_equal_to_itself(
    exaggeration: float, model: Any, voice: Path, cache: ConditionalCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.tokenizer, "text_to_tokens", stop)
    with using(cache, "error"):
        model.prepare_conditionals(voice, exaggeration=exaggeration)
        with pytest.raises(Stopped):
            speak(model, exaggeration=exaggeration)


def test_the_default_prepared_and_the_default_spoken_do_not_differ(
    model: Any, voice: Path, cache: ConditionalCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.tokenizer, "text_to_tokens", stop)
    with using(cache, "error"):
        model.prepare_conditionals(voice)
        with pytest.raises(Stopped):
            speak(model)


def test_the_builtin_voice_and_the_users_own_conditionals_are_not_looked_at(
    model: Any, voice: Path, cache: ConditionalCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.tokenizer, "text_to_tokens", stop)
    model.prepare_conditionals(voice, exaggeration=PREPARED)
    model.conds.save(tmp_path / "conds.pt")
    model.conds = type(model.conds).load(tmp_path / "conds.pt")
    with using(cache, "error"), pytest.raises(Stopped):
        speak(model)


def test_conditionals_that_come_back_are_still_known(
    model: Any, voice: Path, other_voice: Path, cache: ConditionalCache
) -> None:
    with using(cache, "error"):
        model.prepare_conditionals(voice, exaggeration=PREPARED)
        kept = model.conds
        model.prepare_conditionals(other_voice)
        model.conds = kept
        with pytest.raises(ExaggerationMismatchError):
            speak(model)


def test_the_warning_points_at_the_callers_own_line_once(
    model: Any, voice: Path, cache: ConditionalCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.tokenizer, "text_to_tokens", stop)
    language = {"language_id": "en"} if hasattr(model, "get_supported_languages") else {}
    with using(cache, "warn"), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        model.prepare_conditionals(voice, exaggeration=PREPARED)
        for _ in range(3):
            with pytest.raises(Stopped):
                model.generate("Hello.", **language)
    ours = [warning for warning in warned if warning.category is ExaggerationMismatchWarning]
    assert len(ours) == 1
    assert ours[0].filename == __file__
    assert (
        "model.generate(" in inspect.getsource(inspect.getmodule(test_off_is_silent)).splitlines()[ours[0].lineno - 1]
    )


def test_a_proxy_guards_as_well_and_both_at_once_warn_once(english: Any, voice: Path, cache: ConditionalCache) -> None:
    proxy = CachedTTS(english, cache)
    with using(cache, "warn"), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        proxy.prepare_conditionals(voice, exaggeration=PREPARED)
        speak(proxy)
    assert len([warning for warning in warned if warning.category is ExaggerationMismatchWarning]) == 1
    again = CachedTTS(english, cache)
    with pytest.warns(ExaggerationMismatchWarning):
        again.generate("Hello there.")


@pytest.mark.parametrize("by_proxy", [False, True], ids=["enable", "proxy"])
def test_what_an_audio_prompt_prepared_is_no_intention_whatever_was_prepared_before(
    by_proxy: bool,
    model: Any,
    voice: Path,
    other_voice: Path,
    cache: ConditionalCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model.tokenizer, "text_to_tokens", stop)
    with using(cache, "error") as in_use:
        before_all = in_use.get_cache_stats()["mismatches"]
        kind = CachedMultilingualTTS if hasattr(model, "get_supported_languages") else CachedTTS
        speaker = kind(model, in_use) if by_proxy else model
        for before in (lambda: None, lambda: speaker.prepare_conditionals(voice, exaggeration=PREPARED)):
            for clip in (voice, other_voice):
                before()
                with pytest.raises(Stopped):  # upstream's own page: a clip, then none, and the slider moved
                    speak(speaker, audio_prompt_path=clip, exaggeration=0.5)
                with pytest.raises(Stopped):
                    speak(speaker, exaggeration=0.9)
        assert in_use.get_cache_stats()["mismatches"] == before_all
        speaker.prepare_conditionals(voice, exaggeration=PREPARED)  # and on purpose again
        with pytest.raises(ExaggerationMismatchError):
            speak(speaker, exaggeration=0.9)


def test_conditionals_that_are_handed_over_decide_and_not_the_models(
    english: Any,
    voice: Path,
    other_voice: Path,
    cache: ConditionalCache,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def generate(self: Any, text: str, whose: Any = None, exaggeration: float = 0.5) -> float:
        return exaggeration

    monkeypatch.setattr(type(english), "generate", generate)
    with using(cache, "error"):
        english.prepare_conditionals(voice, exaggeration=PREPARED)
        handed = english.conds
        english.prepare_conditionals(other_voice, exaggeration=OTHER)
        for hand_over in (
            lambda exaggeration: english.generate("x", handed, exaggeration=exaggeration),
            lambda exaggeration: english.generate("x", exaggeration=exaggeration, whose=handed),
        ):
            assert hand_over(PREPARED) == PREPARED
            with pytest.raises(ExaggerationMismatchError, match=r"prepared with exaggeration=0\.7"):
                hand_over(OTHER)
        handed.save(tmp_path / "conds.pt")
        assert english.generate("x", type(handed).load(tmp_path / "conds.pt"), exaggeration=0.9) == 0.9
        assert english.generate("x", exaggeration=OTHER) == OTHER
        with pytest.raises(ExaggerationMismatchError, match=r"prepared with exaggeration=0\.3"):
            english.generate("x", exaggeration=PREPARED)
    with using(cache, "follow"):
        assert english.generate("x", handed) == PREPARED


def in_a_new_t3_cond(model: Any, exaggeration: float) -> None:
    """As upstream's own ``generate`` does it."""
    old = model.conds.t3
    model.conds.t3 = type(old)(**{**vars(old), "emotion_adv": exaggeration * torch.ones(1, 1, 1)})


def by_assigning(model: Any, exaggeration: float) -> None:
    model.conds.t3.emotion_adv = torch.full((1, 1, 1), exaggeration)


def in_place(model: Any, exaggeration: float) -> None:
    model.conds.t3.emotion_adv.fill_(exaggeration)


@pytest.mark.parametrize("change", [in_a_new_t3_cond, by_assigning, in_place])
def test_conditionals_that_the_program_has_given_another_exaggeration_are_not_looked_at(
    change: Any, model: Any, voice: Path, cache: ConditionalCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.tokenizer, "text_to_tokens", stop)
    with using(cache, "error"):
        model.prepare_conditionals(voice, exaggeration=PREPARED)
        change(model, OTHER)
        for value in (OTHER, 0.4):
            with pytest.raises(Stopped):
                speak(model, exaggeration=value)
        model.prepare_conditionals(voice, exaggeration=PREPARED)
        change(model, PREPARED)
        with pytest.raises(ExaggerationMismatchError):
            speak(model, exaggeration=OTHER)


def hands_it_on(self: Any, text: str, reference: Any = None, exaggeration: float = 0.5) -> float:
    if reference:
        self.prepare_conditionals(reference, exaggeration)
    return exaggeration


def takes_anything(self: Any, *args: Any, **kwargs: Any) -> float:
    return hands_it_on(self, *args, **kwargs)


def first_looks_at_it(self: Any, text: str, reference: Any = None, exaggeration: float = 0.5) -> float:
    return hands_it_on(self, text, reference and Path(reference), exaggeration)


@pytest.mark.parametrize("generate", [hands_it_on, takes_anything, first_looks_at_it])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_forks_prompt_is_one_whatever_it_is_called(
    kind: Any, generate: Any, english: Any, voice: Path, other_voice: Path, cache: ConditionalCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(type(english), "generate", generate)
    with using(cache, "error"):
        english.prepare_conditionals(voice, exaggeration=PREPARED)
        assert english.generate("x", kind(other_voice), exaggeration=OTHER) == OTHER
        assert english.generate("x", exaggeration=0.9) == 0.9
        english.prepare_conditionals(voice, exaggeration=PREPARED)
        with pytest.raises(ExaggerationMismatchError):
            english.generate("x", exaggeration=OTHER)
        with pytest.raises(FileNotFoundError):
            hands_it_on(english, "x", kind("missing.wav"), exaggeration=OTHER)
    with using(cache, "follow"):
        english.prepare_conditionals(voice, exaggeration=PREPARED)
        assert english.generate("x", reference=kind(other_voice)) == 0.5, "not as another voice was prepared"


def test_each_place_is_told_once_whatever_its_values_and_every_mismatch_counts(
    model: Any, voice: Path, cache: ConditionalCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.tokenizer, "text_to_tokens", stop)
    language = {"language_id": "en"} if hasattr(model, "get_supported_languages") else {}
    with using(cache, "warn") as in_use, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        before = in_use.get_cache_stats()["mismatches"]
        model.prepare_conditionals(voice, exaggeration=PREPARED)
        for value in (0.3, 0.35, 0.4, 0.45):
            with pytest.raises(Stopped):
                model.generate("Hello.", exaggeration=value, **language)
        with pytest.raises(Stopped):
            model.generate("Hello.", exaggeration=value, **language)
        assert in_use.get_cache_stats()["mismatches"] == before + 5
    lines = [warning.lineno for warning in warned if warning.category is ExaggerationMismatchWarning]
    assert len(lines) == len(set(lines)) == 2


class Stopped(Exception):
    """Raised where the generation begins."""


def stop(*args: Any, **kwargs: Any) -> Any:
    raise Stopped
