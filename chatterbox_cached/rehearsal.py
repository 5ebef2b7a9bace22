"""A Chatterbox of the real architecture with random weights, for where the published weights can't be had.

What it says is noise. The voice encoder and S3Gen have their full size, so the shapes and the cost of a preparation
are the real ones. A generation costs far less than a real one, so don't quote its time: T3 has a few layers instead of
30 and stops after a few tokens, S3Gen takes one diffusion step instead of ten, and nothing is watermarked (perth's
watermarker can't be imported everywhere: it needs the pkg_resources of an old setuptools).

Tests, benchmarks and the demo use it; the cache itself does not. The caller's torch generator is left as it was.
"""

from __future__ import annotations

import functools
import json
import wave
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest import mock

import wrapt

_DIFFUSION_STEPS = 1
_REVISION, _CANGJIE = "0" * 40, "Cangjie5_TC.json"


class Parts(NamedTuple):
    """The parts that take long to build and that models can share: the voice encoder and S3Gen (264 M parameters)."""

    ve: Any
    s3gen: Any


class _Kind(NamedTuple):
    """What tells one Chatterbox class from another: names of classes, of a T3Config and of files on the hub."""

    module: str
    class_name: str
    config: str
    tokenizer: str
    tokenizer_file: str
    weights: tuple[str, str, str]  # of T3, the voice encoder and S3Gen


_KINDS = {
    "english": _Kind(
        "chatterbox.tts", "ChatterboxTTS", "english_only", "EnTokenizer", "tokenizer.json",
        ("t3_cfg.safetensors", "ve.safetensors", "s3gen.safetensors"),
    ),
    "multilingual": _Kind(
        "chatterbox.mtl_tts", "ChatterboxMultilingualTTS", "multilingual", "MTLTokenizer",
        "grapheme_mtl_merged_expanded_v1.json", ("t3_mtl23ls_v2.safetensors", "ve.pt", "s3gen.pt"),
    ),
}  # fmt: skip


def build_parts(*, seed: int = 0, device: str = "cpu") -> Parts:
    """A voice encoder and an S3Gen of full size, in evaluation mode. Takes seconds; S3Gen is 1 GB in float32."""
    voice_encoder = import_module("chatterbox.models.voice_encoder").VoiceEncoder
    s3gen = import_module("chatterbox.models.s3gen").S3Gen
    with _seeded(seed):
        parts = Parts(voice_encoder().to(device).eval(), s3gen().to(device).eval())
    _cap(parts.s3gen.flow.decoder, "forward", "n_timesteps", _DIFFUSION_STEPS)
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


def hub_folder(
    path: str | Path, *, layers: int = 2, models: Iterable[str] = ("english",), parts: Parts | None = None
) -> Path:
    """Write a new Hugging Face hub cache from which ``from_pretrained`` of ``models`` loads; 1.3 GB for each model.

    To be used with ``HF_HUB_CACHE=<path>`` and ``HF_HUB_OFFLINE=1``. With fewer layers than upstream's 30 the process
    that loads it calls ``shorten`` first. ``parts``, on the CPU, are those to write.
    """
    build, parts = {"english": english, "multilingual": multilingual}, parts or build_parts()
    snapshot = _snapshot(Path(path))
    for name in models:
        model = build[name](layers=layers, parts=parts)
        _write_weights(snapshot, _KINDS[name], model)
        _write_builtin_voice(snapshot, model)
    return Path(path)


def shorten(*, layers: int = 2, max_new_tokens: int = 12) -> None:
    """Make this process's Chatterbox a short one as soon as it is imported, so that it can load a ``hub_folder``.

    For the subprocesses of tests and of the demo, from a sitecustomize: nothing takes it back.
    """

    def shorten_t3(module: Any) -> None:
        module.LLAMA_CONFIGS["Llama_520M"]["num_hidden_layers"] = layers
        _cap_every(module, "T3.inference", "max_new_tokens", max_new_tokens)
        _fold_aligned_layers()

    def shorten_s3gen(module: Any) -> None:
        _cap_every(module, "CausalConditionalCFM.forward", "n_timesteps", _DIFFUSION_STEPS)

    def skip_segmenter(module: Any) -> None:
        module.ChineseCangjieConverter._init_segmenter = _no_segmenter

    def skip_watermark(module: Any) -> None:
        module.PerthImplicitWatermarker = module.DummyWatermarker

    def skip_drawing(module: Any) -> None:  # of weights that are about to be loaded, which takes half of the loading
        module.kaiming_uniform_ = module.uniform_ = module.normal_ = lambda tensor, *_, **__: tensor

    wrapt.register_post_import_hook(skip_drawing, "torch.nn.init")
    wrapt.register_post_import_hook(skip_watermark, "perth")
    wrapt.register_post_import_hook(shorten_t3, "chatterbox.models.t3.t3")
    wrapt.register_post_import_hook(shorten_s3gen, "chatterbox.models.s3gen.flow_matching")
    wrapt.register_post_import_hook(skip_segmenter, "chatterbox.models.tokenizers.tokenizer")


def _model(name: str, layers: int, max_new_tokens: int, seed: int, device: str, parts: Parts | None) -> Any:
    kind = _KINDS[name]
    parts = parts or build_parts(seed=seed, device=device)
    with _seeded(seed):
        t3 = _t3(kind, layers).to(device).eval()
    _cap(t3, "inference", "max_new_tokens", max_new_tokens)
    model_class = getattr(import_module(kind.module), kind.class_name)
    perth: Any = import_module("perth")
    with mock.patch.object(perth, "PerthImplicitWatermarker", perth.DummyWatermarker):
        return model_class(t3, parts.s3gen, parts.ve, _tokenizer(kind), device)


def _t3(kind: _Kind, layers: int) -> Any:
    module = import_module("chatterbox.models.t3.t3")
    with mock.patch.dict(module.LLAMA_CONFIGS["Llama_520M"], num_hidden_layers=layers):
        t3 = module.T3(getattr(module.T3Config, kind.config)())
    _make_it_listen(t3)
    _fold_aligned_layers()
    return t3


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
    setattr(module, method, functools.partial(_capped, argument, ceiling, getattr(module, method)))


def _cap_every(module: Any, method: str, argument: str, ceiling: int) -> None:
    """The same for all instances of a class; ``method`` is ``Class.method``."""

    def wrapper(method: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return _capped(argument, ceiling, method, *args, **kwargs)

    wrapt.wrap_function_wrapper(module, method, wrapper)


def _capped(argument: str, ceiling: int, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    kwargs[argument] = min(ceiling, kwargs[argument])
    return method(*args, **kwargs)


@functools.cache
def _fold_aligned_layers() -> None:
    """Let the multilingual model's alignment analyzer, which watches layers 9, 12 and 13, watch a short T3.

    It takes the layer modulo their number. That changes nothing for a T3 of full size, so it can stay for good, and
    no two threads can undo it under each other.
    """
    module = import_module("chatterbox.models.t3.inference.alignment_stream_analyzer")
    watch = module.AlignmentStreamAnalyzer._add_attention_spy

    def watch_folded(self: Any, tfmr: Any, buffer: int, layer: int, head: int) -> None:
        watch(self, tfmr, buffer, layer % len(tfmr.layers), head)

    module.AlignmentStreamAnalyzer._add_attention_spy = watch_folded


def _tokenizer(kind: _Kind) -> Any:
    module = import_module("chatterbox.models.tokenizers.tokenizer")
    constants = import_module("huggingface_hub.constants")
    with (
        TemporaryDirectory() as folder,
        mock.patch.object(constants, "HF_HUB_OFFLINE", True),
        mock.patch.object(module.ChineseCangjieConverter, "_init_segmenter", _no_segmenter),
    ):
        return getattr(module, kind.tokenizer)(str(_snapshot(Path(folder)) / kind.tokenizer_file))


def _no_segmenter(_converter: Any) -> None:
    """In place of upstream's, which downloads a model for Chinese from GitHub."""


def _snapshot(cache: Path) -> Path:
    """The snapshot folder of a new hub cache, with the small files in it."""
    snapshot = _empty_snapshot(cache)
    for kind in _KINDS.values():
        _write_tokenizer(snapshot / kind.tokenizer_file)
    # from_pretrained asks for this table in the snapshot, MTLTokenizer in a second hub cache inside the snapshot.
    for folder in (snapshot, _empty_snapshot(snapshot)):
        (folder / _CANGJIE).write_text(json.dumps(["一\tm", "人\to", "口\tr"]), encoding="utf-8")
    return snapshot


def _empty_snapshot(cache: Path) -> Path:
    repository = cache / "models--ResembleAI--chatterbox"
    snapshot = repository / "snapshots" / _REVISION
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(_REVISION)
    return snapshot


def _write_tokenizer(path: Path) -> None:
    """One token for every ASCII character and for every language; anything else is [UNK]."""
    tokenizers = import_module("tokenizers")
    languages = import_module("chatterbox.mtl_tts").SUPPORTED_LANGUAGES
    # The numbers of [START] and [STOP] are T3Config's.
    special = {"[STOP]": 0, "[UNK]": 1, "[SPACE]": 2, "[START]": 255}
    special |= {f"[{language}]": number for number, language in enumerate(languages, start=256)}
    named = {number: name for name, number in special.items()}
    # The numbers in between are filled with names that no text meets: tokenizers warns of a vocabulary with holes.
    vocabulary = {named.get(n, chr(n) if 32 < n < 127 else f"[{n}]"): n for n in range(max(named) + 1)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    tokenizer.add_special_tokens(list(special))
    tokenizer.save(str(path))


def _write_weights(snapshot: Path, kind: _Kind, model: Any) -> None:
    for file, part in zip(kind.weights, (model.t3, model.ve, model.s3gen), strict=True):
        if file.endswith(".pt"):
            import_module("torch").save(part.state_dict(), snapshot / file)
        else:
            import_module("safetensors.torch").save_file(part.state_dict(), snapshot / file)


def _write_builtin_voice(snapshot: Path, model: Any) -> None:
    with TemporaryDirectory() as folder, import_module("torch").no_grad():
        model.prepare_conditionals(reference_clip(Path(folder) / "voice.wav", seed=1))
    model.conds.save(snapshot / "conds.pt")


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch's CPU generator, with which all weights are drawn, and put it back afterwards."""
    torch = import_module("torch")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
