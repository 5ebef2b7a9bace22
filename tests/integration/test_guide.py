"""Every use that the guide to conditional caching prints works as printed, with this package's ConditionalCache."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

import chatterbox_cached
from chatterbox_cached import ConditionalCache, NotCachedError, VoiceFileError
from tests.support.comparison import assert_same_conditionals
from tests.support.speech import speak


@pytest.fixture(params=("english", "multilingual"))
def model(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def _in_a_folder_with_voices(voice: Path, other_voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide names its files by bare names."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(voice, "voice.wav")
    shutil.copy(other_voice, "char1.wav")


@pytest.fixture(scope="module")
def _voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("voices")


@pytest.fixture
def cache(_voices: Path) -> ConditionalCache:
    """On one folder for the module: each voice is prepared once per model."""
    return ConditionalCache(cache_dir=_voices, auto_save=True)


def misses(cache: ConditionalCache) -> int:
    return int(cache.get_cache_stats()["misses"])


def test_option_1_manual_caching(model: Any) -> None:
    model.prepare_conditionals("voice.wav", exaggeration=0.5)
    upstreams = speak(model)
    with chatterbox_cached.enabled():
        model.prepare_conditionals("voice.wav", exaggeration=0.5)
        assert torch.equal(speak(model), upstreams)


def test_option_2_the_utility(model: Any) -> None:
    cache = ConditionalCache(cache_dir="./tts_cache", auto_save=True)
    for _ in ("Text one", "Text two", "Text three"):
        cache.get_or_prepare(model, "voice.wav", exaggeration=0.5)
    now = cache.get_cache_stats()
    assert (now["misses"], now["memory_hits"]) == (1, 2)
    assert now["cache_dir"] == str(Path("tts_cache").resolve())


def test_pattern_2_multiple_voices(model: Any, cache: ConditionalCache) -> None:
    voices = {"narrator": ("voice.wav", 0.3), "character1": ("char1.wav", 0.7)}
    expected = {}
    for speaker, (voice_file, exaggeration) in voices.items():
        expected[speaker] = speak(model, audio_prompt_path=voice_file, exaggeration=exaggeration)
    for speaker in ("narrator", "character1", "narrator"):
        voice_file, exaggeration = voices[speaker]
        cache.get_or_prepare(model, voice_file, exaggeration=exaggeration)
        assert torch.equal(speak(model, exaggeration=exaggeration), expected[speaker])


def test_pattern_3_prewarming(model: Any, cache: ConditionalCache) -> None:
    for voice_file, exaggeration in [("voice.wav", 0.5), ("char1.wav", 0.3)]:
        cache.get_or_prepare(model, voice_file, exaggeration=exaggeration)
    before = misses(cache)
    for voice_file, exaggeration in [("voice.wav", 0.7), ("char1.wav", 0.7)]:
        cache.get_or_prepare(model, voice_file, exaggeration=exaggeration)
    assert misses(cache) == before


def test_get_or_prepare_sets_the_models_conditionals_and_returns_them(
    model: Any, cache: ConditionalCache, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cache.get_or_prepare(model, "voice.wav", 0.5, False, True) is model.conds
    assert cache.get_or_prepare(model, "voice.wav", exaggeration=0.5, verbose=True) is model.conds
    assert "voice.wav: memory" in capsys.readouterr().out


def test_force_refresh_prepares_anew_and_replaces_the_entry(model: Any, cache: ConditionalCache) -> None:
    cache.get_or_prepare(model, "voice.wav")
    before, items = misses(cache), cache.get_cache_stats()["disk_cached_items"]
    cache.get_or_prepare(model, "voice.wav", exaggeration=0.5, force_refresh=True)
    assert misses(cache) == before + 1
    assert cache.get_cache_stats()["disk_cached_items"] == items


def test_memory_only_without_a_folder(model: Any, cache: ConditionalCache) -> None:
    alone = ConditionalCache()
    assert alone.get_cache_stats()["cache_dir"] is None
    alone.get_or_prepare(model, "voice.wav")
    alone.get_or_prepare(model, "voice.wav")
    now = alone.get_cache_stats()
    assert (now["misses"], now["memory_hits"], now["disk_cached_items"]) == (1, 1, 0)


def test_without_auto_save_nothing_new_goes_to_disk(model: Any, tmp_path: Path) -> None:
    cache = ConditionalCache(tmp_path / "cache", auto_save=False)
    cache.get_or_prepare(model, "voice.wav")
    now = cache.get_cache_stats()
    assert (now["memory_cached_items"], now["disk_cached_items"]) == (1, 0)


def test_save_writes_a_file_that_upstream_loads(
    model: Any, cache: ConditionalCache, upstream_says: Callable[..., torch.Tensor]
) -> None:
    cache.get_or_prepare(model, "voice.wav", exaggeration=0.5)
    assert cache.save("voice.wav", 0.7, filepath="my_voice.pt") == Path("my_voice.pt")
    loaded = type(model.conds).load("my_voice.pt")
    with chatterbox_cached.disabled():
        model.prepare_conditionals("voice.wav", exaggeration=0.7)
    assert_same_conditionals(loaded, model.conds)
    model.conds = loaded
    assert torch.equal(speak(model, exaggeration=0.7), upstream_says(model, 0.7))


def test_save_says_what_to_do_when_nothing_is_cached(cache: ConditionalCache, tmp_path: Path) -> None:
    (tmp_path / "new.wav").write_bytes(b"never prepared")
    with pytest.raises(NotCachedError, match=r"Nothing is cached of new\.wav\. Call get_or_prepare\(\)"):
        cache.save("new.wav", 0.5, "new.pt")


def saved_by_upstream(model: Any, cache: ConditionalCache) -> None:
    model.prepare_conditionals("voice.wav", exaggeration=0.5)
    model.conds.save("my_voice.pt")


def saved_by_upstream_after_a_generation(model: Any, cache: ConditionalCache) -> None:
    model.prepare_conditionals("voice.wav", exaggeration=0.5)
    speak(model)
    assert model.conds.t3.cond_prompt_speech_emb is not None
    assert model.conds.gen["prompt_token"].dtype is torch.float32
    model.conds.save("my_voice.pt")


def saved_by_this_cache(model: Any, cache: ConditionalCache) -> None:
    cache.get_or_prepare(model, "voice.wav")
    cache.save("voice.wav", 0.5, "my_voice.pt")


@pytest.mark.parametrize("saved", [saved_by_upstream, saved_by_upstream_after_a_generation, saved_by_this_cache])
@pytest.mark.parametrize("audio_is_here", [True, False], ids=["with the audio", "without the audio"])
def test_load_takes_in_a_file_and_it_speaks_the_same(
    saved: Any, audio_is_here: bool, model: Any, cache: ConditionalCache, upstream_says: Callable[..., torch.Tensor]
) -> None:
    expected = upstream_says(model, 0.7)
    saved(model, cache)
    elsewhere = ConditionalCache()
    if not audio_is_here:
        Path("voice.wav").unlink()
    elsewhere.load("my_voice.pt", "voice.wav", 0.5, device="cpu")
    elsewhere.get_or_prepare(model, "voice.wav", exaggeration=0.7)
    assert torch.equal(speak(model, exaggeration=0.7), expected)
    now = elsewhere.get_cache_stats()
    assert (now["memory_cached_items"], now["memory_hits"], now["misses"]) == (1, 1, 0)
    with chatterbox_cached.enabled(cache=elsewhere):
        assert torch.equal(speak(model, audio_prompt_path="voice.wav", exaggeration=0.7), expected)


def test_load_refuses_what_is_no_voice(cache: ConditionalCache) -> None:
    torch.save({"something": torch.ones(1)}, "other.pt")
    with pytest.raises(VoiceFileError, match="holds no conditionals"):
        cache.load("other.pt", "voice.wav", 0.5)
    with pytest.raises(FileNotFoundError):
        cache.load("missing.pt", "voice.wav", 0.5)


def test_clear_memory_clear_disk_and_clear_all(model: Any, tmp_path: Path) -> None:
    cache = ConditionalCache(tmp_path / "cache")
    cache.get_or_prepare(model, "voice.wav")

    def items() -> tuple[int, int]:
        now = cache.get_cache_stats()
        return now["memory_cached_items"], now["disk_cached_items"]

    assert items() == (1, 1)
    assert cache.clear_memory() == 1
    assert items() == (0, 1)
    cache.get_or_prepare(model, "voice.wav")
    assert cache.get_cache_stats()["disk_hits"] == 1
    assert items() == (1, 1), "a disk hit fills memory"
    assert cache.clear_disk() == 1
    assert items() == (1, 0)
    cache.clear_all()
    assert items() == (0, 0)
    assert not list((tmp_path / "cache").rglob("*.val"))


def test_forget_drops_a_voice_in_all_tiers_and_no_other(
    english: Any, multilingual: Any, voice: Path, tmp_path: Path
) -> None:
    cache = ConditionalCache(tmp_path / "cache")
    for model in (english, multilingual):
        cache.get_or_prepare(model, "voice.wav")
    cache.get_or_prepare(english, "char1.wav")
    cache.save("voice.wav", 0.5, "my_voice.pt")
    assert cache.forget(voice) == 2, "the same audio under another path"
    now = cache.get_cache_stats()
    assert (now["memory_cached_items"], now["disk_cached_items"]) == (1, 1)
    before = misses(cache)
    cache.get_or_prepare(english, "char1.wav")
    assert misses(cache) == before
    cache.get_or_prepare(english, "voice.wav")
    assert misses(cache) == before + 1
    Path("voice.wav").unlink()
    assert cache.forget("voice.wav") == 1, "also when the audio itself is gone"
    cache.load("my_voice.pt", "elsewhere.wav")
    assert cache.forget("elsewhere.wav") == 1


def test_the_statistics_have_their_keys_and_add_up(model: Any, tmp_path: Path) -> None:
    cache = ConditionalCache(tmp_path / "cache")
    for _ in range(3):
        cache.get_or_prepare(model, "voice.wav")
    cache.clear_memory()
    cache.get_or_prepare(model, "voice.wav")
    with chatterbox_cached.disabled():
        cache.get_or_prepare(model, "voice.wav")
    now = cache.get_cache_stats()
    assert (now["memory_hits"], now["disk_hits"], now["misses"]) == (2, 1, 1)
    assert now["bypasses"] == {"disabled": 1}
    assert now["errors"] == {}
    assert 0 < now["disk_cache_size_mb"] < 1
    assert now["cache_dir"] == str(tmp_path / "cache")
    # Each hit saves what the entry's own preparation took, less what the hit cost.
    assert 0.9 * 3 * now["prepare_seconds"] < now["saved_seconds"] < 3 * now["prepare_seconds"]


def test_printing_a_cache_says_its_state_in_one_line(model: Any, cache: ConditionalCache) -> None:
    cache.get_or_prepare(model, "voice.wav")
    text = repr(cache)
    assert "\n" not in text
    assert "1 in memory" in text
    assert "on disk" in text
    assert "ConditionalCache" in text


def test_a_folder_can_be_shared_with_another_machine(model: Any, cache: ConditionalCache, tmp_path: Path) -> None:
    cache.get_or_prepare(model, "voice.wav")
    cache.close()
    shutil.copytree(str(cache.settings.cache_dir), tmp_path / "elsewhere")
    Path("voices").mkdir()
    shutil.move("voice.wav", "voices/renamed.wav")
    other = ConditionalCache(tmp_path / "elsewhere")
    other.get_or_prepare(model, "voices/renamed.wav")
    assert other.get_cache_stats()["disk_hits"] == 1


def test_a_voice_in_the_cache_speaks_at_any_exaggeration(model: Any, cache: ConditionalCache) -> None:
    cache.get_or_prepare(model, "voice.wav")
    before = misses(cache)
    for exaggeration in (0.1, 0.5, 0.9):
        assert cache.get_or_prepare(model, "voice.wav", exaggeration).t3.emotion_adv.item() == pytest.approx(
            exaggeration
        )
    assert misses(cache) == before


def test_mistake_2_still_passing_the_audio_prompt_costs_nothing(
    model: Any, cache: ConditionalCache, upstream_says: Callable[..., torch.Tensor]
) -> None:
    with chatterbox_cached.enabled(cache=cache):
        cache.get_or_prepare(model, "voice.wav", exaggeration=0.5)
        before = misses(cache)
        said = speak(model, audio_prompt_path="voice.wav")
        assert misses(cache) == before
    assert torch.equal(said, upstream_says(model, 0.5))


def test_a_class_that_is_not_cached_is_prepared_by_upstream(voice: Path) -> None:
    class Model:
        conds: Any = None

        def prepare_conditionals(self, path: Any, exaggeration: float) -> None:
            self.conds = import_module("types").SimpleNamespace(path=path)

    cache, other = ConditionalCache(), Model()
    assert cache.get_or_prepare(other, voice).path == voice
    assert cache.get_cache_stats()["bypasses"] == {"class is not cached": 1}
