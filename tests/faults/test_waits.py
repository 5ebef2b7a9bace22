"""A disk tier that hangs: a locked index, a locked folder. One wait, not a long one, and then it recovers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from chatterbox_cached.concurrency.breaker import FIRST_PAUSE_SECONDS
from chatterbox_cached.tiers.chain import TierChain
from chatterbox_cached.tiers.disk import tier as disk_tier
from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.tiers.disk.tier import DiskTier
from tests.support.chains import chain_of, first
from tests.support.locks import keeps_locking, locked_database, locked_file

KEY, OTHER = "v3/voice/rest", "v3/other/rest"
SLACK = 8.0  # for a busy machine; what is not bounded takes a minute and more


class Bounds(NamedTuple):
    """How long may be waited: for a locked database, for an opening, and in all."""

    timeout: float
    opening: float
    worst: float


AS_THEY_ARE = Bounds(disk_tier.TIMEOUT_SECONDS, disk_tier.OPEN_SECONDS, disk_tier.WORST_SECONDS)
BRIEF = Bounds(*(bound / 4 for bound in AS_THEY_ARE))


class Counted(DiskTier):
    """The real tier, and how often it was asked."""

    calls = 0

    def get(self, key: str) -> bytes | None:
        self.calls += 1
        return super().get(key)

    def put(self, key: str, value: bytes) -> None:
        self.calls += 1
        super().put(key, value)

    def open(self) -> None:
        self.calls += 1
        super().open()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def bounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bounds:
    """A quarter of what they are, but where a test wants them as they are."""
    chosen: Bounds = getattr(request, "param", BRIEF)
    monkeypatch.setattr(disk_tier, "TIMEOUT_SECONDS", chosen.timeout)
    monkeypatch.setattr(disk_tier, "OPEN_SECONDS", chosen.opening)
    return chosen


@pytest.fixture
def tier(bounds: Bounds, tmp_path: Path) -> Iterator[Counted]:
    made = Counted(tmp_path / "voices", 10**8)
    made.put(KEY, b"value")
    made.close()
    made.calls = 0
    yield made
    made.close()


@pytest.fixture
def database(tier: Counted, tmp_path: Path) -> Path:
    return entries_of(tmp_path / "voices") / "cache.db"


def a_miss(chain: TierChain, key: str = OTHER) -> None:
    first(chain, key)
    chain.open()
    first(chain, key)
    chain.put(key, b"new")


def seconds_of(chain: TierChain) -> float:
    started = time.monotonic()
    a_miss(chain)
    return time.monotonic() - started


@pytest.mark.parametrize(
    ("readers_too", "opened", "bounds"),
    [
        pytest.param(False, False, BRIEF, id="writers-not open yet"),
        pytest.param(True, False, BRIEF, id="readers too-not open yet"),
        pytest.param(False, True, BRIEF, id="writers-open"),
        pytest.param(True, True, AS_THEY_ARE, id="readers too-open"),
    ],
    indirect=["bounds"],
)
def test_a_locked_index_costs_one_wait_and_then_nothing(
    tier: Counted, bounds: Bounds, database: Path, opened: bool, readers_too: bool
) -> None:
    told: list[str] = []
    clock = Clock()
    chain = chain_of([tier], lambda place, error: told.append(f"{place}: {error}"), clock)
    if opened:
        assert tier.get(KEY) == b"value"
        if readers_too:  # nobody can be kept out while somebody else is in
            tier.close()
            tier._cache = None
        tier.calls = 0
    with locked_database(database, readers_too=readers_too):
        assert bounds.timeout * 0.9 < seconds_of(chain) < bounds.timeout + SLACK
        asked = tier.calls
        assert len(told) == 1
        assert "locked" in told[0]
        for _ in range(200):
            chain.put(OTHER, b"new")
            chain.open()
        assert tier.calls == asked
        assert len(told) == 1
    clock.now += FIRST_PAUSE_SECONDS
    a_miss(chain)
    assert first(chain, OTHER) == ("disk", b"new")
    assert first(chain, KEY) == ("disk", b"value")
    assert len(told) == 1


def test_what_is_open_can_be_read_while_others_keep_writers_out(tier: Counted, database: Path) -> None:
    chain = chain_of([tier], lambda place, error: None, Clock())
    assert first(chain, KEY) == ("disk", b"value")
    with locked_database(database, readers_too=False):
        a_miss(chain)
        assert [first(chain, KEY) for _ in range(5)] == [("disk", b"value")] * 5


def test_a_second_thread_waits_once_and_not_twice(tier: Counted, bounds: Bounds, database: Path) -> None:
    assert tier.get(KEY) == b"value"
    with locked_database(database, readers_too=False), ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        with pytest.raises(Exception, match="locked"):
            pool.submit(tier.put, OTHER, b"new").result()
        assert time.monotonic() - started < bounds.timeout + SLACK


@pytest.mark.parametrize("threads", [1, 6])
def test_threads_that_open_a_folder_that_another_process_keeps_locked_do_not_wait_in_turn(
    tier: Counted, bounds: Bounds, database: Path, threads: int
) -> None:
    chain = chain_of([tier], lambda place, error: None, Clock())
    together = threading.Barrier(threads)

    def use(_: int) -> float:
        together.wait()
        return seconds_of(chain)

    with locked_file(database.with_name("open.lock")), ThreadPoolExecutor(threads) as pool:
        assert max(pool.map(use, range(threads))) < bounds.opening + SLACK
        asked = tier.calls
        a_miss(chain)
        assert tier.calls == asked
    chain.tiers[0].try_again()
    assert first(chain, KEY) == ("disk", b"value")


def test_the_error_says_what_sqlite_said(tier: Counted, database: Path) -> None:
    assert tier.get(KEY) == b"value"
    with locked_database(database, readers_too=False), pytest.raises(Exception, match="locked"):
        tier.delete_voice("v3/voice/")


@pytest.mark.parametrize("opened", [False, True], ids=["not open yet", "open"])
def test_a_malformed_index_that_others_keep_locking_costs_no_more_than_the_worst_wait(
    tier: Counted, bounds: Bounds, database: Path, opened: bool
) -> None:
    """First nobody may replace it, for almost as long as may be waited, and then nobody may use the new one."""
    told: list[str] = []
    chain = chain_of([tier], lambda place, error: told.append(f"{place}: {error}"), Clock())
    if opened:
        assert tier.get(KEY) == b"value"
    for part in database.parent.glob("cache.db*"):
        part.write_bytes(b"no database at all" * 1000)
    with keeps_locking(database, bounds.opening * 0.875):
        started = time.monotonic()
        chain.put(OTHER, b"new")
        waited = time.monotonic() - started
        assert bounds.opening * 0.75 < waited < bounds.worst + SLACK
        a_miss(chain)
        asked = tier.calls
        a_miss(chain)
        assert tier.calls == asked or not told  # where it came before who locks, nothing has failed
    chain.tiers[0].try_again()
    a_miss(chain)
    assert first(chain, OTHER) == ("disk", b"new"), told
