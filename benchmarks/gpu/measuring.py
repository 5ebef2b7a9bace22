"""One subject after the other, within the time that there is; each failure is a line of the result, and no end."""

from __future__ import annotations

import contextlib
import datetime
import functools
import gc
import json
import platform
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from chatterbox_cached.demo import rehearsal

from .. import machine
from . import speech, voices
from .checks import checks
from .sameness import SecondProcess, said_by
from .stand import FULL, Stand, prepare, unending
from .subjects import SUBJECTS

_BUILDING = 15  # seconds that a model may take

Figures = dict[str, Any]


class Run:
    """A result that grows, and is written after each step: what is cut off still gives what it measured."""

    def __init__(self, stand: Stand, seconds: float, file: Path) -> None:
        self.begun, self.seconds, self.file = time.monotonic(), seconds, file
        self.result = _nothing_yet(stand)

    def passed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.begun

    def step(self, subject: str, kind: str, needs: float, work: Callable[[], Figures]) -> None:
        """Keep the figures of ``work``, or its error; or nothing of it where it needs more seconds than are left."""
        found: dict[str, Any]
        left, started = max(0.0, self.seconds - self.passed()), self.passed()
        if left < needs:
            found = {"skipped": f"{left:.0f} s were left"}
        else:
            try:
                found = {"figures": work()}
            except Exception as error:
                traceback.print_exc()
                found = {"error": said_by(error)}
        found["seconds"] = round(self.passed() - started, 2)
        self.result["subjects"].setdefault(subject, {})[kind] = found
        self.result["seconds"] = round(self.passed(), 1)
        self.file.write_text(json.dumps(self.result, indent=1) + "\n")
        self.say(f"{subject}, {kind}: {next(iter(found))}, {found['seconds']:.1f} s")

    def say(self, what: str) -> None:
        """Print what was done, with the time."""
        print(f"{self.passed():6.0f} s  {what}", file=sys.stderr, flush=True)


def measure(stand: Stand, kinds: list[str], subjects: list[str], seconds: float, file: Path) -> dict[str, Any]:
    """The result, which is also in ``file``. No subject begins that would not end within ``seconds``."""
    run = Run(stand, seconds, file)
    with contextlib.ExitStack() as ending:
        second = None
        if "in_two_processes" in subjects:
            second = SecondProcess(stand, kinds)
            ending.callback(second.end)
        ending.enter_context(unending())  # loads Chatterbox
        parts = rehearsal.build_parts(device=stand.device)
        gc.freeze()  # all that was loaded, so that no collection between subjects looks at it
        ending.callback(gc.unfreeze)
        run.say("Chatterbox is loaded")
        for kind in kinds:
            _measure_kind(run, stand, kind, parts, [name for name in subjects if name != "checks"], second)
        if "checks" in subjects:
            run.step("checks", "english", SUBJECTS["checks"], lambda: checks(stand, parts))
    return run.result


def _measure_kind(
    run: Run, stand: Stand, kind: str, parts: rehearsal.Parts, subjects: list[str], second: SecondProcess | None
) -> None:
    if not subjects:
        return
    models: list[Any] = []

    def build() -> Figures:
        models.append(stand.build(kind, parts))
        started = time.perf_counter()
        stand.settled(lambda: prepare(models[0], stand.clip()))()
        return {
            "parameters of T3 (M)": sum(each.numel() for each in models[0].t3.parameters()) / 1e6,
            "the first preparation of this class (s)": time.perf_counter() - started,
        }

    run.step("building", kind, _BUILDING, build)
    if not models:
        return
    model = models.pop()
    works: dict[str, Callable[[], Figures]] = {
        "preparation": lambda: voices.preparation(stand, model),
        "samples": lambda: speech.samples(stand, model),
        "in_float32": lambda: speech.in_float32(stand, model),
        "memory": lambda: voices.memory(stand, model),
        "fingerprint": lambda: voices.fingerprint(stand, model),
        "repeatable": lambda: voices.repeatable(stand, model),
        "autocast": lambda: speech.autocast(stand, model),
        "in_bfloat16": lambda: speech.in_bfloat16(stand, model),
        "whole_model": lambda: speech.whole_model(stand, kind),
    }
    if second is not None:
        works["in_two_processes"] = functools.partial(voices.in_two_processes, stand, model, kind, second)
    for name in subjects:
        run.step(name, kind, SUBJECTS[name], works[name])
        model.conds = None
        _give_back(stand)


def _give_back(stand: Stand) -> None:
    gc.collect()
    if stand.device.startswith("cuda"):
        import_module("torch").cuda.empty_cache()


def _nothing_yet(stand: Stand) -> dict[str, Any]:
    small = stand.sizes is not FULL
    arguments = [f"--device {stand.device}"] * (stand.device != "cuda") + ["--small"] * small
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "command": "make bench-gpu" + (f' ARGS="{" ".join(arguments)}"' if arguments else ""),
        "seconds": 0,
        "small": small,
        "machine": machine.describe(),
        "gpu": _gpu(stand.device),
        "notes": _notes(),
        "subjects": {},
    }


def _gpu(device: str) -> dict[str, Any]:
    torch = import_module("torch")
    versions = {name: import_module(name).__version__ for name in ("torchaudio", "numpy", "transformers")}
    if not device.startswith("cuda"):
        return {"name": f"no GPU ({platform.machine()})", "memory": "", "versions": versions}
    found = torch.cuda.get_device_properties(device)
    versions |= {"CUDA": torch.version.cuda, "cuDNN": str(torch.backends.cudnn.version())}
    memory = f" with {found.total_memory / 2**30:.0f} GiB, compute capability {found.major}.{found.minor}"
    return {"name": found.name, "memory": memory, "versions": versions}


def _notes() -> list[str]:
    if int(import_module("numpy").__version__.partition(".")[0]) < 2:
        return []
    return ["With NumPy 2 upstream's Turbo fails in `norm_loudness`, so Turbo was called with `norm_loudness=False`."]
