"""Whatever the index says: it is followed nowhere, nothing of anybody else is touched, nothing hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import diskcache
import pytest

from chatterbox_cached.errors import EntryError
from chatterbox_cached.tiers.disk import index, tier
from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.tiers.disk.repair import CheckReport
from chatterbox_cached.tiers.disk.tier import DiskTier
from tests.support.forks import in_a_fork
from tests.support.hostile_databases import ENDLESS, make_endless, super_journal
from tests.support.tally import tried

KEYS = [f"v3/{voice}/rest" for voice in range(5)]
ROOMY = 10**8


class Watched:
    """A folder with five entries, and what its tier tells."""

    def __init__(self, root: Path) -> None:
        self.root, self.told = root, []  # type: Path, list[Exception]
        self.tier = DiskTier(root, ROOMY, self.told.append)
        for key in KEYS:
            self.tier.put(key, key.encode())
        self.tier.close()

    @property
    def index(self) -> Path:
        return entries_of(self.root) / "cache.db"

    def sql(self, statement: str, *arguments: object) -> None:
        database = sqlite3.connect(self.index, isolation_level=None)
        database.execute(statement, arguments)
        database.close()

    def without_index(self) -> Path:
        for path in self.index.parent.glob("cache.db*"):
            path.unlink()
        return self.index

    def assert_untroubled(self) -> None:
        assert [self.tier.get(key) for key in KEYS] == [key.encode() for key in KEYS]
        self.assert_usable()
        assert self.told == []

    def assert_begun_anew(self) -> None:
        assert self.tier.get(KEYS[0]) is None
        self.assert_usable()
        assert len(self.told) == 1
        assert os.path.lexists(self.index.with_name("cache.db.damaged"))

    def assert_usable(self) -> None:
        tried("hostile indexes")
        self.tier.put("v3/new/rest", b"new")
        assert self.tier.get("v3/new/rest") == b"new"
        assert self.tier.keys("v3/new/") == ["v3/new/rest"]
        assert self.tier.check(lambda *_: None).sound


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path / "voices")
    yield made
    made.tier.close()


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """The folder of another program that uses diskcache."""
    with diskcache.Cache(str(tmp_path / "others")) as cache:
        for number in range(5):
            cache[number] = "precious"
    return tmp_path / "others"


# What the table of settings says


def test_an_index_can_not_point_to_the_folder_of_another_program(watched: Watched, others: Path) -> None:
    watched.sql("INSERT INTO Settings VALUES ('_directory', ?)", str(others))
    watched.assert_untroubled()
    watched.tier.clear()
    with diskcache.Cache(str(others)) as cache:
        assert [cache[number] for number in cache] == ["precious"] * 5


@pytest.mark.parametrize("name", ["_deadline", "_timeout", "_local", "_txn_id", "reset", "_disk", "disk_fetch", ""])
def test_an_index_can_not_change_what_the_cache_is_made_of(watched: Watched, name: str) -> None:
    watched.sql("INSERT INTO Settings VALUES (?, 1e18)", name)
    watched.assert_untroubled()
    assert watched.tier._cache is not None
    assert vars(watched.tier._cache).get(name) != 1e18


@pytest.mark.parametrize("pragma", ["hard_heap_limit", "soft_heap_limit", "max_page_count", "query_only"])
def test_an_index_can_not_set_limits_for_all_of_the_process(watched: Watched, pragma: str) -> None:
    watched.sql("INSERT INTO Settings VALUES (?, 1)", f"sqlite_{pragma}")

    def use() -> None:
        watched.assert_untroubled()
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            database.execute("CREATE TABLE mine (a)")

    assert in_a_fork(use) == "done"  # a limit on memory can't be undone


def test_an_index_with_any_number_of_settings_is_begun_anew(watched: Watched) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200)"
    watched.sql(f"INSERT INTO Settings {numbers} SELECT 'more' || i, i FROM n")
    watched.assert_begun_anew()


# What it is made of


@pytest.mark.timeout(60)
def test_an_index_of_endless_views_is_begun_anew(watched: Watched) -> None:
    database = sqlite3.connect(watched.without_index())
    database.execute(f"CREATE VIEW Settings AS {ENDLESS}")
    database.commit()
    database.close()
    watched.assert_begun_anew()


@pytest.mark.timeout(60)
def test_an_index_with_an_endless_table_is_given_up(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tier, "OPEN_SECONDS", 0.5)
    make_endless(watched.index)
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        watched.tier.get(KEYS[0])
    tried("hostile indexes")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW more AS SELECT 1",
        "CREATE TABLE more (a)",
        "CREATE INDEX more ON Cache (mode)",
        "CREATE TRIGGER more AFTER INSERT ON Cache BEGIN DELETE FROM Cache; END",
        "CREATE TRIGGER more AFTER UPDATE ON Settings BEGIN DELETE FROM Settings; END",
        "ALTER TABLE Cache ADD COLUMN more DEFAULT 1",
    ],
)
def test_an_index_with_more_in_it_is_begun_anew(watched: Watched, statement: str) -> None:
    watched.sql(statement)
    watched.assert_begun_anew()


@pytest.mark.parametrize("policy", diskcache.EVICTION_POLICY)
@pytest.mark.parametrize("tag_index", [0, 1])
def test_an_index_that_plain_diskcache_has_made_is_used(tmp_path: Path, policy: str, tag_index: int) -> None:
    told: list[Exception] = []
    (tmp_path / "voices").mkdir(mode=0o700)
    folder = str(entries_of(tmp_path / "voices"))
    with diskcache.Cache(folder, eviction_policy=policy, tag_index=tag_index, disk_min_file_size=0) as plain:
        plain.set(KEYS[0], bytes(10), tag="v3/0/")
    tier = DiskTier(tmp_path / "voices", ROOMY, told.append)
    assert tier.get(KEYS[0]) == bytes(10)
    tier.close()
    assert told == []


# What it lies in


@pytest.mark.parametrize("part", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("there", [False, True], ids=["that is not there", "that is there"])
def test_an_index_that_is_a_link_touches_nothing_else(watched: Watched, tmp_path: Path, part: str, there: bool) -> None:
    elsewhere = tmp_path / "bookmarks.sqlite"
    if there:
        database = sqlite3.connect(elsewhere)
        database.execute("CREATE TABLE mine (a)")
        database.commit()
        database.close()
    before = elsewhere.read_bytes() if there else None
    path = Path(f"{watched.index}{part}")
    path.unlink(missing_ok=True)
    path.symlink_to(elsewhere)
    watched.assert_begun_anew()
    assert (elsewhere.read_bytes() if there else None) == before
    assert elsewhere.exists() == there
    assert not [name for name in os.listdir(tmp_path) if name.startswith("bookmarks.sqlite-")]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("part", ["", "-wal", "-shm", "-journal"])
def test_an_index_that_is_a_pipe_is_not_waited_for(watched: Watched, part: str) -> None:
    path = Path(f"{watched.index}{part}")
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    watched.assert_begun_anew()


@pytest.mark.parametrize("part", ["", "-wal", "-journal"])
def test_a_folder_in_the_indexs_place_stays_as_it_is(watched: Watched, part: str) -> None:
    folder = Path(f"{watched.index}{part}")
    folder.unlink(missing_ok=True)
    folder.mkdir()
    (folder / "precious").touch()
    with pytest.raises((OSError, sqlite3.OperationalError)):
        watched.tier.get(KEYS[0])
    assert (folder / "precious").exists()
    assert watched.told == []


@pytest.mark.parametrize("there", [False, True], ids=["that is not there", "that is there"])
def test_a_mark_that_is_a_link_touches_nothing_else(watched: Watched, tmp_path: Path, there: bool) -> None:
    elsewhere, mark = tmp_path / "elsewhere", entries_of(watched.root) / "swept"
    mark.unlink()
    mark.symlink_to(elsewhere)
    if there:
        elsewhere.touch()
        os.utime(elsewhere, (0, 0))
    os.utime(mark, (0, 0), follow_symlinks=False)
    watched.assert_untroubled()
    assert elsewhere.exists() == there
    assert not there or elsewhere.stat().st_mtime == 0
    assert not mark.is_symlink()


def test_a_journal_can_not_have_another_file_removed(watched: Watched, tmp_path: Path) -> None:
    victim = tmp_path / "precious"
    victim.write_text("precious")
    database = sqlite3.connect(watched.without_index())
    database.execute("CREATE TABLE Settings (a)")
    database.commit()
    database.close()
    Path(f"{watched.index}-journal").write_bytes(super_journal(victim))
    watched.assert_begun_anew()
    assert victim.exists()


# What its rows say


@pytest.mark.parametrize("column", ["key", "filename", "tag"])
def test_a_text_that_is_no_text_costs_its_entry_only(watched: Watched, column: str) -> None:
    watched.sql(f"UPDATE Cache SET {column} = CAST(x'76ff312f' AS TEXT) WHERE key = ?", KEYS[2])
    if column == "filename":
        with pytest.raises(EntryError):
            watched.tier.get(KEYS[2])
    assert [watched.tier.get(key) for key in KEYS if key != KEYS[2]] == [key.encode() for key in KEYS if key != KEYS[2]]
    watched.tier.put("v3/new/rest", b"new")
    assert set(KEYS) - set(watched.tier.keys()) <= {KEYS[2]}
    assert watched.tier.clear() in (5, 6)
    assert watched.told == []


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("key", CheckReport(entries=4, damaged=1)),
        ("filename", CheckReport(entries=4, damaged=1, orphans=1)),
        ("tag", CheckReport(entries=5)),
    ],
)
def test_a_check_drops_what_is_no_text(watched: Watched, column: str, expected: CheckReport) -> None:
    watched.sql(f"UPDATE Cache SET {column} = CAST(x'76ff312f' AS TEXT) WHERE key = ?", KEYS[2])
    assert watched.tier.check(lambda *_: None, fix=False) == expected
    assert watched.tier.check(lambda *_: None)._replace(empty_folders=0) == expected
    assert watched.tier.check(lambda *_: None)._replace(empty_folders=0) == CheckReport(entries=expected.entries)
    assert watched.told == []


def test_room_can_be_made_where_a_key_is_no_text(watched: Watched) -> None:
    watched.sql("UPDATE Cache SET key = CAST(x'76ff312f' AS TEXT) WHERE key = ?", KEYS[0])
    small = DiskTier(watched.root, 300_000, watched.told.append)
    small.put("v3/large/rest", bytes(250_000))
    assert small.get("v3/large/rest") == bytes(250_000)
    assert small.nbytes() <= 300_000
    assert watched.told == []
    small.close()


# What happens to it meanwhile


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_fork_in_a_signal_handler_costs_no_entry(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """It closes the connection that the same thread is using."""
    from chatterbox_cached.concurrency.forks import unforked

    monkeypatch.setattr(unforked, "wait_seconds", 0.1)

    def fork(*_: object) -> None:
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)

    assert watched.tier.get(KEYS[0])
    writer = sqlite3.connect(watched.index, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    before = signal.signal(signal.SIGALRM, fork)
    over = threading.Timer(0.5, writer.execute, ("ROLLBACK",))
    over.start()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        watched.tier.put("v3/new/rest", b"new")
    finally:
        signal.signal(signal.SIGALRM, before)
        over.join()
        writer.close()
    watched.assert_untroubled()


@pytest.mark.parametrize(
    "error", [sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.InternalError]
)
def test_an_error_that_is_not_the_indexs_costs_no_entry(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fails(*_: object) -> None:
        raise error("made up")

    watched.tier.open()
    with monkeypatch.context() as patched:
        patched.setattr(index.BoundedCache, "value_of", fails)
        with pytest.raises(error):
            watched.tier.get(KEYS[0])
    watched.assert_untroubled()
