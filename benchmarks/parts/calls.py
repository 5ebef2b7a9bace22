"""Single calls, side by side with every other way: a memory hit, a disk hit, a miss, a generate without a prompt."""

from __future__ import annotations

import functools
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import wrapt

from .. import clock, ways
from ..stage import Stage, in_child


def memory_hit(stage: Stage) -> dict[str, Any]:
    """Microseconds of one call whose voice is in memory, for each length of clip; with what it can't do without."""
    return {"unit": "us", **{f"{s} s": in_child(_memory_hit, stage, str(c)) for s, c in stage.compared.items()}}


def _memory_hit(stage: Stage, clip: str) -> dict[str, Any]:
    works: dict[str, tuple[clock.Around, clock.Work]] = {}
    ours = stage.new_folder()  # one for all, so that it is prepared once
    for way in [kind(stage.model, ours) for kind in ways.OURS] + [
        kind(stage.model, stage.new_folder()) for kind in ways.OTHERS[1:]
    ]:
        with way.on():
            way.prepare(clip)
        works[way.name] = way.on, functools.partial(way.prepare, clip)
    enabled = works[ways.Enabled.name]
    works |= {name: (nullcontext, work) for name, work in _floor_of_memory_hit(clip).items()}
    # So many that the looks that are taken every 10 ms fall on all alike.
    taken = clock.loops(works, rounds=stage.times(30, 10), calls=1000)
    # Between two real calls there is a generation, after which the weights are looked at in full.
    paused = {"enable() after a pause": (*enabled, functools.partial(time.sleep, 0.02))}
    return {**taken, **clock.singles(paused, rounds=stage.times(50, 20), scale=1e6)}


def _floor_of_memory_hit(clip: str) -> dict[str, clock.Work]:
    import torch

    class Plain:
        def method(self, audio: str) -> None:
            pass

    plain, wrapped = Plain(), type("Wrapped", (Plain,), {})()
    wrapt.wrap_function_wrapper(type(wrapped), "method", lambda wrapped, instance, args, kwargs: wrapped(*args))
    small = torch.zeros(1, 1, 1)
    return {
        "floor: os.stat": functools.partial(os.stat, clip),
        "floor: a call through wrapt": functools.partial(wrapped.method, clip),
        "floor: the same call without": functools.partial(plain.method, clip),
        "floor: small clone": small.clone,
    }


def disk_hit(stage: Stage) -> dict[str, Any]:
    """Microseconds of one call whose voice is on disk only, in a process that has used the disk before."""
    return {"unit": "us", **{f"{s} s": in_child(_disk_hit, stage, str(c)) for s, c in stage.compared.items()}}


def _disk_hit(stage: Stage, clip: str) -> dict[str, Any]:
    from chatterbox.tts import Conditionals

    works: dict[str, tuple[clock.Around, clock.Work, clock.Work]] = {}
    ours = stage.new_folder()
    kept = [ways.PtFiles(stage.model, stage.new_folder()), *(kind(stage.model, ours) for kind in ways.OURS)]
    for way in kept:
        with way.on():
            way.prepare(clip)
        works[way.name] = way.on, functools.partial(way.prepare, clip), way.forget
    (saved,) = kept[0].folder.glob("*.pt")
    (entry,) = kept[1].folder.rglob("*.val")
    works["floor: one read and one SHA-256"] = nullcontext, functools.partial(_read_and_hash, entry), clock.nothing
    works["Conditionals.load"] = nullcontext, functools.partial(Conditionals.load, saved), clock.nothing
    return clock.singles(works, rounds=stage.times(30, 10), scale=1e6, calls=10)


def _read_and_hash(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def miss(stage: Stage) -> dict[str, Any]:
    """Milliseconds of one call whose voice is kept nowhere. The fingerprint is taken before."""
    return {"unit": "ms", **{f"{s} s": in_child(_miss, stage, str(c)) for s, c in stage.compared.items()}}


def _miss(stage: Stage, clip: str) -> dict[str, Any]:
    works: dict[str, tuple[clock.Around, clock.Work, clock.Work]] = {}
    for way in [kind(stage.model, stage.new_folder()) for kind in (*ways.OTHERS, *ways.OURS)]:
        with way.on():
            way.prepare(clip)
        works[way.name] = way.on, functools.partial(way.prepare, clip), way.forget_all
    return clock.singles(works, rounds=stage.times(4, 2), scale=1e3)


def generate(stage: Stage) -> dict[str, Any]:
    """Microseconds of ``generate`` without an audio prompt where upstream's own is cut off at its first line."""
    return {"unit": "us", **in_child(_generate, stage)}


def _generate(stage: Stage) -> dict[str, Any]:
    model, clip = stage.model, str(stage.clips[6])
    kind = type(model)
    kind.generate = _cut_off(kind.generate)
    plain, enabled = ways.Upstream(model, stage.folder), ways.Enabled(model, stage.new_folder())
    proxy = ways.Proxy(model, enabled.folder)
    with enabled.on():
        enabled.prepare(clip)
    return clock.loops(
        {
            plain.name: (plain.on, lambda: model.generate("Hello.")),
            enabled.name: (enabled.on, lambda: model.generate("Hello.")),
            proxy.name: (proxy.on, lambda: proxy.proxy.generate("Hello.")),
        },
        rounds=stage.times(30, 10),
        calls=500,
    )


def _cut_off(generate: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(generate)  # with upstream's signature
    def cut_off(self: Any, *args: Any, **kwargs: Any) -> None:
        pass

    return cut_off
