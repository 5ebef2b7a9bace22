"""Which voices have names, in an SQLite file that several programs may read and edit at once."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace as replace_values
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import VoiceLibraryError, VoiceNameError
from . import schema, versions
from .names import checked, folded
from .record import NamedVoice
from .versions import Versions

FILE = "voices.db"
_BUSY_SECONDS = 30.0
# Two edits within one tick of a file system's clock can leave the file's times alike (see identity.audio).
_CLOCK_GRAIN_NS = 2 * 10**9
_COLUMNS = (
    "digest",
    "kind",
    "description",
    "consent",
    "seconds",
    "source",
    "audio",
    "added",
    "is_default",
    "namespace",
)


class Names(NamedTuple):
    """What is known at one time: the voices in the order of their names, by folded name, their digests, and how new
    what is shared of them is."""

    voices: tuple[NamedVoice, ...] = ()
    by_name: Mapping[str, NamedVoice] = MappingProxyType({})
    digests: frozenset[str] = frozenset()
    versions: Versions = Versions()


_NOTHING = Names()


class Register:
    """The names in one folder; safe from any thread and process. A folder that is not there has none.

    ``audio``: the folder that the recordings are in. ``trusted``: other users may write to the folder. All of it
    raises VoiceLibraryError where the file can't be used.
    """

    def __init__(self, folder: Path, audio: Path, *, trusted: bool = False) -> None:
        self.file, self._audio, self._trusted = folder / FILE, audio, trusted
        self._seen: tuple[tuple[int, ...] | None, Names] = None, _NOTHING

    def names(self) -> Names:
        """The voices as they are now; the file is read when it was changed."""
        state = self._state()
        if state is None:
            return _NOTHING
        if self._seen[0] == state:
            return self._seen[1]
        looked = time.time_ns()
        names = self._read()
        self._seen = state if max(state[2:]) + _CLOCK_GRAIN_NS < looked else None, names
        return names

    def find(self, name: str) -> NamedVoice | None:
        """The voice that has this name, or this alias."""
        return self.names().by_name.get(folded(name))

    def add(self, voice: NamedVoice, *, replace: bool = False) -> NamedVoice | None:
        """Give a voice its names; ``replace`` puts it in the place of the one that had the first of them.

        Gives what it replaced. Raises VoiceNameError for what is no name, and where another voice has it.
        """
        names = _by_folded(map(checked, voice.names))
        with self.editing() as database:
            replaced = self.voice_of(database, folded(voice.name)) if replace else None
            if replaced is not None:
                database.execute("DELETE FROM voices WHERE id = ?", (replaced[0],))
                voice = replace_values(
                    voice, is_default=replaced[1].is_default, namespace=voice.namespace or replaced[1].namespace
                )
            insert(database, voice, names)
            versions.edited(database, voice.namespace, [*names, *(replaced[1].names if replaced else ())])
        return replaced and replaced[1]

    def rename(self, old: str, new: str) -> NamedVoice:
        """Give a voice another name; its aliases stay. Raises VoiceNameError as ``add``, and KeyError for no voice."""
        new = checked(new)
        with self.editing() as database:
            identity, voice = self.known(database, old)
            aliases = [alias for alias in voice.aliases if folded(alias) != folded(new)]
            _name(database, identity, {folded(name): name for name in (new, *aliases)}, folded(new))
            versions.edited(database, voice.namespace, (*voice.names, new))
        return self._after(new)

    def change(self, name: str, **values: Any) -> NamedVoice:
        """Change what is said of a voice: ``description``, ``consent`` or ``aliases``. Raises as ``rename``."""
        aliases = values.pop("aliases", None)
        with self.editing() as database:
            identity, voice = self.known(database, name)
            for column, value in values.items():
                assert column in _COLUMNS
                database.execute(f"UPDATE voices SET {column} = ? WHERE id = ?", (value, identity))
            if aliases is not None:
                names = _by_folded(map(checked, (voice.name, *aliases)))
                _name(database, identity, names, folded(voice.name))
            versions.edited(database, voice.namespace, (*voice.names, *(aliases or ())))
        return self._after(name)

    def choose(self, name: str | None) -> None:
        """Make a voice the default, or with None have none. Raises KeyError for no voice."""
        with self.editing() as database:
            identity = None if name is None else self.known(database, name)[0]
            database.execute("UPDATE voices SET is_default = id IS ?", (identity,))

    def remove(self, name: str) -> NamedVoice:
        """Take a voice's names away. Raises KeyError for no voice."""
        with self.editing() as database:
            identity, voice = self.known(database, name)
            database.execute("DELETE FROM voices WHERE id = ?", (identity,))
            versions.edited(database, voice.namespace, voice.names)
        return voice

    def remove_digests(self, digests: frozenset[str]) -> tuple[NamedVoice, ...]:
        """Take the names of all voices with these digests away; gives the voices."""
        gone = [voice for voice in self.names().voices if voice.digest in digests]
        if gone:
            with self.editing() as database:
                database.executemany("DELETE FROM voices WHERE digest = ?", [(voice.digest,) for voice in gone])
                for voice in gone:
                    versions.lost(database, voice.namespace, voice.names)
        return tuple(gone)

    def _after(self, name: str) -> NamedVoice:
        if (voice := self.find(name)) is None:
            raise KeyError(name)  # another program has removed it since
        return voice

    def _state(self) -> tuple[int, ...] | None:
        try:
            status = os.stat(self.file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise VoiceLibraryError(_unusable(self.file, error)) from error
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def _read(self) -> Names:
        try:
            with closing(schema.open_to_read(self.file, _BUSY_SECONDS, trusted=self._trusted)) as database:
                database.execute("BEGIN")  # so that all of it is of one time
                voices = tuple(voice for _, voice in self._voices(database))
                shared = versions.read(database)
        except VoiceLibraryError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise VoiceLibraryError(_unusable(self.file, error)) from error
        by_name = {folded(name): voice for voice in voices for name in voice.names}
        return Names(voices, MappingProxyType(by_name), frozenset(voice.digest for voice in voices), shared)

    @contextmanager
    def editing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other edits in between; what is written in it is there as a whole or not at all."""
        try:
            with closing(schema.open_to_edit(self.file, _BUSY_SECONDS, trusted=self._trusted)) as database:
                database.execute("BEGIN IMMEDIATE")
                with database:
                    yield database
        except VoiceLibraryError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise VoiceLibraryError(_unusable(self.file, error)) from error
        finally:
            self._seen = None, _NOTHING

    def _voices(
        self, database: sqlite3.Connection, where: str = "", *values: object
    ) -> Iterator[tuple[int, NamedVoice]]:
        given: dict[int, list[str]] = {}
        for identity, name in database.execute("SELECT voice, name FROM names ORDER BY is_alias, folded"):
            given.setdefault(identity, []).append(name)
        columns = ", ".join(f"voices.{column}" for column in _COLUMNS)
        rows = database.execute(
            f"SELECT voices.id, {columns} FROM voices JOIN names ON names.voice = voices.id AND NOT names.is_alias"
            f" {where} ORDER BY names.folded",
            values,
        )
        for identity, *row in rows:
            said = dict(zip(_COLUMNS, row, strict=True))
            audio, said["source"] = said.pop("audio"), os.fsdecode(said["source"])
            said["is_default"] = bool(said["is_default"])
            name, *aliases = given[identity]
            yield identity, NamedVoice(name, aliases=tuple(aliases), audio=audio and self._audio / audio, **said)

    def voice_of(self, database: sqlite3.Connection, name: str) -> tuple[int, NamedVoice] | None:
        """The voice that has this name, which is folded, with its row."""
        where = "WHERE voices.id = (SELECT voice FROM names WHERE folded = ?)"
        return next(self._voices(database, where, name), None)

    def known(self, database: sqlite3.Connection, name: str) -> tuple[int, NamedVoice]:
        """The voice that has this name, with its row. Raises KeyError for no voice."""
        if (known := self.voice_of(database, folded(name))) is None:
            raise KeyError(name)
        return known


def insert(database: sqlite3.Connection, voice: NamedVoice, names: Mapping[str, str]) -> None:
    """Add a voice with these names, by their folded forms. Raises VoiceNameError where another voice has one."""
    row = _row(voice)
    columns, marks = ", ".join(row), ", ".join("?" for _ in row)
    cursor = database.execute(f"INSERT INTO voices ({columns}) VALUES ({marks})", tuple(row.values()))
    _name(database, int(cursor.lastrowid or 0), names, folded(voice.name))


def _by_folded(names: Iterable[str]) -> dict[str, str]:
    """Names by their folded forms; of two that are alike, as they were first written."""
    found = dict[str, str]()
    for name in names:
        found.setdefault(folded(name), name)
    return found


def _row(voice: NamedVoice) -> dict[str, Any]:
    row = {column: getattr(voice, column) for column in _COLUMNS}
    row["audio"] = voice.audio and voice.audio.name
    try:
        voice.source.encode()
    except UnicodeEncodeError:  # not all names of files are text
        row["source"] = os.fsencode(voice.source)
    return row


def _name(database: sqlite3.Connection, identity: int, names: Mapping[str, str], first: str) -> None:
    """Give a voice these names, by their folded forms, in place of those that it had."""
    database.execute("DELETE FROM names WHERE voice = ?", (identity,))
    for alike, name in names.items():
        taken = database.execute("SELECT name FROM names WHERE folded = ?", (alike,)).fetchone()
        if taken is not None:
            raise VoiceNameError(
                f"There is a voice called {taken[0]!r}. Give another name, or remove that voice first."
            )
        database.execute("INSERT INTO names VALUES (?, ?, ?, ?)", (alike, name, identity, alike != first))


def _unusable(file: Path, error: Exception) -> str:
    return (
        f"The names of voices in {file} can't be used ({error}). If another program keeps the file busy, try again;"
        " else see to its folder, or name another one with CHATTERBOX_CACHED_VOICES_DIR."
    )
