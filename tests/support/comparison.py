"""Conditionals and entries, compared bit for bit; where they differ it is said in which fields, and by how much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import chatterbox_cached
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.snapshot import Snapshot, equal


def assert_same_conditionals(a: Any, b: Any) -> None:
    """Two ``Conditionals`` have the same fields, bit for bit, in tensors of equal dtype, shape, strides and device."""
    _assert_same_fields("t3", vars(a.t3), vars(b.t3))
    assert_same_dicts(a.gen, b.gen)


def assert_same_dicts(a: Any, b: Any) -> None:
    """The same for what S3Gen speaks from."""
    assert type(a) is type(b) is dict
    _assert_same_fields("gen", a, b)


def assert_own_voice(model: Any, voice: Path) -> None:
    """The model's conditionals are those that upstream makes of ``voice`` with the code and weights that it has now."""
    got = model.conds
    with chatterbox_cached.disabled():
        model.prepare_conditionals(voice)
    assert_same_conditionals(got, model.conds)


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


def assert_same_entries(ours: dict[str, bytes], theirs: dict[str, bytes]) -> None:
    """The same keys, and of each the same voice."""
    assert ours.keys() == theirs.keys()
    differing = {}
    for key, entry in ours.items():
        one, other = (entry_format.decode(key, each) for each in (entry, theirs[key]))
        if not equal(one, other):
            differing[key] = [_difference(name, one, other) for name in sorted({*one.names(), *other.names()})]
    assert differing == {}


def _difference(name: str, one: Snapshot, other: Snapshot) -> str:
    mine, its = one.tensors().get(name), other.tensors().get(name)
    if mine is None or its is None or mine.shape != its.shape or mine.dtype != its.dtype:
        return f"{name}: {_kind(mine)} and {_kind(its)}"
    if torch.equal(mine, its):
        return f"{name}: the same"
    apart = (mine.double() - its.double()).abs()
    return f"{name}: {int((apart > 0).sum())} of {apart.numel()} differ, by {float(apart.max()):.3g} at most"


def _kind(tensor: torch.Tensor | None) -> str:
    return "none" if tensor is None else f"{tuple(tensor.shape)} of {tensor.dtype}"
