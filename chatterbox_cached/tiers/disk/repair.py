"""Brings the folder's index and its files together again after a crash, an outage, or a user's tidying up.

A process that is killed between writing a value file and its row, or between a row's end and its file's, leaves a file
that no row names. These are swept now and then; the whole folder is looked through when the user asks for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import EntryError
from .database import MalformedError

SWEEP_EVERY_SECONDS = 86_400.0
# Between a file and its row there are milliseconds.
ORPHAN_AGE_SECONDS = 3_600.0
SWEEP_SECONDS = 0.5
WRITER_SECONDS = 2.5  # the longest that a writer waits for its row, see disk.TIMEOUT_SECONDS
REMOVER_SECONDS = 0.1  # between the end of a row and that of its file
_MARKER = "swept"
_SHARD = re.compile(r"[0-9a-f]{2}")
_VALUE = re.compile(r"[0-9a-f]{28}\.val")
Decode = Callable[[str, bytes], object]


class CheckReport(NamedTuple):
    """What ``check`` found and, unless it was only to look, mended; each a count."""

    entries: int = 0  # whole ones, after the check
    damaged: int = 0  # entries that were no longer what they had been, or were not ours
    missing: int = 0  # entries whose file was gone
    orphans: int = 0  # files that belonged to no entry
    empty_folders: int = 0
    database: int = 0  # 1: the index was malformed, or its own counts were wrong
    account: int = 0  # 1: the account of names and counts was malformed
    error: str | None = None  # why the check could not be made, or not to its end

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return self[1:] == CheckReport()[1:]


def check(cache: Any, entries: Path, decode: Decode, fix: bool) -> CheckReport:
    """Look through everything; with ``fix`` drop what is of no use. Others may go on using the folder meanwhile.

    Raises MalformedError when the index itself is not sound and is to be mended, which takes a new one.
    """
    if cache._sql("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
        if fix:
            raise MalformedError("integrity check failed")
        return CheckReport(database=1, error="the index is malformed, so its entries can't be relied on")
    whole, damaged, missing = _check_rows(cache, decode, fix)
    with cache.transact():
        files, named = value_files(entries), _named(cache)
        database = _check_counters(cache, fix)
    orphans = [file for file in files if file not in named]
    if orphans:
        # A writer between a file and its row, or between the end of a row and that of its file, is done then.
        young = any(_modified(entries / file) > time.time() - WRITER_SECONDS for file in orphans)
        time.sleep(WRITER_SECONDS if young else REMOVER_SECONDS)
        named = _named(cache)
        orphans = [file for file in orphans if file not in named and (entries / file).exists()]
    if fix:
        _remove(entries, orphans)
    return CheckReport(whole, damaged, missing, len(orphans), _empty_folders(entries, fix), database)


def sweep(cache: Any, entries: Path) -> int:
    """Remove old orphans, at most once a day per folder and for no longer than SWEEP_SECONDS; says how many."""
    if not _is_due(entries / _MARKER):
        return 0
    deadline, oldest = time.monotonic() + SWEEP_SECONDS, time.time() - ORPHAN_AGE_SECONDS
    files = value_files(entries, deadline)  # before the rows, so that no file is newer than what is known of rows
    named = _named(cache)
    orphans = [file for file in files if file not in named and _modified(entries / file) < oldest]
    return _remove(entries, orphans, deadline)


def mend_counters(cache: Any) -> None:
    """See to it that the index's own sums are right: a wrong sum would have everything evicted."""
    if _check_counters(cache, fix=False):  # or another process has stored something in between
        with cache.transact():
            _check_counters(cache, fix=True)


def _is_due(marker: Path) -> bool:
    # A marker from the future is one from before the clock was set back.
    if 0 <= time.time() - _modified(marker) < SWEEP_EVERY_SECONDS:
        return False
    with contextlib.suppress(OSError):
        marker.unlink(missing_ok=True)  # rather than follow a link
        marker.touch(mode=0o600, exist_ok=False)
        return True
    return False  # full or read-only: housekeeping is no reason to fail


def _check_rows(cache: Any, decode: Decode, fix: bool) -> tuple[int, int, int]:
    whole, bad = 0, {"damaged": 0, "missing": 0}
    for rowid, key, raw, mode, filename, value in _rows(cache):
        what = _what_is_wrong(cache, decode, (key, raw, mode, filename, value))
        if what is None:
            whole += 1
        elif not fix or _drop(cache, rowid, filename):
            bad[what] += 1
    return whole, bad["damaged"], bad["missing"]


def _rows(cache: Any) -> Iterator[tuple[Any, ...]]:
    select = "SELECT rowid, key, raw, mode, filename, value FROM Cache WHERE rowid > ? ORDER BY rowid LIMIT 100"
    rows = cache._sql(select, (-(2**63),)).fetchall()
    while rows:
        yield from rows
        rows = cache._sql(select, (rows[-1][0],)).fetchall()


def _what_is_wrong(cache: Any, decode: Decode, row: tuple[Any, ...]) -> str | None:
    key, raw, mode, filename, value = row
    if not cache.disk.get(key, raw):
        return "damaged"
    try:
        decode(key, cache.disk.fetch(mode, filename, value, False))
    except EntryError:
        return "damaged"
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError as error:
        # Too many open files, say, is no fault of the entry's.
        if error.errno == errno.EIO:
            return "damaged"
        raise
    return None


def _drop(cache: Any, rowid: int, filename: Any) -> bool:
    """Unless it has been replaced since it was looked at."""
    delete = "DELETE FROM Cache WHERE rowid = ? AND CAST(filename AS BLOB) IS CAST(? AS BLOB)"  # it may be no text
    with cache.transact():
        dropped = cache._sql(delete, (rowid, filename)).rowcount
    if dropped:
        cache.disk.remove(filename)
    return bool(dropped)


def _named(cache: Any) -> set[str]:
    rows = cache._sql("SELECT filename FROM Cache WHERE filename IS NOT NULL").fetchall()
    return {str(filename).replace(os.sep, "/") for (filename,) in rows}


def _check_counters(cache: Any, fix: bool) -> int:
    """diskcache's triggers keep count of entries and bytes, and eviction believes them."""
    ((count, size),) = cache._sql("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM Cache").fetchall()
    wrong = 0
    for name, value in (("count", count), ("size", size)):
        if cache.reset(name) != value:
            wrong = 1
            if fix:
                cache._sql("UPDATE Settings SET value = ? WHERE key = ?", (value, name))
    return wrong


def _shards(folder: Path) -> list[Path]:
    """Folders of diskcache's; nothing that a link leads to."""
    try:
        with os.scandir(folder) as found:
            return [
                Path(entry.path)
                for entry in found
                if _SHARD.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:  # emptied by another process
        return []


def value_files(entries: Path, deadline: float = float("inf")) -> list[str]:
    """The value files, by the names that rows have for them."""
    found: list[str] = []
    for outer in _shards(entries):
        if time.monotonic() > deadline:
            break
        for inner in _shards(outer):
            with contextlib.suppress(FileNotFoundError):
                found += [f"{outer.name}/{inner.name}/{name}" for name in os.listdir(inner) if _VALUE.fullmatch(name)]
    return found


def _modified(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return float("inf")


def _remove(entries: Path, files: list[str], deadline: float = float("inf")) -> int:
    removed = 0
    for file in files:
        if time.monotonic() > deadline:
            break
        with contextlib.suppress(OSError):
            (entries / file).unlink()
            removed += 1
        with contextlib.suppress(OSError):  # not empty, for one
            (entries / file).parent.rmdir()
            (entries / file).parent.parent.rmdir()
    return removed


def _empty_folders(entries: Path, fix: bool) -> int:
    count = 0
    for outer in _shards(entries):
        for folder in (*_shards(outer), outer):
            if not next(iter(_listed(folder)), None):
                count += 1
                if fix:
                    with contextlib.suppress(OSError):  # another process has put something there
                        folder.rmdir()
    return count


def _listed(folder: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return os.listdir(folder)
    return []
