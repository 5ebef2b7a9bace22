"""A row of the tables: what it is of, and what was seen or is expected in each of its cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """``of``: a distribution and a family, or a program. ``keys``: those that its voice is kept under, where seen."""

    of: tuple[str, ...]
    cells: dict[str, str]
    keys: tuple[str, ...] = ()


class Job(NamedTuple):
    """What is run by itself, for rows of a table of the page. ``see`` is given a folder for its files."""

    table: str
    title: str
    expected: list[Row]
    see: Callable[[Path], list[Row]]


def amiss(expected: Iterable[Row], seen: Iterable[Row]) -> Iterator[str]:
    """A line for each row that is there and shouldn't be, or should be and isn't, and for each cell that is another."""
    wanted, found = {row.of: row.cells for row in expected}, {row.of: row.cells for row in seen}
    for of in [*wanted, *(of for of in found if of not in wanted)]:
        title = ", ".join(of)
        if of not in found:
            yield f"{title}: is not there"
        elif of not in wanted:
            yield f"{title}: was not expected"
        else:
            for name, word in wanted[of].items():
                if found[of].get(name) != word:
                    yield f"{title}: {name}: {found[of].get(name)!r} instead of {word!r}"
