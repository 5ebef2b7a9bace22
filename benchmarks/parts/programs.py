"""Whole programs, without the cache and with it: a server, the same with a crowd before it, and an audiobook's loop."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import ways
from ..programs.speech import LONG, SHORT, chunks, counted, say_the_voice
from ..programs.visits import Request, Visit, rows, visit
from ..stage import Stage, in_child

WITHOUT, WITH, LATER = "without the cache", "with the cache", "with the cache, in a later run"
CROWDS = {"one after another": 1, "5 clients": 5, "20 clients": 20}
_UNIT = "generations cut short"
_LONGEST = 150.0  # seconds after which a round begins no more requests
Voices = list[tuple[Path, list[float]]]
Figures = dict[str, Any]


def _voices(stage: Stage, count: int) -> Voices:
    """So many clips, and what upstream alone says in each voice."""
    clips = [stage.clip("program", seed, seconds=6) for seed in range(count)]
    return list(zip(clips, in_child(_said_by_upstream, stage, clips), strict=True))


def _said_by_upstream(stage: Stage, clips: Sequence[Path]) -> list[list[float]]:
    say_the_voice(stage.model)
    return [stage.model.generate(SHORT, audio_prompt_path=str(clip))[0].tolist() for clip in clips]


def _requests(voices: Voices, count: int, long: int = 0) -> list[Request]:
    """Each voice as often as any other, in no order; each ``long``-th has a long text."""
    asked = [
        Request(LONG if long and number % long == 0 else SHORT, *voices[number % len(voices)])
        for number in range(count)
    ]
    random.Random(0).shuffle(asked)
    return asked


# A server


def server(stage: Stage) -> Figures:
    """Four clients and 200 requests, each nineteenth of them for a long text, in 20 voices that are uploaded."""
    requests = _requests(_voices(stage, stage.times(20, 3)), stage.times(200, 12), long=19)
    kinds = {WITHOUT: ways.Upstream, WITH: ways.Enabled}
    return {"unit": _UNIT, **{name: in_child(_server, stage, kind, requests) for name, kind in kinds.items()}}


def _server(stage: Stage, kind: Any, requests: list[Request]) -> Figures:
    from ..programs.served import while_served

    way = kind(stage.model, stage.new_folder())
    answered, figures = while_served(stage, way, lambda port: rows([visit(port, requests, 4, _LONGEST)]))
    return {**answered, **figures}


# A crowd


def clients(stage: Stage) -> Figures:
    """Requests for short texts in 5 voices: one after another, and by 5 and 20 clients at once."""
    voices = _voices(stage, stage.times(5, 2))
    return {
        "unit": _UNIT,
        **in_child(_clients, stage, ways.Upstream, WITHOUT, _requests(voices, stage.times(20, 4)), 1),
        **in_child(_clients, stage, ways.Enabled, WITH, _requests(voices, stage.times(25, 20)), stage.times(3, 1)),
    }


def _clients(stage: Stage, kind: Any, name: str, requests: list[Request], rounds: int) -> Figures:
    from ..programs.served import while_served

    def drive(port: int) -> Figures:
        visit(port, requests[: len(requests) // 4], 1, _LONGEST)
        visits: dict[str, list[Visit]] = {crowd: [] for crowd in CROWDS}
        for _ in range(rounds):
            for crowd, count in CROWDS.items():
                visits[crowd].append(visit(port, requests, count, _LONGEST / len(CROWDS)))
        return {f"{name}, {crowd}": rows(visits[crowd]) for crowd in CROWDS}

    answered, _ = while_served(stage, kind(stage.model, stage.new_folder()), drive)
    return dict(answered)


# An audiobook


def book(stage: Stage) -> Figures:
    """A narrator with long paragraphs and two who speak between them, line by line, and the same in a later run."""
    voices, folder = _voices(stage, 3), stage.new_folder()
    runs = {WITHOUT: (ways.Upstream, stage.new_folder()), WITH: (ways.Enabled, folder), LATER: (ways.Enabled, folder)}
    return {"unit": _UNIT, **{name: in_child(_book, stage, *run, voices) for name, run in runs.items()}}


def _book(stage: Stage, kind: Any, folder: Path, voices: Voices) -> Figures:
    say_the_voice(stage.model)
    narrator, anna, ben = voices
    lines = [(narrator, LONG), (anna, SHORT), (narrator, LONG), (ben, SHORT)] * stage.times(3, 1)
    calls = [(clip, expected, chunk) for (clip, expected), text in lines for chunk in chunks(text)]
    with counted(kind(stage.model, folder)) as figures:
        started, others = time.perf_counter(), 0
        for clip, expected, chunk in calls:
            said = stage.model.generate(chunk, audio_prompt_path=str(clip))
            others += said[0].tolist() != expected
        seconds = time.perf_counter() - started
    return {"calls": len(calls), "seconds": seconds, **figures, "said in another voice": others}
