"""Voices asked for by name, wherever a path does, on the real package."""

from __future__ import annotations

import copy
import io
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import librosa
import pytest
import torch

import chatterbox_cached
from chatterbox_cached import (
    CachedTTS,
    ChatterboxCachedError,
    ConditionalCache,
    UnknownVoiceError,
    VoiceLibraryError,
    VoiceNameError,
    voices,
)
from chatterbox_cached.demo.rehearsal import reference_clip
from tests.support.comparison import assert_same_conditionals
from tests.support.speech import convert, speak


@pytest.fixture
def clip(voice: Path, tmp_path: Path) -> Path:
    """A recording that a test may move away."""
    return Path(shutil.copy(voice, tmp_path / "narrator.wav"))


def _expected(model: Any, clip: Path) -> Any:
    with torch.no_grad(), chatterbox_cached.disabled():
        model.prepare_conditionals(clip)
    return copy.deepcopy(model.conds)


def test_a_name_speaks_as_its_recording_does(english: Any, clip: Path, other_voice: Path) -> None:
    expected = speak(english, audio_prompt_path=clip)
    with chatterbox_cached.enabled() as cache:
        voices.add("Narrator", clip, aliases=["Erzählerin"])
        voices.add("other", other_voice)
        for name in ("voice:Narrator", "voice:NARRATOR", Path("voice:erzählerin"), os.path.abspath("voice:narrator")):
            speak(english, audio_prompt_path="voice:other")
            assert torch.equal(speak(english, audio_prompt_path=name), expected)
        assert cache.get_cache_stats()["misses"] == 2


def test_a_default_voice_is_spoken_with_by_that_name(english: Any, clip: Path) -> None:
    with chatterbox_cached.enabled():
        with pytest.raises(UnknownVoiceError, match="voices default"):
            english.prepare_conditionals("voice:default")
        voices.add("Narrator", clip)
        voices.choose("narrator")
        assert voices.default == "Narrator"
        english.prepare_conditionals("voice:default")
        assert_same_conditionals(english.conds, _expected(english, clip))


def test_what_is_prepared_stays_when_the_cache_and_the_recording_are_gone(english: Any, clip: Path) -> None:
    expected = _expected(english, clip)
    with chatterbox_cached.enabled() as cache:
        voices.add("Narrator", clip)
        english.prepare_conditionals(clip)  # by its path: it is the same voice
        clip.unlink()
        cache.clear_all()
        english.conds = None
        english.prepare_conditionals("voice:narrator")
        assert_same_conditionals(english.conds, expected)
        now = cache.get_cache_stats()
        assert (now["misses"], now["disk_hits"], now["bypasses"], now["errors"]) == (1, 1, {}, {})


def test_what_was_prepared_before_it_had_a_name_stays_too(english: Any, clip: Path) -> None:
    with chatterbox_cached.enabled() as cache:
        english.prepare_conditionals(clip)
        voices.add("Narrator", clip)
        assert len(voices.models("narrator")) == 1
        cache.clear_all()
        clip.unlink()
        english.prepare_conditionals("voice:narrator")
        assert cache.get_cache_stats()["misses"] == 1


def test_what_only_memory_has_stays_once_it_was_asked_for_by_name(english: Any, clip: Path, tmp_path: Path) -> None:
    cache = ConditionalCache(None)
    cache.get_or_prepare(english, clip)
    with chatterbox_cached.enabled(tmp_path / "elsewhere"):
        voices.add("Narrator", clip)
        assert voices.models("narrator") == ()
        cache.get_or_prepare(english, "voice:narrator")
        assert len(voices.models("narrator")) == 1
    assert cache.get_cache_stats()["memory_hits"] == 1


def test_without_its_recording_an_unknown_model_is_told_which_models_it_is_good_for(
    english: Any, multilingual: Any, clip: Path
) -> None:
    with chatterbox_cached.enabled() as cache:
        voices.add("Narrator", clip, model=english)
        clip.unlink()
        before = multilingual.conds
        with pytest.raises(UnknownVoiceError, match=r"good for: english \(chatterbox-tts .*--keep-audio") as told:
            multilingual.prepare_conditionals("voice:narrator")
        assert isinstance(told.value, FileNotFoundError)
        assert len(str(told.value).splitlines()) == 1
        assert multilingual.conds is before
        english.prepare_conditionals("voice:narrator")
        assert cache.get_cache_stats()["errors"] == {}


def test_with_its_recording_any_model_prepares_it_by_itself(
    english: Any, multilingual: Any, vc: Any, clip: Path
) -> None:
    expected, of_vc = _expected(multilingual, clip), convert(vc, clip, target_voice_path=clip)
    with chatterbox_cached.enabled():
        voices.add("Narrator", clip, model=english, keep_audio=True)
        source = Path(shutil.copy(clip, clip.with_name("source.wav")))
        clip.unlink()
        multilingual.prepare_conditionals("voice:narrator")
        assert_same_conditionals(multilingual.conds, expected)
        assert torch.equal(convert(vc, source, target_voice_path="voice:narrator"), of_vc)
        assert [model.partition(" ")[0] for model in voices.models("narrator")] == ["english", "multilingual", "vc"]


def test_turbo_speaks_by_name(turbo: Any, tmp_path: Path) -> None:
    clip = reference_clip(tmp_path / "long.wav", 6, seed=3)
    expected = speak(turbo, audio_prompt_path=clip)
    with chatterbox_cached.enabled() as cache:
        voices.add("Narrator", clip)
        for _ in range(2):
            assert torch.equal(speak(turbo, audio_prompt_path="voice:narrator"), expected)
        assert cache.get_cache_stats()["memory_hits"] == 1


def test_a_recording_that_was_changed_is_not_taken_for_the_voice(english: Any, clip: Path, other_voice: Path) -> None:
    with chatterbox_cached.enabled():
        voices.add("Narrator", clip)
        shutil.copy(other_voice, clip)
        with pytest.raises(UnknownVoiceError, match="Nothing was ever prepared"):
            english.prepare_conditionals("voice:narrator")


def test_a_small_file_stands_for_a_voice_where_a_path_must_be_there(english: Any, clip: Path, tmp_path: Path) -> None:
    expected = _expected(english, clip)
    with chatterbox_cached.enabled():
        voices.add("Narrator", clip)
        file = voices.write_file("narrator", tmp_path / "n.voice")
        assert file.stat().st_size < 200
        for path in (file, str(file), os.path.relpath(file)):
            english.conds = None
            english.prepare_conditionals(path)
            assert_same_conditionals(english.conds, expected)
        file.write_text("nothing of ours")
        with pytest.raises(UnknownVoiceError, match="no file that names a voice"):
            english.prepare_conditionals(file)
        with pytest.raises(VoiceNameError, match=r"\.voice"):
            voices.write_file("narrator", tmp_path / "n.wav")


def test_a_recording_whose_name_ends_so_is_a_recording(english: Any, clip: Path, tmp_path: Path) -> None:
    expected, odd = _expected(english, clip), Path(shutil.copy(clip, tmp_path / "narrator.voice"))
    with chatterbox_cached.enabled():
        english.prepare_conditionals(odd)
        assert_same_conditionals(english.conds, expected)


def test_a_file_that_stands_for_a_voice_is_no_recording_of_another(clip: Path, tmp_path: Path) -> None:
    voices.add("Narrator", clip)
    file = voices.write_file("narrator", tmp_path / "n.voice")
    with chatterbox_cached.enabled(), pytest.raises(ChatterboxCachedError, match="no recording"):
        voices.add("other", file)


def _own_preparation(model: Any, path: Any) -> Any:
    """As programs do that prepare in their own way."""
    samples, rate = librosa.load(path, sr=24000)
    with torch.inference_mode():
        return model.s3gen.embed_ref(samples, rate, device="cpu")


@pytest.mark.filterwarnings("ignore:PySoundFile failed")
def test_a_program_that_loads_recordings_itself_can_be_given_a_name(english: Any, clip: Path, tmp_path: Path) -> None:
    expected = _own_preparation(english, clip)["embedding"]
    with chatterbox_cached.enabled() as cache:
        voices.add("Narrator", clip, keep_audio=True)
        clip.unlink()
        for path in ("voice:narrator", voices.write_file("narrator", tmp_path / "n.voice")):
            assert torch.equal(_own_preparation(english, path)["embedding"], expected)
        now = cache.get_cache_stats()
        assert (now["misses"], now["memory_hits"]) == (1, 1)
        with pytest.raises(UnknownVoiceError, match="Did you mean"):
            _own_preparation(english, "voice:narator")
        voices.describe("narrator", description="no audio from now on")
        kept = voices["narrator"].audio
        assert kept is not None
        kept.unlink()
        with pytest.raises(UnknownVoiceError, match="in its own code"):
            _own_preparation(english, "voice:narrator")
    with pytest.raises(FileNotFoundError):
        _own_preparation(english, "voice:narrator")
    assert type(vars(sys.modules["librosa.core.audio"])["load"]).__name__ == "function"


def test_a_copy_that_prepares_otherwise_can_be_given_a_name(english: Any, clip: Path) -> None:
    class Louder(type(english)):  # type: ignore[misc]
        """Its preparation does more than prepare, so only its encoders are served."""

        def prepare_conditionals(self, wav_fpath: Any, exaggeration: float = 0.5) -> None:
            super().prepare_conditionals(wav_fpath, exaggeration=exaggeration)
            self.prepared = [*getattr(self, "prepared", []), str(wav_fpath)]

    model = copy.copy(english)
    model.__class__ = Louder
    expected = _expected(english, clip)
    with chatterbox_cached.enabled() as cache:
        voices.add("Narrator", clip)
        for _ in range(2):
            model.prepare_conditionals("voice:narrator")
            assert_same_conditionals(model.conds, expected)
        assert cache.get_cache_stats()["misses"] == 1


def test_a_library_that_can_t_be_read_is_said_to_those_alone_who_ask_for_a_name(english: Any, clip: Path) -> None:
    voices.add("Narrator", clip)
    (voices.folder / "voices.db").write_bytes(b"no database" * 1000)
    with chatterbox_cached.enabled() as cache:
        english.prepare_conditionals(clip)
        cache.clear_memory()
        english.prepare_conditionals(clip)
        assert cache.get_cache_stats()["errors"] == {}
        with pytest.raises(VoiceLibraryError, match="CHATTERBOX_CACHED_VOICES_DIR"):
            english.prepare_conditionals("voice:narrator")


def test_an_unknown_name_is_said_with_the_nearest(english: Any, clip: Path) -> None:
    with chatterbox_cached.enabled() as cache:
        voices.add("Narrator", clip)
        for use in (english.prepare_conditionals, cache.forget, lambda name: cache.get_or_prepare(english, name)):
            with pytest.raises(UnknownVoiceError, match="Did you mean 'Narrator'"):
                use("voice:naratr")
        assert cache.get_cache_stats()["bypasses"] == {}


def test_a_drop_in_and_the_cache_by_hand_take_names(english: Any, clip: Path, tmp_path: Path) -> None:
    expected = _expected(english, clip)
    cache = ConditionalCache(tmp_path / "cache")
    voices.add("Narrator", clip)
    assert_same_conditionals(cache.get_or_prepare(english, "voice:narrator"), expected)
    assert cache.save("voice:narrator", 0.5, tmp_path / "voice.pt").exists()
    assert cache.verify(english, ["voice:narrator", clip]).same == ("voice:narrator", str(clip))
    drop_in = CachedTTS(english, cache)
    drop_in.prepare_conditionals("voice:narrator")
    assert_same_conditionals(english.conds, expected)
    clip.unlink()
    assert cache.verify(english, ["voice:narrator"]).not_compared == ("voice:narrator",)


def test_conditionals_of_a_pt_file_are_a_voice(english: Any, vc: Any, clip: Path, tmp_path: Path) -> None:
    expected = _expected(english, clip)
    expected.save(tmp_path / "voice.pt")
    with chatterbox_cached.enabled() as cache:
        voices.add("From a file", tmp_path / "voice.pt")
        (tmp_path / "voice.pt").unlink()
        for _ in range(2):
            english.conds = None
            english.prepare_conditionals("voice:from a file")
            assert_same_conditionals(english.conds, expected)
            cache.clear_all()
        with pytest.raises(UnknownVoiceError, match="good for: english; multilingual; turbo"):
            convert(vc, clip, target_voice_path="voice:from a file")


def test_forgetting_a_recording_takes_its_names_away(english: Any, clip: Path, other_voice: Path) -> None:
    with chatterbox_cached.enabled() as cache:
        voices.add("Narrator", clip, model=english, keep_audio=True)
        voices.add("Second name", clip)
        voices.add("Other", other_voice)
        kept = voices["narrator"].audio
        assert kept is not None
        assert kept.exists()
        with pytest.warns(chatterbox_cached.CacheWarning, match="'Narrator' was forgotten"):
            assert cache.forget(clip) >= 1
        assert list(voices) == ["Other"]
        assert not kept.exists()
        clip.unlink()
        with pytest.raises(UnknownVoiceError):
            english.prepare_conditionals("voice:narrator")


def test_clearing_the_cache_leaves_named_voices(english: Any, clip: Path) -> None:
    with chatterbox_cached.enabled() as cache:
        voices.add("Narrator", clip, model=english)
        cache.clear_disk()
        assert len(voices.models("narrator")) == 1


def test_removing_a_name_leaves_the_cache_and_the_recording(english: Any, clip: Path) -> None:
    with chatterbox_cached.enabled() as cache:
        voices.add("Narrator", clip, model=english, keep_audio=True)
        kept = voices.remove("narrator").audio
        assert len(voices) == 0
        assert kept is not None
        assert not kept.exists()
        english.prepare_conditionals(clip)
        assert cache.get_cache_stats()["misses"] == 1


def test_a_voice_that_two_names_share_stays_until_both_are_gone(english: Any, clip: Path) -> None:
    with chatterbox_cached.enabled() as cache:
        voices.add("one", clip, model=english, keep_audio=True)
        voices.add("two", clip, keep_audio=True)
        voices.remove("one")
        clip.unlink()
        cache.clear_all()
        english.prepare_conditionals("voice:two")
        assert cache.get_cache_stats()["misses"] == 1


def test_replacing_a_voice_speaks_with_the_new_recording(english: Any, clip: Path, other_voice: Path) -> None:
    with chatterbox_cached.enabled():
        voices.add("Narrator", clip, model=english, keep_audio=True)
        old = voices["narrator"].audio
        with pytest.raises(VoiceNameError, match="replace"):
            voices.add("narrator", other_voice)
        voices.add("narrator", other_voice, keep_audio=True, replace=True)
        assert old is not None
        assert not old.exists()
        english.prepare_conditionals("voice:narrator")
        assert_same_conditionals(english.conds, _expected(english, other_voice))


def test_nothing_stays_of_a_voice_that_was_replaced(english: Any, clip: Path, other_voice: Path) -> None:
    voices.add("Narrator", clip, model=english)
    voices.add("Narrator", other_voice, replace=True)
    assert not voices.library.entries.keys()


def test_a_recording_goes_with_the_last_name_that_it_was_kept_with(clip: Path) -> None:
    voices.add("Narrator", clip, keep_audio=True)
    voices.add("Narrator", clip, replace=True)  # now without it
    voices.add("one", clip, keep_audio=True)
    voices.add("two", clip, keep_audio=True)
    voices.remove("one")
    assert [*voices.library.places.audio.iterdir()] == [voices["two"].audio]
    voices.remove("two")
    assert not [*voices.library.places.audio.iterdir()]
    assert len(voices) == 1


def test_preparing_leaves_the_model_the_voice_that_it_had(english: Any, clip: Path, other_voice: Path) -> None:
    english.prepare_conditionals(other_voice)
    had = english.conds
    voices.add("Narrator", clip, model=english)
    assert english.conds is had


def test_audio_in_memory_can_be_named_with_its_recording(english: Any, clip: Path) -> None:
    expected = _expected(english, clip)
    voices.add("Narrator", io.BytesIO(clip.read_bytes()), keep_audio=True)
    clip.unlink()
    with chatterbox_cached.enabled():
        english.prepare_conditionals("voice:narrator")
        assert_same_conditionals(english.conds, expected)


def test_what_a_killed_copy_left_is_swept_at_the_next_one(clip: Path) -> None:
    voices.add("one", clip, keep_audio=True)
    left, running = (voices.folder / "audio" / f".{name}.wav.1.partial" for name in ("left", "running"))
    for file in (left, running):
        file.write_bytes(b"a part of a recording")
    long_ago = time.time() - 2 * 3600
    os.utime(left, (long_ago, long_ago))
    voices.add("two", clip, keep_audio=True)
    assert (left.exists(), running.exists()) == (False, True)


def test_what_can_t_be_added_is_refused_and_nothing_is_written(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio " * 1000)
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "bad.pt").write_bytes(b"no conditionals")
    no_audio = [tmp_path / name for name in ("text.wav", "empty.wav", "bad.pt", "none.wav")]
    for name, path in [("a/b", clip), *(("ok", each) for each in (*no_audio, tmp_path, 7))]:
        with pytest.raises((ChatterboxCachedError, OSError)):
            voices.add(name, path, keep_audio=True)
    with pytest.raises(VoiceNameError):
        voices.add("ok", clip, aliases=["also/bad"], keep_audio=True)
    assert not voices.folder.exists()


def test_a_name_is_no_name_in_a_folder_of_that_name(english: Any, clip: Path, tmp_path: Path) -> None:
    odd = Path(shutil.copy(clip, tmp_path / "voice:narrator"))
    with chatterbox_cached.enabled() as cache:
        english.prepare_conditionals(str(odd))  # a real file, by its full path
        assert cache.get_cache_stats()["misses"] == 1


def test_an_entry_that_is_signed_with_another_key_stays(english: Any, clip: Path, tmp_path: Path) -> None:
    with chatterbox_cached.enabled(tmp_path / "one", signing_key="k" * 16):
        voices.add("Narrator", clip, model=english)
    clip.unlink()
    other_key = chatterbox_cached.enabled(tmp_path / "two", signing_key="l" * 16)
    with other_key, pytest.warns(chatterbox_cached.CacheWarning), pytest.raises(UnknownVoiceError):
        english.prepare_conditionals("voice:narrator")
    with chatterbox_cached.enabled(tmp_path / "three", signing_key="k" * 16) as cache:
        english.prepare_conditionals("voice:narrator")
        assert cache.get_cache_stats()["disk_hits"] == 1


def test_another_program_speaks_with_it(hub_environment: dict[str, str], clip: Path) -> None:
    voices.add("Narrator", clip, keep_audio=True)
    clip.unlink()
    program = (
        "import chatterbox_cached; chatterbox_cached.enable()\n"
        "from chatterbox.tts import ChatterboxTTS\n"
        "model = ChatterboxTTS.from_pretrained(device='cpu')\n"
        "model.prepare_conditionals('voice:NARRATOR')\n"
        "print(chatterbox_cached.stats()['misses'], chatterbox_cached.stats()['disk_hits'])\n"
    )
    for expected in ("1 0", "0 1"):
        ran = subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, **hub_environment}, capture_output=True, text=True
        )
        assert ran.stdout.strip() == expected, ran.stderr
