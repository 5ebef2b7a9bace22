"""A filled folder that can only be read gives what it holds; nothing is written there, and nothing fails."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatterbox_cached import ConditionalCache
from chatterbox_cached.accounting import account
from chatterbox_cached.accounting.account import Batch, VoiceAccount
from chatterbox_cached.accounting.failures import Failures
from chatterbox_cached.accounting.stats import Stats
from chatterbox_cached.errors import EntryError, ReadOnlyFolder, UntrustedFolder
from chatterbox_cached.settings import Settings
from chatterbox_cached.tiers.disk import either, folder, frozen
from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.tiers.disk.frozen import FrozenFolder
from chatterbox_cached.tiers.disk.tier import DiskTier
from chatterbox_cached.tiers.store import VoiceStore
from chatterbox_cached.voice.snapshot import equal
from tests.support.children import KEYS, all_done, started
from tests.support.comparison import assert_same_conditionals
from tests.support.people import AS_ROOT, STRANGER, as_user
from tests.support.small_voices import snapshot
from tests.support.store_user import User, upstream

NEW = "v3/" + "ab" * 32 + "/" + "cd" * 32


@pytest.fixture
def filled(open_to_all: Path) -> Path:
    """A folder that root has filled, for everybody to read."""
    root = open_to_all / "voices"
    user = User(root)
    user.wants_all()
    user.store.lower.close()
    account.add(root, Batch(1.0, {}, [VoiceAccount("ab" * 32, "anna.wav", None, None, 1.0, 3, 0.5)]), lambda _: None)
    folder.let_all_read(root)
    return root


def contents(root: Path) -> dict[Path, tuple[int, int, int]]:
    return {
        path: (status.st_mode, status.st_mtime_ns, status.st_size)
        for path in (root, *root.rglob("*"))
        if (status := path.lstat())
    }


def gives_all(root: Path, **settings: Any) -> Callable[[], None]:
    """Finds what is there, keeps a new voice in memory only, and has nothing to complain of."""

    def give() -> None:
        user = User(root, **settings)
        for _ in range(2):
            assert user.wants_all() == {"disk"}, user.errors
        user.store.lower.open()
        user.store.keep(NEW, "cpu", snapshot(), durable=True)
        assert user.store.from_memory(NEW, "cpu") is not None
        assert len(user.store.listing()) == len(KEYS)
        assert user.store.check(fix=True).entries == len(KEYS)
        user.store.lower.close()
        assert user.errors == []
        assert user.store.figures()["disk_cached_items"] == len(KEYS)

    return give


def all_of_it(root: Path) -> None:
    subprocess.run(["chmod", "-R", "a-w", root], check=True)


def only_the_folder_of_entries(root: Path) -> None:
    entries_of(root).chmod(0o555)


def only_the_files(root: Path) -> None:
    for path in entries_of(root).rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)


def with_a_log_that_was_left_behind(root: Path) -> None:
    """All of it was stored by a process that was killed, and is in the log alone."""
    shutil.rmtree(root)
    all_done([started(lambda: User(root).wants_all())])
    assert (entries_of(root) / "cache.db-wal").stat().st_size > 0
    folder.let_all_read(root)


def with_a_log_without_its_index(root: Path) -> None:
    with_a_log_that_was_left_behind(root)
    (entries_of(root) / "cache.db-shm").unlink()


def without_an_index(root: Path) -> None:
    for part in entries_of(root).glob("cache.db*"):
        part.unlink()


def with_an_index_that_is_garbage(root: Path) -> None:
    (entries_of(root) / "cache.db").write_bytes(b"no database at all " * 1000)


def without_the_lock_files(root: Path) -> None:
    for lock in entries_of(root).glob("*.lock"):
        lock.unlink()


def with_files_that_cant_be_read_but_entries(root: Path) -> None:
    for path in entries_of(root).iterdir():
        if path.is_file():
            path.chmod(0)


WAYS = [
    all_of_it,
    only_the_folder_of_entries,
    only_the_files,
    with_a_log_that_was_left_behind,
    with_a_log_without_its_index,
    without_an_index,
    with_an_index_that_is_garbage,
    without_the_lock_files,
    with_files_that_cant_be_read_but_entries,
]


@AS_ROOT
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("linked", [False, True], ids=["itself", "by a link"])
def test_roots_filled_folder_gives_all_that_it_holds(
    open_to_all: Path, filled: Path, way: Callable[[Path], None], linked: bool
) -> None:
    way(filled)
    before = contents(filled)
    root = open_to_all / "link" if linked else filled
    if linked:
        root.symlink_to(filled)
    as_user(gives_all(root))
    as_user(gives_all(root, trust_cache_dir=True))
    assert contents(filled) == before


@AS_ROOT
def test_ones_own_folder_without_the_right_to_write_gives_all_that_it_holds(filled: Path) -> None:
    subprocess.run(["chown", "-R", "1000:1000", filled], check=True)
    all_of_it(filled)
    before = contents(filled)
    as_user(gives_all(filled))
    assert contents(filled) == before


@AS_ROOT
def test_it_is_said_once_in_the_log_and_by_no_warning(filled: Path, caplog: pytest.LogCaptureFixture) -> None:
    all_of_it(filled)

    def use() -> None:
        with warnings.catch_warnings(record=True) as warned, caplog.at_level(logging.INFO, "chatterbox_cached"):
            warnings.simplefilter("always")
            for _ in range(3):
                gives_all(filled)()
        said = [record for record in caplog.records if "can only be read" in record.message]
        assert len(said) == 3  # once by each of three caches
        assert {record.levelno for record in said} == {logging.INFO}
        assert "memory only" in said[0].message
        assert warned == []

    as_user(use)


@AS_ROOT
def test_names_in_its_account_can_be_read(filled: Path) -> None:
    all_of_it(filled)
    before = contents(filled)

    def read() -> None:
        assert account.read(filled).voices["ab" * 32].name == "anna.wav"
        assert account.check(filled, fix=True) is False

    as_user(read)
    assert contents(filled) == before


@AS_ROOT
def test_an_empty_folder_that_can_only_be_read_costs_one_failure(open_to_all: Path) -> None:
    root = open_to_all / "voices"
    root.mkdir(mode=0o555)

    def use() -> None:
        user = User(root)
        for _ in range(3):
            assert user.wants_all() == {"upstream"}
        assert len(user.errors) == 1
        assert "Permission denied" in user.errors[0]

    as_user(use)
    assert os.listdir(root) == []


@AS_ROOT
@pytest.mark.parametrize("inside", ["", "entries", "shard"])
def test_what_belongs_to_another_user_is_not_believed_unless_it_is_trusted(filled: Path, inside: str) -> None:
    all_of_it(filled)
    shard = next(entries_of(filled).rglob("*.val")).parent
    os.chown({"": filled, "entries": entries_of(filled), "shard": shard}[inside], STRANGER, STRANGER)

    def use() -> None:
        user = User(filled)
        assert user.wants_all() == {"upstream"}
        assert user.errors
        assert all("UntrustedFolder" in error and "trust_cache_dir" in error for error in user.errors)

    as_user(use)
    as_user(gives_all(filled, trust_cache_dir=True))


@pytest.mark.parametrize("inside", ["", "entries", "shard", "file"])
def test_what_others_can_write_to_is_not_believed_unless_it_is_trusted(filled: Path, inside: str) -> None:
    file = next(entries_of(filled).rglob("*.val"))
    path = {"": filled, "entries": entries_of(filled), "shard": file.parent, "file": file}[inside]
    path.chmod(0o777)
    with pytest.raises(UntrustedFolder, match="chmod go-w"):
        FrozenFolder(filled).get(KEYS[0])
    assert FrozenFolder(filled, trusted=True).get(KEYS[0]) is not None


@AS_ROOT
def test_a_damaged_entry_costs_its_voice_only_and_stays(filled: Path) -> None:
    file = next(entries_of(filled).rglob("*.val"))
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    all_of_it(filled)
    before = contents(filled)

    def use() -> None:
        user = User(filled)
        for _ in range(2):
            given = [user.wants(key) for key in KEYS]
            assert given.count("upstream") == 1
        assert [error.partition(":")[0] for error in user.errors] == ["entry"]

    as_user(use)
    assert contents(filled) == before


@AS_ROOT
def test_entries_of_an_older_schema_are_no_hits_and_no_failures(filled: Path) -> None:
    key = NEW.replace("v3/", "v1/")
    tier = DiskTier(filled, 10**8)
    tier.clear()
    tier.put(key, b"CBXVOICE" + (1).to_bytes(2, "little") + b"whatever it was then")
    tier.close()
    folder.let_all_read(filled)
    all_of_it(filled)

    def use() -> None:
        user = User(filled)
        assert user.store.from_lower_tiers(NEW, "cpu") is None
        assert user.store.check(fix=True).sound
        assert user.errors == []

    as_user(use)


def test_links_and_what_is_none_of_ours_are_passed_over(filled: Path, tmp_path: Path) -> None:
    file = next(entries_of(filled).rglob("*.val"))
    file.with_name("a" * 28 + ".val").symlink_to(file)
    os.mkfifo(file.with_name("b" * 28 + ".val"))
    file.with_name("c" * 28 + ".val").write_bytes(b"CBXVOICE" + b"\xff" * 200)
    file.with_name("d" * 28 + ".val").write_bytes(b"")
    (entries_of(filled) / "zz").symlink_to(tmp_path)
    tier = FrozenFolder(filled)
    assert sorted(tier.keys()) == sorted(KEYS)
    assert all(tier.get(key) for key in KEYS)


def test_where_two_files_are_of_one_key_the_newer_one_counts(filled: Path) -> None:
    file = next(entries_of(filled).rglob("*.val"))
    newer = shutil.copy(file, file.with_name("e" * 28 + ".val"))
    os.utime(file, (1, 1))
    tier = FrozenFolder(filled)
    assert len(tier) == len(KEYS)
    assert str(newer) in {str(entries_of(filled) / known.name) for known in tier._files.values()}


def test_what_is_dropped_by_hand_is_told_of_and_not_used_any_more(filled: Path) -> None:
    before = contents(filled)
    tier = FrozenFolder(filled)
    assert tier.delete_voice("v3/none/") == 0
    with pytest.raises(ReadOnlyFolder, match="1 of its entries are still there"):
        tier.delete_voice("v3/3/")
    assert tier.get(KEYS[3]) is None
    assert tier.get(KEYS[4]) is not None
    with pytest.raises(ReadOnlyFolder):
        tier.clear()
    assert (len(tier), tier.keys(), tier.nbytes()) == (0, [], 0)
    with pytest.raises(EntryError):
        tier.entry(KEYS[4])
    assert contents(filled) == before
    assert len(FrozenFolder(filled)) == len(KEYS)


def test_what_is_added_later_is_found(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "LOOK_AGAIN_SECONDS", 0.0)
    tier = FrozenFolder(filled)
    assert tier.get(NEW) is None
    VoiceStore(Settings(cache_dir=filled), _fails).keep(NEW, "cpu", snapshot(), durable=True)
    assert tier.get(NEW) is not None


def test_a_folder_that_takes_long_to_look_through_is_looked_through_in_turns(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(10**6))
    monkeypatch.setattr(frozen.time, "monotonic", lambda: float(next(now)))
    tier, found = FrozenFolder(filled), set[int]()
    for _ in range(10 * len(KEYS)):
        found.add(len(tier))
    assert max(found) == len(KEYS)
    assert min(found) < len(KEYS)


@AS_ROOT
def test_it_is_written_to_again_once_that_can_be_done(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(either, "LOOK_AGAIN_SECONDS", 0.0)
    subprocess.run(["chown", "-R", "1000:1000", filled], check=True)

    def use() -> None:
        user = User(filled)
        assert user.wants_all() == {"disk"}
        for mode, kept in (("a-w", False), ("u+w", True), ("a-w", True)):
            subprocess.run(["chmod", "-R", mode, filled], check=True)
            user.store.keep(NEW, "cpu", snapshot(), durable=True)
            assert (NEW in user.store.lower.keys()) is kept  # noqa: SIM118
            assert user.wants_all() == {"disk"}
        assert user.errors == []

    as_user(use)


# read_only_dirs


def _fails(place: str, error: Exception) -> None:
    raise AssertionError(place) from error


def test_they_come_after_the_cache_folder_and_nothing_is_copied(filled: Path, tmp_path: Path) -> None:
    before = contents(filled)
    root, missing = tmp_path / "mine", tmp_path / "missing"
    user = User(root, read_only_dirs=(missing, filled, root))
    assert user.wants_all() == {"disk"}
    assert not root.exists()
    user.store.keep(KEYS[0], "cpu", upstream(KEYS[1]), durable=True)  # as if it had been prepared anew
    user.store.memory.clear()
    found = user.store.from_lower_tiers(KEYS[0], "cpu")
    assert found is not None
    assert equal(found[1], upstream(KEYS[1]))
    figures = user.store.figures()
    assert (figures["disk_cached_items"], figures["read_only_cached_items"]) == (1, len(KEYS))
    assert figures["read_only_dirs"] == [str(missing), str(filled)]
    assert user.store.clear_disk() == 1
    assert user.wants_all() == {"disk"}
    user.store.lower.close()
    assert user.errors == []
    assert not missing.exists()
    assert contents(filled) == before


def test_one_that_is_not_believed_does_not_keep_the_others_from_being_used(filled: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(filled, tmp_path / "other"))
    other.chmod(0o777)
    user = User(tmp_path / "mine", read_only_dirs=(other, filled))
    assert user.wants_all() == {"disk"}
    assert len(user.errors) == 1
    assert "UntrustedFolder" in user.errors[0]


def test_one_that_is_not_believed_is_warned_of_once_as_what_it_is(filled: Path, tmp_path: Path) -> None:
    filled.chmod(0o777)
    failures = Failures(Stats(), tmp_path / "mine")
    store = VoiceStore(Settings(cache_dir=tmp_path / "mine", read_only_dirs=(filled,)), failures.report)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            assert store.from_lower_tiers(KEYS[0], "cpu") is None
            store.lower.tiers[1].try_again()
    (said,) = [str(warning.message) for warning in told]
    assert said.startswith(f"The voice cache does without a folder of read_only_dirs: {filled} is writable")


def test_a_broken_cache_folder_does_not_keep_them_from_being_used(filled: Path, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    root.write_text("in the way")
    user = User(root, read_only_dirs=(filled,))
    assert user.wants_all() == {"disk"}


def test_they_may_be_on_a_file_system_that_machines_share(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "file_system", lambda _: "nfs4")
    store = VoiceStore(Settings(read_only_dirs=(filled,)), _fails)
    assert store.from_lower_tiers(KEYS[0], "cpu") is not None


@pytest.fixture(scope="module")
def voices_of_english(english: Any, voice: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("filled") / "voices"
    cache = ConditionalCache(root)
    cache.get_or_prepare(english, voice)
    cache.close()
    return root


def test_a_hit_there_is_a_disk_hit_and_new_voices_go_to_the_cache_folder(
    english: Any, voice: Path, other_voice: Path, voices_of_english: Path, tmp_path: Path
) -> None:
    english.prepare_conditionals(voice)
    upstreams, before = english.conds, contents(voices_of_english)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache = ConditionalCache(tmp_path / "mine", read_only_dirs=[voices_of_english])
        assert_same_conditionals(cache.get_or_prepare(english, voice), upstreams)
        cache.get_or_prepare(english, voice)
        cache.get_or_prepare(english, other_voice)
    now = cache.get_cache_stats()
    assert (now["disk_hits"], now["memory_hits"], now["misses"], now["errors"]) == (1, 1, 1, {})
    assert (now["disk_cached_items"], now["read_only_cached_items"]) == (1, 1)
    cache.close()
    assert contents(voices_of_english) == before


def test_forgetting_a_voice_that_stays_there_is_told_once(
    english: Any, voice: Path, voices_of_english: Path, tmp_path: Path
) -> None:
    cache = ConditionalCache(tmp_path / "mine", read_only_dirs=[voices_of_english])
    cache.get_or_prepare(english, voice)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert [cache.forget(voice), cache.forget(voice)] == [1, 0]  # the one in memory
    (said,) = [str(warning.message) for warning in told]
    assert "can only be read, so 1 of its entries are still there" in said
    cache.get_or_prepare(english, voice)
    assert cache.get_cache_stats()["misses"] == 1
    cache.close()
    assert json.dumps(cache.get_cache_stats())
