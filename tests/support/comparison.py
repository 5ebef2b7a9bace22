"""Conditionals, compared bit for bit."""

from __future__ import annotations

from typing import Any

import torch


def assert_same_conditionals(a: Any, b: Any) -> None:
    """Two ``Conditionals`` have the same fields, bit for bit, in tensors of equal dtype, shape, strides and device."""
    _assert_same_fields("t3", vars(a.t3), vars(b.t3))
    _assert_same_fields("gen", a.gen, b.gen)


def _assert_same_fields(part: str, a: dict[str, Any], b: dict[str, Any]) -> None:
    assert a.keys() == b.keys(), part
    for field in a:
        _assert_same(f"{part}.{field}", a[field], b[field])


def _assert_same(name: str, a: Any, b: Any) -> None:
    assert type(a) is type(b), name
    if not isinstance(a, torch.Tensor):
        assert a == b, name
        return
    for trait in ("dtype", "shape", "device"):
        assert getattr(a, trait) == getattr(b, trait), f"{name}: {trait}"
    assert a.stride() == b.stride(), f"{name}: stride"
    assert torch.equal(a, b), name
