"""Keeps models shallow: no promise of the tests depends on how many equal blocks follow each other.

What a voice is made with and spoken from has the widths that it has for a user, so all conditionals have their shapes.
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
        if not isinstance(vars(getattr(module, name))["__init__"], wrapt.ObjectProxy):
            wrapt.wrap_function_wrapper(module, f"{name}.__init__", make)

    return patch


def _tokenizer(wrapped: Callable[..., None], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    mels, width, heads, _layers, *more = args  # of 6
    wrapped(mels, width, heads, 1, *more, **kwargs)


def _encoder(wrapped: Callable[..., None], encoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    wrapped(*args, **{**kwargs, "num_blocks": 1})  # of 6
    del encoder.up_encoders[1:]  # of 4


def _decoder(wrapped: Callable[..., None], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    wrapped(*args, **{**kwargs, "num_mid_blocks": 1})  # of 12


def _t3(configs: Any) -> None:
    configs.LLAMA_CONFIGS["Llama_520M"]["intermediate_size"] = 512  # of 4096, inside of each layer


_PATCHES: dict[str, Callable[[Any], None]] = {
    "s3tokenizer.model_v2": _class_is("AudioEncoderV2", _tokenizer),
    "chatterbox.models.s3gen.transformer.upsample_encoder": _class_is("UpsampleConformerEncoder", _encoder),
    "chatterbox.models.s3gen.decoder": _class_is("ConditionalDecoder", _decoder),
    "chatterbox.models.t3.llama_configs": _t3,
}
