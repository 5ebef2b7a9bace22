"""The SQLite file of the register: its tables, and how one of an older version becomes one of this."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ..errors import VoiceLibraryError
from ..tiers.disk.folder import refuse_strangers

# Each brings a file from the version that is its place in this list to the next. A released one is never changed.
MIGRATIONS = (
    """
    CREATE TABLE voices (
      id INTEGER PRIMARY KEY, digest TEXT NOT NULL, kind TEXT NOT NULL, description TEXT NOT NULL,
      consent TEXT NOT NULL, seconds REAL, source TEXT NOT NULL, audio TEXT, added REAL NOT NULL,
      is_default INTEGER NOT NULL
    );
    CREATE TABLE names (
      folded TEXT PRIMARY KEY, name TEXT NOT NULL, voice INTEGER NOT NULL REFERENCES voices (id) ON DELETE CASCADE,
      is_alias INTEGER NOT NULL
    );
    CREATE INDEX names_of_voice ON names (voice);
    CREATE INDEX voices_by_digest ON voices (digest);
    """,
    """
    ALTER TABLE voices ADD COLUMN namespace TEXT;
    CREATE TABLE shared (
      place TEXT PRIMARY KEY, namespace TEXT NOT NULL, version INTEGER NOT NULL, waits INTEGER NOT NULL
    );
    """,
)
VERSION = len(MIGRATIONS)


def open_to_read(file: Path, busy_seconds: float, *, trusted: bool) -> sqlite3.Connection:
    """A connection to a file that is there. Raises as ``open_to_edit``."""
    if not trusted:
        refuse_strangers(file.parent, file)
    database = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=busy_seconds)
    try:
        if _version_of(database, file) == VERSION:
            return database
    except sqlite3.OperationalError:  # an edit that was cut short has to be taken back first, which is a write
        pass
    except BaseException:
        database.close()
        raise
    database.close()
    return open_to_edit(file, busy_seconds, trusted=trusted)


def open_to_edit(file: Path, busy_seconds: float, *, trusted: bool) -> sqlite3.Connection:
    """A connection in which nothing is begun; folder, file and tables are made where there are none.

    Raises sqlite3.Error, OSError, and VoiceLibraryError for a newer version's file. Unless it is ``trusted``, raises
    UntrustedFolder where other users could put other voices in the place of these.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not trusted:
        refuse_strangers(file.parent, file)
    if not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))  # names of people are for their user alone
    database = sqlite3.connect(file, timeout=busy_seconds, isolation_level=None)
    try:
        database.execute("PRAGMA foreign_keys = ON")
        if _version_of(database, file) < VERSION:
            _migrate(database, file)
    except BaseException:
        database.close()
        raise
    return database


def _migrate(database: sqlite3.Connection, file: Path) -> None:
    database.execute("BEGIN IMMEDIATE")
    with database:
        for version in range(_version_of(database, file), VERSION):  # another program may have been quicker
            for statement in filter(str.strip, MIGRATIONS[version].split(";")):
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {VERSION}")


def _version_of(database: sqlite3.Connection, file: Path) -> int:
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise VoiceLibraryError(
            f"{file} was written by a newer version of chatterbox-cached (its format is {version}, and {VERSION} is the"
            " newest known here). Update this one: pip install --upgrade chatterbox-cached"
        )
    return version
