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
_PARTS = ("", "-wal", "-shm")
Inodes = tuple[int, ...]
_Result = TypeVar("_Result")


def is_malformed(error: Exception) -> bool:
    """Whether what went wrong is the database's fault, also where SQLite itself sees nothing wrong with it."""
    # Otherwise it is locked, on a full disk, or not to be read: the database itself is sound.
    return not isinstance(error, sqlite3.OperationalError) or str(error).startswith("no such ")


def exists(entries: Path) -> bool:
    """Whether there is an index in the folder ``entries``."""
    return _inode(entries) != _NO_INODE


def inodes(entries: Path) -> Inodes:
    """The inodes of the database, its log and the log's index; the first is the database's own."""
    return tuple([_inode(entries, part) for part in _PARTS])


def _inode(entries: Path, part: str = "") -> int:
    try:
        return os.stat(f"{entries}{os.sep}{_DATABASE}{part}").st_ino
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
    """Keep a malformed database for whoever wants to look at it. Its value files can't be found any more."""
    database = entries / _DATABASE
    for suffix in ("-wal", "-shm"):
        database.with_name(_DATABASE + suffix).unlink(missing_ok=True)
    database.replace(database.with_name(_DATABASE + ".damaged"))
    for shard in entries.glob("[0-9a-f][0-9a-f]"):
        shutil.rmtree(shard, ignore_errors=True)
