"""Forked children that use a cache folder until they are done or killed, and values that say whether they are whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator

import filelock

from chatterbox_cached.errors import EntryError
from chatterbox_cached.tiers.disk.files import StrictDisk
from chatterbox_cached.tiers.disk.index import BoundedCache
from tests.support.tally import tried

KEYS = [f"v3/{number}/rest" for number in range(8)]
SIZE = 170_000
_WARM = (BoundedCache, StrictDisk, filelock)  # imported here, so that the children are killed at work


def value_of(key: str, generation: int) -> bytes:
    body = f"{key} {generation} ".encode().ljust(SIZE, bytes([generation % 251]))
    return hashlib.sha256(body).digest() + body


def assert_whole(key: str, value: bytes) -> None:
    if hashlib.sha256(value[32:]).digest() != value[:32] or not value[32:].startswith(f"{key} ".encode()):
        raise EntryError(f"{key} is torn")


@contextlib.contextmanager
def child(act: Callable[[random.Random], object], seed: int) -> Iterator[int]:
    """A forked child that does ``act`` until it is killed."""
    pid = os.fork()
    if not pid:
        try:
            act(random.Random(seed))
        except BaseException as error:
            sys.stderr.write(f"child: {error!r}\n")
            os._exit(1)
        os._exit(0)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) in (-signal.SIGKILL, 0), "it failed before it was killed"
        tried("processes killed while they used the folder", int(os.waitstatus_to_exitcode(status) != 0))


def all_done(pids: list[int]) -> None:
    """Wait for forked children; each must have come to its end."""
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert statuses == [0] * len(pids)


def started(act: Callable[[], object]) -> int:
    """A forked child that does ``act`` and ends."""
    pid = os.fork()
    if not pid:
        try:
            act()
        except BaseException as error:
            sys.stderr.write(f"child: {error!r}\n")
            os._exit(1)
        os._exit(0)
    return pid
