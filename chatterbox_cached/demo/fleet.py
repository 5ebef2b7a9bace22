"""Two workers that share a store, shown: what one has prepared, the other never does."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..upstream.families import variant
from . import rehearsal
from .demonstration import calls_of
from .presentation import say, time_of
from .server import valkey
from .worker import Heard, Order, Worker

_VOICES = _WORKERS = 2
_ROW = "{:<27} {:<6}  {:<10} {:>8}  {:>8}  {}"


class Row(NamedTuple):
    """One call, and the same call without the cache."""

    what: str
    worker: int
    heard: Heard
    alone: Heard

    @property
    def same(self) -> bool:
        return self.heard.samples == self.alone.samples


def run(voice: Path | None, out: Path, device: str, model_name: str) -> dict[str, Any]:
    """Run it, print what it finds, and give the same as figures.

    ``as_promised`` is whether no sample was changed and each of the two voices was prepared once.
    """
    out.mkdir(parents=True, exist_ok=True)
    family = variant(model_name).family
    voices = voice or rehearsal.reference_clip(out / "reference.wav"), rehearsal.reference_clip(out / "new.wav", seed=7)
    call = next(iter(calls_of(family, out).values()))
    first, second = ({**call, family.prompt: str(each)} for each in voices)
    say("Starting Valkey and two workers: processes, each with a model and an empty cache folder of its own ...")
    with valkey() as address, contextlib.ExitStack() as at_the_end:
        order = Order(model_name, device, address, secrets.token_hex(16), first, _WORKERS)
        workers = [Worker(order) for _ in range(_WORKERS)]
        for worker in workers:
            at_the_end.callback(worker.end)
        published = [worker.loaded() for worker in workers]
        rows = [*_one_after_the_other(workers, first), *_at_once(workers, second)]
    figures = _figures(rows, all(published))
    _print(rows, figures)
    return figures


def _one_after_the_other(workers: list[Worker], call: dict[str, Any]) -> Iterator[Row]:
    alone = workers[0].asked(call, cached=False)
    yield Row("a voice, without the cache", 1, alone, alone)
    for number, worker in enumerate(workers, 1):
        yield Row("the same voice", number, worker.asked(call), alone)


def _at_once(workers: list[Worker], call: dict[str, Any]) -> Iterator[Row]:
    alone = workers[0].asked(call, cached=False)
    yield Row("another, without the cache", 1, alone, alone)
    for worker in workers:
        worker.told(call)
    for number, worker in enumerate(workers, 1):
        yield Row("the same, both at once", number, worker.heard(), alone)


def _figures(rows: list[Row], published: bool) -> dict[str, Any]:
    same, prepared = all(row.same for row in rows), sum(row.heard.source == "upstream" for row in rows)
    return {
        "as_promised": same and prepared == _VOICES,
        "same": same,
        "preparations": prepared,
        "published_weights": published,
        "calls": [
            {
                "what": row.what,
                "worker": row.worker,
                "voice_from": row.heard.source,
                "prepare_seconds": row.heard.preparing,
                "generate_seconds": row.heard.generating,
                "same": row.same,
            }
            for row in rows
        ],
    }


def _print(rows: list[Row], figures: dict[str, Any]) -> None:
    print("", _ROW.format("", "worker", "voice from", "prepare", "generate", "same samples"), "-" * 79, sep="\n")
    for row in rows:
        times = time_of(row.heard.preparing), time_of(row.heard.generating)
        print(_ROW.format(row.what, row.worker, row.heard.source, *times, "yes" if row.same else "NO"))
    say("", f"Upstream prepared {figures['preparations']} times for {_VOICES} voices and two workers with the cache.")
    if not figures["published_weights"]:
        say(
            "The published weights can't be loaded here, so these were RANDOM WEIGHTS: a preparation was the full"
            " work, a generation was cut short, and what was said was noise."
        )
    if not figures["same"]:
        say("THE SAMPLES DIFFER with the cache: this is a bug in it. Please report it with this output.")
