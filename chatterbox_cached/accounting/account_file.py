"""The file of the account: opened for one transaction at a time, and believed as little as an index is.

No caller waits longer than ``TIMEOUT_SECONDS`` for a lock on it, and no transaction is at work for longer than
``WORK_SECONDS``.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ..concurrency.forks import unforked
from ..errors import ChatterboxCachedError
from ..tiers.disk import database as files
from ..tiers.disk import folder, rights
from ..tiers.disk.database import MalformedError

TIMEOUT_SECONDS = 2.0
WORK_SECONDS = 4.0
_NAME = "account.db"
# What each version has added. An account that was made by other statements, be it by a space, is not believed, so a
# change takes a new version.
_TABLES = (
    """
CREATE TABLE IF NOT EXISTS began (one INTEGER PRIMARY KEY CHECK (one = 1), at REAL);
CREATE TABLE IF NOT EXISTS totals (name TEXT, reason TEXT, n, PRIMARY KEY (name, reason));
CREATE TABLE IF NOT EXISTS voices (digest TEXT PRIMARY KEY, path TEXT, name TEXT, duration REAL, last_used REAL,
    hits INTEGER, saved_seconds REAL)
""",
    """
CREATE TABLE IF NOT EXISTS days (day TEXT PRIMARY KEY, memory_hits INTEGER, disk_hits INTEGER, shared_hits INTEGER,
    misses INTEGER, bypasses INTEGER, prepare_seconds REAL, saved_seconds REAL)
""",
)
_VERSION = len(_TABLES)
WITH_DAYS = 2
_Result = TypeVar("_Result")


def refuse_strangers(root: Path, trusted: bool) -> None:
    """Raise UntrustedFolder where another user could have changed it, unless that is ``trusted``."""
    if not trusted:
        folder.refuse_strangers(root, path_of(root))


def is_begun(root: Path, trusted: bool) -> bool:
    """Whether there is anything in it: a process that was killed may have left an empty file."""
    refuse_strangers(root, trusted)
    files.refuse_other_files(str(path_of(root)))
    try:
        return path_of(root).lstat().st_size > 0
    except FileNotFoundError:
        return False


def create(root: Path, trusted: bool) -> int:
    """Make sure that there is a file, with the rights of entries; gives its inode. One that is there is not opened."""
    with contextlib.suppress(FileExistsError):
        rights.create(path_of(root), rights.rights_in(folder.entries_of(root))).close()
    refuse_strangers(root, trusted)
    return inode_of(root)


def inode_of(root: Path) -> int:
    """That of the account, or 0 where there is none."""
    try:
        return path_of(root).lstat().st_ino
    except FileNotFoundError:
        return 0


def changed(root: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    """Do ``change`` in a transaction that is kept; tables that are not there yet, as in an older account, are made."""

    def changed(database: sqlite3.Connection) -> None:
        if version_of(database) < _VERSION:
            _make_tables(database, _VERSION)
        change(database)
        database.execute("COMMIT")

    transacted(root, "BEGIN IMMEDIATE", changed)


def version_of(database: sqlite3.Connection) -> int:
    """By which version its tables were made; 0 where there are none yet."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _make_tables(database: sqlite3.Connection, version: int) -> None:
    for added in _TABLES[:version]:
        for statement in added.strip().split(";\n"):
            database.execute(statement)
    database.execute(f"PRAGMA user_version = {version}")


@functools.cache
def _expected(version: int) -> files.Schema:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        _make_tables(database, version)
        return files.schema_of(database)


def transacted(root: Path, begin: str, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
    """What ``work`` gives in a transaction that ``begin`` begins, on what is known to be no more than an account."""
    files.refuse_other_files(str(path_of(root)))
    # SQLite forgets its locks in a child that forks while this is open, so a fork waits.
    return unforked.run(lambda: _connected(root, begin, work))


def _connected(root: Path, begin: str, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
    # Where nothing can be written to, SQLite could make no locks of its own; and there is nobody to lock out.
    how = "mode=rw" if rights.can_write(root) else "mode=ro&immutable=1"
    database = sqlite3.connect(
        f"{path_of(root).absolute().as_uri()}?{how}", uri=True, timeout=TIMEOUT_SECONDS, isolation_level=None
    )
    try:
        give_up_at = time.monotonic() + WORK_SECONDS
        database.set_progress_handler(lambda: time.monotonic() > give_up_at, files.STEPS)
        database.text_factory = files.text_or_bytes
        database.execute("PRAGMA mmap_size = 0")  # a file that is cut short while it is mapped kills the process
        database.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten: these are people's names
        database.execute(begin)
        if version_of(database) > _VERSION:
            raise sqlite3.OperationalError(f"{path_of(root)} was written by a later version of chatterbox-cached")
        files.refuse_other_schema(database.execute, _expected(_VERSION))
        return work(database)
    finally:
        database.close()  # what was not committed is rolled back


def set_aside(root: Path, inode: int) -> None:
    """Move a malformed account away, unless another process has done so."""
    with files.one_at_a_time(folder.entries_of(root), time.monotonic() + TIMEOUT_SECONDS):
        if inode_of(root) == inode:
            files.move_aside(path_of(root))


def path_of(root: Path, suffix: str = "") -> Path:
    """Where the account of the cache folder ``root`` is, or with a ``suffix`` what is beside it."""
    return root / f"{_NAME}{suffix}"


@contextlib.contextmanager
def explained(root: Path) -> Iterator[None]:
    """What the system or SQLite says becomes a ChatterboxCachedError with what to do."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise ChatterboxCachedError(
            f"The account {path_of(root)} can't be used ({error}). Try again, look at its rights, or delete it: it only"
            " holds counts and names, no voices."
        ) from error


def refuse_unsound(database: sqlite3.Connection) -> None:
    """Raise MalformedError where SQLite's own check finds something, or a table is missing."""
    if database.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
        raise MalformedError("integrity check failed")
    if not files.schema_of(database) >= _expected(version_of(database)):
        raise MalformedError("a table is missing")
