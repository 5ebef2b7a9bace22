"""Memory hits of several threads and processes at once: hits per second of all of them together."""

from __future__ import annotations

import copy
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from .. import clock, ways
from ..stage import Stage, in_child

COUNTS = (1, 2, 4, 8)


def threads(stage: Stage) -> dict[str, Any]:
    """Hits per second of 1, 2, 4 and 8 threads of one process, on one model and on a model each."""
    return {"unit": "hits/s", **in_child(_threads, stage)}


def _threads(stage: Stage) -> dict[str, Any]:
    way, clip = ways.Enabled(stage.model, stage.new_folder()), str(stage.clips[10])
    models = [copy.copy(stage.model) for _ in range(max(COUNTS))]
    taken: dict[str, list[float]] = {}
    with way.on():
        for model in (stage.model, *models):
            model.prepare_conditionals(clip)
        for _ in range(stage.times(9, 3)):
            for count in COUNTS:
                for name, own in (("one model", [stage.model] * count), ("a model each", models[:count])):
                    rate = _rate([lambda model=model: model.prepare_conditionals(clip) for model in own])
                    taken.setdefault(f"{count} threads, {name}", []).append(rate)
    return {name: clock.figure(values) for name, values in taken.items()}


def _rate(works: list[Callable[[], Any]], calls: int = 8000) -> float:
    """Calls per second where each of the works is done by a thread of its own, ``calls`` in all."""
    begin = threading.Barrier(len(works) + 1)

    def run(work: Callable[[], Any]) -> None:
        begin.wait()
        for _ in range(calls // len(works)):
            work()

    people = [threading.Thread(target=run, args=(work,)) for work in works]
    for each in people:
        each.start()
    begin.wait()
    started = time.perf_counter()
    for each in people:
        each.join()
    return calls / (time.perf_counter() - started)


def processes(stage: Stage) -> dict[str, Any]:
    """Hits per second of 1, 2, 4 and 8 processes that share one folder: from memory, and from disk at every call."""
    folder, clip = stage.new_folder(), str(stage.clips[10])
    in_child(_prepared, stage, folder, clip)
    figures: dict[str, Any] = {"unit": "hits/s"}
    for name, forgetting in (("memory", False), ("disk", True)):
        for count in COUNTS:
            rates = [sum(together(stage, count, _hits, folder, clip, forgetting)) for _ in range(stage.times(3, 1))]
            figures[f"{count} processes, {name}"] = clock.figure(rates)
    return figures


def _prepared(stage: Stage, folder: Any, clip: str) -> None:
    ways.Cache(stage.model, folder).prepare(clip)


def together(stage: Stage, count: int, work: Callable[..., Any], *args: Any) -> list[Any]:
    """What each of so many processes gives for ``work(stage, ready, go, *args)``: it writes a byte to ``ready``, and
    begins once it can read one from ``go``."""
    ready, go = os.pipe(), os.pipe()
    given: list[Any] = []
    people = [
        threading.Thread(target=lambda: given.append(in_child(work, stage, ready[1], go[0], *args)))
        for _ in range(count)
    ]
    for each in people:
        each.start()
    for _ in people:
        os.read(ready[0], 1)
    os.write(go[1], b"x" * count)
    for each in people:
        each.join()
    for end in (*ready, *go):
        os.close(end)
    return given


def _hits(stage: Stage, ready: int, go: int, folder: Any, clip: str, forgetting: bool) -> float:
    way, calls = ways.Cache(stage.model, folder), 400 if forgetting else 8000
    way.prepare(clip)
    os.write(ready, b"x")
    os.read(go, 1)
    started = time.perf_counter()
    for _ in range(calls):
        if forgetting:
            way.forget()
        way.prepare(clip)
    return calls / (time.perf_counter() - started)
