"""What was counted on each day, for the last ``KEPT`` days on which there was something to count.

A day is one of UTC, so that machines in several places add to the same. A count is of the day on which the batch began
that it was written with, some seconds before at most; where the account could not be written for long, of the first.
"""

from __future__ import annotations

import datetime
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from typing import Any

KEPT = 400


@dataclass(frozen=True)
class DayAccount:
    """One day, such as "2026-11-27". ``bypasses`` are for all reasons; seconds as in ``Stats.snapshot()``."""

    day: str
    memory_hits: int
    disk_hits: int
    shared_hits: int
    misses: int
    bypasses: int
    prepare_seconds: float
    saved_seconds: float

    @property
    def hits(self) -> int:
        """From any tier."""
        return self.memory_hits + self.disk_hits + self.shared_hits


_NAMES = tuple(each.name for each in fields(DayAccount))
_COUNTS = tuple(each.name for each in fields(DayAccount) if each.type == "int")
_ADD = f"""
INSERT INTO days ({", ".join(_NAMES)}) VALUES ({", ".join("?" * len(_NAMES))})
ON CONFLICT (day) DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in _NAMES[1:])}
"""
_DROP = f"DELETE FROM days WHERE day NOT IN (SELECT day FROM days ORDER BY day DESC LIMIT {KEPT})"


def on(began: float, totals: Mapping[tuple[str, str], float]) -> DayAccount:
    """What a batch that began then (seconds of the epoch) adds to its day."""
    day = datetime.datetime.fromtimestamp(began, datetime.timezone.utc).date().isoformat()

    def of(counter: str) -> float:
        return sum(n for (name, _), n in totals.items() if name == counter)

    return DayAccount(
        day,
        memory_hits=int(of("memory_hits")),
        disk_hits=int(of("disk_hits")),
        shared_hits=int(of("shared_hits")),
        misses=int(of("misses")),
        bypasses=int(of("bypasses")),
        prepare_seconds=of("prepare_seconds"),
        saved_seconds=of("saved_seconds"),
    )


def add(database: sqlite3.Connection, day: DayAccount) -> None:
    """Add it to what is there, and drop what is older than the days that are kept."""
    database.execute(_ADD, astuple(day))
    database.execute(_DROP)


def read(database: sqlite3.Connection) -> tuple[DayAccount, ...]:
    """The days that were counted, the oldest first. Rows that this package does not write are passed over."""
    # One by one, for a damaged table may seem to have no end.
    rows = [row for row in database.execute(f"SELECT {', '.join(_NAMES)} FROM days") if _is_of_a_day(row)]
    return tuple(DayAccount(*row) for row in sorted(rows)[-KEPT:])


def _is_of_a_day(row: tuple[Any, ...]) -> bool:
    day, *numbers = row
    return _is_a_date(day) and all(map(_is_counted, _NAMES[1:], numbers))


def _is_a_date(text: object) -> bool:
    try:
        return isinstance(text, str) and datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_counted(name: str, n: object) -> bool:
    if name in _COUNTS:
        return isinstance(n, int) and n >= 0
    return isinstance(n, float) and math.isfinite(n)
