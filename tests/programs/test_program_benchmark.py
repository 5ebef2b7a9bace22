"""The benchmark of whole programs runs small, and what it counts as another voice is one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks.parts import programs
from benchmarks.programs import speech, visits
from benchmarks.report import page
from benchmarks.stage import Stage
from benchmarks.targets import TARGETS
from tests.support import short_models


@pytest.fixture(scope="module")
def stage(parts: Any, voice: Path, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(short_models.english(parts), tmp_path_factory.mktemp("bench"), {6: voice}, quick=True)


@pytest.fixture(scope="module")
def measured(stage: Stage) -> dict[str, Any]:
    return {"server": programs.server(stage), "clients": programs.clients(stage), "book": programs.book(stage)}


def columns(measured: dict[str, Any], part: str, which: str) -> list[dict[str, float]]:
    return [rows for name, rows in measured[part].items() if name.startswith(which)]


def test_with_the_cache_every_answer_comes_and_in_its_own_voice(measured: dict[str, Any]) -> None:
    answered = [*columns(measured, "server", programs.WITH), *columns(measured, "clients", programs.WITH)]
    assert [rows["requests"] for rows in answered] == [12, 20, 20, 20]
    for rows in answered:
        assert (rows["answered with an error"], rows["answered in another voice"]) == (0, 0)
    assert [rows["said in another voice"] for rows in columns(measured, "book", "with")] == [0, 0, 0]


def test_with_the_cache_each_voice_is_prepared_once(measured: dict[str, Any]) -> None:
    def prepared(part: str) -> list[float]:
        return [rows["preparations by upstream"] for rows in columns(measured, part, "with")]

    assert prepared("server") == [12 + 2, 3]  # one of its texts has three chunks
    assert prepared("book") == [8, 3, 0]


def test_what_was_measured_stands_on_the_page_beside_its_target(measured: dict[str, Any]) -> None:
    machine = {"versions": {}, "cores": 2, "processor": "", "memory": "", "system": "", "load": 0, "python": ""}
    written = page({"command": "", "date": "", "seconds": 0, "machine": machine, "parts": measured})
    assert (
        "| answers of a server with the cache that are errors or in another voice | none | 0 answers | yes | of 72;"
        in written
    )
    assert "| time per request of 5 and of 20 clients" in written
    assert sum(f"| {target.what} |" in written for target in TARGETS) == len(TARGETS)
    assert "| answered in another voice | " in written


def wav(*said: list[float]) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.concatenate(said, dtype="float32"), 24000, subtype="FLOAT", format="WAV")
    return file.getvalue()


def test_an_answer_with_another_voice_in_it_is_told_from_the_right_one() -> None:
    anna, ben = np.random.default_rng(0).normal(size=(2, 448)).astype("float32").tolist()
    assert visits.in_one_voice(wav(anna, anna, anna), anna)
    half = anna[:256] + ben[256:]
    for other in (wav(ben), wav(anna, ben), wav(half), wav(anna)[:-4], wav(anna[:-1]), wav([])):
        assert not visits.in_one_voice(other, anna)


def test_long_texts_are_spoken_in_chunks_of_whole_sentences() -> None:
    cut = speech.chunks(speech.LONG)
    assert len(cut) == 3
    assert " ".join(cut) == speech.LONG
    assert all(chunk.endswith(".") and len(chunk) <= 120 for chunk in cut)
    assert speech.chunks(speech.SHORT) == [speech.SHORT]
