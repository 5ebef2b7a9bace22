"""What all processes that use a cache folder did, added up in ``account.db`` in it: totals, and a row per voice.

The file is opened for one transaction at a time, and every figure is added to what is there, so that writers lose
nothing of one another's. Nobody waits longer than ``TIMEOUT_SECONDS`` for a lock on it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from .errors import ChatterboxCachedError
from .forks import unforked
from .stats import Stats
from .tiers.database import is_malformed, one_at_a_time
from .tiers.folder import entries_of

TIMEOUT_SECONDS = 2.0
_NAME = "account.db"
_VERSION = 1
_TABLES = f"""
CREATE TABLE IF NOT EXISTS began (one INTEGER PRIMARY KEY CHECK (one = 1), at REAL);
CREATE TABLE IF NOT EXISTS totals (name TEXT, reason TEXT, n, PRIMARY KEY (name, reason));
CREATE TABLE IF NOT EXISTS voices (digest TEXT PRIMARY KEY, path TEXT, name TEXT, duration REAL, last_used REAL,
    hits INTEGER, saved_seconds REAL);
PRAGMA user_version = {_VERSION};
"""
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
    """``totals`` has the keys of ``Stats.snapshot()``; ``since`` is when the first event was counted, or None."""

    totals: dict[str, Any]
    since: float | None
    voices: dict[str, VoiceAccount]


class Batch(NamedTuple):
    """What one process did since it last told. ``began``: when the first of it happened, in seconds of the epoch."""

    began: float
    totals: Totals
    voices: list[VoiceAccount]


def read(root: Path) -> Account:
    """The account of the cache folder ``root``, an empty one where there is none; nothing is created.

    Raises ChatterboxCachedError for an account that can't be read.
    """
    totals = Stats().snapshot()
    with _explained(root):
        if not _is_begun(root):
            return Account(totals, None, {})
        with _opened(root) as database:
            began = database.execute("SELECT at FROM began").fetchone()
            for name, reason, n in database.execute("SELECT name, reason, n FROM totals"):
                if reason:
                    totals.setdefault(name, {})[reason] = n
                else:
                    totals[name] = n
            rows = database.execute(
                "SELECT digest, name, path, duration, last_used, hits, saved_seconds FROM voices"
            ).fetchall()
    return Account(totals, began[0] if began else None, {row[0]: VoiceAccount(*row) for row in rows})


def forget(root: Path, digests: Iterable[str]) -> None:
    """Drop what is known of these voices. The totals stay. Raises ChatterboxCachedError where that can't be done."""
    with _explained(root):
        _drop(root, "DELETE FROM voices WHERE digest = ?", [(digest,) for digest in digests])


def clear(root: Path) -> None:
    """Drop what is known of all voices. The totals stay. Raises ChatterboxCachedError where that can't be done."""
    with _explained(root):
        _drop(root, "DELETE FROM voices", [()])


def add(root: Path, batch: Batch, was_set_aside: Callable[[Exception], None], *, trusted: bool = False) -> None:
    """Add what a process did, in one transaction; a malformed account is moved aside and begun anew.

    Raises OSError or sqlite3.Error when nothing was added.
    """

    def written(database: sqlite3.Connection) -> None:
        database.execute("INSERT OR IGNORE INTO began VALUES (1, ?)", (batch.began,))
        database.executemany(_ADD_TOTAL, [(*key, n) for key, n in batch.totals.items()])
        database.executemany(_ADD_VOICE, [vars(voice) for voice in batch.voices])

    inode = _create(root, trusted)
    try:
        _changed(root, written)
    except sqlite3.DatabaseError as error:
        if not is_malformed(error):
            raise
        _set_aside(root, inode)
        was_set_aside(error)
        _create(root, trusted)
        _changed(root, written)


def _drop(root: Path, statement: str, rows: list[tuple[str, ...]]) -> None:
    _path(root, ".damaged").unlink(missing_ok=True)  # it may name the same voices
    if _is_begun(root):
        _changed(root, lambda database: database.executemany(statement, rows))


def _is_begun(root: Path) -> bool:
    """Whether there is anything in it: a process that was killed may have left an empty file."""
    try:
        return _path(root).stat().st_size > 0
    except FileNotFoundError:
        return False


def _changed(root: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    with _opened(root) as database:
        database.execute("BEGIN IMMEDIATE")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise sqlite3.OperationalError(f"{_path(root)} was written by a later version of chatterbox-cached")
        if not version:
            for statement in _TABLES.strip().split(";\n"):
                database.execute(statement)
        change(database)
        database.execute("COMMIT")


@contextlib.contextmanager
def _opened(root: Path) -> Iterator[sqlite3.Connection]:
    # SQLite forgets its locks in a child that forks while this is open, so a fork waits.
    with unforked:
        database = sqlite3.connect(
            f"{_path(root).absolute().as_uri()}?mode=rw", uri=True, timeout=TIMEOUT_SECONDS, isolation_level=None
        )
        try:
            database.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten: these are people's names
            yield database
        finally:
            database.close()  # what was not committed is rolled back


def _create(root: Path, trusted: bool) -> int:
    """Make sure that the file is there, for its owner only; gives its inode.

    Where the cache folder is a folder such as /tmp, somebody else may have put one there.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    file = os.open(_path(root), flags, 0o600)
    try:
        state = os.fstat(file)
    finally:
        os.close(file)
    if not stat.S_ISREG(state.st_mode):
        raise OSError(f"{_path(root)} is not a regular file")
    if not trusted and hasattr(os, "geteuid") and state.st_uid not in (os.geteuid(), 0):
        raise OSError(f"{_path(root)} belongs to another user (number {state.st_uid})")
    return state.st_ino


def _set_aside(root: Path, inode: int) -> None:
    """Move a malformed account away, unless another process has done so."""
    with one_at_a_time(entries_of(root), time.monotonic() + TIMEOUT_SECONDS):
        if _path(root).stat().st_ino == inode:
            _path(root, "-journal").unlink(missing_ok=True)
            _path(root).replace(_path(root, ".damaged"))


def _path(root: Path, suffix: str = "") -> Path:
    return root / f"{_NAME}{suffix}"


@contextlib.contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise ChatterboxCachedError(
            f"The account {_path(root)} can't be used ({error}). Try again, look at its rights, or delete it: it only"
            " holds counts and names, no voices."
        ) from error
