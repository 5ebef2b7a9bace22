"""The key says what code a preparation would run: what is put in its place is another entry, and nothing else is."""

from __future__ import annotations

import copy
import functools
import importlib
import itertools
import os
import random
import time
from collections.abc import Callable
from contextvars import ContextVar
from decimal import Decimal
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import Any

import librosa
import numpy
import pytest
import soxr
import torch

from chatterbox_cached.accounting.bypasses import advice_for
from chatterbox_cached.errors import Unidentifiable
from chatterbox_cached.identity.code import looks
from chatterbox_cached.identity.code.running import RunningCode
from chatterbox_cached.identity.key import Identity, Key
from chatterbox_cached.upstream.calls import asked_for
from chatterbox_cached.upstream.families import named
from tests.support import short_models

Patch = pytest.MonkeyPatch
TTS, S3GEN = "chatterbox.tts", "chatterbox.models.s3gen.s3gen"
VOICE_ENCODER, TOKENIZER = "chatterbox.models.voice_encoder.voice_encoder", "chatterbox.models.s3tokenizer.s3tokenizer"


@pytest.fixture(scope="module")
def clip(voice: Path) -> Path:
    os.utime(voice, (1, 1))
    return voice


@pytest.fixture(scope="module")
def own(english: Any) -> Any:
    """A model whose modules a test may change: they are its own, but for their weights."""
    return short_models.english()


def key_of(model: Any, clip: Path, identity: Identity | None = None) -> Key:
    return (identity or Identity()).key(asked_for(model, named("english"), clip, 0.5))


def of_module(name: str) -> Any:
    return importlib.import_module(name)


def doubling(function: Any) -> Any:
    """Another function in the place of one of Chatterbox's: it makes twice as much of it."""
    return lambda *args, **kwargs: 2 * function(*args, **kwargs)


def the_prepare_method(model: Any, patch: Patch) -> None:
    inner = type(model).prepare_conditionals

    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> None:
        inner(self, wav_fpath, exaggeration)
        self.conds.gen["embedding"] = 0.5 * self.conds.gen["embedding"]

    patch.setattr(type(model), "prepare_conditionals", prepare_conditionals)


def a_method_that_it_calls(model: Any, patch: Patch) -> None:
    patch.setattr(type(model.ve), "embeds_from_wavs", doubling(type(model.ve).embeds_from_wavs))


def a_method_of_a_class_above(model: Any, patch: Patch) -> None:
    above = type(model.s3gen).__mro__[1]
    patch.setattr(above, "embed_ref", doubling(above.embed_ref))


def a_method_of_a_class_below(model: Any, patch: Patch) -> None:
    patch.setattr(type(model.s3gen), "embed_ref", doubling(type(model.s3gen).embed_ref), raising=False)


def the_forward_of_an_inner_module(model: Any, patch: Patch) -> None:
    kind = type(model.s3gen.speaker_encoder.xvector.tdnn)
    patch.setattr(kind, "forward", doubling(kind.forward))


def a_helper_of_a_module(_: Any, patch: Patch) -> None:
    module = of_module(VOICE_ENCODER)
    patch.setattr(module, "melspectrogram", doubling(module.melspectrogram))


def a_number_of_a_module(_: Any, patch: Patch) -> None:
    patch.setattr(of_module(TTS), "S3_SR", 15_999)


def a_number_of_a_class(model: Any, patch: Patch) -> None:
    patch.setattr(type(model), "ENC_COND_LEN", 5 * 16_000)


def a_default(model: Any, patch: Patch) -> None:
    function = type(model.ve).embeds_from_wavs
    patch.setattr(function, "__kwdefaults__", {**(function.__kwdefaults__ or {})}, raising=False)
    patch.setattr(function, "__defaults__", tuple(0.25 for _ in function.__defaults__ or ()))


def the_code_of_a_function(model: Any, patch: Patch) -> None:
    def embeds_from_wavs(self: Any, wavs: Any, sample_rate: Any, as_spk: bool = False, batch_size: int = 32) -> Any:
        return 0

    patch.setattr(type(model.ve).embeds_from_wavs, "__code__", embeds_from_wavs.__code__)


def _with_options(model: Any, patch: Patch, options: Any, read: Callable[[Any], float]) -> None:
    inner = type(model.ve).embeds_from_wavs
    patch.setattr(type(model.ve), "embeds_from_wavs", lambda self, *a, **k: read(options) * inner(self, *a, **k))


def what_is_in_a_table(model: Any, patch: Patch) -> None:
    _with_options(model, patch, {"gain": 2}, lambda options: options.get("gain"))


def what_is_in_an_array(model: Any, patch: Patch) -> None:
    _with_options(model, patch, numpy.array([2.0, 3.0]), lambda options: options.mean())


def a_setting_of_the_encoder(model: Any, patch: Patch) -> None:
    patch.setattr(model.ve.hp, "ve_partial_frames", 100)


def a_private_setting_that_it_reads(model: Any, patch: Patch) -> None:
    kind, inner = type(model.ve), type(model.ve).embeds_from_wavs
    patch.setattr(kind, "embeds_from_wavs", lambda self, *a, **k: self._gain * inner(self, *a, **k))
    patch.setattr(model.ve, "_gain", 3, raising=False)


def what_a_closure_holds(model: Any, patch: Patch) -> None:
    gain, inner = 2.0, type(model.ve).embeds_from_wavs

    def embeds_from_wavs(self: Any, *args: Any, **kwargs: Any) -> Any:
        return gain * inner(self, *args, **kwargs)

    patch.setattr(type(model.ve), "embeds_from_wavs", embeds_from_wavs)


def a_function_of_librosa(_: Any, patch: Patch) -> None:
    patch.setattr(librosa, "load", lambda *args, **kwargs: (0.5 * load(*args, **kwargs)[0], 24_000))


def what_chatterbox_calls_librosa(_: Any, patch: Patch) -> None:
    class Other:
        load = staticmethod(lambda path, sr: (0.5 * load(path, sr=sr)[0], sr))
        resample = staticmethod(librosa.resample)

    patch.setattr(of_module(TTS), "librosa", Other)


def a_function_of_torch(_: Any, patch: Patch) -> None:
    patch.setattr(torch, "stft", doubling(torch.stft))


def a_function_deep_in_librosa(_: Any, patch: Patch) -> None:
    module = of_module("librosa.core.audio")
    patch.setattr(module, "resample", doubling(module.resample))


def _halved(function: Any, *args: Any, **kwargs: Any) -> Any:
    return 0.5 * function(*args, **kwargs)


def a_partial_deep_in_librosa(_: Any, patch: Patch) -> None:
    patch.setattr(soxr, "resample", functools.partial(_halved, soxr.resample))


class Halved:
    """In the place of a function: it makes half as much of it."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return 0.5 * self.function(*args, **kwargs)


def an_object_deep_in_librosa(_: Any, patch: Patch) -> None:
    patch.setattr(soxr, "resample", Halved(soxr.resample))


def a_partial_method_of_a_class_of_torch(_: Any, patch: Patch) -> None:
    inner = torch.nn.Conv1d._conv_forward
    halved = functools.partialmethod(lambda self, factor, *args: factor * inner(self, *args), 0.5)
    patch.setattr(torch.nn.Conv1d, "_conv_forward", halved)


def the_forward_of_a_class_of_torch(_: Any, patch: Patch) -> None:
    patch.setattr(torch.nn.Linear, "forward", doubling(torch.nn.Linear.forward))


def a_method_of_a_class_of_soundfile(_: Any, patch: Patch) -> None:
    kind = of_module("soundfile").SoundFile
    patch.setattr(kind, "read", doubling(kind.read))


def the_forward_of_a_transform(_: Any, patch: Patch) -> None:
    kind = of_module("torchaudio.transforms").Resample
    patch.setattr(kind, "forward", doubling(kind.forward))


def a_method_that_a_class_of_torch_had_from_above(_: Any, patch: Patch) -> None:
    patch.setattr(torch.nn.Linear, "__call__", doubling(torch.nn.Module.__call__), raising=False)


def a_method_of_tensors_that_they_had_from_above(_: Any, patch: Patch) -> None:
    patch.setattr(torch.Tensor, "transpose", lambda self, one, other: 2 * self.swapaxes(one, other))


load = librosa.load

ON_CLASSES = (
    the_prepare_method,
    a_method_that_it_calls,
    a_method_of_a_class_above,
    a_method_of_a_class_below,
    the_forward_of_an_inner_module,
    a_helper_of_a_module,
    a_number_of_a_module,
    a_number_of_a_class,
    a_default,
    the_code_of_a_function,
    a_setting_of_the_encoder,
    a_private_setting_that_it_reads,
    what_a_closure_holds,
    what_is_in_a_table,
    what_is_in_an_array,
    a_function_of_librosa,
    what_chatterbox_calls_librosa,
    a_function_of_torch,
    a_function_deep_in_librosa,
    a_partial_deep_in_librosa,
    an_object_deep_in_librosa,
    a_partial_method_of_a_class_of_torch,
    the_forward_of_a_class_of_torch,
    a_method_of_a_class_of_soundfile,
    the_forward_of_a_transform,
    a_method_that_a_class_of_torch_had_from_above,
    a_method_of_tensors_that_they_had_from_above,
)


def a_bound_method_on_the_instance(model: Any, patch: Patch) -> None:
    inner = model.ve.forward
    patch.setattr(model.ve, "forward", MethodType(lambda self, mels: inner(mels.float()), model.ve), raising=False)


def a_function_on_an_inner_instance(model: Any, patch: Patch) -> None:
    inner = model.s3gen.tokenizer.log_mel_spectrogram
    patch.setattr(model.s3gen.tokenizer, "log_mel_spectrogram", lambda *a, **k: inner(*a, **k), raising=False)


def a_partial_on_the_instance(model: Any, patch: Patch) -> None:
    patch.setattr(model.s3gen, "embed_ref", functools.partial(model.s3gen.embed_ref), raising=False)


def a_compiled_encoder(model: Any, patch: Patch) -> None:
    patch.setattr(model, "ve", torch.compile(model.ve, backend="eager"))


def a_method_that_holds_an_object(model: Any, patch: Patch) -> None:
    class Pool:
        def __init__(self) -> None:
            self.lock = importlib.import_module("threading").Lock()

    pool, inner = Pool(), type(model.ve).embeds_from_wavs

    def embeds_from_wavs(self: Any, *args: Any, **kwargs: Any) -> Any:
        with pool.lock:
            return inner(self, *args, **kwargs)

    patch.setattr(type(model.ve), "embeds_from_wavs", embeds_from_wavs)


def a_class_in_the_place_of_soundfiles(_: Any, patch: Patch) -> None:
    kind = of_module("soundfile").SoundFile

    class Quieter(kind):  # type: ignore[misc, valid-type]
        def read(self, *args: Any, **kwargs: Any) -> Any:
            return 0.5 * super().read(*args, **kwargs)

    patch.setattr(of_module("soundfile"), "SoundFile", Quieter)


def a_traced_part(model: Any, patch: Patch) -> None:
    parts = model.s3gen.speaker_encoder._modules
    patch.setitem(parts, "head", torch.jit.trace(parts["head"], torch.randn(1, 80, 100)))  # type: ignore[no-untyped-call]


ON_INSTANCES = (
    a_bound_method_on_the_instance,
    a_function_on_an_inner_instance,
    a_partial_on_the_instance,
    a_compiled_encoder,
    a_class_in_the_place_of_soundfiles,
    a_traced_part,
)


@pytest.mark.parametrize("change", [*ON_CLASSES, *ON_INSTANCES, a_method_that_holds_an_object])
def test_whatever_is_put_in_place_is_another_entry(
    change: Callable[[Any, Patch], None], own: Any, clip: Path, monkeypatch: Patch
) -> None:
    identity = Identity()
    before = key_of(own, clip, identity)
    with monkeypatch.context() as patch:
        change(own, patch)
        time.sleep(2 * looks.FULL_LOOK_SECONDS)
        changed = key_of(own, clip, identity)  # it has seen the other code run before
        assert changed.text != before.text
        assert key_of(own, clip, identity).text == changed.text
        assert key_of(own, clip).text == changed.text
    assert changed.audio.digest == before.audio.digest


@pytest.mark.parametrize(
    ("one", "other", "read"),
    [
        ({"gain": 2}, {"gain": 3}, lambda options: options.get("gain")),
        ([1, 2], [1, 3], lambda options: options.index(2)),
        (numpy.array([2.0]), numpy.array([3.0]), lambda options: options.mean()),
        (torch.ones(2), torch.zeros(2), lambda options: options.sum()),
        (SimpleNamespace(gain=2), SimpleNamespace(gain=3), lambda options: options.gain),
        (Decimal(2), Decimal(3), lambda options: options.real),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_in_a_value_that_it_reads_is_in_the_key(
    one: Any, other: Any, read: Callable[[Any], float], own: Any, clip: Path, monkeypatch: Patch
) -> None:
    keys = []
    for options in (one, other):
        with monkeypatch.context() as patch:
            _with_options(own, patch, options, read)
            keys.append(RunningCode(own, named("english"), type(own).prepare_conditionals).digest)
    assert keys[0] != keys[1]


@pytest.mark.parametrize("change", ON_CLASSES)
def test_the_code_itself_tells_what_is_put_in_place(
    change: Callable[[Any, Patch], None], own: Any, monkeypatch: Patch
) -> None:
    """And not only that something was replaced since it ran: another process has not seen that."""
    before = RunningCode(own, named("english"), type(own).prepare_conditionals).digest
    change(own, monkeypatch)
    assert RunningCode(own, named("english"), type(own).prepare_conditionals).digest != before


def test_what_a_wrapper_is_given_by_name_is_known_by_that_name(own: Any, clip: Path, monkeypatch: Patch) -> None:
    digests = set()
    for given in ({"offset": 1.0}, {"duration": 1.0}):
        monkeypatch.setattr(librosa, "load", functools.partial(load, **given))
        digests.add(RunningCode(own, named("english"), type(own).prepare_conditionals).digest)
    assert len(digests) == 2


@pytest.mark.parametrize("layer", [torch.nn.Linear, torch.nn.LSTM])
def test_weights_that_a_module_has_packed_are_not_taken_for_others(
    layer: type, own: Any, clip: Path, monkeypatch: Patch
) -> None:
    """PyTorch keeps quantized weights in objects of its own, which are no tensors."""
    keys = []
    for factor in (1, 2):
        encoder = copy.deepcopy(own.ve)
        with torch.no_grad():
            for weight in (encoder.proj.weight, encoder.lstm.weight_hh_l0):
                weight.mul_(factor)
        packed = torch.ao.quantization.quantize_dynamic(encoder, {layer}, dtype=torch.qint8)
        with monkeypatch.context() as patch:
            patch.setattr(own, "ve", packed.eval())
            keys.append(key_of(own, clip))
    assert keys[0].text != keys[1].text
    assert all(key.uncertain for key in keys)


def from_the_standard_library(encode: Any) -> Any:
    return lambda self, *a, **k: random.gauss(1, 0.1) * encode(self, *a, **k)


def from_numpys_generator(encode: Any) -> Any:
    generator = numpy.random.default_rng()
    return lambda self, *a, **k: generator.gamma(1) * encode(self, *a, **k)


def from_numpys_functions(encode: Any) -> Any:
    return lambda self, *a, **k: numpy.random.gamma(1) * encode(self, *a, **k)


def from_a_context_variable(encode: Any) -> Any:
    gain = ContextVar("gain", default=1.0)
    return lambda self, *a, **k: gain.get() * encode(self, *a, **k)


def from_an_iterator(encode: Any) -> Any:
    gains = itertools.count(1)
    return lambda self, *a, **k: next(gains) * encode(self, *a, **k)


@pytest.mark.parametrize(
    "factor",
    [
        from_the_standard_library,
        from_numpys_generator,
        from_numpys_functions,
        from_a_context_variable,
        from_an_iterator,
    ],
)
def test_what_is_another_voice_each_time_is_prepared_each_time(
    factor: Callable[[Any], Any], own: Any, clip: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(type(own.ve), "embeds_from_wavs", factor(type(own.ve).embeds_from_wavs))
    with pytest.raises(Unidentifiable, match="more than prepare"):
        key_of(own, clip)


@pytest.mark.parametrize(("dither", "is_noise"), [(0.5, True), (0.0, False)])
def test_noise_that_a_preparation_adds_is_anothers_each_time(
    dither: float, is_noise: bool, own: Any, clip: Path, monkeypatch: Patch
) -> None:
    kaldi = of_module("torchaudio.compliance.kaldi")
    monkeypatch.setattr(kaldi, "fbank", functools.partial(kaldi.fbank, dither=dither))
    code = RunningCode(own, named("english"), type(own).prepare_conditionals)
    assert code.effect == ("draws random numbers" if is_noise else None)


@pytest.mark.parametrize("change", ON_CLASSES)
def test_what_can_be_told_by_its_code_is_the_same_in_another_process(
    change: Callable[[Any, Patch], None], own: Any, clip: Path, monkeypatch: Patch
) -> None:
    change(own, monkeypatch)
    assert not key_of(own, clip).uncertain


@pytest.mark.parametrize("change", [*ON_INSTANCES, a_method_that_holds_an_object])
def test_what_can_not_be_told_by_its_code_is_for_this_process_alone(
    change: Callable[[Any, Patch], None], own: Any, clip: Path, monkeypatch: Patch
) -> None:
    change(own, monkeypatch)
    assert key_of(own, clip).uncertain


def generate(model: Any, patch: Patch) -> None:
    patch.setattr(type(model), "generate", lambda self, text: None)


def what_only_generate_calls(model: Any, patch: Patch) -> None:
    patch.setattr(of_module(TTS), "punc_norm", lambda text: text)
    patch.setattr(type(model.s3gen), "inference", lambda self: None)
    patch.setattr(type(model.s3gen.mel2wav), "forward", lambda self: None)
    patch.setattr(type(model.t3), "inference", lambda self: None)


def an_instances_method_that_is_never_called(model: Any, patch: Patch) -> None:
    patch.setattr(model.s3gen, "inference", lambda *_: None, raising=False)
    patch.setattr(model.t3, "inference", lambda *_: None, raising=False)


def a_new_name(model: Any, patch: Patch) -> None:
    patch.setattr(of_module(TTS), "more", 1, raising=False)
    patch.setattr(type(model), "more", 1, raising=False)
    patch.setattr(model, "more", 1, raising=False)


def what_it_prints(model: Any, patch: Patch) -> None:
    patch.setattr("logging.Logger.debug", lambda *_: None)


@pytest.mark.parametrize(
    "change", [generate, what_only_generate_calls, an_instances_method_that_is_never_called, a_new_name, what_it_prints]
)
def test_what_a_preparation_does_not_run_is_not_in_the_key(
    change: Callable[[Any, Patch], None], own: Any, clip: Path, monkeypatch: Patch
) -> None:
    before = key_of(own, clip)
    change(own, monkeypatch)
    assert key_of(own, clip).text == before.text


def test_the_tables_that_a_preparation_fills_are_not_in_the_key(own: Any, clip: Path, monkeypatch: Patch) -> None:
    tables = of_module("chatterbox.models.s3gen.utils.mel")
    monkeypatch.setattr(tables, "mel_basis", {})
    monkeypatch.setattr(tables, "hann_window", {})
    before = key_of(own, clip)
    own.prepare_conditionals(clip)
    assert tables.mel_basis, "upstream no longer keeps them there: this tests nothing"
    assert key_of(own, clip).text == before.text


def test_the_two_classes_have_entries_of_their_own_by_their_code(english: Any, multilingual: Any, clip: Path) -> None:
    other = Identity().key(asked_for(multilingual, named("multilingual"), clip, 0.5))
    assert key_of(english, clip).made_by != other.made_by


def test_after_code_was_replaced_nothing_lasts_beyond_the_process(own: Any, clip: Path, monkeypatch: Patch) -> None:
    """The tables that Chatterbox keeps may be the replaced code's work."""
    before = key_of(own, clip)
    with monkeypatch.context() as patch:
        a_helper_of_a_module(own, patch)
        key_of(own, clip)
    after = key_of(own, clip)
    assert not before.uncertain
    assert after.uncertain
    assert after.text != before.text


def a_hook(model: Any) -> Any:
    return model.ve.lstm.register_forward_hook(lambda *_: None)


def a_hook_before(model: Any) -> Any:
    return model.s3gen.tokenizer.register_forward_pre_hook(lambda *_: None)


def a_hook_on_all_modules(_: Any) -> Any:
    return torch.nn.modules.module.register_module_forward_hook(lambda *_: None)


@pytest.mark.parametrize("add", [a_hook, a_hook_before, a_hook_on_all_modules])
def test_hooks_are_not_left_out_by_a_hit(add: Callable[[Any], Any], own: Any, clip: Path) -> None:
    identity = Identity()
    before = key_of(own, clip, identity)
    handle = add(own)
    try:
        time.sleep(2 * looks.FULL_LOOK_SECONDS)
        for _ in range(2):
            with pytest.raises(Unidentifiable, match="hooks") as doubt:
                key_of(own, clip, identity)
        assert "Remove the hooks" in advice_for(doubt.value.reason)
    finally:
        handle.remove()
    assert key_of(own, clip, identity).text == before.text


def test_weights_beside_the_encoders_are_not_left_out(own: Any, clip: Path, monkeypatch: Patch) -> None:
    inner, denoiser = type(own).prepare_conditionals, torch.nn.Linear(4, 4)
    monkeypatch.setattr(own, "denoiser", denoiser, raising=False)

    def prepare_conditionals(self: Any, wav_fpath: Any, exaggeration: float = 0.5) -> None:
        inner(self, wav_fpath, exaggeration)
        self.conds.gen["embedding"] = self.denoiser(self.conds.gen["embedding"])

    monkeypatch.setattr(type(own), "prepare_conditionals", prepare_conditionals)
    with pytest.raises(Unidentifiable, match="other weights"):
        key_of(own, clip)
