"""How a tensor lies in memory: upstream's prompt_feat, for one, is a transposed view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def axes_in_memory(strides: Sequence[int]) -> list[int]:
    """The axes in the order in which they lie in memory, the slowest first."""
    return sorted(range(len(strides)), key=lambda axis: (-strides[axis], axis))


def in_memory_order(tensor: torch.Tensor) -> torch.Tensor:
    """The same tensor with its axes in that order, so that whoever goes through all of it need not jump about."""
    return tensor.permute(axes_in_memory(tensor.stride()))
