"""One at a time per key, in threads and processes; nobody waits for ever and nobody waits for the dead."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from chatterbox_cached.concurrency.singleflight import SingleFlight
from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.tiers.disk.tier import DiskTier
from tests.support.forks import become_nobody, in_a_fork

PATIENCE = 60.0
KEY = "v3/voice/rest"


@pytest.fixture(params=["threads only", "with lock files"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "threads only" else tmp_path


@contextmanager
def somebody_in_flight(flights: SingleFlight, key: str = KEY) -> Iterator[None]:
    """While it lasts, another thread is the one at ``key``."""
    there, leave = threading.Event(), threading.Event()

    def fly() -> None:
        with flights.flight(key):
            there.set()
            leave.wait(PATIENCE)

    thread = threading.Thread(target=fly)
    thread.start()
    assert there.wait(PATIENCE)
    try:
        yield
    finally:
        leave.set()
        thread.join()


def test_threads_with_one_key_go_one_at_a_time(folder: Path | None) -> None:
    flights = SingleFlight(folder, PATIENCE)
    inside, most = 0, 0

    def fly(_: int) -> None:
        nonlocal inside, most
        for _ in range(5):
            with flights.flight(KEY):
                inside += 1
                most = max(most, inside)
                time.sleep(0.001)  # so that the others get their chance to break in
                inside -= 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(fly, range(6)))
    assert most == 1


def test_whoever_comes_second_finds_what_the_first_has_stored(folder: Path | None) -> None:
    flights = SingleFlight(folder, PATIENCE)
    stored: list[str] = []

    def fly(_: int) -> None:
        with flights.flight(KEY):
            if not stored:
                stored.append("prepared")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(fly, range(6)))
    assert stored == ["prepared"]


def test_another_key_does_not_wait(folder: Path | None) -> None:
    flights = SingleFlight(folder, PATIENCE)
    with somebody_in_flight(flights), flights.flight("v3/another voice/rest"):
        pass  # or it would wait for PATIENCE, with the other thread


def test_a_wait_is_bounded_and_then_goes_ahead(folder: Path | None) -> None:
    flights, went = SingleFlight(folder, 0.05), False
    with somebody_in_flight(flights), flights.flight(KEY):
        went = True
    assert went


def test_a_wait_for_another_caches_flight_is_bounded_too(tmp_path: Path) -> None:
    went = False
    with somebody_in_flight(SingleFlight(tmp_path, PATIENCE)), SingleFlight(tmp_path, 0.05).flight(KEY):
        went = True
    assert went


def test_one_who_went_ahead_does_not_release_the_others_flight() -> None:
    flights = SingleFlight(None, 0.05)
    with somebody_in_flight(flights):
        with flights.flight(KEY):
            pass
        assert not flights._flights[KEY].lock.acquire(blocking=False)


def test_an_exception_passes_through_and_releases(folder: Path | None) -> None:
    flights = SingleFlight(folder, PATIENCE)
    with pytest.raises(LookupError), flights.flight(KEY):
        raise LookupError
    with flights.flight(KEY):
        pass


def test_keys_are_not_remembered_after_their_flights(folder: Path | None) -> None:
    flights = SingleFlight(folder, PATIENCE)
    for number in range(20):
        with flights.flight(f"v3/{number}/rest"):
            pass
    assert not flights._flights


def test_the_number_of_lock_files_is_bounded(tmp_path: Path) -> None:
    flights = SingleFlight(tmp_path, PATIENCE)
    for number in range(1000):
        with flights.flight(f"v3/{number}/rest"):
            pass
    assert len(list(tmp_path.iterdir())) <= 256


def test_where_no_lock_file_can_be_made_it_goes_ahead(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    went = False
    with SingleFlight(tmp_path / "file" / "folder", PATIENCE).flight(KEY):
        went = True
    assert went


def test_where_the_folder_cant_be_looked_at_it_goes_ahead(tmp_path: Path) -> None:
    (tmp_path / "voices" / "entries").mkdir(parents=True)
    (tmp_path / "voices").chmod(0)

    def fly() -> None:
        become_nobody()
        with SingleFlight(tmp_path / "voices" / "entries", PATIENCE).flight(KEY):
            pass

    try:
        assert in_a_fork(fly) == "done"
    finally:
        (tmp_path / "voices").chmod(0o700)


def test_a_flight_leaves_the_cache_folder_to_be_made_private(tmp_path: Path) -> None:
    root = tmp_path / "voices"
    with SingleFlight(entries_of(root), PATIENCE).flight(KEY):
        DiskTier(root, 10**7).put(KEY, b"value")
    assert entries_of(root).stat().st_mode & 0o777 == 0o700
    assert root.stat().st_mode & 0o777 == 0o700
    assert (root / "CACHEDIR.TAG").exists()


HOLD = """
import sys
from pathlib import Path
from chatterbox_cached.concurrency.singleflight import SingleFlight
folder, key = sys.argv[1:]
with SingleFlight(Path(folder), 60.0).flight(key):
    print("holding", flush=True)
    sys.stdin.read()
"""

COUNT = """
import sys, time
from pathlib import Path
from chatterbox_cached.concurrency.singleflight import SingleFlight
folder, key = sys.argv[1:]
counter = Path(folder, "counter")
for _ in range(20):
    with SingleFlight(Path(folder), 60.0).flight(key):
        before = int(counter.read_text())
        time.sleep(0.001)
        counter.write_text(str(before + 1))
"""


def start(code: str, folder: Path) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), KEY],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_go_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    processes = [start(COUNT, tmp_path) for _ in range(3)]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    assert (tmp_path / "counter").read_text() == "60"


def test_a_process_waits_for_another_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    with start(HOLD, tmp_path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        arrived = threading.Event()

        def fly() -> None:
            with SingleFlight(tmp_path, PATIENCE).flight(KEY):
                arrived.set()

        thread = threading.Thread(target=fly)
        thread.start()
        assert not arrived.wait(0.2)
        holder.kill()
        assert arrived.wait(PATIENCE / 2)
        thread.join()


def test_a_forked_child_does_not_wait_for_its_parents_threads() -> None:
    flights = SingleFlight(None, PATIENCE)

    def fly() -> None:
        with flights.flight(KEY):
            pass

    with somebody_in_flight(flights):
        assert in_a_fork(fly) == "done"
