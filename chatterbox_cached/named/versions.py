"""How new what this machine knows of shared names is: it decides between machines that say different things of one.

There is a row for each name that is or was shared, by its place in a store, so that no name stays when it is removed.
``waits``: what was edited here may not have reached the stores yet.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from .telling import place_of


class Versions(NamedTuple):
    """By place, and the places that wait, each with its namespace."""

    by_place: Mapping[str, int] = MappingProxyType({})
    waiting: tuple[tuple[str, str], ...] = ()


def read(database: sqlite3.Connection) -> Versions:
    """All of them."""
    rows = database.execute("SELECT place, namespace, version, waits FROM shared").fetchall()
    by_place = {place: version for place, _, version, _ in rows}
    return Versions(MappingProxyType(by_place), tuple((place, its) for place, its, _, waits in rows if waits))


def edited(database: sqlite3.Connection, namespace: str | None, names: Iterable[str], after: int = 0) -> None:
    """Something was done here to a voice with, before or after it, these names: nothing known is as new as that."""
    if namespace is None:
        return
    places = {place_of(namespace, name) for name in names}
    known = max([after, *(_version(database, place) for place in places)])
    _set(database, namespace, places, max(time.time_ns(), known + 1), waits=True)


def heard(database: sqlite3.Connection, namespace: str, names: Iterable[str], version: int) -> None:
    """This is what a store says of these names."""
    _set(database, namespace, {place_of(namespace, name) for name in names}, version, waits=False)


def settled(database: sqlite3.Connection, place: str, version: int) -> None:
    """The stores have this."""
    database.execute("UPDATE shared SET waits = 0 WHERE place = ? AND version = ?", (place, version))


def lost(database: sqlite3.Connection, namespace: str | None, names: Iterable[str]) -> None:
    """Know nothing of these names."""
    if namespace is not None:
        database.executemany("DELETE FROM shared WHERE place = ?", [(place_of(namespace, name),) for name in names])


def _version(database: sqlite3.Connection, place: str) -> int:
    found = database.execute("SELECT version FROM shared WHERE place = ?", (place,)).fetchone()
    return int(found[0]) if found else 0


def _set(database: sqlite3.Connection, namespace: str, places: Iterable[str], version: int, *, waits: bool) -> None:
    database.executemany(
        "INSERT OR REPLACE INTO shared VALUES (?, ?, ?, ?)", [(place, namespace, version, waits) for place in places]
    )
