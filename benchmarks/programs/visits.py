"""Clients of the server, several at once, who look at what they are answered."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple


class Request(NamedTuple):
    """A text, a reference clip to be uploaded with it, and what is said in this voice in each chunk."""

    text: str
    clip: Path
    expected: Sequence[float]


class Answer(NamedTuple):
    """``seconds``: from the request to its answer. ``error``: there was none. ``other``: not in the voice asked for."""

    seconds: float
    error: bool = False
    other: bool = False


class Visit(NamedTuple):
    """What so many clients got, and the seconds that all of it took."""

    seconds: float
    answers: list[Answer]

    @property
    def rate(self) -> float:
        return len(self.answers) / self.seconds


def visit(port: int, requests: Sequence[Request], clients: int, seconds: float) -> Visit:
    """Ask for all of it, or for as much as can be begun in so many seconds."""
    import httpx

    waiting, until = iter(requests), time.monotonic() + seconds

    def one(asking: httpx.Client) -> Iterator[Answer]:
        for request in waiting:
            yield _answer(asking, request)
            if time.monotonic() > until:
                return

    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as asking, ThreadPoolExecutor(clients) as crowd:
        started = time.perf_counter()
        each = list(crowd.map(lambda _: list(one(asking)), range(clients)))
        return Visit(time.perf_counter() - started, [answer for answers in each for answer in answers])


def _answer(asking: Any, request: Request) -> Answer:
    import httpx

    started = time.perf_counter()
    try:
        upload = {"voice": (request.clip.name, request.clip.read_bytes(), "audio/wav")}
        answer = asking.post("/speech", data={"text": request.text}, files=upload).raise_for_status()
    except httpx.HTTPError:
        return Answer(time.perf_counter() - started, error=True)
    return Answer(time.perf_counter() - started, other=not in_one_voice(answer.content, request.expected))


def in_one_voice(wav: bytes, expected: Sequence[float]) -> bool:
    """Whether each chunk says what this voice says by upstream alone, bit for bit."""
    import numpy
    import soundfile

    said, _ = soundfile.read(io.BytesIO(wav), dtype="float32")
    return said.size > 0 and said.tolist() == numpy.tile(expected, said.size // len(expected)).tolist()


def rows(visits: Sequence[Visit]) -> dict[str, float]:
    """Of several visits of the same kind."""
    answers = [answer for each in visits for answer in each.answers]
    waits = sorted(answer.seconds for answer in answers)
    return {
        "requests": len(answers),
        "requests/s": statistics.median(each.rate for each in visits),
        "wait, median (s)": statistics.median(waits),
        "wait, 95th percentile (s)": waits[round(0.95 * (len(waits) - 1))],
        "answered with an error": sum(answer.error for answer in answers),
        "answered in another voice": sum(answer.other for answer in answers),
    }
