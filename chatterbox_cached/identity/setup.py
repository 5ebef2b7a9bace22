"""What of this process and machine decides the bits of a result."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Where PyTorch 2.9 and later keep the precision of float32, each for itself.
_PRECISION = tuple(
    f"{where}fp32_precision"
    for where in (
        "", "cuda.matmul.", "cudnn.", "cudnn.conv.", "cudnn.rnn.",
        "mkldnn.", "mkldnn.matmul.", "mkldnn.conv.", "mkldnn.rnn.",
    )
)  # fmt: skip
# The library of a type of device that convolutions and recurrent layers go through, unless a program takes it out.
_LIBRARY = {"cpu": ("mkldnn.enabled",), "cuda": ("cudnn.enabled",)}
_REDUCED = tuple(f"cuda.matmul.allow_{half}_reduced_precision_reduction" for half in ("fp16", "bf16"))


PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def numerics(device: str) -> tuple[str, ...]:
    """``in_force`` as text."""
    return tuple(map(str, in_force(device)))


def in_force(device: str) -> tuple[object, ...]:
    """Settings of PyTorch that change the bits of a result on this type of device, such as ``cpu``."""
    import torch

    autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    try:
        legacy: tuple[object, ...] = (torch.get_float32_matmul_precision(),)
        if device == "cuda":
            legacy += (torch.backends.cudnn.allow_tf32,)
    except RuntimeError:  # the program has used the new settings, and PyTorch refuses to answer in terms of the old
        legacy = ()
    deterministic = torch.are_deterministic_algorithms_enabled()
    more = _more(device)
    return torch.get_default_dtype(), autocast, deterministic, *legacy, *(more(torch.backends) if more else ())


@lru_cache(maxsize=8)
def _more(device: str) -> Callable[[Any], tuple[object, ...]] | None:
    """Gets those settings that this version of PyTorch has besides, for this type of device."""
    import torch

    wanted = *_PRECISION, *_LIBRARY.get(device, ()), *(_REDUCED if device == "cuda" else ())
    names = [name for name in wanted if _has(torch.backends, name)]
    return attrgetter(*names, *names[:1]) if names else None


def _has(thing: Any, path: str) -> bool:
    try:
        attrgetter(path)(thing)
    except (AttributeError, RuntimeError):
        return False
    return True


@lru_cache(maxsize=32)
def device_type(device: str | torch.device) -> str:
    """Such as ``cuda`` for ``cuda:1``."""
    import torch

    return torch.device(device).type
