"""What a hit spends its time on, by what it is for: a timer looks every now and then where the call is.

No call is made slower by being watched, as it would be by a profiler that is told of each function.
"""

from __future__ import annotations

import collections
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import chatterbox_cached

from .. import clock, ways
from ..stage import Stage, in_child
from .first_hit import have_memory_of_its_own

_PACKAGE = str(Path(chatterbox_cached.__file__).parent) + "/"
_INTERVAL = 0.00097  # not in step with anything that a call does
# By the beginning of a module's path within the package, the longest first.
PIECES = {
    "identity/code": "is it the same code",
    "identity/weights": "is it the same model",
    "identity/standing": "is it the same model",
    "identity/audio": "is it the same recording",
    "identity/wav": "is it the same recording",
    "identity/waveform": "is it the same recording",
    "identity": "settings and the key",
    "tiers": "finding and reading the entry",
    "voice": "checking the entry, fresh tensors",
    "upstream/run": "checking the entry, fresh tensors",
    "upstream/slots": "checking the entry, fresh tensors",
    "": "the call around it, statistics",
}
Places = collections.Counter[str]


def pieces(stage: Stage) -> dict[str, Any]:
    """Per cent of a hit's time, by what it is spent on."""
    folder = stage.new_folder()
    in_child(_prepared, stage, folder)
    first: Places = collections.Counter()
    for _ in range(stage.times(8, 2)):
        first.update(in_child(_first, stage, folder))
    return {
        "unit": "% of its time",
        "memory hit in a loop": _shares(in_child(_in_a_loop, stage, folder)),
        "memory hit after a pause": _shares(in_child(_after_a_pause, stage, folder)),
        "disk hit": _shares(in_child(_from_disk, stage, folder)),
        "first hit in a new process": _shares(first),
    }


def _prepared(stage: Stage, folder: Path) -> None:
    ways.Cache(stage.model, folder).prepare(_clip(stage))


def _in_a_loop(stage: Stage, folder: Path) -> Places:
    return _watched(stage, folder, clock.nothing, calls=stage.times(60_000, 5_000))


def _after_a_pause(stage: Stage, folder: Path) -> Places:
    return _watched(stage, folder, lambda: time.sleep(0.02), calls=stage.times(1_000, 50))


def _from_disk(stage: Stage, folder: Path) -> Places:
    way = ways.Enabled(stage.model, folder)
    return _watched(stage, folder, way.forget, calls=stage.times(4_000, 200), way=way)


def _first(stage: Stage, folder: Path) -> Places:
    have_memory_of_its_own(stage)
    return _watched(stage, folder, clock.nothing, calls=1, warm=False)


def _watched(
    stage: Stage, folder: Path, before: clock.Work, *, calls: int, way: ways.Enabled | None = None, warm: bool = True
) -> Places:
    way, clip, places = way or ways.Enabled(stage.model, folder), _clip(stage), Places()
    with way.on():
        if warm:
            way.prepare(clip)
        with _looking(places):
            for _ in range(calls):
                before()
                way.prepare(clip)
    return places


@contextmanager
def _looking(places: Places) -> Iterator[None]:
    def look(_: int, frame: FrameType | None) -> None:
        if place := _place(frame):
            places[place] += 1

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _INTERVAL, _INTERVAL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _place(frame: FrameType | None) -> str | None:
    """The piece in which this frame is; none for what is no part of a hit."""
    file, hit = "", False
    while frame:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            file = file or frame.f_code.co_filename.removeprefix(_PACKAGE)
        hit = hit or frame.f_code is ways.Enabled.prepare.__code__
        frame = frame.f_back
    if not (file and hit):
        return None
    return next(piece for path, piece in PIECES.items() if file.startswith(path))


def _shares(places: dict[str, int]) -> dict[str, float]:
    whole = sum(places.values())
    return {piece: 100 * places.get(piece, 0) / whole for piece in dict.fromkeys(PIECES.values())}


def _clip(stage: Stage) -> str:
    return str(stage.clips[10])
