"""diskcache's value files without its pickles and without its trust in what a row says.

By default diskcache pickles keys and values and opens whatever file a row names (CVE-2025-69872). Here a key is text, a
value is bytes in a file of its own whose name has the one form that diskcache gives out, and every row that says
anything else is refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import threading
from typing import Any, BinaryIO

import diskcache
from diskcache.core import MODE_BINARY, UNKNOWN

from ...errors import EntryError
from ...voice.entry_format import MOST_BYTES
from . import rights

# Neither through a link, nor waiting for a writer of a pipe.
_READ = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
_VALUE_FILE = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28}\.val")


class StrictDisk(diskcache.Disk):  # type: ignore[misc]
    """Text keys, raw bytes, nothing else."""

    def __init__(self, directory: str, **_: Any) -> None:
        super().__init__(directory)
        self._written = threading.local()
        self._rights = rights.rights_in(directory)

    def __setattr__(self, name: str, value: Any) -> None:
        # diskcache sets on its Disk whatever the folder's own table of settings says.
        if name not in vars(self):
            super().__setattr__(name, value)

    def put(self, key: Any) -> tuple[str, bool]:
        if type(key) is not str:
            raise EntryError("key is not text")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        # Only ever asked for where keys are listed: one bad row must not hide the other keys.
        return key if type(key) is str and raw else ""

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> tuple[int, int, str, None]:
        filename, path = self.filename(key, value)
        try:
            with _created(path, self._rights) as file:
                file.write(value)
        except BaseException:
            self.remove(filename)
            raise
        self._written.filename = filename
        return len(value), MODE_BINARY, filename, None

    def fetch(self, mode: Any, filename: Any, value: Any, read: bool) -> bytes:
        if mode != MODE_BINARY or value is not None or read or not _is_value_file(filename):
            raise EntryError("row is not one of ours")
        if not self._is_inside(filename):
            raise EntryError("row points out of the folder")
        return read_value(f"{self._directory}{os.sep}{filename}")

    def remove(self, file_path: Any) -> None:
        with contextlib.suppress(FileNotFoundError):
            if _is_value_file(file_path) and self._is_inside(file_path):
                super().remove(file_path)

    def last_written(self) -> str | None:
        """The file that this thread wrote last; asked for once."""
        filename: str | None = vars(self._written).pop("filename", None)
        return filename

    def _is_inside(self, filename: str) -> bool:
        """Whether no link on the way leads out of the folder. Raises FileNotFoundError where there is no way."""
        outer = f"{self._directory}{os.sep}{filename[:2]}"
        return all(stat.S_ISDIR(os.lstat(path).st_mode) for path in (outer, outer + os.sep + filename[3:5]))


def read_value(path: str, most: int = MOST_BYTES) -> bytes:
    """What is in a value file, ``most`` bytes of it. Raises EntryError for what is no such file."""
    file = _opened(path)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
            raise EntryError("value is no file of a possible size")
        return os.read(file, min(most, status.st_size))
    finally:
        os.close(file)


def _opened(path: str) -> int:
    try:
        return os.open(path, _READ)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise EntryError("value is a link, or no file") from None
        raise


def _created(path: str, its: rights.Rights) -> BinaryIO:
    """A new file, for its owner or its group, also while other processes remove the folders that they have emptied."""
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            rights.make_folders(os.path.dirname(path), its)
            return rights.create(path, its)
    raise FileNotFoundError(path)


def _is_value_file(filename: Any) -> bool:
    return isinstance(filename, str) and _VALUE_FILE.fullmatch(filename.replace(os.sep, "/")) is not None
