"""What the subjects are measured on: a device, sizes, clips, and models with random weights."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

from chatterbox_cached.demo import rehearsal
from chatterbox_cached.demo.shortening import capped

KINDS = ("english", "multilingual", "turbo")
TEXT = "A sentence of the length that sentences have, for which nothing but its length matters here."


@dataclass(frozen=True)
class Sizes:
    """``layers``: of T3, by kind. ``tokens``: how long the generations are, and how often each is timed.

    ``whole_diffusion``: whether S3Gen takes all of its steps. ``voices``: of a server. ``clip``: in seconds.
    ``autocast``: to which dtypes; on a CPU float16 takes very long.
    """

    layers: dict[str, int]
    tokens: dict[int, int]
    rounds: int
    voices: int
    clip: float
    whole_diffusion: bool
    autocast: tuple[str, ...]


FULL = Sizes(
    {"english": 30, "multilingual": 30, "turbo": 24}, {25: 3, 100: 2, 400: 1}, 9, 6, 10, True, ("bfloat16", "float16")
)
SMALL = Sizes(dict.fromkeys(KINDS, 1), {2: 1, 3: 1}, 1, 1, 5.2, False, ("bfloat16",))  # Turbo wants more than 5 s


@dataclass(frozen=True)
class Stand:
    """``device``: as PyTorch names it. ``folder``: for whatever is written."""

    device: str
    sizes: Sizes
    folder: Path

    @property
    def shortest(self) -> int:
        """Tokens of the shortest generation."""
        return min(self.sizes.tokens)

    def new_folder(self) -> Path:
        """An empty folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def clip(self, seed: int = 0) -> str:
        """The reference audio of the voice with this number."""
        path = self.folder / f"voice-{seed}.wav"
        if not path.exists():
            rehearsal.reference_clip(path, seconds=self.sizes.clip, seed=seed)
            os.utime(path, (1, 1))  # a file that was written just now is read again at the next call
        return str(path)

    def settle(self) -> None:
        """Wait until the device has done all that it was given."""
        if self.device.startswith("cuda"):
            import_module("torch").cuda.synchronize()

    def settled(self, work: Callable[[], Any]) -> Callable[[], Any]:
        """``work``, and the wait for the device after it."""

        def both() -> Any:
            result = work()
            self.settle()
            return result

        return both

    def build(self, kind: str, parts: rehearsal.Parts, *, layers: int | None = None) -> Any:
        """A model of this kind with these encoders, and with a T3 of full size or of ``layers`` layers."""
        make = getattr(rehearsal, kind)
        model = make(layers=layers or self.sizes.layers[kind], parts=parts, device=self.device)
        if self.sizes.whole_diffusion:
            vars(model.s3gen.flow.decoder).pop("forward", None)  # with which rehearsal keeps it to one step
        return model


def loudness_of(model: Any) -> dict[str, bool]:
    """What a call of ``model`` needs to be told so that upstream does not fail.

    With NumPy 2 Turbo's norm_loudness makes float64 of the audio, which its tokenizer refuses.
    """
    numpy = import_module("numpy")
    turned_off = hasattr(model, "norm_loudness") and int(numpy.__version__.partition(".")[0]) >= 2
    return {"norm_loudness": False} if turned_off else {}


def prepare(model: Any, clip: str) -> Any:
    """Upstream's own preparation, or the cache's where it is on; gives the conditionals."""
    model.prepare_conditionals(clip, **loudness_of(model))
    return model.conds


def speak(model: Any, tokens: int, clip: str | None = None) -> Any:
    """What ``model`` says in ``tokens`` tokens, always from the same seed; (1, samples), on the CPU."""
    torch = import_module("torch")
    turbo = hasattr(model, "norm_loudness")
    method, ceiling = ("inference_turbo", "max_gen_len") if turbo else ("inference", "max_new_tokens")
    whole = getattr(type(model.t3), method).__get__(model.t3)
    setattr(model.t3, method, functools.partial(capped, ceiling, tokens, whole))
    _forget_hooks(model.t3)
    language = {"language_id": "en"} if hasattr(model, "get_supported_languages") else {}
    prompt = {} if clip is None else {"audio_prompt_path": clip, **loudness_of(model)}
    torch.manual_seed(0)
    return model.generate(TEXT, **language, **prompt)


def _forget_hooks(t3: Any) -> None:
    """Each generation of the multilingual model leaves three hooks behind, and each of them makes the next slower."""
    for layer in getattr(t3.tfmr, "layers", ()):
        layer.self_attn._forward_hooks.clear()


@contextmanager
def unending() -> Iterator[None]:
    """The multilingual model's analyzer works as ever but is not heeded: it would end random speech anywhere."""
    analyzer = import_module("chatterbox.models.t3.inference.alignment_stream_analyzer").AlignmentStreamAnalyzer
    step = analyzer.step

    def unheeded(self: Any, logits: Any, next_token: Any = None) -> Any:
        step(self, logits.clone(), next_token)
        return logits

    with mock.patch.object(analyzer, "step", unheeded):
        yield
