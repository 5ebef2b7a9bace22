"""Keeps models shallow: no promise of the tests depends on how many equal blocks follow each other, nor on how wide a
block is inside.

What goes from block to block has the widths that it has for a user, and so all conditionals have their shapes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import wrapt


def make_shallow() -> None:
    """Have each S3Gen and T3 that is made in this process from here on be shallow; nothing takes it back."""
    for name, patch in _PATCHES.items():
        if name in sys.modules:
            patch(sys.modules[name])
        else:
            wrapt.register_post_import_hook(patch, name)


def make_copy_shallow(root: str) -> None:
    """The same for the S3Gen of a copy of Chatterbox whose package is called ``root``."""
    for name, patch in _PATCHES.items():
        if name.startswith("chatterbox."):
            patch(import_module(f"{root}{name.removeprefix('chatterbox')}"))


def _class_is(name: str, make: Callable[..., None]) -> Callable[[Any], None]:
    """A patch of a module that has instances of its class made by ``make``, once and for all."""

    def patch(module: Any) -> None:
        if not isinstance(vars(getattr(module, name))["__init__"], wrapt.BaseObjectProxy):
            wrapt.wrap_function_wrapper(module, f"{name}.__init__", make)

    return patch


def _tokenizer(wrapped: Callable[..., None], encoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    mels, width, heads, _layers, *more = args  # of 6
    wrapped(mels, width, heads, 1, *more, **kwargs)
    inside = encoder.blocks[0].mlp
    inside[0], inside[2] = type(inside[0])(width, _HEARD), type(inside[2])(_HEARD, width)  # of 5120


def _speaker(wrapped: Callable[..., None], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    layers = kwargs["num_layers"]  # of 12, 24 and 16, each of which adds its channels: one adds as many
    wrapped(*args, **{**kwargs, "num_layers": 1, "out_channels": layers * kwargs["out_channels"]})


def _vocoder(wrapped: Callable[..., None], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    wrapped(*args, **{**kwargs, "base_channels": 64})  # of 512


def _encoder(wrapped: Callable[..., None], encoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    wrapped(*args, **{**kwargs, "num_blocks": 1, "linear_units": _INSIDE})  # of 6, and of 2048
    del encoder.up_encoders[1:]  # of 4


def _decoder(wrapped: Callable[..., None], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    wrapped(*args, **{**kwargs, "num_mid_blocks": 1, "n_blocks": 1})  # of 12, and of 4


def _t3(wrapped: Callable[..., None], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    for config in args[:1]:
        config.text_tokens_dict_size = min(config.text_tokens_dict_size, _WORDS)  # of 50276 in Turbo
    wrapped(*args, **kwargs)


def _backbones(configs: Any) -> None:
    configs.LLAMA_CONFIGS["Llama_520M"]["intermediate_size"] = _INSIDE  # of 4096, inside of each layer
    if (turbos := configs.LLAMA_CONFIGS.get("GPT2_medium")) is not None:  # since 0.1.6
        turbos["n_inner"] = _INSIDE  # of 4096, likewise
        turbos["vocab_size"] = 8  # of 50276 words, of which upstream makes no use


_INSIDE, _WORDS = 512, 2500
_HEARD = 384  # with which the tests' voices are such that both models for texts say all exaggerations differently


_PATCHES: dict[str, Callable[[Any], None]] = {
    "s3tokenizer.model_v2": _class_is("AudioEncoderV2", _tokenizer),
    "chatterbox.models.s3gen.transformer.upsample_encoder": _class_is("UpsampleConformerEncoder", _encoder),
    "chatterbox.models.s3gen.decoder": _class_is("ConditionalDecoder", _decoder),
    "chatterbox.models.s3gen.xvector": _class_is("CAMDenseTDNNBlock", _speaker),
    "chatterbox.models.s3gen.hifigan": _class_is("HiFTGenerator", _vocoder),
    "chatterbox.models.t3.t3": _class_is("T3", _t3),
    "chatterbox.models.t3.llama_configs": _backbones,
}
