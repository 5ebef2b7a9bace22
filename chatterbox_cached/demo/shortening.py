"""Keeps a Chatterbox with random weights short: they never say stop, and its sound is of no use.

It imports nothing of this package, so that a process can load it by its path before the package is to be there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any

import wrapt

DIFFUSION_STEPS = 1


def shorten(*, layers: int = 2, max_new_tokens: int = 12) -> None:
    """Make this process's Chatterbox a short one as soon as it is imported, so that it can load a ``hub_folder``.

    For the subprocesses of tests and of the demo, from a sitecustomize: nothing takes it back.
    """

    def shorten_t3(module: Any) -> None:
        module.LLAMA_CONFIGS["Llama_520M"]["num_hidden_layers"] = layers
        cap_every(module, "T3.inference", "max_new_tokens", max_new_tokens)
        if "GPT2_medium" in module.LLAMA_CONFIGS:  # Turbo's, from 0.1.6 on
            module.LLAMA_CONFIGS["GPT2_medium"]["n_layer"] = layers
            cap_every(module, "T3.inference_turbo", "max_gen_len", max_new_tokens)
        fold_aligned_layers()

    def shorten_s3gen(module: Any) -> None:
        cap_every(module, "CausalConditionalCFM.forward", "n_timesteps", DIFFUSION_STEPS)

    def skip_segmenter(module: Any) -> None:
        module.ChineseCangjieConverter._init_segmenter = no_segmenter

    def skip_watermark(module: Any) -> None:
        module.PerthImplicitWatermarker = module.DummyWatermarker

    def skip_drawing(module: Any) -> None:  # of weights that are about to be loaded, which takes half of the loading
        module.kaiming_uniform_ = module.uniform_ = module.normal_ = lambda tensor, *_, **__: tensor

    wrapt.register_post_import_hook(skip_drawing, "torch.nn.init")
    wrapt.register_post_import_hook(skip_watermark, "perth")
    wrapt.register_post_import_hook(shorten_t3, "chatterbox.models.t3.t3")
    wrapt.register_post_import_hook(shorten_s3gen, "chatterbox.models.s3gen.flow_matching")
    wrapt.register_post_import_hook(skip_segmenter, "chatterbox.models.tokenizers.tokenizer")


def cap_every(module: Any, method: str, argument: str, ceiling: int) -> None:
    """The same for all instances of a class; ``method`` is ``Class.method``."""

    def wrapper(method: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return capped(argument, ceiling, method, *args, **kwargs)

    wrapt.wrap_function_wrapper(module, method, wrapper)


def capped(argument: str, ceiling: int, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call ``method`` with this keyword argument no larger than ``ceiling``."""
    kwargs[argument] = min(ceiling, kwargs.get(argument, ceiling))
    return method(*args, **kwargs)


@functools.cache
def fold_aligned_layers() -> None:
    """Let the alignment analyzer, which watches layers such as 9, 12 and 13, watch a short T3.

    It takes the layer modulo their number. That changes nothing for a T3 of full size, so it can stay for good, and
    no two threads can undo it under each other. After 0.1.7 Chatterbox has no analyzer.
    """
    try:
        module = import_module("chatterbox.models.t3.inference.alignment_stream_analyzer")
    except ModuleNotFoundError:
        return
    watch = module.AlignmentStreamAnalyzer._add_attention_spy

    def watch_folded(self: Any, tfmr: Any, *place: int) -> None:
        folded = list(place)
        folded[len(place) // 2] %= len(tfmr.layers)  # a buffer, the layer and a head; up to 0.1.2 the layer alone
        watch(self, tfmr, *folded)

    module.AlignmentStreamAnalyzer._add_attention_spy = watch_folded


def no_segmenter(_converter: Any) -> None:
    """In place of upstream's, which downloads a model for Chinese from GitHub."""
