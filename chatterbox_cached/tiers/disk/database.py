"""The files of a database: whether they are what they should be, and how they are moved out of the way.

SQLite carries out what the database itself says: a view may never end, a trigger may change other tables, a journal may
have another file removed. So a database is used only if its files lead to no others, and all that is in it is what this
package makes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from .rights import rights_in

_DATABASE = "cache.db"
_NO_INODE = -1
# SQLite's log and its index go with the database: with one of them gone, each process would write a log of its own.
_IN_USE = ("", "-wal", "-shm")
# A journal is there only until the database keeps a log.
PARTS = (*_IN_USE, "-journal")
STEPS = 100_000  # of SQLite's, some milliseconds: so often is looked whether there is time left
_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master"
# The end of a journal that is part of a transaction over many files. After it, SQLite removes the file named before.
_NAMES_A_FILE = bytes.fromhex("d9d505f920a163d7")
Inodes = tuple[int, ...]
Schema = frozenset[tuple[Any, ...]]
_Result = TypeVar("_Result")


class MalformedError(sqlite3.DatabaseError):
    """The database is not what the cache makes, or SQLite's own check of it found something."""


def is_malformed(error: Exception) -> bool:
    """Whether what went wrong is the database's fault, also where SQLite itself sees nothing wrong with it."""
    if isinstance(error, sqlite3.OperationalError):
        # Otherwise it is locked, on a full disk, or not to be read: the database itself is sound.
        return str(error).startswith("no such ")
    # The other kinds of DatabaseError are about how it was used: by a connection that is closed, for one. TypeError and
    # ValueError are diskcache's, for settings that it can't read.
    return type(error) is sqlite3.DatabaseError or isinstance(error, (MalformedError, TypeError, ValueError))


def schema_of(connection: sqlite3.Connection) -> Schema:
    """All that is in a database."""
    return frozenset(connection.execute(_SCHEMA).fetchall())


def refuse_other_schema(execute: Callable[[str], sqlite3.Cursor], expected: Schema) -> Schema:
    """What is in the database. Raises MalformedError if that is more than ``expected``; it may be less."""
    found = frozenset(execute(_SCHEMA).fetchmany(len(expected) + 1))
    if not found <= expected:
        raise MalformedError("it holds what the cache does not make")
    return found


def refuse_other_files(database: str) -> None:
    """Raise MalformedError if the file ``database`` or one beside it is a link, or leads to another in its own way.

    A folder in its place can't be opened, nor moved aside as if it were of no use.
    """
    for part in PARTS:
        with contextlib.suppress(FileNotFoundError):
            mode = os.lstat(database + part).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise MalformedError(f"{os.path.basename(database)}{part} is a link, or no file")
    with contextlib.suppress(FileNotFoundError, IsADirectoryError), open(f"{database}-journal", "rb") as journal:
        journal.seek(-min(len(_NAMES_A_FILE), os.fstat(journal.fileno()).st_size), os.SEEK_END)
        if journal.read() == _NAMES_A_FILE:
            raise MalformedError("its journal names another file")


def text_or_bytes(stored: bytes) -> str | bytes:
    """One damaged byte makes a bad row, not a database that can't be read."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def exists(entries: Path) -> bool:
    """Whether there is an index in the folder ``entries``."""
    return _inode(entries) != _NO_INODE


def inodes(entries: Path) -> Inodes:
    """The inodes of the database, its log and the log's index; the first is the database's own."""
    return tuple([_inode(entries, part) for part in _IN_USE])


def _inode(entries: Path, part: str = "") -> int:
    try:
        return os.lstat(f"{entries}{os.sep}{_DATABASE}{part}").st_ino
    except OSError:
        return _NO_INODE


def explained(operation: Callable[[Any], _Result], cache: Any) -> _Result:
    """Run ``operation``, and raise what SQLite said where diskcache says Timeout to everything."""
    import diskcache

    try:
        return operation(cache)
    except diskcache.Timeout as error:
        cause: BaseException | None = error
        while isinstance(cause, diskcache.Timeout):
            cause = cause.__context__
        raise (cause or error) from None


@contextlib.contextmanager
def one_at_a_time(entries: Path, deadline: float) -> Iterator[None]:
    """Opening and replacing a database race between processes; everything after that is SQLite's own business."""
    import filelock

    mode = rights_in(entries).file
    with filelock.FileLock(entries / "open.lock", timeout=max(0.0, deadline - time.monotonic()), mode=mode):
        yield


def set_aside(entries: Path) -> None:
    """Move a malformed index away. Its value files can't be found any more."""
    move_aside(entries / _DATABASE)
    for shard in entries.glob("[0-9a-f][0-9a-f]"):
        shutil.rmtree(shard, ignore_errors=True)


def move_aside(database: Path) -> None:
    """Keep a malformed database, so that a user can look at it.

    Where there is a link in its place, that link is moved, and what it leads to is left alone.
    """
    for part in PARTS[1:]:
        database.with_name(database.name + part).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):  # it may have been its log that was not ours
        database.replace(database.with_name(f"{database.name}.damaged"))
