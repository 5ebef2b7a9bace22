"""PyTorch's modules and tensors, told without loading PyTorch, and what is in a tensor."""

from __future__ import annotations

import sys
from typing import Any


def is_torch_module(thing: Any) -> bool:
    """Whether this is an instance of ``torch.nn.Module``."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.nn.Module)


def is_tensor(thing: Any) -> bool:
    """Whether this is a tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.Tensor)


def bytes_of(tensor: Any) -> memoryview:
    """The elements of a tensor, wherever it is; of one in memory without a copy, so that they change with it."""
    torch: Any = sys.modules["torch"]
    flat = tensor.detach().to("cpu").resolve_conj().resolve_neg().contiguous().reshape(-1)
    elements: memoryview = flat.view(torch.uint8).numpy().data
    return elements
