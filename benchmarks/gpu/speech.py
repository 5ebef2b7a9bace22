"""Generations: how long they take beside a preparation, in which precision they work, and whether they are equal."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any

from chatterbox_cached.demo import rehearsal

from .. import clock, ways
from .sameness import digests, expect, same, same_sound, works
from .stand import Stand, prepare, speak

Figures = dict[str, Any]


def in_float32(stand: Stand, model: Any) -> Figures:
    """Seconds of a generation, and the share of a call that its preparation is, by the number of tokens."""
    return _beside_preparation(stand, model, lambda: prepare(model, stand.clip()))


def in_bfloat16(stand: Stand, model: Any) -> Figures:
    """The same with T3 in bfloat16, and of the conditionals what T3 gets: upstream casts neither by itself."""
    bfloat16 = import_module("torch").bfloat16
    with _t3_in(model, bfloat16):
        return _beside_preparation(stand, model, lambda: prepare(model, stand.clip()).t3.to(dtype=bfloat16))


def _beside_preparation(stand: Stand, model: Any, prepared: Callable[[], Any]) -> Figures:
    prepared()
    speak(model, stand.shortest)
    preparing = stand.settled(prepared)
    alone = {"a preparation (s)": (nullcontext, preparing, clock.nothing)}
    figures: Figures = clock.singles(alone, rounds=stand.sizes.rounds, scale=1)
    preparation = figures["a preparation (s)"]["median"]
    for tokens, rounds in stand.sizes.tokens.items():
        work = stand.settled(functools.partial(speak, model, tokens))
        name = f"a generation of {tokens} tokens (s)"
        figures |= clock.singles({name: (nullcontext, work, preparing)}, rounds=rounds, scale=1)
        share = preparation / (preparation + figures[name]["median"])
        figures[f"share of the preparation, {tokens} tokens (%)"] = 100 * share
    return figures


def samples(stand: Stand, model: Any) -> Figures:
    """Whether a seeded call says the same, bit for bit, as upstream alone has said."""
    clip, tokens = stand.clip(), stand.shortest
    expected = speak(model, tokens, clip)
    figures = {"upstream alone, again": same_sound(expected, speak(model, tokens, clip))}
    way = ways.Enabled(model, stand.new_folder())
    with way.on():
        for name, before in {"a miss": clock.nothing, "a memory hit": clock.nothing, "a disk hit": way.forget}.items():
            before()
            figures[name] = same_sound(expected, speak(model, tokens, clip))
        expect(way, memory_hits=1, disk_hits=1, misses=1)
    with _t3_in(model, import_module("torch").bfloat16):
        figures["a memory hit, T3 in bfloat16"] = _same_in_bfloat16(stand, model, way)
    return figures


def _same_in_bfloat16(stand: Stand, model: Any, way: ways.Enabled) -> bool | str:
    def say() -> Any:
        prepare(model, stand.clip()).t3.to(dtype=import_module("torch").bfloat16)
        return speak(model, stand.shortest)

    expected = say()
    with way.on():
        return same_sound(expected, say())


def autocast(stand: Stand, model: Any) -> Figures:
    """What works under autocast, and whether a hit there is what upstream makes there."""
    return {
        f"{half}: {row}": found
        for half in stand.sizes.autocast
        for row, found in _under_autocast(stand, model, half).items()
    }


def _under_autocast(stand: Stand, model: Any, half: str) -> Figures:
    torch = import_module("torch")
    clip = stand.clip()

    def cast() -> Any:
        return torch.autocast(torch.device(stand.device).type, getattr(torch, half))

    figures: Figures = {
        "a preparation": works(_under(cast, lambda: prepare(model, clip))),
        "a whole call": works(_under(cast, lambda: speak(model, stand.shortest, clip))),
        "a generation after a preparation without": works(lambda: _after(stand, model, cast)),
    }
    if figures["a preparation"] != "works":
        return figures
    with cast():
        expected = digests(prepare(model, clip))
    way = ways.Enabled(model, stand.new_folder())
    with way.on():
        prepare(model, clip)
        with cast():
            prepare(model, clip)
            figures["a hit is what upstream makes there"] = same(expected, digests(prepare(model, clip)))
    expect(way, memory_hits=1, misses=2)
    return {**figures, "kept apart from what was made without": True}


def _under(around: Callable[[], Any], work: Callable[[], Any]) -> Callable[[], Any]:
    def both() -> Any:
        with around():
            return work()

    return both


def _after(stand: Stand, model: Any, cast: Callable[[], Any]) -> None:
    prepare(model, stand.clip())
    with cast():
        speak(model, stand.shortest)


def whole_model(stand: Stand, kind: str) -> Figures:
    """What upstream does with a model that is cast to bfloat16, of which T3 is short: works, or the error."""
    bfloat16 = import_module("torch").bfloat16
    model = stand.build(kind, rehearsal.build_parts(device=stand.device), layers=2)
    clip = stand.clip()
    prepare(model, clip).t3.to(dtype=bfloat16)
    model.t3.to(bfloat16)
    figures: Figures = {
        "T3 alone: a generation from conditionals that were cast": works(lambda: speak(model, stand.shortest)),
        "T3 alone: a whole call": works(lambda: speak(model, stand.shortest, clip)),
    }
    prepare(model, clip).t3.to(dtype=bfloat16)
    for part in (model.ve, model.s3gen):
        part.to(bfloat16)
    return {
        **figures,
        "all: a generation from conditionals that were cast": works(lambda: speak(model, stand.shortest)),
        "all: a preparation": works(lambda: prepare(model, clip)),
    }


@contextmanager
def _t3_in(model: Any, dtype: Any) -> Iterator[None]:
    """T3 in another dtype. Its weights are afterwards what that has left of them."""
    before = next(model.t3.parameters()).dtype
    model.t3.to(dtype)
    try:
        yield
    finally:
        model.t3.to(before)
