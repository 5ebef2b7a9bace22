"""What all processes that use a cache folder did, added up in ``account.db`` in it: totals, and a row per voice.

The file is opened for one transaction at a time, and every figure is added to what is there, so that writers lose
nothing of one another's. Nobody waits longer than ``TIMEOUT_SECONDS`` for a lock on it, and no transaction is at work
for longer than ``WORK_SECONDS``. It is believed as little as an index is: see ``tiers.database``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ..concurrency.forks import unforked
from ..errors import ChatterboxCachedError
from ..tiers.disk import database as files
from ..tiers.disk.database import MalformedError, is_malformed
from ..tiers.disk.folder import entries_of, refuse_strangers
from .stats import Stats

TIMEOUT_SECONDS = 2.0
WORK_SECONDS = 4.0
_NAME = "account.db"
_VERSION = 1
# An account that was made by other statements, be it by a space, is not believed, so a change takes a new version.
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
    """``totals`` has the keys of ``Stats.snapshot()``; ``since`` is when the first event was counted, or None."""

    totals: dict[str, Any]
    since: float | None
    voices: dict[str, VoiceAccount]


class Batch(NamedTuple):
    """What one process did since it last told. ``began``: when the first of it happened, in seconds of the epoch."""

    began: float
    totals: Totals
    voices: list[VoiceAccount]


def read(root: Path, *, trusted: bool = False) -> Account:
    """The account of the cache folder ``root``, an empty one where there is none; nothing is created.

    Rows that this package does not write are passed over. Raises ChatterboxCachedError for an account that can't be
    read, as do all functions here, and for a folder that others can write to, unless it is ``trusted``.
    """
    totals = Stats().snapshot()
    with _explained(root):
        if not _is_begun(root, trusted):
            return Account(totals, None, {})
        return _transacted(root, "BEGIN", lambda database: _read(database, totals))


def _read(database: sqlite3.Connection, totals: dict[str, Any]) -> Account:
    began = database.execute("SELECT at FROM began WHERE typeof(at) = 'real'").fetchone()
    for row in database.execute("SELECT name, reason, n FROM totals"):
        _include(totals, *row)
    # One by one, for a damaged table may seem to have no end.
    rows = database.execute("SELECT digest, name, path, duration, last_used, hits, saved_seconds FROM voices")
    voices = {row[0]: VoiceAccount(*row) for row in rows if _is_of_a_voice(row)}
    return Account(totals, began[0] if began else None, voices)


def _is_of_a_voice(row: tuple[Any, ...]) -> bool:
    return all(isinstance(value, kinds) for value, kinds in zip(row, _OF_A_VOICE, strict=True))


def _include(totals: dict[str, Any], name: object, reason: object, n: object) -> None:
    if isinstance(name, str) and isinstance(reason, str) and isinstance(n, _NUMBER):
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

    with _explained(root):
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


def check(root: Path, fix: bool, *, trusted: bool = False) -> bool:
    """Whether the account is malformed; with ``fix`` it is then moved aside."""
    with _explained(root):
        inode = _inode(root)
        try:
            if _is_begun(root, trusted):
                _transacted(root, "BEGIN", _refuse_unsound)
        except sqlite3.DatabaseError as error:
            if not is_malformed(error):
                raise
            if fix:
                _set_aside(root, inode)
            return True
    return False


def _refuse_unsound(database: sqlite3.Connection) -> None:
    if database.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
        raise MalformedError("integrity check failed")
    if files.schema_of(database) != _expected():
        raise MalformedError("a table is missing")


def _drop(root: Path, statement: str, rows: list[tuple[str, ...]], trusted: bool) -> None:
    with _explained(root):
        _refuse_strangers(root, trusted)
        _path(root, ".damaged").unlink(missing_ok=True)  # it may name the same voices
        if _is_begun(root, trusted):
            _changed(root, lambda database: database.executemany(statement, rows))


def _refuse_strangers(root: Path, trusted: bool) -> None:
    if not trusted:
        refuse_strangers(root, _path(root))


def _is_begun(root: Path, trusted: bool) -> bool:
    """Whether there is anything in it: a process that was killed may have left an empty file."""
    _refuse_strangers(root, trusted)
    files.refuse_other_files(str(_path(root)))
    try:
        return _path(root).lstat().st_size > 0
    except FileNotFoundError:
        return False


def _create(root: Path, trusted: bool) -> int:
    """Make sure that there is a file, for its owner only; gives its inode. One that is there is not even opened."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(_path(root), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    _refuse_strangers(root, trusted)
    return _inode(root)


def _inode(root: Path) -> int:
    """That of the account, or 0 where there is none."""
    try:
        return _path(root).lstat().st_ino
    except FileNotFoundError:
        return 0


def _changed(root: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    def changed(database: sqlite3.Connection) -> None:
        if not database.execute("PRAGMA user_version").fetchone()[0]:
            _make_tables(database)
        change(database)
        database.execute("COMMIT")

    _transacted(root, "BEGIN IMMEDIATE", changed)


def _make_tables(database: sqlite3.Connection) -> None:
    for statement in _TABLES.strip().split(";\n"):
        database.execute(statement)


@functools.cache
def _expected() -> files.Schema:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        _make_tables(database)
        return files.schema_of(database)


def _transacted(root: Path, begin: str, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
    """What ``work`` gives in a transaction that ``begin`` begins, on what is known to be no more than an account."""
    files.refuse_other_files(str(_path(root)))
    # SQLite forgets its locks in a child that forks while this is open, so a fork waits.
    return unforked.run(lambda: _connected(root, begin, work))


def _connected(root: Path, begin: str, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
    database = sqlite3.connect(
        f"{_path(root).absolute().as_uri()}?mode=rw", uri=True, timeout=TIMEOUT_SECONDS, isolation_level=None
    )
    try:
        give_up_at = time.monotonic() + WORK_SECONDS
        database.set_progress_handler(lambda: time.monotonic() > give_up_at, files.STEPS)
        database.text_factory = files.text_or_bytes
        database.execute("PRAGMA mmap_size = 0")  # a file that is cut short while it is mapped kills the process
        database.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten: these are people's names
        database.execute(begin)
        if database.execute("PRAGMA user_version").fetchone()[0] > _VERSION:
            raise sqlite3.OperationalError(f"{_path(root)} was written by a later version of chatterbox-cached")
        files.refuse_other_schema(database.execute, _expected())
        return work(database)
    finally:
        database.close()  # what was not committed is rolled back


def _set_aside(root: Path, inode: int) -> None:
    """Move a malformed account away, unless another process has done so."""
    with files.one_at_a_time(entries_of(root), time.monotonic() + TIMEOUT_SECONDS):
        if _inode(root) == inode:
            files.move_aside(_path(root))


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
