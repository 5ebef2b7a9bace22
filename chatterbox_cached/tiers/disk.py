"""Disk: diskcache (SQLite and one file per entry) with a strict, pickle-free Disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import EntryError
from ..forks import renew_after_fork, unforked
from . import folder

if TYPE_CHECKING:
    import diskcache

# No wait for SQLite or for another process that is opening the folder is longer.
TIMEOUT_SECONDS = 2.0
_DATABASE = "cache.db"
_NO_INODE = -1
_Result = TypeVar("_Result")


class DiskTier:
    """Bytes in a folder, shared by all processes that use it, bounded by ``size_limit`` bytes.

    The folder is opened at the first use, once per process, and again after a fork. The entries that were stored
    longest ago go first: keeping account of every use would turn each hit into a write. ``set_aside`` is told when a
    malformed database was moved aside.
    """

    name = "disk"

    def __init__(self, root: Path, size_limit: int, set_aside: Callable[[Exception], None] = lambda _: None) -> None:
        self._root, self._entries = root, folder.entries_of(root)
        self._size_limit, self._tell_set_aside = size_limit, set_aside
        self.renew_locks()
        renew_after_fork(self)
        unforked.let_go_before_fork(self)
        self._cache: diskcache.Cache | None = None
        self._opened = (0, 0)  # process id, inode of the database
        self._inherited: list[object] = []

    def renew_locks(self) -> None:
        self._lock = threading.Lock()

    def let_go(self) -> None:
        """Close this thread's connection, for SQLite shares what it knows of a file among all that one process opens.

        A child would believe to have the locks that its parent has, and lose what it writes when the parent closes.
        The connections of other threads are closed in the child, with those threads, by Python.
        """
        if self._cache is not None and self._opened[0] == os.getpid():
            self._cache.close()

    def open(self) -> None:
        self._open()

    def get(self, key: str) -> bytes | None:
        try:
            value = self._ask(lambda cache: cache.get(key), None)
        except EntryError:
            self.delete(key)
            raise
        if value is None and self._replaced():
            value = self._ask(lambda cache: cache.get(key), None)
        return bytes(value) if value is not None else None

    def put(self, key: str, value: bytes) -> None:
        if len(value) > self._size_limit:
            self.delete(key)
            return  # too large to ever fit: everything else would go for nothing
        self._replaced()
        self._do(lambda cache: self._set(cache, key, value))

    def delete(self, key: str) -> bool:
        return bool(self._ask(lambda cache: cache.delete(key), False))

    def delete_voice(self, prefix: str) -> int:
        return int(self._ask(lambda cache: cache.evict(prefix), 0))

    def clear(self) -> int:
        return int(self._ask(lambda cache: cache.clear(), 0))

    def keys(self, prefix: str = "") -> list[str]:
        return self._ask(lambda cache: [key for key in cache if key and key.startswith(prefix)], [])

    def __len__(self) -> int:
        return int(self._ask(len, 0))

    def nbytes(self) -> int:
        return int(self._ask(lambda cache: cache.volume(), 0))

    def close(self) -> None:
        with self._lock, unforked:
            if self._cache is not None and self._opened[0] == os.getpid():
                self._cache.close()
            self._cache = None

    def _set(self, cache: Any, key: str, value: bytes) -> None:
        with cache.transact():
            cache.delete(key)  # so that what is stored again is the youngest
            cache.set(key, value, tag=_voice(key))
        self._make_room(cache)

    def _make_room(self, cache: Any) -> None:
        """Drop what was stored longest ago until the rest is within the limit."""
        for key in cache:
            if cache.volume() <= self._size_limit:
                return
            if not key:  # a row of somebody else's, which can't be named: then everything goes
                cache.clear()
                return
            cache.delete(key)

    def _ask(self, operation: Callable[[Any], _Result], nothing: _Result) -> _Result:
        """``_do``, but where there is no folder yet, asking does not make one."""
        if self._cache is None and _inode(self._entries) == _NO_INODE:
            return nothing
        return self._do(operation)

    def _do(self, operation: Callable[[Any], _Result]) -> _Result:
        """Run ``operation``; if the database turns out to be malformed, begin a new one and run it again."""
        cache = self._open()
        try:
            with unforked:
                return operation(cache)
        except sqlite3.OperationalError:
            if self._cache is cache:
                raise  # locked, full, read-only: the database itself is sound
            cache = self._open()
            with unforked:
                return operation(cache)  # another thread has begun a new one meanwhile
        except sqlite3.DatabaseError as error:
            self._begin_anew(cache)
            self._tell_set_aside(error)
            cache = self._open()
            with unforked:
                return operation(cache)

    def _open(self) -> diskcache.Cache:
        cache = self._cache
        if cache is not None and self._opened[0] == os.getpid():
            return cache
        with self._lock:
            if self._cache is not None and self._opened[0] != os.getpid():
                # A connection must not cross a fork, not even to be closed, so it is kept and never touched.
                self._inherited.append(self._cache)
                self._cache = None
            if self._cache is None:
                folder.prepare(self._root)
                with _one_at_a_time(self._entries), unforked:
                    self._cache = self._connect_or_begin_anew()
                    self._make_room(self._cache)  # the limit may be lower than the last time
                self._opened = os.getpid(), _inode(self._entries)
            return self._cache

    def _connect_or_begin_anew(self) -> diskcache.Cache:
        try:
            return self._connect()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            _set_aside(self._entries)
            self._tell_set_aside(error)
            return self._connect()

    def _connect(self) -> diskcache.Cache:
        import diskcache

        from .strict_disk import StrictDisk

        return diskcache.Cache(
            str(self._entries),
            timeout=TIMEOUT_SECONDS,
            disk=StrictDisk,
            size_limit=self._size_limit,
            # diskcache's own eviction drops ten at a time, however little room is needed; see _make_room.
            eviction_policy="none",
            cull_limit=0,
            statistics=0,
            tag_index=1,
        )

    def _replaced(self) -> bool:
        """Whether the database on disk is no longer the one that is open; then it is opened at the next use."""
        if self._cache is None or _inode(self._entries) == self._opened[1]:
            return False
        self.close()
        return True

    def _begin_anew(self, malformed: Any) -> None:
        with self._lock, _one_at_a_time(self._entries):
            if self._cache is not malformed:
                return  # another thread has already done it
            if _inode(self._entries) == self._opened[1]:  # else another process has already done it
                _set_aside(self._entries)
            self._cache = None


def _voice(key: str) -> str:
    """The part of a key that all entries of one voice share, up to and with the last slash."""
    return key[: key.rfind("/") + 1]


def _inode(entries: Path) -> int:
    try:
        return (entries / _DATABASE).stat().st_ino
    except OSError:
        return _NO_INODE


@contextlib.contextmanager
def _one_at_a_time(entries: Path) -> Iterator[None]:
    """Opening and replacing a database race between processes; everything after that is SQLite's own business."""
    import filelock

    with filelock.FileLock(entries / "open.lock", timeout=TIMEOUT_SECONDS * 5):
        yield


def _set_aside(entries: Path) -> None:
    """Keep a malformed database for whoever wants to look at it. Its value files can't be found any more."""
    database = entries / _DATABASE
    for suffix in ("-wal", "-shm"):
        database.with_name(_DATABASE + suffix).unlink(missing_ok=True)
    database.replace(database.with_name(_DATABASE + ".damaged"))
    for shard in entries.glob("[0-9a-f][0-9a-f]"):
        shutil.rmtree(shard, ignore_errors=True)
