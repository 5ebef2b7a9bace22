"""What may be in an index, looked at before anything of it is believed.

SQLite carries out what the database itself says: a view may never end, a trigger may change other tables, a journal may
have another file removed. So a database is used only if all that is in it is what diskcache makes.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import stat
from collections.abc import Callable
from typing import Any

import diskcache

from .database import PARTS, MalformedError

_MOST_SETTINGS = 100
_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master"
# The end of a journal that is part of a transaction over many files. After it, SQLite removes the file named before.
_NAMES_A_FILE = bytes.fromhex("d9d505f920a163d7")
Schema = frozenset[tuple[Any, ...]]


class _Blueprint(diskcache.Cache):  # type: ignore[misc]
    """Carries out diskcache's own statements in memory, to see what they make."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._in_memory = connection
        super().__init__(os.path.abspath(os.sep), tag_index=1)  # where nothing is written

    @property
    def _con(self) -> sqlite3.Connection:
        return self._in_memory

    def close(self) -> None:
        pass


@functools.cache
def _expected() -> Schema:
    """All that diskcache makes, whatever its settings."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _Blueprint(connection)
        for policy in diskcache.EVICTION_POLICY.values():
            connection.execute(policy["init"] or "SELECT 1")
        return frozenset(connection.execute(_SCHEMA).fetchall())


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


def refuse_other_contents(execute: Callable[[str], sqlite3.Cursor]) -> None:
    """Raise MalformedError if the database has anything in it that diskcache does not make. It may have less."""
    expected = _expected()
    found = frozenset(execute(_SCHEMA).fetchmany(len(expected) + 1))
    if not found <= expected:
        raise MalformedError("the index holds what the cache does not make")
    if any(name == "Settings" for _, name, *_ in found):
        settings = execute(f"SELECT 1 FROM Settings LIMIT {_MOST_SETTINGS + 1}").fetchall()
        if len(settings) > _MOST_SETTINGS:
            raise MalformedError("the index holds more settings than there are")
