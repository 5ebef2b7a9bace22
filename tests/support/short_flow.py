"""Keeps the flow of S3Gen short: it is most of the work of a generation, and no preparation goes through it."""

from __future__ import annotations

import sys
from typing import Any

import wrapt

_DECODER = "chatterbox.models.s3gen.decoder"
_BLOCKS = 1  # of 12


def shorten() -> None:
    """Have each S3Gen that is made in this process from here on be short; nothing takes it back."""

    def make_short(wrapped: Any, _: Any, args: Any, kwargs: Any) -> None:
        wrapped(*args, **{**kwargs, "num_mid_blocks": _BLOCKS})

    def patch(module: Any) -> None:
        if not isinstance(module.ConditionalDecoder.__init__, wrapt.ObjectProxy):
            wrapt.wrap_function_wrapper(module, "ConditionalDecoder.__init__", make_short)

    if _DECODER in sys.modules:
        patch(sys.modules[_DECODER])
    else:
        wrapt.register_post_import_hook(patch, _DECODER)
