"""Folders as they are given: volumes of root's, and folders of a group that several users share."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest

from chatterbox_cached.accounting import account
from chatterbox_cached.accounting.account import Batch
from chatterbox_cached.serving.flights import flights_of
from chatterbox_cached.settings import Settings
from chatterbox_cached.tiers.disk.folder import entries_of
from chatterbox_cached.tiers.store import VoiceStore
from tests.support.children import KEYS
from tests.support.people import ANNA, AS_ROOT, BEN, STRANGER, TEAM, as_user, volume
from tests.support.store_user import User, upstream

pytestmark = AS_ROOT
_WARM = filelock.FileLock  # imported while everything can be read


def uses(root: Path, *, trusted: bool = True) -> Callable[[], None]:
    """Has all voices prepared, and finds them again."""

    def use() -> None:
        user = User(root, trust_cache_dir=trusted)
        assert user.wants_all() == {"upstream"}
        assert user.wants_all() == {"disk"}, user.errors
        assert User(root, trust_cache_dir=trusted).wants_all() == {"disk"}
        assert user.errors == []

    return use


def finds(root: Path) -> Callable[[], None]:
    def find() -> None:
        user = User(root, trust_cache_dir=True)
        assert user.wants_all() == {"disk"}, user.errors
        assert user.errors == []

    return find


def standing(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


VOLUMES = [(0o777, 0), (0o1777, 0), (0o2775, ANNA), (0o2777, ANNA), (0o2770, ANNA), (0o2777, STRANGER), (0o770, ANNA)]


@pytest.mark.parametrize(("mode", "group"), VOLUMES, ids=lambda value: f"{value:o}")
@pytest.mark.parametrize("linked", [False, True], ids=["itself", "by a link"])
def test_roots_empty_volume_works_for_another_user_who_trusts_it_and_stays_as_it_is(
    open_to_all: Path, mode: int, group: int, linked: bool
) -> None:
    root = volume(open_to_all / "volume", mode, group)
    before = standing(root)
    link = open_to_all / "link"
    link.symlink_to(root)
    as_user(uses(link if linked else root))
    assert standing(root) == before
    shared = bool(mode & stat.S_ISGID) and group == ANNA
    assert standing(entries_of(root))[0] & 0o777 == (0o770 if shared else 0o700)


def test_a_sticky_volume_works_without_trust(open_to_all: Path) -> None:
    as_user(uses(volume(open_to_all / "volume", 0o1777), trusted=False))


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o1777, 0o2755, 0o2775, 0o777])
def test_an_empty_folder_keeps_its_mode_and_owner(open_to_all: Path, mode: int) -> None:
    root = volume(open_to_all / "volume", mode, owner=ANNA, group=TEAM)
    before = standing(root)
    as_user(lambda: User(root).wants_all())
    assert standing(root) == before
    assert entries_of(root).exists() is not bool(mode & 0o022 and not mode & stat.S_ISVTX)


@pytest.fixture
def shared(open_to_all: Path) -> Path:
    return volume(open_to_all / "team", 0o2770, TEAM)


@pytest.mark.parametrize("umasks", [(0o022, 0o022), (0o077, 0o022), (0o022, 0o077), (0o077, 0o077)], ids=str)
def test_two_users_of_a_group_use_each_others_entries(shared: Path, umasks: tuple[int, int]) -> None:
    first, second = umasks
    # Who comes first does not close the index, so its log and the log's index are left behind as well.
    as_user(uses(shared), ANNA, (ANNA, TEAM), first)
    assert (entries_of(shared) / "cache.db-wal").stat().st_uid == ANNA

    def reads_writes_deletes_and_repairs() -> None:
        user = User(shared, trust_cache_dir=True)
        assert user.wants_all() == {"disk"}, user.errors
        user.store.keep(KEYS[0], "cpu", upstream(KEYS[0]), durable=True)
        assert user.store.lower.delete(KEYS[1]) == 1
        assert user.wants(KEYS[1]) == "upstream"
        assert user.errors == []
        next(entries_of(shared).rglob("*.val")).unlink()
        assert user.store.check(fix=True)[:4] == (len(KEYS) - 1, 0, 1, 0)
        assert user.wants_all() == {"upstream", "disk"}
        assert user.wants_all() == {"disk"}, user.errors

    as_user(reads_writes_deletes_and_repairs, BEN, (BEN, TEAM), second)
    as_user(finds(shared), ANNA, (ANNA, TEAM), first)
    for path in entries_of(shared).rglob("*"):
        if path.name not in ("CACHEDIR.TAG", ".gitignore", "swept"):
            mode, _, group = standing(path)
            assert (group, mode) == (TEAM, 0o2770 if path.is_dir() else 0o660), path


def test_another_user_of_the_same_group_by_its_own_number(open_to_all: Path) -> None:
    """As in containers, where each has a user of its own and all have the volume's group."""
    root = volume(open_to_all / "volume", 0o2777, TEAM)
    as_user(uses(root), ANNA, (TEAM,))
    as_user(finds(root), BEN, (TEAM,), umask=0o077)


def test_a_malformed_index_of_another_member_is_begun_anew(shared: Path) -> None:
    as_user(uses(shared), ANNA, (ANNA, TEAM))
    for part in entries_of(shared).glob("cache.db*"):
        part.write_bytes(b"no database at all " * 500)

    def begins_anew() -> None:
        user = User(shared, trust_cache_dir=True)
        user.wants_all()
        assert user.wants_all() == {"disk"}, user.errors

    as_user(begins_anew, BEN, (BEN, TEAM))
    as_user(finds(shared), ANNA, (ANNA, TEAM))


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_two_users_of_a_group_count_in_one_account(shared: Path, umask: int) -> None:
    def counts() -> None:
        account.add(shared, Batch(time.time(), {("misses", ""): 1}, []), lambda error: None, trusted=True)

    for user in (ANNA, BEN, ANNA):
        as_user(uses(shared) if not entries_of(shared).exists() else finds(shared), user, (user, TEAM), umask)
        as_user(counts, user, (user, TEAM), umask)
    assert account.read(shared, trusted=True).totals["misses"] == 3
    assert standing(shared / "account.db") == (0o660, ANNA, TEAM)


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_two_users_of_a_group_wait_for_each_other_by_the_same_lock(shared: Path, umask: int) -> None:
    settings = Settings(cache_dir=shared, trust_cache_dir=True, wait_seconds=5)

    def takes_it() -> None:
        with flights_of(settings, VoiceStore(settings, lambda *_: None)).flight(KEYS[0]):
            (lock,) = set(entries_of(shared).glob("*.lock")) - {entries_of(shared) / "open.lock"}
            with pytest.raises(filelock.Timeout):
                filelock.FileLock(lock, timeout=0).acquire()

    as_user(uses(shared), ANNA, (ANNA, TEAM), umask)
    for user in (ANNA, BEN):
        as_user(takes_it, user, (user, TEAM), umask)


def test_a_new_folder_in_a_groups_folder_is_the_groups_where_it_is_trusted(shared: Path) -> None:
    root = shared / "deep" / "voices"
    as_user(uses(root), ANNA, (ANNA, TEAM), umask=0o077)
    as_user(finds(root), BEN, (BEN, TEAM))
    for path in (root.parent, root, entries_of(root)):
        assert standing(path) == (0o2770, ANNA, TEAM)


def test_a_new_folder_in_a_groups_folder_is_private_where_it_is_not_trusted(shared: Path) -> None:
    root = shared / "mine"
    as_user(uses(root, trusted=False), ANNA, (ANNA, TEAM))
    assert [standing(path)[0] & 0o777 for path in (root, entries_of(root))] == [0o700, 0o700]
    assert {standing(path)[0] & 0o077 for path in entries_of(root).rglob("*.val")} == {0}


def test_a_groups_folder_that_is_not_trusted_is_not_used(shared: Path) -> None:
    def is_told() -> None:
        user = User(shared)
        assert user.wants_all() == {"upstream"}
        assert all("UntrustedFolder" in error for error in user.errors)
        assert user.errors
        assert os.listdir(shared) == []

    as_user(is_told, ANNA, (ANNA, TEAM))
