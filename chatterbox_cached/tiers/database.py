"""The files of the index, cache.db: whether they are those that are open, and how they are moved out of the way."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

_DATABASE = "cache.db"
_NO_INODE = -1
# SQLite's log and its index go with the database: with one of them gone, each process would write a log of its own.
_IN_USE = ("", "-wal", "-shm")
# A journal is there only until the database keeps a log.
PARTS = (*_IN_USE, "-journal")
Inodes = tuple[int, ...]
_Result = TypeVar("_Result")


class MalformedError(sqlite3.DatabaseError):
    """The index is not what the cache makes, or SQLite's own check of it found something."""


def is_malformed(error: Exception) -> bool:
    """Whether what went wrong is the database's fault, also where SQLite itself sees nothing wrong with it."""
    if isinstance(error, sqlite3.OperationalError):
        # Otherwise it is locked, on a full disk, or not to be read: the database itself is sound.
        return str(error).startswith("no such ")
    # The other kinds of DatabaseError are about how it was used: by a connection that is closed, for one. TypeError and
    # ValueError are diskcache's, for settings that it can't read.
    return type(error) is sqlite3.DatabaseError or isinstance(error, (MalformedError, TypeError, ValueError))


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

    with filelock.FileLock(entries / "open.lock", timeout=max(0.0, deadline - time.monotonic())):
        yield


def set_aside(entries: Path) -> None:
    """Keep a malformed database for whoever wants to look at it. Its value files can't be found any more.

    Where there is a link in its place, that link is moved, and what it leads to is left alone.
    """
    database = entries / _DATABASE
    for part in PARTS[1:]:
        database.with_name(_DATABASE + part).unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):  # it may have been its log that was not ours
        database.replace(database.with_name(_DATABASE + ".damaged"))
    for shard in entries.glob("[0-9a-f][0-9a-f]"):
        shutil.rmtree(shard, ignore_errors=True)
