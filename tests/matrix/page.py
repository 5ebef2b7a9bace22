"""docs/compatibility.md: the tables that a run makes, each between two marks. The rest of it is written by hand."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Sequence
from importlib import metadata

from chatterbox_cached.upstream.families import FAMILIES
from tests.matrix.distributions import PINNED_ON
from tests.matrix.rows import Row
from tests.support.commands import REPOSITORY

PAGE = REPOSITORY / "docs" / "compatibility.md"
_RESULTS = ("Class", "Miss", "Memory hit", "Disk hit", "Guard", "`doctor`")
_HEADS = {
    "versions": ("Package", *_RESULTS, "Entries"),
    "programs": ("What the program does", "Result", "Hits", "What `run --stats` says besides"),
    "pythons": ("Python", *_RESULTS, "With"),
    "main": ("Main", *_RESULTS, "With"),
}


def write(tables: dict[str, list[Row]]) -> None:
    """Put these tables in the places of those that the page has."""
    text = PAGE.read_text(encoding="utf-8")
    for name, rows in tables.items():
        text = put(text, name, table(name, rows))
        if name == "versions":
            text = put(text, "environment", _environment())
    PAGE.write_text(text, encoding="utf-8")


def table(name: str, rows: Iterable[Row]) -> str:
    head = _HEADS[name]
    lines = [(*map(_shown, row.of), *row.cells.values()) for row in rows]
    return "\n".join(map(_line, (head, ["---"] * len(head), *lines)))


def put(text: str, name: str, made: str) -> str:
    """The page with this between the marks called ``name``. Raises ValueError where it has none."""
    begin, end = f"<!-- {name}: made by make matrix -->\n\n", "<!-- end -->"
    before, found, rest = text.partition(begin)
    if not found:
        raise ValueError(f"the page has no place for {name}")
    return f"{before}{begin}{made}\n\n{end}{rest.partition(end)[2]}"


def _shown(of: str) -> str:
    """A family by its class."""
    return next((f"`{family.class_name}`" for family in FAMILIES if family.name == of), of)


def _line(cells: Sequence[str]) -> str:
    return re.sub(r" +", " ", f"| {' | '.join(cells)} |")


def _environment() -> str:
    versions = [f"{name} {metadata.version(name)}" for name in ("torch", "numpy", "librosa", "transformers")]
    return f"Python {platform.python_version()}, {', '.join(versions)}. The packages are those of {PINNED_ON}."
