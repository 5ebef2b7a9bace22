"""What a model holds or says, in so few letters that processes can be compared by what they print."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch


def digest(thing: Any) -> str:
    """Of tensors in any containers: their values, and the fields, types, shapes, strides and devices that they have."""
    known = hashlib.sha256()
    for part in _parts("", thing):
        known.update(part)
    return known.hexdigest()[:16]


def _parts(name: str, thing: Any) -> list[bytes]:
    if isinstance(thing, torch.Tensor):
        kind = f"{name}: {thing.dtype} {tuple(thing.shape)} {thing.stride()} {thing.device}"
        return [kind.encode(), thing.detach().contiguous().cpu().flatten().view(torch.uint8).numpy().tobytes()]
    inside = thing if isinstance(thing, Mapping) else getattr(thing, "__dict__", None)
    if inside is None:
        return [f"{name}: {thing!r}".encode()]
    return [part for field in sorted(inside) for part in _parts(f"{name}.{field}", inside[field])]
