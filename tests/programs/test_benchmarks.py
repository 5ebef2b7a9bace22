"""The benchmark runs small, so that what a change has broken of it is seen before the next whole run."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.parts import PARTS
from benchmarks.targets import TARGETS, Target

ROOT = Path(__file__).parents[2]
# Programs and generations have tests of their own; the others need a server, or cores that nothing else uses.
ELSEWHERE = {"server", "clients", "book", "speech", "fleet", "jobs", "processes", "threads"}
HERE = [name for name in PARTS if name not in ELSEWHERE]
# The first import sets what others read when they are loaded.
SHALLOW = """
import sys
from benchmarks.__main__ import main
from tests.support.shallow import make_shallow
make_shallow()
sys.exit(main())
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    benchmarks(folder, "--quick", *HERE)
    benchmarks(folder, "--report", str(folder / "quick.json"), "--docs", str(folder / "docs" / "page.md"))
    return folder


def benchmarks(out: Path, *arguments: str) -> None:
    (out / "docs").mkdir(exist_ok=True)
    ran = subprocess.run(
        [sys.executable, "-c", SHALLOW, "--out", str(out), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    # 1 says that a ratio is grossly worse than the stored one: beside other tests that says nothing.
    assert ran.returncode in (0, 1), ran.stderr[-4000:]
    assert "Traceback" not in ran.stderr, ran.stderr[-4000:]


def numbers(found: Any) -> Iterator[float]:
    for value in found.values():
        if isinstance(value, dict):
            yield from numbers(value)
        elif not isinstance(value, str):
            yield value


def test_every_part_gives_figures(out: Path) -> None:
    parts = json.loads((out / "quick.json").read_text())["parts"]
    assert list(parts) == HERE
    for name, part in parts.items():
        figures = list(numbers(part))
        assert figures, name
        assert all(math.isfinite(each) and each >= 0 for each in figures), name


def test_every_target_stands_beside_its_figure(out: Path) -> None:
    parts = json.loads((out / "quick.json").read_text())["parts"]
    page = (out / "docs" / "page.md").read_text()
    lacking = [part for target in TARGETS if (part := lacking_for(target, parts))]
    assert set(lacking) <= {*ELSEWHERE, "any voice of 10000", "opening, 10000 voices"}
    assert page.count("| not measured |") == len(lacking)


def lacking_for(target: Target, parts: dict[str, Any]) -> str | None:
    """What a target is about that was not measured."""
    try:
        target.measured(parts)
    except KeyError as error:
        return str(error.args[0])
    return None


def test_the_figures_are_drawn_beside_the_page_with_the_data_that_they_show(out: Path) -> None:
    plots = out / "docs" / "plots"
    assert {file.name for file in plots.glob("*.svg")} == {"cost.svg", "hit.svg", "growth.svg"}
    for file in plots.glob("*.svg"):
        assert ElementTree.parse(file).getroot().tag.endswith("svg")
    assert json.loads((plots / "run.json").read_text()) == json.loads((out / "quick.json").read_text())
