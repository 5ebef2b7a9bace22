"""The cache folder taken away, cut, locked up and fought over while it is in use; every wanted voice is given right."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from chatterbox_cached.settings import with_user_folder
from chatterbox_cached.tiers.disk import repair, tier
from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.tiers.disk.tier import DiskTier
from tests.support.children import KEYS, all_done, assert_whole, child, started, value_of
from tests.support.forks import in_a_fork
from tests.support.store_user import User, assert_all_is_well
from tests.support.tally import tried

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

NOBODY = 65534
_WARM = platformdirs.user_cache_dir("any")  # imported while everything can still be read


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check waits for writers: here for those that write at the same time, which takes them milliseconds."""
    monkeypatch.setattr(repair, "WRITER_SECONDS", 0.5)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "voices"


@pytest.fixture
def user(root: Path) -> Iterator[User]:
    made = User(root)
    assert made.wants_all() == {"upstream"}
    assert made.wants_all() == {"disk"}
    yield made
    made.store.lower.close()


def without(*suffixes: str) -> Callable[[Path], None]:
    def remove(root: Path) -> None:
        for suffix in suffixes:
            (entries_of(root) / f"cache.db{suffix}").unlink()

    remove.__name__ = "without " + " and ".join(suffix or "the index" for suffix in suffixes)
    return remove


def the_folder_gone(root: Path) -> None:
    shutil.rmtree(root)


def the_entries_gone(root: Path) -> None:
    shutil.rmtree(entries_of(root))


def the_value_files_gone(root: Path) -> None:
    for path in entries_of(root).rglob("*.val"):
        path.unlink()


def another_folder_in_its_place(root: Path) -> None:
    root.rename(root.with_name("before"))
    User(root).wants(KEYS[0])


def the_index_cut_in_half(root: Path) -> None:
    path = entries_of(root) / "cache.db"
    os.truncate(path, path.stat().st_size // 2)


def the_index_cut_to_nothing(root: Path) -> None:
    os.truncate(entries_of(root) / "cache.db", 0)


DAMAGES = [
    without("-wal"),
    without("-shm"),
    without("-wal", "-shm"),
    without(""),
    without("", "-wal", "-shm"),
    the_folder_gone,
    the_entries_gone,
    the_value_files_gone,
    another_folder_in_its_place,
    the_index_cut_in_half,
    the_index_cut_to_nothing,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("others", [False, True], ids=["alone", "with another process"])
def test_damage_while_the_folder_is_open(user: User, root: Path, damage: Callable[[Path], None], others: bool) -> None:
    def go_on() -> None:
        for _ in range(5):
            user.wants_all()
            user.store.lower.tiers[0].try_again()

    tried("ways to break the folder")
    damage(root)
    other = [started(User(root).wants_all), started(go_on)] if others else []
    go_on()
    all_done(other)
    user.store.check(fix=True)
    user.wants_all()
    assert user.wants_all() == {"disk"}, user.errors
    assert_all_is_well(root)


def test_a_log_that_is_cut_while_it_is_open(user: User, root: Path) -> None:
    """Newcomers can't make sense of it as long as somebody has it open; they do without."""
    os.truncate(entries_of(root) / "cache.db-wal", 0)
    newcomer = User(root)
    for _ in range(3):
        user.wants_all()
        newcomer.wants_all()
    user.store.lower.close()
    newcomer.store.lower.close()
    assert_all_is_well(root)


def test_a_file_in_the_folders_place_while_it_is_open(user: User, root: Path) -> None:
    shutil.rmtree(root)
    root.write_text("in the way")
    for _ in range(3):
        assert user.wants_all() == {"upstream"}
    assert len(user.errors) == 1, "one failure, and then it is left alone"
    root.unlink()
    user.store.check(fix=True)
    user.wants_all()
    assert user.wants_all() == {"disk"}


# Permissions, descriptors, homes


def unprivileged() -> None:
    """Root may write anywhere, so it has to become somebody who may not."""
    if os.getuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def given_away(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        if os.getuid() == 0:
            os.chown(path, NOBODY, NOBODY)


@pytest.mark.parametrize(
    ("folders", "files"), [(0o500, 0o400), (0o500, 0o600), (0o700, 0o400), (0o000, 0o000)], ids=str
)
def test_a_folder_without_permission(open_to_all: Path, folders: int, files: int) -> None:
    root = open_to_all / "voices"
    before = User(root)
    before.wants_all()
    before.store.lower.close()
    given_away(root)
    inside = [path for path in (root, *root.rglob("*"))]  # noqa: C416
    modes = [(path, path.stat().st_mode, folders if path.is_dir() else files) for path in inside]

    def use() -> None:
        unprivileged()
        user = User(root)
        started_at = time.monotonic()
        for _ in range(3):
            user.wants_all()
        assert time.monotonic() - started_at < 20

    def use_again() -> None:
        unprivileged()
        user = User(root)
        user.wants_all()
        assert user.wants_all() == {"disk"}, user.errors

    for path, _, mode in reversed(modes):
        path.chmod(mode)
    assert in_a_fork(use, 30) == "done"
    for path, mode, _ in modes:
        path.chmod(mode)
    assert in_a_fork(use_again, 30) == "done"


def test_a_parent_folder_without_permission(open_to_all: Path) -> None:
    def use() -> None:
        unprivileged()
        user = User(open_to_all / "voices")
        assert user.wants_all() == {"upstream"}
        assert len(user.errors) == 1

    open_to_all.chmod(0o555)
    User(open_to_all.with_name(open_to_all.name + "-none"))  # nothing is made before something is stored
    assert in_a_fork(use, 30) == "done"


@pytest.mark.parametrize("opened", [False, True], ids=["not open yet", "open"])
def test_no_file_descriptor_left(user: User, root: Path, opened: bool) -> None:
    def use() -> None:
        if opened:
            assert user.wants_all() == {"disk"}
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        taken = []
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(3):
            assert user.wants_all() == {"upstream"}
        for descriptor in taken:
            os.close(descriptor)
        user.store.lower.tiers[0].try_again()
        user.wants_all()
        assert user.wants_all() == {"disk"}, user.errors

    user.store.lower.close()
    assert in_a_fork(use, 30) == "done"
    assert_all_is_well(root)


def test_no_home_directory(open_to_all: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.chdir(open_to_all)

    def nobody_in_particular() -> None:
        if os.getuid() == 0:
            os.setuid(54_321)  # a container's made-up user, which has no entry and so no home
            assert with_user_folder({}).cache_dir is None
        assert "~" not in os.listdir(open_to_all)

    assert in_a_fork(nobody_in_particular) == "done"


def test_a_home_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/nonexistent/home")

    def use() -> None:
        unprivileged()
        folder = with_user_folder({}).cache_dir
        assert folder is not None
        user = User(folder)
        assert user.wants_all() == {"upstream"}
        assert len(user.errors) == 1

    assert in_a_fork(use) == "done"


# The clock


def test_entries_of_the_future_are_served_and_go_in_the_order_in_which_they_came(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tier, now = DiskTier(root, 500_000), time.time()
    for number, key in enumerate(KEYS[:4]):
        monkeypatch.setattr(time, "time", lambda number=number: now + 10**8 - number * 10**7)
        tier.put(key, value_of(key, 0)[:100_000])
    assert all(tier.get(key) for key in KEYS[:4])
    monkeypatch.setattr(time, "time", lambda: now)
    for key in KEYS[4:6]:
        tier.put(key, value_of(key, 0)[:100_000])
    assert tier.keys() == KEYS[6 - len(tier) : 6]
    assert tier.get(KEYS[5])
    tier.close()


# Others


def assert_right(tier: DiskTier, key: str) -> bool:
    value = tier.get(key)
    if value is not None:
        assert_whole(key, value)
    return value is not None


def for_seconds(seconds: float) -> Iterator[int]:
    ends, number = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        yield number
        number += 1


def test_eviction_while_others_read(root: Path) -> None:
    def evicts(chance: Any) -> None:
        tier = DiskTier(root, 700_000)
        for generation in range(10**6):
            key = chance.choice(KEYS)
            tier.put(key, value_of(key, generation))

    with child(evicts, 0), child(evicts, 1):
        tier = DiskTier(root, 700_000)
        hits = sum(assert_right(tier, KEYS[number % 8]) for number in for_seconds(2))
        tier.close()
    assert hits > 0


def test_clearing_and_forgetting_while_others_read_and_write(root: Path) -> None:
    def uses(chance: Any) -> None:
        tier = DiskTier(root, 10**8)
        for generation in range(10**6):
            key = chance.choice(KEYS)
            if not assert_right(tier, key):
                tier.put(key, value_of(key, generation))

    with child(uses, 0), child(uses, 1), child(uses, 2):
        tier = DiskTier(root, 10**8)
        dropped = 0
        for number in for_seconds(2):
            dropped += tier.clear() if number % 4 == 0 else tier.delete_voice(f"v3/{number % 8}/")
        reported = tier.check(assert_whole)
        tier.close()
    assert dropped > 0
    assert reported.damaged == 0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits long enough for a machine on which everything is slow, where what matters is that all of it is right."""
    for bound in ("TIMEOUT_SECONDS", "OPEN_SECONDS"):
        monkeypatch.setattr(tier, bound, 60.0)


@pytest.mark.usefixtures("patient")
def test_eight_processes_open_a_new_folder_at_once(root: Path) -> None:
    waiting, go = os.pipe()

    def begins(number: int) -> None:
        os.close(go)
        os.read(waiting, 1)  # until the parent closes its end
        user = User(root)
        user.wants(KEYS[number])
        assert user.wants(KEYS[number]) == "disk"
        user.wants_all()
        assert user.errors == []

    children = [started(lambda number=number: begins(number)) for number in range(8)]
    os.close(go)
    all_done(children)
    os.close(waiting)
    assert_all_is_well(root)
    assert not list(entries_of(root).glob("*.damaged"))


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("processes", [2, 8])
@pytest.mark.parametrize("same", [True, False], ids=["the same voice", "different voices"])
def test_processes_write_at_once(root: Path, processes: int, same: bool) -> None:
    def writes(number: int) -> None:
        tier, key = DiskTier(root, 10**8), KEYS[0 if same else number]
        for generation in range(300 // processes):
            tier.put(key, value_of(key, generation))
            assert_right(tier, key)

    all_done([started(lambda number=number: writes(number)) for number in range(processes)])
    tier = DiskTier(root, 10**8)
    assert tier.check(assert_whole)._replace(empty_folders=0)[:4] == (1 if same else processes, 0, 0, 0)
    database = sqlite3.connect(entries_of(root) / "cache.db")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    tier.close()
