"""Whole jobs: filling a cache, and speaking texts from first to last with a generation that is far too short."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from chatterbox_cached.cli.workers import Order, Worker
from chatterbox_cached.demo import rehearsal
from chatterbox_cached.demo.hub import hub_folder

from .. import clock, ways
from ..stage import Stage, in_child


def warm(stage: Stage) -> dict[str, Any]:
    """Seconds to prepare several voices one after the other, by upstream and into an empty cache."""
    return {"unit": "s", **in_child(_warm, stage)}


def _warm(stage: Stage) -> dict[str, Any]:
    clips = [str(stage.clip("warm", seed)) for seed in range(stage.times(6, 2))]
    works: dict[str, tuple[clock.Around, clock.Work, clock.Work]] = {}
    for way in (ways.Upstream(stage.model, stage.folder), ways.Cache(stage.model, stage.new_folder())):
        way.prepare(clips[0])  # so that no fingerprint is in it
        works[way.name] = way.on, lambda way=way: [way.prepare(clip) for clip in clips], way.forget_all
    return clock.singles(works, rounds=stage.times(4, 2), scale=1)


def jobs(stage: Stage) -> dict[str, Any]:
    """Seconds to prepare several voices by upstream, and by 1 and 2 processes of ``warm`` that have loaded a model."""
    return {"unit": "s", **in_child(_jobs, stage)}


def _jobs(stage: Stage) -> dict[str, Any]:
    hub, path = stage.new_folder(), stage.new_folder()
    hub_folder(hub, parts=rehearsal.Parts(stage.model.ve, stage.model.s3gen))
    (path / "sitecustomize.py").write_text("from chatterbox_cached.demo import shortening\nshortening.shorten()\n")
    os.environ.update(HF_HUB_CACHE=str(hub), HF_HUB_OFFLINE="1", PYTHONPATH=f"{path}{os.pathsep}{os.getcwd()}")
    clips = [stage.clip("jobs", seed) for seed in range(stage.times(12, 4))]
    taken: dict[str, list[float]] = {}
    for _ in range(stage.times(3, 1)):
        started = time.perf_counter()
        for clip in clips:
            stage.model.prepare_conditionals(clip)
        taken.setdefault("upstream alone", []).append(time.perf_counter() - started)
        for count in (1, 2):
            seconds, memory = _shared_out(stage, clips, count)
            taken.setdefault(f"warm --jobs {count}", []).append(seconds)
            taken.setdefault(f"memory of each of its workers at its most, --jobs {count} (MB)", []).extend(memory)
    shutil.rmtree(hub)
    return {name: clock.figure(values) for name, values in taken.items()}


def _shared_out(stage: Stage, clips: list[Path], count: int) -> tuple[float, list[float]]:
    order = Order("english", "cpu", None, str(stage.new_folder()), count)
    crew = [Worker(order) for _ in range(count)]
    for worker in crew:
        worker.loaded()
        worker.warm(stage.clips[10])  # the model's fingerprint, and all else that a process does once
    waiting = list(clips)

    def work(worker: Worker) -> None:
        with contextlib.suppress(IndexError):
            while True:
                worker.warm(waiting.pop())

    started = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, crew))
    seconds = time.perf_counter() - started
    memory = [_most_memory(worker._process.pid) for worker in crew]
    for worker in crew:
        worker.dismiss()
        worker.wait(time.monotonic() + 60)
    return seconds, memory


def _most_memory(process: int) -> float:
    """Megabytes that a process has had resident at most, as Linux counts them."""
    (line,) = (each for each in Path(f"/proc/{process}/status").read_text().splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def job(stage: Stage) -> dict[str, Any]:
    """Seconds for 4 texts and for 40 short ones, with one voice, each in a process of its own. S3Gen says nothing."""
    figures: dict[str, Any] = {"unit": "s"}
    for texts, rounds in ((4, stage.times(3, 1)), (40, 1)):
        taken: dict[str, list[float]] = {}
        for _ in range(rounds):
            folder = stage.new_folder()
            for name, kind in (
                ("upstream alone", ways.Upstream),
                ("enable(), empty cache", ways.Enabled),
                ("enable(), voice on disk", ways.Enabled),
            ):
                seconds = in_child(_job, stage, kind, folder, texts)
                taken.setdefault(f"{texts} texts, {name}", []).append(seconds)
        figures |= {name: clock.figure(values) for name, values in taken.items()}
    return figures


def _job(stage: Stage, kind: Any, folder: Any, texts: int) -> float:
    import torch

    clip = str(stage.clips[10])
    type(stage.model.s3gen).inference = lambda *_, **__: (torch.zeros(1, 24_000), None)
    started = time.perf_counter()
    way = kind(stage.model, folder)
    with way.on():
        for number in range(texts):
            stage.model.generate(f"Line {number}.", audio_prompt_path=clip)
    return time.perf_counter() - started
