"""What the disk tier promises besides: a private folder, many processes, and no trust in what lies there."""

from __future__ import annotations

import os
import pickle
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import diskcache
import pytest

from chatterbox_cached.errors import EntryError
from chatterbox_cached.tiers.disk.files import StrictDisk
from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.tiers.disk.tier import DiskTier
from chatterbox_cached.voice.entry_format import MOST_BYTES
from tests.support.forks import in_a_fork

KEY = "v3/voice/rest"
OTHER = "v3/other/rest"
ROOMY = 10**8


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "voices"


@pytest.fixture
def tier(root: Path) -> Iterator[DiskTier]:
    made = DiskTier(root, ROOMY)
    yield made
    made.close()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def value_files(root: Path) -> list[Path]:
    return sorted(entries_of(root).rglob("*.val"))


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A new Python process with DiskTier, KEY and ``root``, its first argument, at hand."""
    prelude = f"""
import sys
from pathlib import Path
from chatterbox_cached.tiers.disk.tier import DiskTier
KEY, root = {KEY!r}, Path(sys.argv[1])
"""
    command = [sys.executable, "-c", prelude + code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0
    return output.strip()


# The folder


def test_nothing_is_made_before_something_is_stored(tier: DiskTier, root: Path) -> None:
    assert tier.get(KEY) is None
    assert (tier.keys(), len(tier), tier.nbytes()) == ([], 0, 0)
    assert (tier.delete(KEY), tier.delete_voice("v3/voice/"), tier.clear()) == (False, 0, 0)
    assert not root.exists()


@pytest.mark.parametrize("exists", [False, True], ids=["new", "empty"])
def test_a_folder_of_its_own_is_marked_and_what_is_made_is_private(tier: DiskTier, root: Path, exists: bool) -> None:
    if exists:
        root.mkdir(mode=0o755)
    tier.put(KEY, b"value")
    assert mode_of(root) == (0o755 if exists else 0o700)
    assert mode_of(entries_of(root)) == 0o700
    assert (root / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
    assert "*" in (root / ".gitignore").read_text().splitlines()


def test_what_is_in_the_folder_is_for_its_owner_only_whatever_the_umask(tier: DiskTier, root: Path) -> None:
    before = os.umask(0)
    try:
        tier.put(KEY, b"value")
    finally:
        os.umask(before)
    assert mode_of(root) == mode_of(entries_of(root)) == 0o700
    (stored,) = value_files(root)
    assert [mode_of(path) for path in (stored, stored.parent)] == [0o600, 0o700]


def test_a_folder_that_holds_other_things_stays_as_it_is(tier: DiskTier, root: Path) -> None:
    root.mkdir()
    root.chmod(0o755)
    (root / "book.txt").write_text("mine")
    tier.put(KEY, b"value")
    assert mode_of(root) == 0o755
    assert sorted(path.name for path in root.iterdir()) == ["book.txt", "entries"]
    assert mode_of(entries_of(root)) == 0o700
    assert (entries_of(root) / "CACHEDIR.TAG").exists()
    assert (entries_of(root) / ".gitignore").exists()


@pytest.mark.parametrize("name", ["~", "ü ö", "a%20b", "it's"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    tier = DiskTier(tmp_path / name / "voices", ROOMY)
    tier.put(KEY, b"value")
    assert value_files(tmp_path / name / "voices")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    tier.close()


def test_a_folder_that_is_deleted_is_made_again(tier: DiskTier, root: Path) -> None:
    tier.put(KEY, b"value")
    subprocess.run(["rm", "-r", str(root)], check=True)
    assert tier.get(KEY) is None
    tier.put(KEY, b"again")
    assert tier.get(KEY) == b"again"
    assert mode_of(root) == 0o700


# Other processes


def test_entries_are_there_for_a_new_process(tier: DiskTier, root: Path) -> None:
    value = random.Random(0).randbytes(100_000)
    tier.put(KEY, value)
    tier.close()
    assert said(run("print(DiskTier(root, 10**8).get(KEY).hex())", root)) == value.hex()


def test_entries_of_another_process_are_there_at_once(tier: DiskTier, root: Path) -> None:
    assert tier.get(KEY) is None
    said(run("DiskTier(root, 10**8).put(KEY, b'theirs')", root))
    assert tier.get(KEY) == b"theirs"
    said(run("DiskTier(root, 10**8).delete(KEY)", root))
    assert tier.get(KEY) is None


def test_processes_that_open_a_new_folder_at_once_all_find_it(root: Path, tier: DiskTier) -> None:
    code = """
import time
from chatterbox_cached.tiers.disk import tier as bounds
bounds.TIMEOUT_SECONDS = bounds.OPEN_SECONDS = 60.0  # on a slow machine all of it is to be right as well
Path(sys.argv[2] + ".ready").touch()
while not Path(sys.argv[3]).exists():
    time.sleep(0.001)
tier = DiskTier(root, 10**8)
for number in range(5):
    tier.put(f"v3/{sys.argv[2].rsplit('/')[-1]}/{number}", b"value")
print(len(tier.keys()) >= 5)
"""
    ready = [root.parent / str(number) for number in range(4)]
    go = root.parent / "go"
    processes = [run(code, root, mark, go) for mark in ready]
    while not all(mark.with_suffix(".ready").exists() for mark in ready):
        assert all(process.poll() is None for process in processes)
    go.touch()
    assert [said(process) for process in processes] == ["True"] * 4
    assert len(tier.keys()) == 20
    assert not list(entries_of(root).glob("*.damaged"))


def test_a_killed_writer_leaves_whole_entries_only(root: Path, tier: DiskTier) -> None:
    code = """
tier = DiskTier(root, 10**8)
for number in range(10**6):
    tier.put(f"v3/{number % 7}/rest", bytes([number % 251]) * 200_000)
    print(number, flush=True)
"""
    with run(code, root) as writer:
        assert writer.stdout is not None
        for _ in range(10):
            writer.stdout.readline()
        writer.kill()
    names = tier.keys()
    found = [tier.get(name) for name in names]
    whole = [value for value in found if value is not None]
    assert len(whole) >= 6  # all seven but the one that was being replaced
    assert all(value == value[:1] * 200_000 for value in whole)


def test_a_forked_child_opens_a_connection_of_its_own(tier: DiskTier) -> None:
    tier.put(KEY, b"value")
    inherited = tier._cache

    def use() -> None:
        assert tier.get(KEY) == b"value"
        tier.put(OTHER, b"the child's")
        assert tier._cache is not inherited
        tier.close()

    assert in_a_fork(use) == "done"
    assert tier._cache is inherited
    assert tier.get(KEY) == b"value"
    assert tier.get(OTHER) == b"the child's"


def test_after_a_fork_both_may_write(tier: DiskTier) -> None:
    tier.put(KEY, b"value")

    def write() -> None:
        for number in range(20):
            tier.put(f"v3/child/{number}", b"value")

    assert in_a_fork(write, seconds=30) == "done"
    for number in range(20):
        tier.put(f"v3/parent/{number}", b"value")
    assert len(tier) == 41


# Damage


@pytest.mark.parametrize("garbage", [b"", b"garbage" * 1000, b"SQLite format 3\0" + b"garbage" * 1000])
def test_a_garbage_database_is_set_aside_and_a_new_one_begun(root: Path, garbage: bytes) -> None:
    before = DiskTier(root, ROOMY)
    before.put(KEY, b"value")
    before.close()
    for path in entries_of(root).glob("cache.db*"):
        path.unlink()
    (entries_of(root) / "cache.db").write_bytes(garbage)
    tier = DiskTier(root, ROOMY)
    assert tier.get(KEY) is None
    tier.put(KEY, b"again")
    assert tier.get(KEY) == b"again"
    assert len(value_files(root)) == 1 or not garbage
    if garbage:
        assert (entries_of(root) / "cache.db.damaged").read_bytes() == garbage
    tier.close()


def ruin(tier: DiskTier, root: Path) -> bytes:
    """Make the open database garbage; what it is then."""
    for number in range(300):  # more than a connection keeps of it
        tier.put(f"v3/{number}/rest", b"value" * 10)
    assert tier._cache is not None
    tier._cache._sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    database = entries_of(root) / "cache.db"
    garbage = random.Random(0).randbytes(database.stat().st_size)
    with database.open("r+b") as file:
        file.write(garbage)
    return garbage


def test_a_database_that_becomes_garbage_while_it_is_open_is_begun_anew(tier: DiskTier, root: Path) -> None:
    ruin(tier, root)
    said(run("DiskTier(root, 10**8).put(KEY, b'theirs')", root))
    assert tier.get(KEY) == b"theirs"
    tier.put(OTHER, b"ours")
    assert tier.get(OTHER) == b"ours"


def test_threads_that_find_the_database_ruined_begin_one_anew(tier: DiskTier, root: Path) -> None:
    garbage, together = ruin(tier, root), threading.Barrier(6)

    def put(number: int) -> None:
        together.wait()
        tier.put(f"v3/thread/{number}", b"value")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(put, range(6)))
    assert len(tier) == 6
    assert (entries_of(root) / "cache.db.damaged").read_bytes()[:1000] == garbage[:1000]


def test_a_value_file_that_is_missing_is_a_miss(tier: DiskTier, root: Path) -> None:
    tier.put(KEY, b"value")
    for path in value_files(root):
        path.unlink()
    assert tier.get(KEY) is None
    tier.put(KEY, b"again")
    assert tier.get(KEY) == b"again"


def test_a_row_without_its_value_file_can_be_dropped(tier: DiskTier, root: Path) -> None:
    tier.put(KEY, b"value")
    for path in value_files(root):
        path.unlink()
    assert tier.delete_voice("v3/voice/") == 1
    assert (len(tier), tier.nbytes() < 200_000) == (0, True)


def test_a_deleted_entry_leaves_no_file(tier: DiskTier, root: Path) -> None:
    for number in range(20):
        tier.put(f"v3/voice/{number}", b"value")
    tier.put("v3/voice/0", b"replaced")
    assert len(value_files(root)) == 20
    tier.delete("v3/voice/0")
    tier.delete_voice("v3/voice/")
    assert value_files(root) == []


def test_stores_and_deletions_in_one_shard_do_not_disturb_each_other(tmp_path: Path) -> None:
    disk = StrictDisk(str(tmp_path))

    def in_one_shard(*_: object) -> tuple[str, str]:
        name = f"aa/bb/{os.urandom(14).hex()}.val"
        return name, str(tmp_path / name)

    disk.filename = in_one_shard

    def store_and_remove(_: int) -> None:
        for _ in range(200):
            _, mode, filename, value = disk.store(b"value", False)
            assert disk.fetch(mode, filename, value, False) == b"value"
            disk.remove(filename)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(store_and_remove, range(4)))


# Distrust


def rewrite(root: Path, **columns: Any) -> None:
    """Change KEY's row behind the tier's back."""
    with sqlite3.connect(entries_of(root) / "cache.db") as database:
        assignments = ", ".join(f"{column} = ?" for column in columns)
        done = database.execute(f"UPDATE Cache SET {assignments} WHERE key = ?", (*columns.values(), KEY))
        assert done.rowcount == 1
    database.close()


def assert_refused(tier: DiskTier) -> None:
    """A row that says something else than a row of ours is an error once, and then it is gone."""
    with pytest.raises(EntryError):
        tier.get(KEY)
    assert tier.get(KEY) is None
    tier.put(KEY, b"again")
    assert tier.get(KEY) == b"again"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "aa" / "bb" / f"{'c' * 28}.val"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"secret")
    return path


@pytest.mark.parametrize(
    "filename",
    [
        "../../aa/bb/" + "c" * 28 + ".val",
        "aa/../../../aa/bb/" + "c" * 28 + ".val",
        "../../aa/bb/../bb/" + "c" * 28 + ".val",
        "aa/bb/" + "c" * 28 + ".val\n",
        "AA/BB/" + "C" * 28 + ".val",
        "aa/bb/" + "c" * 28 + ".txt",
        "cache.db",
        "",
        b"aa/bb/" + b"c" * 28 + b".val",
        5,
    ],
)
def test_a_row_with_another_kind_of_file_is_refused(tier: DiskTier, root: Path, filename: Any, secret: Path) -> None:
    tier.put(KEY, b"value")
    rewrite(root, filename=filename)
    assert_refused(tier)
    assert secret.read_bytes() == b"secret"
    assert (entries_of(root) / "cache.db").exists()


def test_a_row_with_an_absolute_path_is_refused(tier: DiskTier, root: Path, secret: Path) -> None:
    tier.put(KEY, b"value")
    rewrite(root, filename=str(secret))
    assert_refused(tier)
    assert secret.read_bytes() == b"secret"


@pytest.mark.parametrize("depth", ["aa", "aa/bb"])
def test_a_shard_that_is_a_link_out_of_the_folder_is_refused(
    tier: DiskTier, root: Path, depth: str, secret: Path
) -> None:
    tier.put(KEY, b"value")
    shard = entries_of(root) / depth
    shard.parent.mkdir(exist_ok=True)
    shard.symlink_to(secret.parent if "/" in depth else secret.parents[1])
    rewrite(root, filename=str(secret.relative_to(secret.parents[2])))
    with pytest.raises(EntryError):
        tier.get(KEY)
    assert tier.get(KEY) is None
    assert secret.read_bytes() == b"secret"


def test_a_value_file_that_is_a_link_is_refused(tier: DiskTier, root: Path, secret: Path) -> None:
    tier.put(KEY, b"value")
    (stored,) = value_files(root)
    stored.unlink()
    stored.symlink_to(secret)
    assert_refused(tier)
    assert secret.read_bytes() == b"secret"


@pytest.mark.timeout(20)
def test_a_value_file_that_is_a_fifo_is_not_waited_for(tier: DiskTier, root: Path) -> None:
    tier.put(KEY, b"value")
    (stored,) = value_files(root)
    stored.unlink()
    os.mkfifo(stored)
    try:
        assert tier.get(KEY) in (None, b"")
    except EntryError:
        assert tier.get(KEY) is None


def test_a_value_that_can_never_fit_is_told_of(root: Path) -> None:
    told: list[Exception] = []
    tier = DiskTier(root, 100_000, no_room=told.append)
    tier.put(KEY, bytes(4_000))
    assert told == []
    tier.put(OTHER, bytes(100_001))
    assert tier.keys() == [KEY]
    tier.put(OTHER, bytes(99_000))  # the index takes room as well
    assert [str(each) for each in told] == [
        f"{size} bytes find no room: size_limit is 100000" for size in (100_001, 99_000)
    ]
    tier.close()


def test_a_value_that_is_too_large_to_be_a_voice_is_refused(tier: DiskTier, root: Path) -> None:
    tier.put(KEY, b"value")
    (stored,) = value_files(root)
    os.truncate(stored, MOST_BYTES + 1)
    assert_refused(tier)


@pytest.mark.parametrize("value", [b"inline", "text", 5, 1.5])
def test_a_value_in_the_row_is_refused(tier: DiskTier, root: Path, value: Any) -> None:
    tier.put(KEY, b"value")
    rewrite(root, value=value)
    assert_refused(tier)


class Booby:
    """Makes a folder where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


RAW, BINARY, TEXT, PICKLE = 1, 2, 3, 4


@pytest.mark.parametrize("mode", [None, 0, RAW, TEXT, PICKLE, 5, "pickle"])
@pytest.mark.parametrize("inline", [False, True], ids=["in a file", "in the row"])
def test_a_row_of_another_mode_is_refused_and_nothing_runs(
    tier: DiskTier, root: Path, tmp_path: Path, mode: Any, inline: bool
) -> None:
    marker = tmp_path / "ran"
    planted = pickle.dumps(Booby(marker))
    tier.put(KEY, planted)
    rewrite(root, mode=mode, **({"filename": None, "value": planted} if inline else {}))
    tier.close()
    if mode == PICKLE:  # so it is armed
        with diskcache.Cache(str(entries_of(root))) as plain:
            plain.get(KEY)
        marker.rmdir()
    with pytest.raises(EntryError):
        tier.get(KEY)
    assert tier.get(KEY) is None
    assert not marker.exists()


def test_a_pickled_key_is_not_unpickled_and_hides_no_others(tier: DiskTier, root: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    tier.put(KEY, b"value")
    tier.put(OTHER, b"value")
    rewrite(root, key=pickle.dumps(Booby(marker)), raw=0)
    with diskcache.Cache(str(entries_of(root))) as plain:
        list(plain)
    marker.rmdir()  # so it was armed
    assert tier.keys() == [OTHER]
    assert tier.get(KEY) is None
    assert tier.delete_voice("v3/voice/") in (0, 1)
    assert tier.clear() in (1, 2)
    assert not marker.exists()


def test_a_folder_that_plain_diskcache_has_filled_runs_nothing(root: Path, tier: DiskTier, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    with diskcache.Cache(str(entries_of(root)), disk_min_file_size=0) as plain:
        plain[KEY] = Booby(marker)
        plain[Booby(marker)] = b"value"
        plain["text"] = "text"
    with pytest.raises(EntryError):
        tier.get(KEY)
    with pytest.raises(EntryError):
        tier.get("text")
    tier.keys()
    tier.nbytes()
    tier.put(OTHER, b"value")
    assert tier.get(OTHER) == b"value"
    assert tier.clear() >= 1
    assert not marker.exists()


def test_rows_of_others_are_the_first_to_make_room(root: Path) -> None:
    entries_of(root).mkdir(parents=True)
    with diskcache.Cache(str(entries_of(root))) as plain:
        for number in range(20):
            plain[number] = bytes(100_000)
    tier = DiskTier(root, 10**6)
    for number in range(3):
        tier.put(f"v3/{number}/rest", b"value")
    assert len(tier.keys()) == 3
    assert tier.nbytes() <= 10**6
    tier.close()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("disk_more", 1),
        ("disk_min_file_size", 10**9),
        ("cull_limit", 0),
        ("statistics", 1),
        ("eviction_policy", "none"),
        ("size_limit", 1),
        ("sqlite_more", "x"),
        ("more", 1),
    ],
)
def test_settings_in_the_folder_are_not_followed(root: Path, setting: str, value: Any) -> None:
    before = DiskTier(root, 10**6)
    before.put(KEY, b"value")
    before.close()
    with sqlite3.connect(entries_of(root) / "cache.db") as database:
        database.execute("INSERT OR REPLACE INTO Settings VALUES (?, ?)", (setting, value))
    database.close()
    tier = DiskTier(root, 10**6)
    assert tier.get(KEY) == b"value"
    for number in range(30):
        tier.put(f"v3/{number}/rest", bytes(100_000))
    assert 5 <= len(tier) <= 10
    tier.close()


@pytest.mark.parametrize("key", [b"bytes", 5, 1.5, None, ("a", "b")])
def test_a_key_that_is_no_text_is_refused(tier: DiskTier, key: Any) -> None:
    tier.put(KEY, b"value")
    for act in (tier.get, tier.delete, lambda odd: tier.put(odd, b"value")):
        with pytest.raises((EntryError, TypeError, AttributeError)):
            act(key)
    assert tier.keys() == [KEY]
