"""enable(), disable(), enabled(), disabled(): which cache is in use, for whom, and with which settings."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chatterbox.tts import ChatterboxTTS

import chatterbox_cached
from chatterbox_cached import CachedTTS, ConditionalCache, SettingsError
from chatterbox_cached.tiers.disk.folder import entries_of
from tests.support.comparison import assert_same_conditionals

MISSING = "/no/such/voice.wav"


@pytest.fixture
def model() -> Any:
    """A model without weights: upstream's own prepare_conditionals looks at the audio first."""
    model = ChatterboxTTS.__new__(ChatterboxTTS)
    model.device, model.conds = "cpu", None
    return model


def prepare(model: Any) -> None:
    """A call that the cache counts, whoever serves it."""
    with pytest.raises(FileNotFoundError):
        model.prepare_conditionals(MISSING)


def bypasses(cache: ConditionalCache) -> dict[str, int]:
    counted: dict[str, int] = cache.get_cache_stats()["bypasses"]
    return counted


def test_enable_returns_the_cache_in_use(tmp_path: Path) -> None:
    assert not chatterbox_cached.is_enabled()
    assert chatterbox_cached.get_cache() is None
    cache = chatterbox_cached.enable(tmp_path / "voices")
    assert isinstance(cache, ConditionalCache)
    assert chatterbox_cached.is_enabled()
    assert chatterbox_cached.get_cache() is cache
    assert chatterbox_cached.stats() == cache.get_cache_stats()
    chatterbox_cached.disable()
    assert chatterbox_cached.get_cache() is None
    assert chatterbox_cached.stats() == cache.get_cache_stats(), "a script can still print them at its end"


def test_enable_without_a_folder_uses_the_users_cache_folder(tmp_path: Path) -> None:
    cache = chatterbox_cached.enable()
    assert cache.settings.cache_dir == tmp_path / "cache" / "chatterbox-cached"  # XDG_CACHE_HOME is tmp_path / "cache"


def test_enable_takes_its_folder_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATTERBOX_CACHED_DIR", str(tmp_path / "env"))
    monkeypatch.setenv("CHATTERBOX_CACHED_ON_MISMATCH", "follow")
    cache = chatterbox_cached.enable()
    assert (cache.settings.cache_dir, cache.settings.on_mismatch) == (tmp_path / "env", "follow")
    cache = chatterbox_cached.enable(tmp_path / "keyword", on_mismatch="off")
    assert (cache.settings.cache_dir, cache.settings.on_mismatch) == (tmp_path / "keyword", "off")
    assert ConditionalCache().settings.cache_dir is None, "as in the guide: memory only"


def test_enabling_again_with_the_same_settings_keeps_the_cache_and_with_others_replaces_it(tmp_path: Path) -> None:
    cache = chatterbox_cached.enable(tmp_path / "voices")
    assert chatterbox_cached.enable(tmp_path / "voices") is cache
    other = chatterbox_cached.enable(tmp_path / "voices", memory_entries=3)
    assert other is not cache
    assert chatterbox_cached.get_cache() is other


@pytest.mark.parametrize(
    "settings", [{"on_mismatch": "shout"}, {"memory_entries": -1}, {"memory_entris": 1}, {"size_limit": "a lot"}]
)
def test_an_impossible_setting_is_an_error_at_once_and_changes_nothing(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    cache = chatterbox_cached.enable(tmp_path / "voices")
    with pytest.raises(SettingsError, match=next(iter(settings))):
        chatterbox_cached.enable(**settings)
    with pytest.raises(SettingsError, match=next(iter(settings))):
        ConditionalCache(**settings)
    with pytest.raises(SettingsError, match="cache="):
        chatterbox_cached.enable(cache=cache, memory_entries=1)
    assert chatterbox_cached.get_cache() is cache


def test_enabled_restores_what_was_there_also_nested_and_after_an_exception(tmp_path: Path, model: Any) -> None:
    outer = chatterbox_cached.enable(tmp_path / "outer")
    with chatterbox_cached.enabled(tmp_path / "middle") as middle:
        with pytest.raises(FileNotFoundError), chatterbox_cached.enabled(cache_dir=tmp_path / "inner") as inner:
            model.prepare_conditionals(MISSING)
        assert chatterbox_cached.get_cache() is middle
        prepare(model)
        prepare(model)
    assert chatterbox_cached.get_cache() is outer
    assert [sum(bypasses(cache).values()) for cache in (outer, middle, inner)] == [0, 2, 1]
    chatterbox_cached.disable()
    with chatterbox_cached.enabled(tmp_path / "alone"):
        assert chatterbox_cached.is_enabled()
    assert not chatterbox_cached.is_enabled()


def test_disabled_is_for_this_thread_alone(tmp_path: Path, model: Any) -> None:
    with chatterbox_cached.enabled(tmp_path / "voices") as cache, chatterbox_cached.disabled():
        prepare(model)
        thread = threading.Thread(target=prepare, args=(model,))
        thread.start()
        thread.join()
    assert bypasses(cache) == {"disabled": 1, "audio can't be read": 1}


def test_disabled_is_for_this_task_alone(tmp_path: Path, model: Any) -> None:
    async def aside(entered: asyncio.Event, leave: asyncio.Event) -> None:
        with chatterbox_cached.disabled():
            entered.set()
            await leave.wait()
            prepare(model)

    async def both() -> None:
        entered, leave = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(aside(entered, leave))
        await entered.wait()
        prepare(model)
        leave.set()
        await task

    with chatterbox_cached.enabled(tmp_path / "voices") as cache:
        asyncio.run(both())
    assert bypasses(cache) == {"disabled": 1, "audio can't be read": 1}


def test_disabled_nests_and_ends_with_an_exception(tmp_path: Path, model: Any) -> None:
    with chatterbox_cached.enabled(tmp_path / "voices") as cache:
        with pytest.raises(KeyError), chatterbox_cached.disabled(), chatterbox_cached.disabled():
            raise KeyError
        prepare(model)
    assert bypasses(cache) == {"audio can't be read": 1}


def test_the_kill_switch_leaves_upstream_alone_everywhere(
    tmp_path: Path, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = vars(type(model))["generate"]
    monkeypatch.setenv("CHATTERBOX_CACHED_DISABLE", "1")
    cache = chatterbox_cached.enable(tmp_path / "voices")
    assert vars(type(model))["generate"] is original
    assert not chatterbox_cached.is_enabled()
    prepare(CachedTTS(model, cache))
    with pytest.raises(FileNotFoundError):
        cache.get_or_prepare(model, MISSING)
    assert bypasses(cache) == {"switched off": 2}
    assert not entries_of(tmp_path / "voices").exists()


def test_a_call_that_does_not_fit_the_method_is_counted(tmp_path: Path, model: Any) -> None:
    with chatterbox_cached.enabled(tmp_path / "voices") as cache, pytest.raises(TypeError):
        model.prepare_conditionals()
    assert bypasses(cache) == {"arguments don't fit the method": 1}


def test_the_caller_gets_upstreams_own_error_for_wrong_arguments(tmp_path: Path, model: Any) -> None:
    wrong: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((), {}), (("a", 0.5, 1), {}), (("a",), {"wav_fpath": "b"})]
    for args, kwargs in wrong:
        with pytest.raises(TypeError) as upstreams:
            model.prepare_conditionals(*args, **kwargs)
        with chatterbox_cached.enabled(tmp_path / "voices"), pytest.raises(TypeError) as ours:
            model.prepare_conditionals(*args, **kwargs)
        assert str(ours.value) == str(upstreams.value)


def test_a_preparation_that_returns_its_conditionals_returns_them_at_every_call(
    english: Any, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(english)
    inner = kind.prepare_conditionals

    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> Any:
        inner(self, wav_fpath, exaggeration)
        self.last_voice = wav_fpath
        return self.conds

    monkeypatch.setattr(kind, "prepare_conditionals", prepare_conditionals)
    chatterbox_cached.enable(tmp_path / "voices")
    for number in range(3):
        english.last_voice = number
        assert english.prepare_conditionals(voice) is english.conds is not None
        assert english.last_voice is voice
    stats = chatterbox_cached.stats()
    assert (stats["misses"], stats["seams"], stats["bypasses"]) == (1, {"encoders": 2}, {})


def with_other_names(self: Any, audio: Any, intensity: float = 0.5) -> None:
    prepare_as_upstream(self, audio, intensity)


def by_place_only(self: Any, wav_fpath: Any, exaggeration: float = 0.5, /) -> None:
    prepare_as_upstream(self, wav_fpath, exaggeration)


def with_anything(self: Any, *args: Any, **kwargs: Any) -> None:
    prepare_as_upstream(self, *args, **kwargs)


def looking_at_the_first(self: Any, *args: Any, **kwargs: Any) -> None:
    assert os.path.isfile(args[0])
    prepare_as_upstream(self, *args, **kwargs)


def without_exaggeration(self: Any, wav_fpath: Any) -> None:
    prepare_as_upstream(self, wav_fpath, PREPARED_WITH)


def prepare_as_upstream(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> None:
    upstreams_own(self, wav_fpath, exaggeration)


upstreams_own = ChatterboxTTS.prepare_conditionals
PREPARED_WITH = 0.7


@pytest.mark.parametrize(
    "prepare", [with_other_names, by_place_only, with_anything, looking_at_the_first, without_exaggeration]
)
def test_get_or_prepare_takes_a_fork_whatever_its_method_calls_its_arguments(
    prepare: Any, english: Any, voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChatterboxTTS, "prepare_conditionals", prepare)
    prepare_as_upstream(english, voice, PREPARED_WITH)
    expected = english.conds
    cache = chatterbox_cached.enable(tmp_path / "voices")
    for _ in range(3):
        assert_same_conditionals(cache.get_or_prepare(english, voice, PREPARED_WITH), expected)
    stats = cache.get_cache_stats()
    assert (stats["misses"], sum(stats["bypasses"].values())) in {(1, 0), (0, 3)}
    assert stats["memory_hits"] == (2 if stats["misses"] else 0)
    assert not cache.verify(english, [voice]).different


async def asynchronous(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> Any:
    await asyncio.sleep(0)
    upstreams_own(self, wav_fpath, exaggeration)
    return self.conds


async def in_another_thread(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> Any:
    await asyncio.to_thread(upstreams_own, self, wav_fpath, exaggeration)
    return self.conds


def step_by_step(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> Iterator[str]:
    yield "loading"
    upstreams_own(self, wav_fpath, exaggeration)


@pytest.mark.parametrize("prepare", [asynchronous, in_another_thread, step_by_step])
def test_a_preparation_that_goes_on_later_has_its_encoders_served_and_touches_nothing_before(
    prepare: Any, english: Any, voice: Path, other_voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChatterboxTTS, "prepare_conditionals", prepare)
    monkeypatch.setattr(ChatterboxTTS, "generate", lambda self, text, exaggeration=0.5: exaggeration)

    def prepared(path: Path, exaggeration: float) -> Any:
        begun = english.prepare_conditionals(path, exaggeration)
        if inspect.iscoroutine(begun):
            assert asyncio.run(begun) is english.conds
        else:
            assert list(begun) == ["loading"]
        return english.conds

    expected = prepared(voice, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache = chatterbox_cached.enable(tmp_path / "voices", on_mismatch="error")
        first = prepared(voice, 0.5)
        prepared(other_voice, 0.9)
        for _ in range(3):
            assert_same_conditionals(prepared(voice, 0.5), expected)
        english.conds = first
        prepared(other_voice, 0.9)
        english.conds = first
        assert english.generate("x", exaggeration=0.5) == 0.5
    stats = cache.get_cache_stats()
    assert (stats["misses"], stats["seams"], stats["bypasses"]) == (6, {"encoders": 12}, {})
