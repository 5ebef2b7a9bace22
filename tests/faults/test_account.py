"""The account when many write to it, when it can't be written, and when its writers fork or are killed."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached import ConditionalCache
from chatterbox_cached.accounting import account, account_file, ledger
from chatterbox_cached.errors import CacheWarning
from tests.support.children import all_done, started
from tests.support.desk import DIGEST, Desk
from tests.support.locks import locked_database
from tests.support.scenery import ended_well, forked, until, voices
from tests.support.stage import Stage
from tests.support.tally import tried

WRITERS, CALLS = 8, 2000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache folder such as the disk tier makes it."""
    (tmp_path / "voices" / "entries").mkdir(mode=0o700, parents=True)
    return tmp_path / "voices"


def _hits(root: Path) -> int:
    return int(account.read(root).totals["memory_hits"])


def test_eight_writers_lose_nothing(root: Path) -> None:
    def write(number: int) -> None:
        desk = Desk(root)
        for call in range(CALLS):
            desk.hit(f"{number % 2}" * 64)
            if call % 50 == 0:
                desk.ledger.flush()
        while desk.ledger.flush():  # one that was kept waiting for too long by the others tries again
            time.sleep(0.01)

    all_done([started(lambda number=number: write(number)) for number in range(WRITERS)])  # type: ignore[misc]
    written = account.read(root)
    assert written.totals["memory_hits"] == WRITERS * CALLS
    assert [voice.hits for voice in written.voices.values()] == [WRITERS * CALLS // 2] * 2
    tried("events counted by eight processes at once", WRITERS * CALLS)


def eight_caches(folder: Path) -> Any:
    """Each process is a program of its own with a cache, which ends without closing it."""
    from chatterbox.tts import ChatterboxTTS

    paths = voices(folder, 5)

    def serve() -> None:
        cache, model = ConditionalCache(folder / "voices"), ChatterboxTTS()
        for call in range(500):
            cache.get_or_prepare(model, paths[call % 5])
        ledger._writer.write_all()  # what the end of a process does

    assert ended_well(*[forked(serve) for _ in range(WRITERS)])
    written = account.read(folder / "voices")
    totals = written.totals
    calls = totals["memory_hits"] + totals["disk_hits"] + totals["misses"]
    return calls, totals["misses"], sum(voice.hits for voice in written.voices.values()), len(written.voices)


def test_the_calls_of_eight_programs_are_all_counted(stage: Stage, tmp_path: Path) -> None:
    assert stage(eight_caches, folder=tmp_path) == [4000, 5, 3995, 5]


def test_what_was_noted_is_written_soon_without_anybody_asking(root: Path) -> None:
    desk = Desk(root)
    desk.hit()
    until(lambda: (root / "account.db").exists() and _hits(root) == 1)


def test_a_child_counts_its_own_calls_and_not_its_parents_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "DELAY_SECONDS", 0.2)
    desk = Desk(root)
    for _ in range(3):
        desk.hit()

    def hit_once() -> None:
        desk.hit("b" * 64)
        until(lambda: "b" * 64 in account.read(root).voices)  # by a thread of its own

    assert ended_well(forked(hit_once))
    desk.ledger.flush()
    assert _hits(root) == 4
    assert {digest: voice.hits for digest, voice in account.read(root).voices.items()} == {DIGEST: 3, "b" * 64: 1}


def test_a_program_that_just_ends_loses_nothing(root: Path) -> None:
    program = (
        "from pathlib import Path; from tests.support.desk import Desk; "
        f"desk = Desk(Path({str(root)!r})); desk.hit(); desk.hit()"
    )
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True)
    assert _hits(root) == 2


_desk: Desk | None = None


def _hit_in_a_worker(_: int) -> None:
    assert _desk is not None
    _desk.hit()


def test_workers_of_a_pool_write_before_they_end(root: Path) -> None:
    global _desk
    _desk = Desk(root)
    pool = multiprocessing.get_context("fork").Pool(2)
    pool.map(_hit_in_a_worker, range(40))
    pool.close()
    pool.join()
    assert _hits(root) == 40


def test_a_killed_writer_loses_only_what_was_not_written_and_harms_nothing(root: Path) -> None:
    for kill in range(15):
        before = _hits(root)
        ready = root / f"ready{kill}"

        def write(ready: Path = ready) -> None:
            desk = Desk(root)
            for _ in range(10):
                desk.hit()
            desk.ledger.flush()
            ready.touch()
            while True:
                desk.hit()
                desk.ledger.flush()

        child = started(write)
        until(ready.exists)
        time.sleep(0.002 * kill)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert _hits(root) >= before + 10
    with sqlite3.connect(root / "account.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert account.read(root).voices[DIGEST].hits == _hits(root)
    tried("processes killed while they wrote the account", 15)


def test_a_locked_account_is_warned_of_once_and_written_later(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_file, "TIMEOUT_SECONDS", 0.1)
    Desk(root).ledger.flush()
    desk = Desk(root)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with locked_database(root / "account.db", readers_too=True):
            desk.hit()
            assert desk.ledger.flush()
            desk.hit()
            assert desk.ledger.flush()  # left alone, so not a second error
            assert desk.errors == {"disk account": 1}
        until(lambda: not desk.ledger.flush())
    assert [warning.category for warning in warned] == [CacheWarning]
    written = account.read(root)
    assert written.totals["memory_hits"] == 2
    assert written.totals["errors"]["disk account"] >= 1


def test_a_malformed_account_is_moved_aside_and_begun_anew(root: Path) -> None:
    (root / "account.db").write_bytes(b"no database " * 1000)
    desk = Desk(root)
    desk.hit()
    with pytest.warns(CacheWarning, match="account"):
        assert not desk.ledger.flush()
    assert (_hits(root), desk.errors) == (1, {"disk account": 1})
    assert (root / "account.db.damaged").exists()
    desk.ledger.clear()
    assert not (root / "account.db.damaged").exists()


def test_a_full_disk_costs_no_call_and_no_count(root: Path) -> None:
    def run_out() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        desk = Desk(root)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, most))
        desk.hit()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert desk.ledger.flush()
        assert desk.errors == {"disk account": 1}
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        until(lambda: not desk.ledger.flush())

    assert ended_well(forked(run_out))
    assert _hits(root) == 1


def test_a_place_that_cannot_be_written_costs_no_call(root: Path) -> None:
    # A folder where the file should be, for root may write to what is read-only.
    (root / "account.db").mkdir()
    desk = Desk(root)
    desk.hit()
    with pytest.warns(CacheWarning, match="account"):
        assert desk.ledger.flush()
    assert desk.errors == {"disk account": 1}
