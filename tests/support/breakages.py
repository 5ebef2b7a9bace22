"""Ways to break a cache folder that holds one voice. Each is a context in which it is broken, and mended at its end.

A breakage says as ``.counted`` what kind of error it shows as in ``get_cache_stats()["errors"]``; None where nothing
fails and the voice is just no longer there.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.voice import entry_format
from chatterbox_cached.voice.key_format import SCHEMA
from tests.support.locks import locked_database

PREFIX = 119  # bytes before an entry's header


class Breakage(NamedTuple):
    broken: Callable[[Path], AbstractContextManager[None]]
    counted: str | None


BREAKAGES: dict[str, Breakage] = {}


def breakage(counted: str | None = None) -> Callable[[Callable[[Path], Iterator[None]]], None]:
    def named(broken: Callable[[Path], Iterator[None]]) -> None:
        BREAKAGES[broken.__name__] = Breakage(contextlib.contextmanager(broken), counted)

    return named


def entry_file(folder: Path) -> Path:
    (file,) = entries_of(folder).rglob("*.val")
    return file


def rewritten(folder: Path, change: Callable[[bytes], bytes]) -> None:
    file = entry_file(folder)
    file.write_bytes(change(file.read_bytes()))


def redigested(entry: bytes) -> bytes:
    """With the right digest over whatever else is in it."""
    prefix, content = entry[: PREFIX - 32], entry[PREFIX:]
    return prefix + entry_format._sha256(prefix, content) + content


def _cut(length: Callable[[bytes], int]) -> Callable[[Path], Iterator[None]]:
    def cut(folder: Path) -> Iterator[None]:
        rewritten(folder, lambda entry: entry[: length(entry)])
        yield

    return cut


for place, length in {
    "an_empty_entry": lambda _: 0,
    "an_entry_cut_after_one_byte": lambda _: 1,
    "an_entry_cut_in_its_prefix": lambda _: PREFIX - 1,
    "an_entry_cut_before_its_header": lambda _: PREFIX,
    "an_entry_cut_in_its_header": lambda _: PREFIX + 40,
    "an_entry_cut_in_the_middle": lambda entry: len(entry) // 2,
    "an_entry_cut_by_one_byte": lambda entry: len(entry) - 1,
}.items():
    cut = _cut(length)
    cut.__name__ = place
    breakage("entry")(cut)


@breakage("entry")
def a_flipped_bit(folder: Path) -> Iterator[None]:
    def flipped(entry: bytes) -> bytes:
        middle = len(entry) // 2
        return entry[:middle] + bytes([entry[middle] ^ 1]) + entry[middle + 1 :]

    rewritten(folder, flipped)
    yield


@breakage("entry")
def an_entry_of_a_newer_schema(folder: Path) -> Iterator[None]:
    rewritten(folder, lambda entry: redigested(entry[:8] + (SCHEMA + 1).to_bytes(2, "little") + entry[10:]))
    yield


@breakage("entry")
def another_key_in_a_whole_entry(folder: Path) -> Iterator[None]:
    rewritten(folder, lambda entry: redigested(entry.replace(b'"key": "v3/', b'"key": "v3:')))
    yield


@breakage()
def a_value_file_that_is_missing(folder: Path) -> Iterator[None]:
    entry_file(folder).unlink()
    yield


def _pointed_at(folder: Path, filename: str) -> None:
    secret = folder.parent / "secret.val"
    secret.write_bytes(entry_file(folder).read_bytes())
    with contextlib.closing(sqlite3.connect(entries_of(folder) / "cache.db")) as database, database:
        database.execute("UPDATE Cache SET filename = ?", (filename,))


@breakage("disk")
def a_row_that_points_out_of_the_folder(folder: Path) -> Iterator[None]:
    _pointed_at(folder, "../../secret.val")
    yield


@breakage("disk")
def a_row_with_an_absolute_path(folder: Path) -> Iterator[None]:
    _pointed_at(folder, str(folder.parent / "secret.val"))
    yield


@breakage("disk")
def a_value_file_that_is_a_link_out_of_the_folder(folder: Path) -> Iterator[None]:
    file, secret = entry_file(folder), folder.parent / "secret.val"
    file.rename(secret)
    file.symlink_to(secret)
    yield


@breakage("disk")
def an_index_that_is_garbage(folder: Path) -> Iterator[None]:
    (entries_of(folder) / "cache.db").write_bytes(b"no database at all " * 1000)
    yield


@breakage("disk")
def an_index_that_is_cut_in_half(folder: Path) -> Iterator[None]:
    index = entries_of(folder) / "cache.db"
    os.truncate(index, index.stat().st_size // 2)
    yield


@breakage("disk")
def an_index_that_another_process_keeps_locked(folder: Path) -> Iterator[None]:
    with locked_database(entries_of(folder) / "cache.db", readers_too=True):
        yield


@breakage()
def no_log(folder: Path) -> Iterator[None]:
    """Only while it is open: the last to close an index takes its log along."""
    for suffix in ("-wal", "-shm"):
        (entries_of(folder) / f"cache.db{suffix}").unlink()
    yield


@breakage()
def no_index(folder: Path) -> Iterator[None]:
    for path in entries_of(folder).glob("cache.db*"):
        path.unlink()
    yield


@breakage()
def no_folder(folder: Path) -> Iterator[None]:
    shutil.rmtree(folder)
    yield


@breakage("disk")
def a_file_in_the_folders_place(folder: Path) -> Iterator[None]:
    shutil.rmtree(folder)
    folder.write_text("in the way")
    yield
    folder.unlink()


@breakage("disk")
def a_full_disk(folder: Path) -> Iterator[None]:
    """No file may grow beyond 20 kB: every write of an entry fails with the system's own error."""
    shutil.rmtree(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def small_file_system(folder: Path, size: str, *options: str) -> Iterator[Path]:
    """A file system of its own at ``folder``. Raises CalledProcessError where this user may not mount."""
    mount = ["mount", "-t", "tmpfs", "-o", ",".join((f"size={size}", "mode=0700", *options)), "none", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True, capture_output=True)


def enlarged(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True, capture_output=True)
