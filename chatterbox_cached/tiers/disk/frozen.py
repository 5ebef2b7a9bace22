"""A filled folder that is only read: part of an image, mounted read-only, or another user's.

Nothing is written and nothing locked, so the index is of no use: SQLite can't open one whose log was left behind
without writing to it. Every value file says itself which key it is of, and that is enough: the files are looked
through once, and again where a key is not among them, for another machine may have filled the folder further.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

from ...concurrency.forks import RenewedAfterFork
from ...errors import EntryError, ReadOnlyFolder
from ...voice.entry_format import MOST_BEFORE_PAYLOAD, key_in
from . import repair
from .files import read_value
from .folder import entries_of, refuse_strangers
from .stored import Stored

LOOK_AGAIN_SECONDS = 10.0
LOOK_SECONDS = 4.0  # the longest that one look goes on reading; the next goes on from there
_USUALLY_BEFORE_PAYLOAD = 8192


class _File(NamedTuple):
    """A value file, by the name that a row would have for it, and what is in it; the key of none of ours is ""."""

    name: str
    entry: Stored


class FrozenFolder(RenewedAfterFork):
    """The entries in the folder ``root``. Unless it is ``trusted``, one that other users can write to is not used.

    What is put is not kept. What is dropped is not given any more, but stays there.
    """

    name = "disk"
    read_only = True

    def __init__(self, root: Path, *, trusted: bool = False) -> None:
        self.root, self._entries, self._trusted = root, entries_of(root), trusted
        self._seen: dict[str, _File] = {}  # by name
        self._files: dict[str, _File] = {}  # by key, those stored longest ago first
        self._dropped: set[str] = set()  # names
        self._look_at = 0.0
        super().__init__()

    def renew_locks(self) -> None:
        self._lock = threading.RLock()

    def open(self) -> None:
        self._looked_through()

    def get(self, key: str) -> bytes | None:
        file = self._files.get(key) or self._looked_through().get(key)
        if file is None:
            return None
        try:
            return read_value(os.path.join(self._entries, file.name))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def entry(self, key: str) -> bytes:
        """As ``get``, for what a listing has just named. Raises EntryError where it is not there any more."""
        if (value := self.get(key)) is None:
            raise EntryError("entry is gone")
        return value

    def put(self, key: str, value: bytes) -> None:
        """Keep nothing."""

    def delete(self, key: str) -> bool:
        return bool(self._drop([key]))

    def delete_voice(self, prefix: str) -> int:
        return self._drop_by_hand(self.keys(prefix))

    def clear(self) -> int:
        return self._drop_by_hand(self.keys())

    def keys(self, prefix: str = "") -> list[str]:
        return [key for key in self._looked_through() if key.startswith(prefix)]

    def listing(self) -> list[Stored]:
        """Every entry, those stored longest ago first."""
        return [file.entry for file in self._looked_through().values()]

    def __len__(self) -> int:
        return len(self._looked_through())

    def nbytes(self) -> int:
        return sum(file.entry.nbytes for file in self._looked_through().values())

    def check(self, decode: repair.Decode, fix: bool = True) -> repair.CheckReport:
        """Look through the folder. What is damaged stays there, whatever ``fix`` says."""
        keys = self.keys()
        damaged = sum(not self._is_whole(key, decode) for key in keys)
        why = f"{self.root} can only be read, so nothing was repaired" if fix and damaged else None
        return repair.CheckReport(entries=len(keys) - damaged, damaged=damaged, error=why)

    def close(self) -> None:
        """Nothing is open; at the next use it is looked through anew."""
        self._look_at = 0.0

    def _is_whole(self, key: str, decode: repair.Decode) -> bool:
        try:
            decode(key, self.entry(key))
        except EntryError:
            return False
        return True

    def _drop(self, keys: list[str]) -> int:
        with self._lock:
            gone = [file for key in keys if (file := self._files.get(key)) is not None]
            self._dropped.update(file.name for file in gone)
            self._arrange()
        return len(gone)

    def _drop_by_hand(self, keys: list[str]) -> int:
        if count := self._drop(keys):
            raise ReadOnlyFolder(
                f"{self.root} can only be read, so {count} of its entries are still there; this process does not use"
                " them any more. Remove them where the folder can be written to"
            )
        return 0

    def _looked_through(self) -> dict[str, _File]:
        if time.monotonic() >= self._look_at:
            with self._lock:
                if time.monotonic() >= self._look_at:  # no other thread has just done it
                    self._look()
        return self._files

    def _look(self) -> None:
        if not self._trusted:
            refuse_strangers(self.root)
        names = repair.value_files(self._entries)
        new = [name for name in names if name not in self._seen]
        if not self._trusted:
            refuse_strangers(self.root, *self._with_their_folders(new))
        seen = {name: self._seen[name] for name in names if name in self._seen}
        deadline = time.monotonic() + LOOK_SECONDS
        for name in new:
            if time.monotonic() > deadline:
                break
            if (file := self._file(name)) is not None:
                seen[name] = file
        self._seen = seen
        self._arrange()
        in_time = time.monotonic() <= deadline
        self._look_at = time.monotonic() + LOOK_AGAIN_SECONDS if in_time else 0.0

    def _with_their_folders(self, names: list[str]) -> list[Path]:
        files = [self._entries / name for name in names]
        return [*dict.fromkeys(folder for file in files for folder in (file.parent.parent, file.parent)), *files]

    def _file(self, name: str) -> _File | None:
        """None where it can't be read now."""
        path = os.path.join(self._entries, name)
        try:
            status = os.lstat(path)
            key = key_in(read_value(path, _USUALLY_BEFORE_PAYLOAD)) or key_in(read_value(path, MOST_BEFORE_PAYLOAD))
        except EntryError:
            key = None
        except OSError:
            return None
        return _File(name, Stored(key or "", status.st_size, status.st_mtime, self.root))

    def _arrange(self) -> None:
        """Where there are two of one key, one was to replace the other."""
        ours = [file for name, file in self._seen.items() if file.entry.key and name not in self._dropped]
        self._files = {file.entry.key: file for file in sorted(ours, key=lambda file: file.entry.stored)}
