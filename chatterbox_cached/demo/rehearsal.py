"""A Chatterbox of the real architecture with random weights, for where the published weights can't be had.

What it says is noise. The voice encoder and S3Gen have their full size, so the shapes and the cost of a preparation
are the real ones. A generation costs far less than a real one, so don't quote its time: T3 has a few layers instead of
30 and stops after a few tokens, S3Gen takes one diffusion step instead of ten, and nothing is watermarked (perth's
watermarker can't be imported everywhere: it needs the pkg_resources of an old setuptools).

Tests, benchmarks and the demo use it; the cache itself does not. The caller's torch generator is left as it was.
"""

from __future__ import annotations

import functools
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from ..errors import ChatterboxCachedError
from .shortening import DIFFUSION_STEPS, capped, fold_aligned_layers
from .tokenizers import KINDS, TURBO_TOKENS, Kind, tokenizer


class Parts(NamedTuple):
    """The parts that take long to build and that models can share: the voice encoder and S3Gen (264 M parameters)."""

    ve: Any
    s3gen: Any


def build_parts(*, seed: int = 0, device: str = "cpu") -> Parts:
    """A voice encoder and an S3Gen of full size, in evaluation mode. Takes seconds; S3Gen is 1 GB in float32."""
    voice_encoder = import_module("chatterbox.models.voice_encoder").VoiceEncoder
    s3gen = import_module("chatterbox.models.s3gen").S3Gen
    with _seeded(seed):
        parts = Parts(voice_encoder().to(device).eval(), s3gen().to(device).eval())
    _cap(parts.s3gen.flow.decoder, "forward", "n_timesteps", DIFFUSION_STEPS)
    return parts


def english(
    *, layers: int = 2, max_new_tokens: int = 12, seed: int = 0, device: str = "cpu", parts: Parts | None = None
) -> Any:
    """A ``ChatterboxTTS`` whose T3 has ``layers`` layers and says at most ``max_new_tokens`` tokens (40 ms each)."""
    return _model("english", layers, max_new_tokens, seed, device, parts)


def multilingual(
    *, layers: int = 2, max_new_tokens: int = 12, seed: int = 0, device: str = "cpu", parts: Parts | None = None
) -> Any:
    """A ``ChatterboxMultilingualTTS``; the arguments are those of ``english``."""
    return _model("multilingual", layers, max_new_tokens, seed, device, parts)


def turbo(
    *, layers: int = 2, max_new_tokens: int = 12, seed: int = 0, device: str = "cpu", parts: Parts | None = None
) -> Any:
    """A ``ChatterboxTurboTTS``; the arguments are those of ``english``.

    Of ``parts`` it has the encoders; the rest of its S3Gen (114 M parameters) is of its own.
    """
    return _model("turbo", layers, max_new_tokens, seed, device, parts)


def nano(
    *, layers: int = 2, max_new_tokens: int = 12, seed: int = 0, device: str = "cpu", parts: Parts | None = None
) -> Any:
    """The same class with the smaller T3 of Nano, known to Chatterbox after 0.1.7; arguments as those of ``turbo``.

    Raises ChatterboxCachedError where it does not know it.
    """
    return _model("nano", layers, max_new_tokens, seed, device, parts)


def vc(*, seed: int = 0, device: str = "cpu", parts: Parts | None = None) -> Any:
    """A ``ChatterboxVC``; the arguments are those of ``english``. It has no T3, and says all that it is given."""
    return _put_together(KINDS["vc"], (parts or build_parts(seed=seed, device=device)).s3gen, device)


def reference_clip(path: str | Path, seconds: float = 10.0, seed: int = 0, sample_rate: int = 24000) -> Path:
    """Write a 16-bit mono wav, a little like a voice. ``seed`` picks the speaker; the same arguments, the same file."""
    import numpy as np

    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    pitch = rng.uniform(90, 240)  # Hz
    melody = 1 + 0.2 * np.sin(2 * np.pi * rng.uniform(0.3, 0.7) * time) + 0.02 * np.sin(2 * np.pi * 5 * time)
    phase = np.cumsum(2 * np.pi * pitch * melody / sample_rate)
    formants = rng.uniform((300, 900, 2200), (800, 2000, 3200))  # Hz

    sound = rng.normal(0, 0.02, time.size)  # breath
    for harmonic in range(1, 20):
        loudness = np.exp(-(((harmonic * pitch - formants) / 250) ** 2)).sum() + 0.5 / harmonic
        sound += loudness * np.sin(harmonic * phase)
    sound *= 0.55 + 0.45 * np.sin(2 * np.pi * rng.uniform(2, 4) * time)  # syllables

    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, sample_rate, 0, "NONE", "not compressed"))  # one channel, two bytes a sample
        file.writeframes((sound / np.abs(sound).max() * 20000).astype("<i2").tobytes())
    return Path(path)


def _model(name: str, layers: int, max_new_tokens: int, seed: int, device: str, parts: Parts | None) -> Any:
    kind = KINDS[name]
    parts = parts or build_parts(seed=seed, device=device)
    with _seeded(seed):
        t3 = (_turbo_t3 if kind.config == "turbo" else _t3)(kind, layers).to(device).eval()
        if kind.config == "turbo":
            parts = _with_meanflow(parts, device)
            _cap(t3, "inference_turbo", "max_gen_len", max_new_tokens)
        else:
            _cap(t3, "inference", "max_new_tokens", max_new_tokens)
    return _put_together(kind, t3, parts.s3gen, parts.ve, tokenizer(kind), device)


def _put_together(kind: Kind, *parts: Any) -> Any:
    model_class = getattr(import_module(kind.module), kind.class_name)
    perth: Any = import_module("perth")
    with mock.patch.object(perth, "PerthImplicitWatermarker", perth.DummyWatermarker):
        return model_class(*parts)


def _t3(kind: Kind, layers: int) -> Any:
    module = import_module("chatterbox.models.t3.t3")
    with mock.patch.dict(module.LLAMA_CONFIGS[kind.backbone], num_hidden_layers=layers):
        t3 = module.T3(getattr(module.T3Config, kind.config, module.T3Config)())  # up to 0.1.2 there is one only
    _make_it_listen(t3)
    fold_aligned_layers()
    return t3


def _turbo_t3(kind: Kind, layers: int) -> Any:
    """As ``ChatterboxTurboTTS.from_local`` makes it."""
    module = import_module("chatterbox.models.t3.t3")
    config = module.T3Config(text_tokens_dict_size=TURBO_TOKENS)
    config.llama_config_name, config.speech_tokens_dict_size, config.speech_cond_prompt_len = kind.backbone, 6563, 375
    config.input_pos_emb, config.use_perceiver_resampler, config.emotion_adv = None, False, False
    if kind.backbone not in module.LLAMA_CONFIGS:
        raise ChatterboxCachedError("This Chatterbox has no Nano; it came after 0.1.7. Install a newer one.")
    with mock.patch.dict(module.LLAMA_CONFIGS[kind.backbone], n_layer=layers):
        t3 = module.T3(config)
    del t3.tfmr.wte
    with import_module("torch").no_grad():
        for block in t3.tfmr.h:
            for weight in block.attn.parameters():
                weight.mul_(6)
        t3.speech_head.weight.mul_(8)
        t3.speech_head.weight[t3.hp.start_speech_token :] = 0  # as for the other classes
        t3.speech_head.bias.zero_()
    return t3


def _with_meanflow(parts: Parts, device: str) -> Parts:
    """Turbo's S3Gen, which takes two steps of its own kind, with the encoders of ``parts``."""
    s3gen = import_module("chatterbox.models.s3gen").S3Gen(meanflow=True).to(device).eval()
    s3gen.tokenizer, s3gen.speaker_encoder = parts.s3gen.tokenizer, parts.s3gen.speaker_encoder
    _cap(s3gen.flow.decoder, "forward", "n_timesteps", DIFFUSION_STEPS)
    return Parts(parts.ve, s3gen)


def _make_it_listen(t3: Any) -> None:
    """Scale random weights until T3 hears the voice and an exaggeration 0.1 apart, and mute its special tokens."""
    emotion = t3.cond_enc.emotion_adv_fc.weight
    with import_module("torch").no_grad():
        # Attention that is less even, and tokens that are less alike: else the text drowns out all the rest.
        for layer in t3.tfmr.layers:
            for weight in layer.self_attn.parameters():
                weight.mul_(6)
        t3.speech_head.weight.mul_(8)
        # Smaller, not larger: T3 normalises its inputs, and of a large one only the direction would be left. It is one
        # of many positions, so the first layer listens to that direction 30 times as closely.
        emotion.mul_(0.02)
        direction, value = emotion / emotion.norm(), t3.tfmr.layers[0].self_attn.v_proj.weight
        value.add_(30 * (value @ direction) @ direction.T)
        # S3Gen has no embedding for special tokens. A logit of 0 is far below the best one here (about 17), so that
        # min_p never lets it through. It also means that T3 never says stop by itself.
        t3.speech_head.weight[t3.hp.start_speech_token :] = 0


def _cap(module: Any, method: str, argument: str, ceiling: int) -> None:
    """Keep one argument of one instance's method from exceeding ``ceiling``."""
    # A partial is copied and pickled along with the module, and then belongs to the copy; a closure isn't.
    setattr(module, method, functools.partial(capped, argument, ceiling, getattr(module, method)))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch's CPU generator, with which all weights are drawn, and put it back afterwards."""
    torch = import_module("torch")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
