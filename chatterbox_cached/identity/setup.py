"""What of this process and machine decides the bits of a result."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..errors import Unidentifiable

if TYPE_CHECKING:
    import torch


def numerics() -> tuple[str, ...]:
    """Process-wide settings of PyTorch that change the bits of a result."""
    dtype, precision, tf32 = in_force()
    return str(dtype), precision, "tf32" if tf32 else ""


def in_force() -> tuple[torch.dtype, str, bool]:
    """The same as PyTorch has them: to write them out takes longer than to compare them."""
    import torch

    return torch.get_default_dtype(), torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def refuse_autocast(model: Any) -> None:
    """Raise Unidentifiable where autocast decides in which precision ``model`` computes."""
    import torch

    if torch.is_autocast_enabled(device_type(model.device)):
        raise Unidentifiable("autocast is on")


@lru_cache(maxsize=32)
def device_type(device: str | torch.device) -> str:
    """Such as ``cuda`` for ``cuda:1``."""
    import torch

    return torch.device(device).type
