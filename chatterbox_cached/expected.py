"""Whether fields are such as upstream makes them, before they reach a model.

What a model makes of other shapes, of NaN or of tokens beyond its vocabulary is its own affair: an error in the middle
of a generation at best, and a process whose GPU is lost at worst.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .families import FIELDS, Field

if TYPE_CHECKING:
    import torch

_MOST_OF_ANY = 2**22  # elements: 16 MiB of float32


def flaw(fields: Mapping[str, Any]) -> str | None:
    """What is wrong with the fields of one voice, given by dotted name; None for such as upstream makes."""
    return flaw_of_form(fields) or next(
        (said for name, value in fields.items() if value is not None and (said := _flaw_of_values(name, value))), None
    )


def flaw_of_form(fields: Mapping[str, Any]) -> str | None:
    """The same without a look at types and values: whatever passes takes little memory to copy.

    A tensor's shape says nothing of what it occupies: a single number can be strided into any number of them.
    """
    for name, field in FIELDS.items():
        if field.required and fields.get(name) is None:
            return f"{name} is missing"
    for name, value in fields.items():
        if value is not None and (said := _flaw_of_form(name, value)):
            return said
    return None


def _flaw_of_form(name: str, value: Any) -> str | None:
    import torch

    if type(value) not in (torch.Tensor, torch.nn.Parameter) or value.layout is not torch.strided or value.is_meta:
        return f"{name} is no tensor of the usual kind"
    field = FIELDS.get(name)
    if field is None:  # a fork's, of which nothing more is known
        return f"{name} is too large" if value.numel() > _MOST_OF_ANY else None
    if not _fits(value.shape, field):
        return f"{name} has the shape {tuple(value.shape)}"
    return None


def _fits(shape: torch.Size, field: Field) -> bool:
    return len(shape) == len(field.shape) and all(
        least <= size <= most for size, (least, most) in zip(shape, field.shape, strict=True)
    )


def _flaw_of_values(name: str, value: torch.Tensor) -> str | None:
    import torch

    field = FIELDS.get(name)
    if field is not None and value.dtype not in (_floats() if field.below is None else (torch.int64, torch.int32)):
        return f"{name} has the type {value.dtype}"
    if value.is_complex():
        value = torch.view_as_real(value)
    if value.numel() == 0 or (field is None and not value.is_floating_point()):
        return None
    # One pass and no copy: NaN comes through to both, and nothing is beyond an infinity.
    least, most = (each.item() for each in value.aminmax())
    if not (math.isfinite(least) and math.isfinite(most)):
        return f"{name} has a value that is not finite"
    if field is not None and field.below is not None and not 0 <= least <= most < field.below:
        return f"{name} has a value that is out of range"
    return None


def _floats() -> tuple[torch.dtype, ...]:
    import torch

    return torch.float32, torch.float16, torch.bfloat16, torch.float64
