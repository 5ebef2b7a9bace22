"""Disk: diskcache (SQLite and one file per entry) with a strict, pickle-free Disk.

How long a call may wait, whatever other processes do to the folder:

- ``TIMEOUT_SECONDS`` for a database that another process keeps locked. A ``put`` may wait that long once for its entry
  and once for making room.
- ``OPEN_SECONDS`` for the first use in a process, with everything in it: other threads and processes that are opening
  the folder, a locked database, and making room when the limit is lower than the last time.
- A database that turns out to be malformed is set aside and the call done again, so such a call may open twice.

So no call waits longer than ``WORST_SECONDS``, and ``chain`` then leaves the tier alone for a while.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...concurrency.forks import RenewedAfterFork, holding, unforked
from ...errors import EntryError
from ...log import logger
from ...voice.key_format import prefix_of
from . import folder, repair
from .database import Inodes, exists, explained, inodes, is_malformed, one_at_a_time, set_aside
from .stored import Stored

if TYPE_CHECKING:
    import diskcache

TIMEOUT_SECONDS = 2.0
OPEN_SECONDS = 4.0
WORST_SECONDS = 2 * OPEN_SECONDS + 3 * TIMEOUT_SECONDS
_Result = TypeVar("_Result")


class DiskTier(RenewedAfterFork):
    """Bytes in a folder, shared by all processes that use it, bounded by ``size_limit`` bytes.

    The folder is opened at the first use, once per process, and again after a fork. The entries that were stored
    longest ago go first: keeping account of every use would turn each hit into a write. ``was_set_aside`` is told of a
    malformed database, ``no_room`` of an entry that never fits. One that others can write to has to be ``trusted``.
    """

    name = "disk"

    def __init__(
        self,
        root: Path,
        size_limit: int,
        was_set_aside: Callable[[Exception], None] = lambda _: None,
        no_room: Callable[[Exception], None] = lambda _: None,
        *,
        trusted: bool = False,
    ) -> None:
        self._root, self._entries, self._trusted = root, folder.entries_of(root), trusted
        self._size_limit, self._tell_set_aside, self._tell_no_room = size_limit, was_set_aside, no_room
        super().__init__()
        unforked.let_go_before_fork(self)
        self._cache: diskcache.Cache | None = None
        self._opened: tuple[int, Inodes] = (0, ())  # process id, inodes of the database
        self._inherited: list[object] = []
        self._times_set_aside = 0
        self._untold: list[Exception] = []  # telling may run a caller's code, so it waits for all locks

    def renew_locks(self) -> None:
        self._lock = threading.RLock()

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
        nothing: bytes | None = None
        try:
            return self._ask(lambda cache: cache.value_of(key), nothing)
        except EntryError:
            with contextlib.suppress(
                Exception
            ):  # where it can't be dropped it is no worse, and other entries can be read
                self.delete(key)
            raise

    def entry(self, key: str) -> bytes:
        """As ``get``, for what a listing has just named. Raises EntryError where it is not there any more."""
        if (value := self.get(key)) is None:
            raise EntryError("entry is gone")
        return value

    def put(self, key: str, value: bytes) -> None:
        if len(value) > self._size_limit:
            self.delete(key)  # everything else would go for nothing
        elif self._do(lambda cache: self._set(cache, key, value)):
            return
        self._tell_no_room(EntryError(f"{len(value)} bytes find no room: size_limit is {self._size_limit}"))

    def delete(self, key: str) -> bool:
        return bool(self._ask(lambda cache: cache.delete(key), False))

    def delete_voice(self, prefix: str) -> int:
        return int(self._ask(lambda cache: cache.evict(prefix), 0))

    def clear(self) -> int:
        return int(self._ask(lambda cache: cache.clear(), 0))

    def keys(self, prefix: str = "") -> list[str]:
        return self._ask(lambda cache: [key for key in cache if key and key.startswith(prefix)], [])

    def listing(self) -> list[Stored]:
        """Every entry, those stored longest ago first. No value file is read."""
        select = "SELECT key, size, store_time FROM Cache WHERE raw = 1 ORDER BY rowid"
        none: list[tuple[Any, ...]] = []
        rows = self._ask(lambda cache: list(cache._sql(select)), none)
        return [Stored(*row) for row in rows if tuple(map(type, row)) == (str, int, float)]  # else it is none of ours

    def __len__(self) -> int:
        return int(self._ask(len, 0))

    def nbytes(self) -> int:
        return int(self._ask(lambda cache: cache.volume(), 0))

    def check(self, decode: repair.Decode, fix: bool = True) -> repair.CheckReport:
        """Look through the folder and, with ``fix``, repair it; ``decode(key, value)`` raises EntryError for damage.

        A malformed index is set aside, whatever ``fix`` says: nothing can be done with it. It takes as long as
        reading everything takes. Raises what keeps it from being done.
        """
        aside = self._times_set_aside
        report = self._ask(lambda cache: repair.check(cache, self._entries, decode, fix), repair.CheckReport())
        return report._replace(database=1) if self._times_set_aside > aside else report

    def close(self) -> None:
        with self._lock:
            unforked.run(self._close)

    def _close(self) -> None:
        if self._cache is not None and self._opened[0] == os.getpid():
            self._cache.close()
        self._cache = None

    def _set(self, cache: Any, key: str, value: bytes) -> bool:
        cache.set(key, value, tag=prefix_of(key))  # what it replaces goes only when this is there for good
        cache.make_youngest(key)
        return self._make_room(cache) != key  # the index takes room as well

    def _make_room(self, cache: Any, seconds: float = TIMEOUT_SECONDS) -> str | None:
        """Drop what was stored longest ago until the rest is within the limit; what takes too long, the next time.

        Gives the key of what went last.
        """
        deadline, last = time.monotonic() + seconds, None
        for key in cache:
            if cache.volume() <= self._size_limit or time.monotonic() > deadline:
                break
            if not key:  # a row that this package did not make can't be named: then everything goes
                cache.clear()
                break
            cache.delete(key)
            last = key
        return last

    def _ask(self, operation: Callable[[Any], _Result], nothing: _Result) -> _Result:
        """``_do``, but where there is no folder yet, asking does not make one."""
        self._replaced()  # else what is open may be a folder that was deleted
        if self._cache is None and not exists(self._entries):
            return nothing
        return self._do(operation)

    def _do(self, operation: Callable[[Any], _Result]) -> _Result:
        """Run ``operation``; if the database turns out to be malformed, begin a new one and run it again."""
        self._replaced()
        cache = self._open()
        try:
            return _guarded(operation, cache)
        except sqlite3.ProgrammingError:
            return _guarded(operation, self._open())  # closed by a fork in a signal handler of this very thread
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and (self._cache is not cache or self._replaced()):
                return _guarded(operation, self._open())  # another thread or process has begun a new one meanwhile
            if not is_malformed(error):
                raise
            self._begin_anew(cache)
            self._was_set_aside(error)
            return _guarded(operation, self._open())

    def _open(self) -> diskcache.Cache:
        cache = self._cache
        if cache is not None and self._opened[0] == os.getpid():
            return cache
        deadline = time.monotonic() + OPEN_SECONDS
        opened, untold = self._alone(lambda: self._opened_now(deadline), deadline)
        logger().info("Opened the cache folder %s.", self._root)
        for error in untold:
            self._tell_set_aside(error)
        return opened

    def _opened_now(self, deadline: float) -> tuple[diskcache.Cache, list[Exception]]:
        if self._cache is not None and self._opened[0] != os.getpid():
            # A connection must not cross a fork, not even to be closed, so it is kept and never touched.
            self._inherited.append(self._cache)
            self._cache = None
        if self._cache is None:
            folder.prepare(self._root, trusted=self._trusted)
            with one_at_a_time(self._entries, deadline):
                cache = unforked.run(lambda: self._connect_or_begin_anew(deadline))
                self._opened = os.getpid(), inodes(self._entries)
                self._cache = cache
        untold, self._untold = self._untold, []
        return self._cache, untold

    def _alone(self, act: Callable[[], _Result], deadline: float) -> _Result:
        """Among this process's threads. The one that opens the folder gives up in time, so none need wait in turn."""
        return holding(self._lock, max(0.0, deadline - time.monotonic()), act)

    def _connect_or_begin_anew(self, deadline: float) -> diskcache.Cache:
        try:
            return self._made_ready(self._connect(deadline), deadline)
        except (sqlite3.DatabaseError, TypeError, ValueError) as error:
            if not is_malformed(error):
                raise
            set_aside(self._entries)
            self._was_set_aside(error)
            return self._made_ready(self._connect(deadline), deadline)

    def _made_ready(self, cache: diskcache.Cache, deadline: float) -> diskcache.Cache:
        try:
            cache.give_up_at = deadline
            repair.mend_counters(cache)
            self._make_room(cache, deadline - time.monotonic())  # the limit may be lower than last time
            repair.sweep(cache, self._entries)
            cache.give_up_at = float("inf")
        except BaseException:
            cache.close()
            raise
        return cache

    def _connect(self, deadline: float) -> diskcache.Cache:
        from .files import StrictDisk
        from .index import BoundedCache

        return BoundedCache(
            str(self._entries),
            min(deadline, time.monotonic() + TIMEOUT_SECONDS),
            timeout=TIMEOUT_SECONDS,
            disk=StrictDisk,
            size_limit=self._size_limit,
            # diskcache's own eviction drops ten at a time, however little room is needed; see _make_room.
            eviction_policy="none",
            cull_limit=0,
            statistics=0,
            tag_index=1,
            sqlite_mmap_size=0,
        )

    def _was_set_aside(self, error: Exception) -> None:
        self._times_set_aside += 1
        self._untold.append(error)

    def _replaced(self) -> bool:
        """Whether the database on disk is no longer the one that is open; then it is opened at the next use."""
        if self._cache is None or inodes(self._entries) == self._opened[1]:
            return False
        self.close()
        return True

    def _begin_anew(self, malformed: Any) -> None:
        deadline = time.monotonic() + OPEN_SECONDS
        self._alone(lambda: self._begun_anew(malformed, deadline), deadline)

    def _begun_anew(self, malformed: Any, deadline: float) -> None:
        with one_at_a_time(self._entries, deadline):
            if self._cache is not malformed:
                return  # another thread has already done it
            self._cache = None  # first, so that a thread that finds no tables in its place knows why
            if inodes(self._entries)[0] == self._opened[1][0]:  # else another process has already done it
                set_aside(self._entries)


def _guarded(operation: Callable[[Any], _Result], cache: Any) -> _Result:
    def run() -> _Result:
        try:
            return explained(operation, cache)
        except BaseException:
            cache.abandon()
            raise

    return unforked.run(run)
