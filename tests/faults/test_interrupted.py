"""An operation on the disk tier that is cut short or fails takes nothing away that was there before."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import threading
from pathlib import Path

import pytest

from chatterbox_cached.errors import EntryError
from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.tiers.disk.tier import DiskTier
from tests.support.chains import chain_of, first
from tests.support.forks import in_a_fork
from tests.support.locks import locked_database
from tests.support.scenery import until

KEY, OTHER = "v3/audio/one", "v3/audio/other"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "voices"


@pytest.fixture
def tier(root: Path) -> DiskTier:
    made = DiskTier(root, 10**8)
    made.put(KEY, b"before" * 1000)
    return made


@pytest.mark.skipif(not hasattr(os, "fork"), reason="sets a limit in a forked process")
@pytest.mark.parametrize("limit", [0, 50_000, 500_000])
def test_a_replacement_that_finds_no_room_leaves_the_entry(tier: DiskTier, root: Path, limit: int) -> None:
    tier.close()

    def replace() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        with pytest.raises((OSError, sqlite3.OperationalError)):
            DiskTier(root, 10**8).put(KEY, b"after" * 200_000)

    assert in_a_fork(replace) == "done"
    assert tier.get(KEY) == b"before" * 1000
    tier.put(KEY, b"after" * 200_000)
    assert tier.get(KEY) == b"after" * 200_000


def test_what_is_replaced_is_the_youngest_again(root: Path) -> None:
    tier = DiskTier(root, 250_000)
    for number in range(2):
        tier.put(f"v3/audio/{number}", bytes(100_000))
    tier.put("v3/audio/0", bytes(100_000))
    tier.put("v3/audio/2", bytes(100_000))
    assert tier.keys() == ["v3/audio/0", "v3/audio/2"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer")
def test_ctrl_c_while_waiting_for_the_index_leaves_no_transaction_open(tier: DiskTier, root: Path) -> None:
    index = entries_of(root) / "cache.db"
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    other = sqlite3.connect(index, isolation_level=None, check_same_thread=False)
    try:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.5, other.execute, ("ROLLBACK",)).start()
        signal.setitimer(signal.ITIMER_REAL, 0.2)  # seen by Python once SQLite has given in, with its lock taken
        with pytest.raises(KeyboardInterrupt):
            tier.put(OTHER, b"value")
    finally:
        signal.signal(signal.SIGALRM, before)
    until(lambda: not other.in_transaction)
    other.close()
    tier.put(OTHER, b"value")
    somebody = DiskTier(root, 10**8)
    somebody.put(KEY, b"somebody else's")
    assert tier.get(KEY) == b"somebody else's"
    assert tier.get(OTHER) == b"value"


def test_a_damaged_entry_does_not_keep_others_from_being_read_where_nothing_can_be_written(
    tier: DiskTier, root: Path
) -> None:
    with sqlite3.connect(entries_of(root) / "cache.db") as database:
        database.execute("UPDATE Cache SET filename = '../../x.val'")
    database.close()
    tier.put(OTHER, b"good")
    errors: list[Exception] = []
    chain = chain_of([tier], lambda _, error: errors.append(error))
    with locked_database(entries_of(root) / "cache.db", readers_too=False):
        assert first(chain, KEY) is None
        assert [type(error) for error in errors] == [EntryError]
        assert first(chain, OTHER) == ("disk", b"good")
