"""check() finds each kind of damage, drops what is of no use and nothing else; leftovers are swept by themselves."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached.errors import EntryError
from chatterbox_cached.tiers.disk import repair
from chatterbox_cached.tiers.disk.files import StrictDisk
from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.tiers.disk.repair import CheckReport
from chatterbox_cached.tiers.disk.tier import DiskTier
from tests.support.forks import in_a_fork

WRITER_SECONDS = repair.WRITER_SECONDS
KEYS = [f"v3/{voice}/rest" for voice in range(6)]


def signed(key: str, size: int = 5_000) -> bytes:
    """A value that says whose it is and whether it is whole."""
    body = key.encode().ljust(100) + bytes(size)
    return hashlib.sha256(body).digest() + body


def decode(key: str, value: bytes) -> None:
    if hashlib.sha256(value[32:]).digest() != value[:32] or value[32:132].rstrip() != key.encode():
        raise EntryError("damaged")


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check waits for writers, of which there are none but in one test."""
    monkeypatch.setattr(repair, "WRITER_SECONDS", 0.1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "voices"


@pytest.fixture
def tier(root: Path) -> Iterator[DiskTier]:
    made = DiskTier(root, 10**8)
    for key in KEYS:
        made.put(key, signed(key))
    yield made
    made.close()


def sql(root: Path, statement: str, *arguments: object) -> list[tuple[str, ...]]:
    database = sqlite3.connect(entries_of(root) / "cache.db", isolation_level=None)
    found = database.execute(statement, arguments).fetchall()
    database.close()
    return found


def file_of(root: Path, key: str) -> Path:
    ((name,),) = sql(root, "SELECT filename FROM Cache WHERE key = ?", key)
    return entries_of(root) / name


def a_flipped_bit(root: Path) -> CheckReport:
    path = file_of(root, KEYS[0])
    value = bytearray(path.read_bytes())
    value[-1] ^= 1
    path.write_bytes(value)
    return CheckReport(entries=5, damaged=1)


def an_entry_cut_short(root: Path) -> CheckReport:
    os.truncate(file_of(root, KEYS[0]), 10)
    return CheckReport(entries=5, damaged=1)


def two_entries_exchanged(root: Path) -> CheckReport:
    first, second = file_of(root, KEYS[0]), file_of(root, KEYS[1])
    first.rename(first.with_suffix(".other"))
    second.rename(first)
    first.with_suffix(".other").rename(second)
    return CheckReport(entries=4, damaged=2)


def a_link_in_a_files_place(root: Path) -> CheckReport:
    path = file_of(root, KEYS[0])
    path.unlink()
    path.symlink_to("/etc/hostname")
    return CheckReport(entries=5, damaged=1)


def rows_of_somebody_else(root: Path) -> CheckReport:
    sql(root, "INSERT INTO Cache (key, raw, mode, value) VALUES (5, 1, 1, 5)")
    sql(root, "INSERT INTO Cache (key, raw, mode, value) VALUES (x'80', 0, 4, x'80')")
    sql(root, "INSERT INTO Cache (key, raw, mode, filename) VALUES ('v3/x/y', 1, 2, '../../../etc/hostname')")
    return CheckReport(entries=6, damaged=3)


def files_that_are_gone(root: Path) -> CheckReport:
    for key in KEYS[:2]:
        path = file_of(root, key)
        path.unlink()
        with contextlib.suppress(OSError):  # there is another one in it
            path.parent.rmdir()
            path.parent.parent.rmdir()
    return CheckReport(entries=4, missing=2)


def files_of_nobody(root: Path) -> CheckReport:
    for shard in ("00/11", "00/12", "ff/ff"):
        path = entries_of(root) / shard / ("a" * 28 + ".val")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left over")
    return CheckReport(entries=6, orphans=3)


def empty_folders(root: Path) -> CheckReport:
    (entries_of(root) / "zz").mkdir()  # not one of the cache's
    for shard in ("00/11", "00/12"):
        (entries_of(root) / shard).mkdir(parents=True, exist_ok=True)
    return CheckReport(entries=6, empty_folders=3)


def wrong_counters(root: Path) -> CheckReport:
    sql(root, "UPDATE Settings SET value = value + 1000000000 WHERE key IN ('size', 'count')")
    return CheckReport(entries=6, database=1)


def a_torn_index(root: Path) -> CheckReport:
    """One that can be opened: only SQLite's own check, or the right question, notices."""
    sql(root, "PRAGMA writable_schema = ON")
    sql(root, "PRAGMA wal_checkpoint(TRUNCATE)")
    ((page,),) = sql(root, "SELECT rootpage FROM sqlite_master WHERE name = 'Cache_key_raw'")
    with (entries_of(root) / "cache.db").open("r+b") as file:
        file.seek((int(page) - 1) * 4096)
        file.write(os.urandom(4096))
    return CheckReport(entries=0, database=1)


def nothing(root: Path) -> CheckReport:
    return CheckReport(entries=6)


Damage = Callable[[Path], CheckReport]
DAMAGES: list[Damage] = [
    nothing,
    a_flipped_bit,
    an_entry_cut_short,
    two_entries_exchanged,
    a_link_in_a_files_place,
    rows_of_somebody_else,
    files_that_are_gone,
    files_of_nobody,
    empty_folders,
    wrong_counters,
    a_torn_index,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_kind_of_damage_is_found_and_mended(tier: DiskTier, root: Path, damage: Damage) -> None:
    expected = damage(root)
    if damage is not wrong_counters:  # which opening mends
        tier.close()
    found = tier.check(decode)
    # A folder that lost its last file is removed at once, or counted as empty.
    assert found._replace(empty_folders=expected.empty_folders) == expected
    assert found.sound == (damage is nothing)
    again = tier.check(decode)
    assert again.sound
    assert again.entries == expected.entries == len(tier) == len(tier.keys())
    for key in tier.keys():  # noqa: SIM118
        decode(key, tier.get(key) or b"")
    tier.put(KEYS[0], signed(KEYS[0]))
    assert tier.get(KEYS[0]) == signed(KEYS[0])
    values = [path for path in entries_of(root).rglob("*.val")]  # noqa: C416
    assert len(values) == len(tier)


@pytest.mark.parametrize("damage", DAMAGES)
def test_looking_changes_nothing(tier: DiskTier, root: Path, damage: Damage) -> None:
    damage(root)
    if damage is not wrong_counters:
        tier.close()
    before = sorted((path, path.stat().st_size) for path in entries_of(root).rglob("*.val"))
    found = tier.check(decode, fix=False)
    assert found == tier.check(decode, fix=False)
    assert found.sound == (damage is nothing)
    assert sorted((path, path.stat().st_size) for path in entries_of(root).rglob("*.val")) == before


def test_a_folder_that_is_not_there_is_sound_and_is_not_made(tmp_path: Path) -> None:
    assert DiskTier(tmp_path / "none", 10**8).check(decode) == CheckReport()
    assert not (tmp_path / "none").exists()


def test_too_many_open_files_are_not_held_against_the_entries(tier: DiskTier) -> None:
    def look() -> None:
        tier.keys()
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        with contextlib.suppress(OSError):
            while True:
                os.open("/dev/null", os.O_RDONLY)
        with pytest.raises((OSError, sqlite3.Error)):
            tier.check(decode)

    tier.close()
    assert in_a_fork(look) == "done"
    assert tier.check(decode) == CheckReport(entries=6)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO Settings VALUES (x'00', NULL)",
        "UPDATE Settings SET value = NULL",
        "UPDATE Settings SET value = 'x'",
        "DELETE FROM Settings",
        "DROP TABLE Settings",
        "DROP TABLE Cache",
        "ALTER TABLE Cache RENAME COLUMN filename TO other",
    ],
)
def test_an_index_that_is_another_database_is_begun_anew_or_mended(tier: DiskTier, root: Path, statement: str) -> None:
    tier.close()
    sql(root, statement)
    tier.put(KEYS[0], signed(KEYS[0]))
    assert tier.get(KEYS[0]) == signed(KEYS[0])
    tier.check(decode)
    assert tier.check(decode).sound


def test_sums_that_are_wrong_evict_nothing(tier: DiskTier, root: Path) -> None:
    wrong_counters(root)
    tier.close()
    assert len(tier) == len(tier.keys()) == 6
    assert tier.nbytes() < 10**6
    sql(root, "UPDATE Settings SET value = -1000000000 WHERE key = 'size'")
    tier.close()
    assert tier.nbytes() > 6 * 5_000


def test_a_block_that_can_not_be_read_costs_its_entry_only(tier: DiskTier, monkeypatch: pytest.MonkeyPatch) -> None:
    from chatterbox_cached.tiers.disk.files import StrictDisk

    real, bad = StrictDisk.fetch, tier.keys()[2]

    def fetch(self: StrictDisk, mode: object, filename: object, value: object, read: bool) -> bytes:
        got = real(self, mode, filename, value, read)
        if bad.encode() in got[:200]:
            raise OSError(errno.EIO, "bad sector")
        return got

    monkeypatch.setattr(StrictDisk, "fetch", fetch)
    assert tier.check(decode)[:2] == (5, 1)
    monkeypatch.undo()
    assert tier.get(bad) is None


# The sweep


def orphan(root: Path, age: float, name: str = "b") -> Path:
    path = entries_of(root) / "00" / "11" / (name * 28 + ".val")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"left over")
    os.utime(path, (time.time() - age,) * 2)
    return path


def opened_again(root: Path, *, days_later: float = 0) -> None:
    marker = entries_of(root) / "swept"
    os.utime(marker, (time.time() - days_later * 86_400,) * 2)
    again = DiskTier(root, 10**8)
    assert again.get(KEYS[0]) == signed(KEYS[0])
    assert len(again) == 6
    again.close()


def test_old_leftovers_are_swept_at_opening_once_a_day(tier: DiskTier, root: Path) -> None:
    old, fresh = orphan(root, 7_200), orphan(root, 60, "c")
    opened_again(root, days_later=0.5)
    assert old.exists()
    opened_again(root, days_later=1.1)
    assert not old.exists()
    assert fresh.exists(), "it may belong to an entry that is just being stored"


def test_a_clock_that_was_set_back_does_not_put_off_the_sweep_for_ever(tier: DiskTier, root: Path) -> None:
    old = orphan(root, 7_200)
    opened_again(root, days_later=-1000)
    assert not old.exists()


def test_a_sweep_has_an_end(tier: DiskTier, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = orphan(root, 7_200)
    monkeypatch.setattr(repair, "SWEEP_SECONDS", -1.0)
    opened_again(root, days_later=2)
    assert old.exists()


def test_a_check_takes_no_file_whose_row_is_still_to_come(tier: DiskTier, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value file is written before its row."""
    monkeypatch.setattr(repair, "WRITER_SECONDS", WRITER_SECONDS)
    written, store = threading.Event(), StrictDisk.store

    def slowly(*args: Any, **kwargs: Any) -> Any:
        stored = store(*args, **kwargs)
        written.set()
        time.sleep(0.5)
        return stored

    monkeypatch.setattr(StrictDisk, "store", slowly)
    with ThreadPoolExecutor(1) as pool:
        put = pool.submit(tier.put, KEYS[0], signed(KEYS[0]))
        assert written.wait(10)
        report = tier.check(decode)
        put.result()
    assert (report.orphans, tier.get(KEYS[0])) == (0, signed(KEYS[0]))


def test_a_check_finds_no_fault_in_a_file_that_is_just_being_removed(
    tier: DiskTier, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value file is removed after its row."""
    gone, remove, path = threading.Event(), StrictDisk.remove, file_of(root, KEYS[0])
    os.utime(path, (1, 1))

    def slowly(*args: Any) -> None:
        gone.set()
        time.sleep(0.05)
        remove(*args)

    monkeypatch.setattr(repair, "REMOVER_SECONDS", 1.0)
    monkeypatch.setattr(StrictDisk, "remove", slowly)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(tier.delete, KEYS[0])
        assert gone.wait(10)
        assert tier.check(decode).orphans == 0
