"""Another process that holds locks of the cache folder until it is told to let go."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_DATABASE = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
if sys.argv[2] == "readers too":
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
database.execute("BEGIN EXCLUSIVE")
database.execute("CREATE TABLE IF NOT EXISTS Mine (a)")
print("locked", flush=True)
sys.stdin.read()
"""
_FILE = """
import filelock, sys
with filelock.FileLock(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""
_NEXT = """
import filelock, os, sqlite3, sys, time
path, seconds = sys.argv[1], float(sys.argv[2])
malformed = os.stat(path).st_ino
with filelock.FileLock(os.path.join(os.path.dirname(path), "open.lock")):
    print("locked", flush=True)
    time.sleep(seconds)
while os.path.exists(path) and os.stat(path).st_ino == malformed:
    time.sleep(0.001)
database = sqlite3.connect(path, isolation_level=None, timeout=60)
database.execute("PRAGMA locking_mode = EXCLUSIVE")
database.execute("BEGIN EXCLUSIVE")
sys.stdin.read()
"""


@contextlib.contextmanager
def _held(code: str, *arguments: str) -> Iterator[None]:
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            holder.kill()


def locked_database(path: Path, *, readers_too: bool) -> contextlib.AbstractContextManager[None]:
    """BEGIN EXCLUSIVE, which in SQLite's WAL mode keeps out those who write; ``readers_too`` keeps out everybody."""
    return _held(_DATABASE, str(path), "readers too" if readers_too else "writers")


def locked_file(path: Path) -> contextlib.AbstractContextManager[None]:
    """A file lock."""
    return _held(_FILE, str(path))


def keeps_locking(path: Path, seconds: float) -> contextlib.AbstractContextManager[None]:
    """For some seconds the lock without which the malformed index ``path`` can't be replaced, and then the new one."""
    return _held(_NEXT, str(path), str(seconds))
