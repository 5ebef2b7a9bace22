"""The benchmark on a GPU runs on a CPU too, so that what breaks it is seen without one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.measuring import Run, measure
from benchmarks.gpu.section import HEADING, section, section_of, with_section
from benchmarks.gpu.stand import SMALL, Stand
from benchmarks.gpu.subjects import SUBJECTS
from tests.support import shallow

# A second process would load a Chatterbox of full depth, of another kind a second S3Gen.
HERE = [name for name in SUBJECTS if name != "in_two_processes"]
ELSEWHERE = "asked on a GPU only"
ROWS = {
    "building": 2, "preparation": 8, "samples": 5, "in_float32": 5, "memory": 2, "fingerprint": 4, "repeatable": 2,
    "autocast": 3, "in_bfloat16": 5, "whole_model": 4, "checks": 7,
}  # fmt: skip


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    shallow.make_shallow()
    folder = tmp_path_factory.mktemp("bench")
    stand = Stand("cpu", replace(SMALL, clip=2), folder)
    result = measure(stand, ["english"], HERE, 600, folder / "gpu.json")
    assert json.loads((folder / "gpu.json").read_text()) == result
    return result


def test_a_small_run_on_a_cpu_gives_every_row(result: dict[str, Any]) -> None:
    figures = {subject: by_kind["english"]["figures"] for subject, by_kind in result["subjects"].items()}
    assert {subject: len(rows) for subject, rows in figures.items()} == ROWS
    answers = {**figures["repeatable"], **figures["samples"], **figures["checks"]}
    assert {row: answer for row, answer in answers.items() if answer not in (True, ELSEWHERE)} == {}
    written = section(result)
    assert [row for rows in figures.values() for row in rows if f"\n| {row} |" not in written] == []


def test_what_does_not_fit_into_the_time_is_named(tmp_path: Path) -> None:
    assert main(["--device", "cpu", "--small", "--seconds", "0", "--out", str(tmp_path), *HERE]) == 0
    assert "- building, english: 0 s were left" in (tmp_path / "gpu.md").read_text()


def test_what_fails_is_named_and_does_not_end_the_run(tmp_path: Path) -> None:
    run = Run(Stand("cpu", SMALL, tmp_path), 100, tmp_path / "gpu.json")
    run.step("memory", "english", 1, lambda: {"kept": 1 // 0})
    run.step("memory", "turbo", 1, lambda: {"kept": 1.5})
    written = section(json.loads((tmp_path / "gpu.json").read_text()))
    assert "| | turbo |\n|---|---|\n| kept | 1.5 |" in written
    assert "- memory, english: ZeroDivisionError: " in written


def test_the_section_replaces_its_own_and_leaves_the_others() -> None:
    page = f"# Benchmarks\n\n{HEADING}\n\nOld.\n\n### Part\n\n## Last\n\nText.\n"
    assert with_section(page, f"{HEADING}\n\nNew \\1.\n") == (
        f"# Benchmarks\n\n{HEADING}\n\nNew \\1.\n\n## Last\n\nText.\n"
    )
    added = with_section("# Benchmarks\n", f"{HEADING}\n\nNew.\n")
    assert added == f"# Benchmarks\n\n{HEADING}\n\nNew.\n"
    assert section_of(added) == f"{HEADING}\n\nNew.\n"
    assert with_section(added, section_of(added)) == added
