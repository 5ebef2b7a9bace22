"""diskcache's Cache, except that every wait for a locked database ends when it should.

diskcache tries each statement of an opening for 60 s, and there are some thirty of them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from typing import Any

import diskcache


class StillLockedError(sqlite3.OperationalError):
    """Somebody else has kept the database locked. By its message diskcache tells what it tries again for ever."""


class BoundedCache(diskcache.Cache):  # type: ignore[misc]
    """``deadline`` (of time.monotonic) bounds the opening, ``timeout`` each wait after that."""

    def __init__(self, directory: str, deadline: float, **settings: Any) -> None:
        self._deadline = deadline
        try:
            super().__init__(directory, **settings)
        except BaseException:
            self.close()  # a connection that is left open would keep a broken log alive
            raise
        self._deadline = 0.0  # from here on the connections themselves wait

    @property
    def _con(self) -> sqlite3.Connection:
        """This thread's connection. diskcache would follow the settings that it finds in the folder, and wait twice."""
        connection: sqlite3.Connection | None = getattr(self._local, "con", None)
        if connection is None:
            path = os.path.join(self._directory, diskcache.core.DBNAME)
            with contextlib.ExitStack() as on_failure:
                connection = sqlite3.connect(path, timeout=self._timeout, isolation_level=None)
                on_failure.callback(connection.close)
                # A file that is mapped and then cut short by somebody kills the process (SIGBUS).
                for pragma in ("mmap_size = 0", "synchronous = 1"):
                    self._persist(connection, f"PRAGMA {pragma}")
                on_failure.pop_all()
            self._local.con = connection
        return connection

    def make_youngest(self, key: str) -> None:
        """Have an entry come last in the order in which keys are listed, also where it replaced an older one."""
        newest = "(SELECT max(rowid) FROM Cache)"
        self._sql(f"UPDATE Cache SET rowid = {newest} + 1 WHERE key = ? AND raw = 1 AND rowid < {newest}", (key,))

    def abandon(self) -> None:
        """End the transaction that an operation of this thread left open, as where Ctrl-C comes in between."""
        connection: sqlite3.Connection | None = getattr(self._local, "con", None)
        with contextlib.suppress(sqlite3.Error):
            if connection is not None and connection.in_transaction:
                connection.rollback()
        if getattr(self, "_txn_id", None) == threading.get_ident():
            self._txn_id: int | None = None  # else diskcache takes the next operation for a part of that one

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
