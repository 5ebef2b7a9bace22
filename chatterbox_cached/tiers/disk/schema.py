"""What may be in an index, looked at before anything of it is believed: no more than diskcache makes."""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
from collections.abc import Callable

import diskcache

from .database import MalformedError, Schema, refuse_other_schema, schema_of

_MOST_SETTINGS = 100


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
        return schema_of(connection)


def refuse_other_contents(execute: Callable[[str], sqlite3.Cursor]) -> None:
    """Raise MalformedError if the database has anything in it that diskcache does not make. It may have less."""
    found = refuse_other_schema(execute, _expected())
    if any(name == "Settings" for _, name, *_ in found):
        settings = execute(f"SELECT 1 FROM Settings LIMIT {_MOST_SETTINGS + 1}").fetchall()
        if len(settings) > _MOST_SETTINGS:
            raise MalformedError("the index holds more settings than there are")
