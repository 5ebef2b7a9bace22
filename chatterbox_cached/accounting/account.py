"""What all processes that use a cache folder did, added up in ``account.db`` in it: totals, and rows by voice and day.

Every figure is added to what is there, so that writers lose nothing of one another's.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ..errors import ChatterboxCachedError
from ..tiers.disk.database import is_malformed
from ..tiers.disk.repair import CheckReport
from . import account_file, days
from .days import DayAccount
from .stats import Stats

_ADD_TOTAL = "INSERT INTO totals VALUES (?, ?, ?) ON CONFLICT (name, reason) DO UPDATE SET n = n + excluded.n"
_ADD_VOICE = """
INSERT INTO voices VALUES (:digest, :path, :name, :duration, :last_used, :hits, :saved_seconds)
ON CONFLICT (digest) DO UPDATE SET
    path = CASE WHEN excluded.last_used < last_used THEN path ELSE excluded.path END,
    name = CASE WHEN excluded.last_used < last_used THEN name ELSE excluded.name END,
    duration = coalesce(excluded.duration, duration), last_used = max(last_used, excluded.last_used),
    hits = hits + excluded.hits, saved_seconds = saved_seconds + excluded.saved_seconds
"""
Totals = dict[tuple[str, str], float]  # by name of the counter and reason; counters without reasons have ""
_Result = TypeVar("_Result")
_TEXT, _NUMBER = (str, type(None)), (float, int)
_OF_A_VOICE: tuple[type | tuple[type, ...], ...] = (str, _TEXT, _TEXT, (*_NUMBER, type(None)), _NUMBER, int, _NUMBER)


@dataclass(frozen=True)
class VoiceAccount:
    """One voice: where its audio was last seen, and what keeping it was good for.

    ``digest``: SHA-256 of the reference audio in hex. ``name`` and ``path``: what the file was last seen under, None
    for audio without one. ``duration``: seconds of audio, None where that can't be told. ``last_used``: seconds since
    the epoch. ``saved_seconds``: of preparations.
    """

    digest: str
    name: str | None
    path: str | None
    duration: float | None
    last_used: float
    hits: int
    saved_seconds: float


@dataclass(frozen=True)
class Account:
    """``totals`` has the keys of ``Stats.snapshot()``; ``since`` is when the first event was counted, or None.

    ``days``: the oldest first. Those before a folder was used with a version that counts by day are not known.
    """

    totals: dict[str, Any]
    since: float | None
    voices: dict[str, VoiceAccount]
    days: tuple[DayAccount, ...] = ()


class Batch(NamedTuple):
    """What one process did since it last told. ``began``: when the first of it happened, in seconds of the epoch."""

    began: float
    totals: Totals
    voices: list[VoiceAccount]


def read(root: Path, *, trusted: bool = False) -> Account:
    """The account of the cache folder ``root``, an empty one where there is none; nothing is created.

    Rows that this package does not write are passed over. Raises ChatterboxCachedError for an account that can't be
    read, as do all functions here, and for a folder that other users can write to, unless it is ``trusted``.
    """
    totals = Stats().snapshot()
    with account_file.explained(root):
        if not account_file.is_begun(root, trusted):
            return Account(totals, None, {})
        return account_file.transacted(root, "BEGIN", lambda database: _read(database, totals))


def _read(database: sqlite3.Connection, totals: dict[str, Any]) -> Account:
    began = database.execute("SELECT at FROM began WHERE typeof(at) = 'real'").fetchone()
    for row in database.execute("SELECT name, reason, n FROM totals"):
        _include(totals, *row)
    # One by one, for a damaged table may seem to have no end.
    rows = database.execute("SELECT digest, name, path, duration, last_used, hits, saved_seconds FROM voices")
    voices = {row[0]: VoiceAccount(*row) for row in rows if _is_of_a_voice(row)}
    by_day = days.read(database) if account_file.version_of(database) >= account_file.WITH_DAYS else ()
    return Account(totals, began[0] if began else None, voices, by_day)


def _is_of_a_voice(row: tuple[Any, ...]) -> bool:
    fits = all(isinstance(value, kinds) for value, kinds in zip(row, _OF_A_VOICE, strict=True))
    return fits and all(math.isfinite(value) for value in row if isinstance(value, float))


def _include(totals: dict[str, Any], name: object, reason: object, n: object) -> None:
    if isinstance(name, str) and isinstance(reason, str) and isinstance(n, _NUMBER) and math.isfinite(n):
        counts = totals.setdefault(name, {}) if reason else totals
        key = reason or name
        if isinstance(counts, dict) and not isinstance(counts.get(key), dict):
            counts[key] = n


def forget(root: Path, digests: Iterable[str], *, trusted: bool = False) -> None:
    """Drop what is known of these voices. The totals stay."""
    _drop(root, "DELETE FROM voices WHERE digest = ?", [(_storable(digest),) for digest in digests], trusted)


def clear(root: Path, *, trusted: bool = False) -> None:
    """Drop what is known of all voices. The totals stay."""
    _drop(root, "DELETE FROM voices", [()], trusted)


def _storable(value: Any) -> Any:
    """The value such that SQLite takes it: what a file's name is made of need not be UTF-8."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def add(root: Path, batch: Batch, was_set_aside: Callable[[Exception], None], *, trusted: bool = False) -> None:
    """Add what a process did, in one transaction; a malformed account is moved aside and begun anew."""

    def written(database: sqlite3.Connection) -> None:
        database.execute("INSERT OR IGNORE INTO began VALUES (1, ?)", (batch.began,))
        database.executemany(_ADD_TOTAL, [(*map(_storable, key), n) for key, n in batch.totals.items()])
        rows = [{name: _storable(value) for name, value in vars(voice).items()} for voice in batch.voices]
        database.executemany(_ADD_VOICE, rows)
        days.add(database, days.on(batch.began, batch.totals))

    with account_file.explained(root):
        inode = account_file.create(root, trusted)
        try:
            account_file.changed(root, written)
        except sqlite3.DatabaseError as error:
            if not is_malformed(error):
                raise
            account_file.set_aside(root, inode)
            was_set_aside(error)
            account_file.create(root, trusted)
            account_file.changed(root, written)


def check(root: Path, fix: bool, *, trusted: bool = False) -> bool:
    """Whether the account is malformed; with ``fix`` it is then moved aside."""
    with account_file.explained(root):
        inode = account_file.inode_of(root)
        try:
            if account_file.is_begun(root, trusted):
                account_file.transacted(root, "BEGIN", account_file.refuse_unsound)
        except sqlite3.DatabaseError as error:
            if not is_malformed(error):
                raise
            if fix:
                account_file.set_aside(root, inode)
            return True
    return False


def also_checked(report: CheckReport, root: Path | None, fix: bool, *, trusted: bool = False) -> CheckReport:
    """The report of the disk tier of ``root`` with what ``check`` finds; never raises."""
    if root is None or report.error is not None:
        return report
    try:
        return report._replace(account=int(check(root, fix, trusted=trusted)))
    except ChatterboxCachedError as error:
        return report._replace(error=f"the account can't be looked at ({error.__cause__})")


def _drop(root: Path, statement: str, rows: list[tuple[str, ...]], trusted: bool) -> None:
    with account_file.explained(root):
        account_file.refuse_strangers(root, trusted)
        account_file.path_of(root, ".damaged").unlink(missing_ok=True)  # it may name the same voices
        if account_file.is_begun(root, trusted):
            account_file.changed(root, lambda database: database.executemany(statement, rows))
