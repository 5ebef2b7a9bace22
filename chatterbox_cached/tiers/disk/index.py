"""diskcache's Cache, except that every wait for a locked database has an end, and that the index rules nothing.

diskcache tries each statement of an opening for 60 s, and there are some thirty of them. And it sets on itself whatever
the folder's own table of settings says: its folder and its methods, and SQLite's limits for the whole process.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import threading
import time
from typing import Any

import diskcache
from diskcache.core import DBNAME, DEFAULT_SETTINGS, ENOVAL, METADATA

from . import rights
from .database import STEPS, refuse_other_files, text_or_bytes
from .schema import refuse_other_contents


class StillLockedError(sqlite3.OperationalError):
    """Another process has kept the database locked. By its message diskcache tells what it tries again for ever."""


class BoundedCache(diskcache.Cache):  # type: ignore[misc]
    """``deadline`` (of time.monotonic) bounds the opening, ``timeout`` each wait after that.

    A statement that is still at work at ``give_up_at`` fails: a damaged table may seem to have no end.
    """

    def __init__(self, directory: str, deadline: float, **settings: Any) -> None:
        self._deadline = self.give_up_at = deadline
        try:
            with contextlib.suppress(FileExistsError):  # what SQLite puts beside it gets the same rights
                rights.create(os.path.join(directory, DBNAME), rights.rights_in(directory)).close()
            super().__init__(directory, **{**DEFAULT_SETTINGS, **settings})  # all of them, so that no others count
        except BaseException:
            self.close()  # a connection that is left open would keep a broken log alive
            raise
        self._deadline, self.give_up_at = 0.0, float("inf")  # from here on the connections themselves wait

    def reset(self, key: str, value: Any = ENOVAL, update: bool = True) -> Any:
        """A setting, as diskcache does it; one that diskcache does not have is the folder's own idea."""
        return super().reset(key, value, update) if key in DEFAULT_SETTINGS or key in METADATA else None

    @property
    def _con(self) -> sqlite3.Connection:
        """This thread's connection. diskcache would follow the settings that it finds in the folder, and wait twice."""
        connection: sqlite3.Connection | None = getattr(self._local, "con", None)
        if connection is None:
            path = os.path.join(self._directory, DBNAME)
            refuse_other_files(path)
            with contextlib.ExitStack() as on_failure:
                connection = sqlite3.connect(path, timeout=self._timeout, isolation_level=None)
                on_failure.callback(connection.close)
                connection.text_factory = text_or_bytes
                connection.set_progress_handler(lambda: time.monotonic() > self.give_up_at, STEPS)
                refuse_other_contents(functools.partial(self._persist, connection))
                # A file that is mapped and then cut short by another process kills the process (SIGBUS).
                for pragma in ("mmap_size = 0", "synchronous = 1"):
                    self._persist(connection, f"PRAGMA {pragma}")
                on_failure.pop_all()
            self._local.con = connection
        return connection

    def value_of(self, key: str) -> bytes | None:
        """The value under ``key``, if there is one. Raises EntryError where it is damaged.

        diskcache's own ``get`` takes whatever the system says for an entry that was just dropped.
        """
        select = "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = ?"
        row = self._sql(select, self._disk.put(key)).fetchone()
        # A file may be gone because another process replaces the entry or tidies up, so that is no damage.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return None if row is None else bytes(self._disk.fetch(*row, False))
        return None

    def make_youngest(self, key: str) -> None:
        """Have an entry come last in the order in which keys are listed, also where it replaced an older one."""
        newest = "(SELECT max(rowid) FROM Cache)"
        self._sql(f"UPDATE Cache SET rowid = {newest} + 1 WHERE key = ? AND raw = 1 AND rowid < {newest}", (key,))

    def abandon(self) -> None:
        """After an operation that failed: end the transaction that it left open, and remove the file that it left over.

        Ctrl-C leaves a transaction open where it comes right after its beginning.
        """
        connection: sqlite3.Connection | None = getattr(self._local, "con", None)
        with contextlib.suppress(sqlite3.Error):
            if connection is not None and connection.in_transaction:
                connection.rollback()
        if getattr(self, "_txn_id", None) == threading.get_ident():
            self._txn_id: int | None = None  # else diskcache takes the next operation for a part of that one
        with contextlib.suppress(sqlite3.Error, OSError):
            written = self._disk.last_written()
            if written and not self._sql("SELECT 1 FROM Cache WHERE filename = ?", (written,)).fetchone():
                self._disk.remove(written)

    @property
    def _sql(self) -> Any:
        connection = self._con
        return lambda statement, *args: self._persist(connection, statement, *args)

    def _persist(self, connection: sqlite3.Connection, statement: str, *args: Any) -> sqlite3.Cursor:
        while True:
            cursor = self._unless_locked(connection, statement, *args)
            if cursor is not None:
                return cursor
            time.sleep(0.005)

    def _unless_locked(self, connection: sqlite3.Connection, statement: str, *args: Any) -> sqlite3.Cursor | None:
        try:
            return connection.execute(statement, *args)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            if time.monotonic() >= self._deadline:
                raise StillLockedError("another process keeps the index locked") from error
            return None
