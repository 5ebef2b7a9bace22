"""Promises of the cache, kept on this device; each answer is True, or what came instead."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import chatterbox_cached
from chatterbox_cached.demo import rehearsal

from .. import ways
from .sameness import Digests, digests, expect, said_by, same
from .stand import Stand, prepare

Answer = bool | str
_ENCODERS = ("ve", "s3gen")
_HITS = 100
_GPU_ONLY = "asked on a GPU only"


def checks(stand: Stand, parts: rehearsal.Parts) -> dict[str, Answer]:
    """The answers by promise, each asked of a cache of its own."""
    model = stand.build("english", parts, layers=1)
    return {promise: _asked(check, stand, model) for promise, check in _CHECKS.items()}


def _asked(check: Callable[[Stand, Any, ways.Enabled], Answer], stand: Stand, model: Any) -> Answer:
    way = ways.Enabled(model, stand.new_folder())
    try:
        with way.on():
            return check(stand, model, way)
    except Exception as error:
        return f"**no**: {said_by(error)}"


def _is_cpu(stand: Stand) -> bool:
    return stand.device == "cpu"


def _own(stand: Stand, model: Any, seed: int = 0) -> Digests:
    """What upstream makes of a voice now."""
    with chatterbox_cached.disabled():
        return digests(prepare(model, stand.clip(seed)))


def _got(stand: Stand, model: Any, seed: int = 0) -> Digests:
    """What comes with the cache on."""
    return digests(prepare(model, stand.clip(seed)))


def _hits(stand: Stand, model: Any, way: ways.Enabled) -> Answer:
    for seed in range(stand.sizes.voices):
        own = _own(stand, model, seed)
        prepare(model, stand.clip(seed))
        memory = _got(stand, model, seed)
        way.forget()
        answers = same(own, memory), same(own, _got(stand, model, seed))
        if answers != (True, True):
            return next(answer for answer in answers if answer is not True)
    expect(way, memory_hits=stand.sizes.voices, disk_hits=stand.sizes.voices)
    return True


def _harmed(stand: Stand, model: Any, way: ways.Enabled) -> Answer:
    own = _own(stand, model)
    for _ in range(2):
        live = prepare(model, stand.clip())
        for tensor in live.gen.values():
            if tensor is not None:
                tensor.detach().zero_()
        live.to("cpu")
    return same(own, _got(stand, model))


def _other_weights(stand: Stand, model: Any, way: ways.Enabled) -> Answer:
    before = _got(stand, model)
    state = {name: tensor.clone() for name, tensor in model.ve.state_dict().items()}
    model.ve.load_state_dict({name: tensor * 1.01 for name, tensor in state.items()})
    try:
        changed = same(_own(stand, model), _got(stand, model))
    finally:
        model.ve.load_state_dict(state)
    expect(way, misses=2)
    return changed if changed is not True else same(before, _got(stand, model))


def _moved(stand: Stand, model: Any, way: ways.Enabled) -> Answer:
    if _is_cpu(stand):
        return _GPU_ONLY
    here = _got(stand, model)
    with _on_cpu(model, _ENCODERS, whole=True):
        there = same(_own(stand, model), _got(stand, model))
    expect(way, misses=2)
    back = same(here, _got(stand, model))
    expect(way, memory_hits=1)
    return there if there is not True else back


def _partly_moved(stand: Stand, model: Any, way: ways.Enabled) -> Answer:
    if _is_cpu(stand):
        return _GPU_ONLY
    prepare(model, stand.clip())
    with _on_cpu(model, ("ve",), whole=False):
        return same(_own(stand, model), _got(stand, model))


@contextmanager
def _on_cpu(model: Any, parts: tuple[str, ...], *, whole: bool) -> Iterator[None]:
    device = model.device
    try:
        for part in parts:
            getattr(model, part).to("cpu")
        model.device = "cpu" if whole else device
        yield
    finally:
        for part in parts:
            getattr(model, part).to(device)
        model.device = device


def _tf32(stand: Stand, model: Any, way: ways.Enabled) -> Answer:
    torch = import_module("torch")
    plain = _got(stand, model)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        quick = same(_own(stand, model), _got(stand, model))
    finally:
        torch.set_float32_matmul_precision(before)
    expect(way, misses=2)
    return quick if quick is not True else same(plain, _got(stand, model))


def _no_growth(stand: Stand, model: Any, way: ways.Enabled) -> Answer:
    if _is_cpu(stand):
        return _GPU_ONLY
    cuda = import_module("torch").cuda
    prepare(model, stand.clip())
    gc.collect()
    before = cuda.memory_allocated()
    for _ in range(_HITS):
        prepare(model, stand.clip())
    grown = cuda.memory_allocated() - before
    expect(way, memory_hits=_HITS)
    return grown <= 0 or f"**no**: {grown} bytes more"


_CHECKS: dict[str, Callable[[Stand, Any, ways.Enabled], Answer]] = {
    "hits from memory and from disk are what upstream makes, for each voice": _hits,
    "what is done to the conditionals of one call does not reach the next": _harmed,
    "other weights by load_state_dict are noticed, and the old ones known again": _other_weights,
    "a model moved to the CPU shares nothing with itself on this device, and is known again when back": _moved,
    "one encoder moved to the CPU is noticed": _partly_moved,
    "another precision of float32 products shares nothing with the usual one": _tf32,
    f"{_HITS} hits leave no memory of the device taken": _no_growth,
}
