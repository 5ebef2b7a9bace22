"""Programs that prepare in their own way: their code runs, and the encoders' calls in it are served, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial, partialmethod
from pathlib import Path
from typing import Any, NamedTuple

import librosa
import numpy as np
import pytest
import torch

import chatterbox_cached
from chatterbox_cached import CachedTTS, CacheWarning, ConditionalCache
from chatterbox_cached.demo import rehearsal
from chatterbox_cached.identity import key
from chatterbox_cached.identity.code.history import History
from chatterbox_cached.identity.code.running import RunningCode
from tests.support.beside import at_each_call
from tests.support.comparison import assert_same_conditionals

Patch = pytest.MonkeyPatch
_16K, _24K = 16000, 24000


class Made(NamedTuple):
    """What the three encoders gave."""

    reference: dict[str, Any]
    tokens: tuple[Any, ...]
    speaker: Any


def own_way(parts: Any, clip: Path) -> Made:
    """A preparation of a program's own, by no method of Chatterbox's."""
    sound, _ = librosa.load(clip, sr=_24K)
    at_16k = librosa.resample(sound, orig_sr=_24K, target_sr=_16K)
    return Made(
        parts.s3gen.embed_ref(sound[: 10 * _24K], _24K, device="cpu"),
        parts.s3gen.tokenizer.forward([at_16k[: 6 * _16K]], max_len=150),
        parts.ve.embeds_from_wavs([at_16k], sample_rate=_16K),
    )


def assert_same(one: Any, other: Any) -> None:
    """The same in kind, values, types, shapes and layout."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        assert_same(tuple(one.values()), tuple(other.values()))
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_same(*pair)
    elif isinstance(one, np.ndarray):
        assert (one.dtype, one.shape, one.strides) == (other.dtype, other.shape, other.strides)
        assert one.tobytes() == other.tobytes()
    elif isinstance(one, torch.Tensor):
        assert (one.dtype, one.shape, one.stride(), one.device) == (
            other.dtype, other.shape, other.stride(), other.device,
        )  # fmt: skip
        assert torch.equal(one, other)
    else:
        assert one == other


def counts(cache: ConditionalCache | None = None) -> tuple[int, int, int, int]:
    """Hits in memory and on disk, misses, bypasses."""
    now = chatterbox_cached.stats() if cache is None else cache.get_cache_stats()
    return now["memory_hits"], now["disk_hits"], now["misses"], sum(now["bypasses"].values())


@pytest.fixture
def upstreams(parts: rehearsal.Parts, voice: Path) -> Made:
    """What upstream gives for the voice."""
    assert not chatterbox_cached.is_enabled()
    return own_way(parts, voice)


@pytest.fixture
def cache(tmp_path: Path, upstreams: Made) -> ConditionalCache:
    return chatterbox_cached.enable(tmp_path / "voices")


@pytest.fixture
def restored(english: Any) -> Iterator[Any]:
    """The English model, its encoders as they were."""
    yield english
    english.ve.eval()
    english.s3gen.eval()


def test_a_programs_own_preparation_is_served_from_memory_and_from_disk(
    parts: rehearsal.Parts, voice: Path, upstreams: Made, tmp_path: Path
) -> None:
    with chatterbox_cached.enabled(tmp_path / "voices") as cache:
        for _ in range(3):
            assert_same(own_way(parts, voice), upstreams)
        assert counts(cache) == (6, 0, 3, 0)
        assert cache.get_cache_stats()["seams"] == {"encoders": 6}
    another = ConditionalCache(tmp_path / "voices")  # as in another process
    chatterbox_cached.enable(cache=another)
    assert_same(own_way(parts, voice), upstreams)
    assert counts(another) == (0, 3, 0, 0)


def test_encoders_that_a_program_calls_itself_are_named_once_although_whole_voices_are_kept_too(
    english: Any, voice: Path, cache: ConditionalCache
) -> None:
    english.prepare_conditionals(voice)
    assert cache.get_cache_stats()["encoder_classes"] == {}
    for _ in range(2):
        own_way(english, voice)
    named = cache.get_cache_stats()["encoder_classes"]
    assert {name.rpartition(".")[2]: times for name, times in named.items()} == {
        "S3Token2Mel": 1, "S3Tokenizer": 1, "VoiceEncoder": 1,
    }  # fmt: skip


def test_what_a_caller_does_to_its_copy_is_no_one_elses(
    parts: rehearsal.Parts, voice: Path, upstreams: Made, cache: ConditionalCache
) -> None:
    for _ in range(3):
        made = own_way(parts, voice)
        for tensor in (*made.reference.values(), *made.tokens):
            if tensor is not None:
                tensor.zero_()
        made.speaker[:] = 0
        made.reference.clear()
    assert_same(own_way(parts, voice), upstreams)


def test_what_is_kept_within_inference_mode_can_be_written_to_outside_it(
    parts: rehearsal.Parts, voice: Path, upstreams: Made, cache: ConditionalCache
) -> None:
    with torch.inference_mode():
        own_way(parts, voice)
        hit = own_way(parts, voice)
    hit.tokens[1][0] = 3
    hit.reference["embedding"].add_(1).requires_grad_()
    assert_same(own_way(parts, voice), upstreams)
    assert counts(cache) == (6, 0, 3, 0)


def test_no_graph_is_kept_alive(parts: rehearsal.Parts, voice: Path, upstreams: Made, cache: ConditionalCache) -> None:
    assert upstreams.reference["embedding"].grad_fn is not None
    assert own_way(parts, voice).reference["embedding"].grad_fn is None


def _speakers(parts: rehearsal.Parts, clips: list[Any], **arguments: Any) -> Any:
    return parts.ve.embeds_from_wavs(clips, sample_rate=_16K, **arguments)


def test_each_combination_of_clips_and_arguments_is_its_own(parts: rehearsal.Parts, cache: ConditionalCache) -> None:
    rng = np.random.default_rng(0)
    one, two = (rng.normal(0, 0.1, _16K + 160 * n).astype(np.float32) for n in (0, 7))
    calls: list[Callable[[], Any]] = [
        lambda: _speakers(parts, [one]),
        lambda: _speakers(parts, [two]),
        lambda: _speakers(parts, [one, two]),
        lambda: _speakers(parts, [two, one]),
        lambda: _speakers(parts, [one], as_spk=True),
        lambda: _speakers(parts, [one], trim_top_db=None),
        lambda: _speakers(parts, [one], overlap=0.25),
        lambda: parts.s3gen.tokenizer([one], max_len=10),
        lambda: parts.s3gen.tokenizer([one], max_len=20),
        lambda: parts.s3gen.tokenizer([torch.from_numpy(one), two], max_len=20),
        lambda: parts.s3gen.embed_ref(one, _16K),
        lambda: parts.s3gen.embed_ref(torch.from_numpy(one), _16K, "cpu"),
        lambda: parts.s3gen.embed_ref(one, _24K),
    ]
    with chatterbox_cached.disabled():
        expected = [call() for call in calls]
    for turn, hits in ((1, 0), (2, len(calls))):
        for call, result in zip(calls, expected, strict=True):
            assert_same(call(), result)
        assert counts(cache) == (hits, 0, len(calls), 0), turn


def test_the_whole_of_a_clip_that_is_to_be_converted_is_tokenized_by_upstream(
    parts: rehearsal.Parts, cache: ConditionalCache
) -> None:
    clip = torch.zeros(1, _16K)
    for _ in range(2):
        parts.s3gen.tokenizer(clip)
    assert counts(cache) == (0, 0, 0, 0)


def test_other_weights_another_precision_and_other_code_are_other_entries(
    parts: rehearsal.Parts, voice: Path, cache: ConditionalCache, monkeypatch: Patch
) -> None:
    clip = np.linspace(-0.5, 0.5, _16K, dtype=np.float32)

    def is_upstreams() -> bool:
        got = _speakers(parts, [clip])
        with chatterbox_cached.disabled():
            return bool(np.array_equal(got, _speakers(parts, [clip])))

    assert is_upstreams()
    weight = parts.ve.proj.weight
    before = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.mul_(0.5).add_(0.01)
        assert is_upstreams()
    finally:
        with torch.no_grad():
            weight.copy_(before)
    torch.set_float32_matmul_precision("medium")
    try:
        assert is_upstreams()
    finally:
        torch.set_float32_matmul_precision("highest")
    mels = sys.modules[type(parts.ve).__module__]
    monkeypatch.setattr(mels.VoiceEncConfig, "mel_power", 1.0)
    assert is_upstreams()
    assert counts(cache) == (0, 0, 4, 0)


def test_the_library_that_computes_is_part_of_the_key(parts: rehearsal.Parts, cache: ConditionalCache) -> None:
    clip = np.linspace(-0.5, 0.5, _16K, dtype=np.float32)
    for enabled in (True, False, True):
        with torch.backends.mkldnn.flags(enabled=enabled):
            got = _speakers(parts, [clip])
            with chatterbox_cached.disabled():
                assert_same(got, _speakers(parts, [clip]))
    assert counts(cache) == (1, 0, 2, 0)


def test_weights_that_are_written_to_between_two_calls_are_seen_by_the_second(
    parts: rehearsal.Parts, cache: ConditionalCache
) -> None:
    clip = np.linspace(-0.5, 0.5, _16K, dtype=np.float32)
    weight = parts.ve.lstm.weight_hh_l0
    before, made = weight.detach().clone(), list[Any]()
    with torch.no_grad():
        for changed in (before, before * 0.5):
            weight.copy_(changed)
            made.append(_speakers(parts, [clip]))
        for changed in (before, before * 0.5, before):
            made.append(_speakers(parts, [clip]))
            weight.copy_(changed)
    assert [np.array_equal(each, made[0]) for each in made] == [True, False, False, True, False]
    assert counts(cache) == (3, 0, 2, 0)


def test_an_argument_that_upstream_does_not_know_is_its_error_on_a_hit_too(
    parts: rehearsal.Parts, cache: ConditionalCache
) -> None:
    clip = np.linspace(-0.5, 0.5, _16K, dtype=np.float32)
    for _ in range(2):
        _speakers(parts, [clip])
        with pytest.raises(TypeError, match="device"):
            _speakers(parts, [clip], device="cpu")


def test_an_encoder_can_be_traced_and_then_hears_any_clip(parts: rehearsal.Parts, cache: ConditionalCache) -> None:
    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokenizer = parts.s3gen.tokenizer

        def forward(self, clips: torch.Tensor) -> Any:
            return self.tokenizer(clips, max_len=20)

    one, other = (torch.sin(pitch * torch.linspace(0, 1, _16K))[None] for pitch in (600, 2500))
    expected = [Tokens()(clip) for clip in (one, other)]
    traced = torch.jit.trace(Tokens(), (one,), check_trace=False)
    assert not torch.equal(expected[0][0], expected[1][0])
    for clip, tokens in zip((one, other), expected, strict=True):
        assert_same(traced(clip), tokens)


_said, HEARD = set[str](), list[Any]()


def _say(what: str) -> None:
    if what in _said:
        return
    _said.add(what)
    print(what)


def says_it_once(inner: Any) -> Any:
    def embeds_from_wavs(self: Any, wavs: Any, sample_rate: int, **more: Any) -> Any:
        _say("another way to load audio")
        return inner(self, wavs, sample_rate, **more)

    return embeds_from_wavs


def tells_others(inner: Any) -> Any:
    def embeds_from_wavs(self: Any, wavs: Any, sample_rate: int, **more: Any) -> Any:
        HEARD.append(len(wavs))
        return inner(self, wavs, sample_rate, **more)

    return embeds_from_wavs


def as_loud_as_the_environment_says(inner: Any) -> Any:
    def embeds_from_wavs(self: Any, wavs: Any, sample_rate: int, **more: Any) -> Any:
        return float(os.environ.get("LOUDNESS", "1")) * inner(self, wavs, sample_rate, **more)

    return embeds_from_wavs


def as_loud_as_getenv_says(inner: Any) -> Any:
    def embeds_from_wavs(self: Any, wavs: Any, sample_rate: int, **more: Any) -> Any:
        return float(os.getenv("LOUDNESS", "1")) * inner(self, wavs, sample_rate, **more)

    return embeds_from_wavs


def test_what_an_encoder_notes_for_itself_alone_is_no_effect(
    parts: rehearsal.Parts, tmp_path: Path, monkeypatch: Patch
) -> None:
    clip = np.linspace(-0.5, 0.5, _16K, dtype=np.float32)
    kind = type(parts.ve)
    inner = kind.embeds_from_wavs
    for changed, expected in ((says_it_once, (2, 0, 1, 0)), (tells_others, (0, 0, 0, 3))):
        monkeypatch.setattr(kind, "embeds_from_wavs", changed(inner))
        with chatterbox_cached.enabled(cache=ConditionalCache(tmp_path / changed.__name__)) as cache:
            for _ in range(3):
                _speakers(parts, [clip])
            assert counts(cache) == expected
    assert HEARD == [1, 1, 1]


@pytest.mark.parametrize("changed", [as_loud_as_the_environment_says, as_loud_as_getenv_says])
def test_what_an_encoder_reads_of_the_environment_is_part_of_the_key(
    changed: Any, parts: rehearsal.Parts, tmp_path: Path, monkeypatch: Patch
) -> None:
    clip = np.linspace(-0.5, 0.5, _16K, dtype=np.float32)
    plain = _speakers(parts, [clip])
    monkeypatch.setattr(type(parts.ve), "embeds_from_wavs", changed(type(parts.ve).embeds_from_wavs))
    for loudness, hits in (("1", 0), ("2", 0), ("1", 1), ("2", 1)):
        monkeypatch.setenv("LOUDNESS", loudness)
        cache = ConditionalCache(tmp_path / "voices")  # as in another process
        monkeypatch.setattr(key, "_history", History())
        with chatterbox_cached.enabled(cache=cache):
            assert np.array_equal(_speakers(parts, [clip]), float(loudness) * plain)
        assert counts(cache) == (0, hits, 1 - hits, 0)


@pytest.mark.parametrize("what", ["a hook", "training mode", "an object", "an array of objects", "a gradient"])
def test_what_can_not_be_served_goes_to_upstream_and_is_counted(
    what: str, restored: Any, cache: ConditionalCache, monkeypatch: Patch
) -> None:
    clip: Any = np.linspace(-0.5, 0.5, _16K, dtype=np.float32)
    tokenizer, handle = restored.s3gen.tokenizer, None
    arguments: dict[str, Any] = {"max_len": 10}
    if what == "a hook":
        handle = next(iter(tokenizer.children())).register_forward_hook(lambda *_: None)
    elif what == "training mode":
        tokenizer.train()
    elif what == "an object":
        arguments["accelerator"] = type("Accelerator", (), {"unwrap_model": lambda _, model: model})()
    elif what == "an array of objects":
        clip = np.asarray(clip)[:].view(type("Clip", (np.ndarray,), {}))
    else:
        clip = torch.from_numpy(clip).requires_grad_()
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for _ in range(3):
                tokenizer([clip], **arguments)
    finally:
        if handle is not None:
            handle.remove()
    assert counts(cache) == (0, 0, 0, 3)
    (said,) = [str(each.message) for each in warned if each.category is CacheWarning]
    assert what != "training mode" or said.startswith("S3Tokenizer is in training mode")


@pytest.mark.parametrize("learns", ["the waveform", "the encoder"])
def test_what_is_to_learn_by_an_encoder_has_the_graph_that_upstream_gives(
    learns: str, restored: Any, cache: ConditionalCache
) -> None:
    clips = torch.linspace(-0.5, 0.5, 2 * _16K).reshape(2, _16K).requires_grad_(learns == "the waveform")
    encoder = restored.s3gen.speaker_encoder
    encoder.training = learns == "the encoder"  # alone: its batch norms would change, and are others' too
    learnt = clips if learns == "the waveform" else next(encoder.parameters())
    restored.s3gen.embed_ref(clips, _16K)["embedding"].sum().backward()
    assert learnt.grad is not None
    encoder.zero_grad()
    assert counts(cache) == (0, 0, 0, 1)


class Bound:
    """A method in a way of its own, which says nothing of its arguments."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __get__(self, model: Any, _: Any = None) -> Any:
        return self if model is None else partial(self._inner, model)


@pytest.mark.parametrize("made", [Bound, partialmethod, lambda inner: property(lambda model: partial(inner, model))])
def test_a_method_that_does_not_say_its_arguments_is_called_as_upstream_would(
    made: Callable[[Any], Any], english: Any, voice: Path, cache: ConditionalCache, monkeypatch: Patch
) -> None:
    clip = np.linspace(-0.5, 0.5, _16K, dtype=np.float32)
    chatterbox_cached.disable()
    expected = _speakers(english, [clip])
    for kind, method in ((type(english.ve), "embeds_from_wavs"), (type(english), "prepare_conditionals")):
        monkeypatch.setattr(kind, method, made(vars(kind)[method]))
    with chatterbox_cached.enabled(cache=cache):
        assert_same(_speakers(english, [clip]), expected)
        english.prepare_conditionals(voice)
    assert english.conds is not None
    assert counts(cache)[2:] == (0, 2)


def test_a_voice_that_only_this_process_keeps_is_counted_once(
    english: Any, multilingual: Any, voice: Path, other_voice: Path, cache: ConditionalCache, monkeypatch: Patch
) -> None:
    tokenizer = english.s3gen.tokenizer
    inner, prepare = tokenizer.quantize, type(multilingual).prepare_conditionals
    monkeypatch.setitem(vars(tokenizer), "quantize", partial(inner))  # of this instance: for this process only

    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> Any:
        prepare(self, wav_fpath, exaggeration)
        self.last_voice = wav_fpath

    monkeypatch.setattr(type(multilingual), "prepare_conditionals", prepare_conditionals)
    english.prepare_conditionals(voice)
    multilingual.prepare_conditionals(other_voice)
    tokenizer([np.linspace(-0.5, 0.5, _16K, dtype=np.float32)], max_len=10)
    assert counts(cache) == (0, 0, 3, 0)
    assert cache.get_cache_stats()["not_stored"] == {"kept in this process only": 3}


def test_what_one_class_has_prepared_serves_another(
    english: Any, multilingual: Any, voice: Path, tmp_path: Path
) -> None:
    """Weights and code of the encoders are the same; the classes differ in what else they do."""
    multilingual.prepare_conditionals(voice, exaggeration=0.7)
    upstreams = multilingual.conds
    with chatterbox_cached.enabled(tmp_path / "voices"):
        english.prepare_conditionals(voice)
    for seam in ("encoders", "voices"):
        again = ConditionalCache(tmp_path / "voices")  # as in another process
        encoded: list[int] = []
        with (
            chatterbox_cached.enabled(cache=again),
            at_each_call(type(multilingual.s3gen.speaker_encoder).inference, partial(encoded.append, 1)),
        ):
            multilingual.prepare_conditionals(voice, exaggeration=0.7)
        assert encoded == []
        assert_same_conditionals(multilingual.conds, upstreams)
        assert (counts(again), again.get_cache_stats()["seams"]) == ((0, 1, 0, 0), {seam: 1})


@pytest.mark.parametrize("first", ["english", "vc"])
def test_the_reference_of_a_voice_serves_speech_and_conversion(
    first: str, english: Any, vc: Any, voice: Path, tmp_path: Path
) -> None:
    prepare = {"english": lambda: english.prepare_conditionals(voice), "vc": lambda: vc.set_target_voice(voice)}
    vc.set_target_voice(voice)
    english.prepare_conditionals(voice)
    upstreams = {"english": english.conds, "vc": vc.ref_dict}
    encoded: list[int] = []
    with (
        chatterbox_cached.enabled(tmp_path / "voices") as cache,
        at_each_call(type(english.s3gen.speaker_encoder).inference, lambda: encoded.append(1)),
    ):
        for name in (first, *(each for each in prepare if each != first)):
            prepare[name]()
    assert encoded == [1]
    assert_same_conditionals(english.conds, upstreams["english"])
    assert_same(vc.ref_dict, {name: t if t is None else t.detach() for name, t in upstreams["vc"].items()})
    # For conversion the reference is all that there is; speech needs two parts more.
    expected = ((1, 0, 1, 0), {"encoders": 1}) if first == "english" else ((0, 0, 2, 0), {})
    assert (counts(cache), cache.get_cache_stats()["seams"]) == expected


def test_what_is_asked_to_be_prepared_anew_is_made_by_the_encoders(
    english: Any, voice: Path, cache: ConditionalCache
) -> None:
    cache.get_or_prepare(english, voice)
    encoded: list[int] = []
    with at_each_call(type(english.s3gen.speaker_encoder).inference, lambda: encoded.append(1)):
        cache.get_or_prepare(english, voice, force_refresh=True)
    assert encoded == [1]
    assert counts(cache) == (0, 0, 2, 0)


def test_what_was_read_of_the_code_is_believed_after_the_cache_was_off(
    english: Any, voice: Path, tmp_path: Path
) -> None:
    """Our wrappers come and go, around the encoders too, and a program may do that for each request."""
    explored: list[int] = []
    cache = ConditionalCache(tmp_path / "voices")
    with at_each_call(RunningCode.__init__, lambda: explored.append(1)):
        for number in range(3):
            with chatterbox_cached.enabled(cache=cache):
                english.prepare_conditionals(voice)
            if number == 0:
                explored.clear()
    assert explored == []
    assert counts(cache) == (2, 0, 1, 0)


def test_a_drop_in_before_enable_leaves_what_is_kept_for_other_processes(
    english: Any, voice: Path, other_voice: Path, tmp_path: Path
) -> None:
    cache = ConditionalCache(tmp_path / "voices")
    CachedTTS(english, cache).prepare_conditionals(voice)
    with chatterbox_cached.enabled(cache=cache):
        english.prepare_conditionals(other_voice)
    stats = cache.get_cache_stats()
    assert (stats["disk_cached_items"], stats["not_stored"]) == (2, {})


def test_a_comparison_with_upstream_has_the_encoders_run(english: Any, voice: Path, cache: ConditionalCache) -> None:
    cache.get_or_prepare(english, voice)
    encoded: list[int] = []
    with at_each_call(type(english.s3gen.speaker_encoder).inference, lambda: encoded.append(1)):
        assert cache.verify(english, [voice])
    assert encoded == [1]


def test_many_at_once_make_the_encoder_work_once(parts: rehearsal.Parts, cache: ConditionalCache) -> None:
    clip = np.linspace(-0.5, 0.5, _16K, dtype=np.float32)
    encoded: list[int] = []
    with (
        at_each_call(type(parts.s3gen.speaker_encoder).inference, lambda: encoded.append(1)),
        ThreadPoolExecutor(8) as pool,
    ):
        made = list(pool.map(lambda _: parts.s3gen.embed_ref(clip, _16K), range(8)))
    assert encoded == [1]
    for each in made[1:]:
        assert_same(each, made[0])
    assert counts(cache) == (7, 0, 1, 0)


def test_a_kept_result_that_is_not_upstreams_is_found_and_replaced(parts: rehearsal.Parts, tmp_path: Path) -> None:
    clip = np.linspace(-0.5, 0.5, _16K, dtype=np.float32)
    cache = chatterbox_cached.enable(tmp_path / "voices", verify=1.0)
    expected = _speakers(parts, [clip])
    (key,) = cache.serving.store.memory.keys()
    kept = cache.serving.store.memory.get(key)
    assert kept is not None
    kept.tensors()["speaker.embeds"].add_(1)
    with pytest.warns(CacheWarning, match=r"is not what upstream makes of it now: speaker\.embeds differ"):
        _speakers(parts, [clip])
    assert_same(_speakers(parts, [clip]), expected)
    assert cache.get_cache_stats()["errors"] == {"verify": 1}


def listed(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "chatterbox_cached", *arguments, "--cache-dir", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_what_was_kept_of_one_recording_in_both_ways_is_one_voice(
    english: Any, multilingual: Any, voice: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    inner = type(multilingual).prepare_conditionals

    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> Any:
        inner(self, wav_fpath, exaggeration)
        self.last_voice = wav_fpath

    monkeypatch.setattr(type(multilingual), "prepare_conditionals", prepare_conditionals)
    cache = chatterbox_cached.enable(tmp_path / "voices")
    for model in (multilingual, english):
        model.prepare_conditionals(voice)
    cache.close()
    shown = listed(tmp_path / "voices", "ls")
    assert "voice.wav" in shown
    assert "encoders" in shown
    assert "1 voice in 4 entries" in shown
    listed(tmp_path / "voices", "export", "--all", "-o", str(tmp_path / "voices.cbv"))
    listed(tmp_path / "elsewhere", "import", str(tmp_path / "voices.cbv"))
    assert "1 voice in 4 entries" in listed(tmp_path / "elsewhere", "ls")
    assert cache.forget(voice) == 4
    assert cache.get_cache_stats()["disk_cached_items"] == 0
    chatterbox_cached.enable(cache=ConditionalCache(tmp_path / "elsewhere"))
    multilingual.prepare_conditionals(voice)
    assert counts() == (0, 1, 0, 0)  # one call, though three results were found


def test_what_is_of_no_known_recording_is_listed_as_a_waveform(
    parts: rehearsal.Parts, voice: Path, cache: ConditionalCache, tmp_path: Path
) -> None:
    own_way(parts, voice)
    cache.close()
    shown = listed(tmp_path / "voices", "ls")
    # In 16 kHz, for the voice encoder and for the tokens, and in 24 kHz.
    assert shown.count("waveform ") == 2
    assert "2 voices in 3 entries" in shown
