"""No room left, at every write in turn, and a file system that can't be written to."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import breakages
from tests.support.children import KEYS
from tests.support.forks import in_a_fork
from tests.support.store_user import User, assert_all_is_well, upstream
from tests.support.tally import tried

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="limits are set in a forked process")

# Of one file, in bytes: the index and its log grow in pages of 4 kB, and an entry of this test takes about 5 kB.
LIMITS = range(0, 160_000, 4_000)


@pytest.fixture
def file_system(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, as small as it may be."""
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(breakages.small_file_system(tmp_path, "4k"))
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this user may not mount a file system")
        yield folder


def test_a_write_that_fails_at_any_size_of_a_file(tmp_path: Path) -> None:
    def use(root: Path, limit: int) -> None:
        user = User(root)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        for _ in range(2):
            user.wants_all()
        user.store.lower.close()

    failed = 0
    for limit in LIMITS:
        root = tmp_path / str(limit)
        assert in_a_fork(lambda root=root, limit=limit: use(root, limit)) == "done"
        failed += len(list(root.rglob("*.val"))) < len(KEYS)
        assert_all_is_well(root)
        tried("writes refused for want of room")
        shutil.rmtree(root)
    assert failed > 3, "the limits did not keep anything from being written"


@pytest.mark.parametrize("kilobytes", [4, 16, 64, 72, 80, 96, 112, 128, 192])
def test_a_disk_that_is_full(file_system: Path, kilobytes: int) -> None:
    breakages.enlarged(file_system, f"{kilobytes}k")
    user = User(file_system / "voices")
    for _ in range(3):
        user.wants_all()
        user.store.lower.tiers[0].try_again()
    assert user.errors, "there was room for everything"
    assert {error.partition(" ")[0] for error in user.errors} == {"disk"}
    breakages.enlarged(file_system, "10m")
    user.store.lower.tiers[0].try_again()
    user.wants_all()
    assert user.wants_all() == {"disk"}, user.errors
    user.store.lower.close()
    assert_all_is_well(file_system / "voices")
    tried("writes refused for want of room")


@pytest.mark.parametrize("size_limit", [0, 500, 40_000])
def test_a_limit_that_leaves_no_room_for_a_voice_is_told_of(tmp_path: Path, size_limit: int) -> None:
    user = User(tmp_path / "voices", size_limit=size_limit)
    assert user.wants_all() == {"upstream"}
    said = f"bytes find no room: size_limit is {size_limit}')"
    assert [error for error in user.errors if error.startswith("disk put: EntryError") and error.endswith(said)]
    user.store.lower.close()


def test_an_empty_file_system_that_can_only_be_read(file_system: Path) -> None:
    breakages.read_only(file_system)
    user = User(file_system / "voices")
    for _ in range(3):
        assert user.wants_all() == {"upstream"}
    user.store.lower.close()
    assert [error.partition(":")[0] for error in user.errors] == ["disk open"]


@pytest.mark.parametrize("in_use", [False, True], ids=["from the start", "while it is in use"])
def test_a_filled_file_system_that_can_only_be_read_gives_what_it_holds(file_system: Path, in_use: bool) -> None:
    breakages.enlarged(file_system, "10m")
    root = file_system / "voices"
    before, user = User(root), User(root)
    before.wants_all()
    if in_use:
        assert user.wants_all() == {"disk"}
    before.store.lower.close()
    user.store.lower.close()  # else the system lets nobody take the right to write away
    breakages.read_only(file_system)
    for _ in range(3):
        assert user.wants_all() == {"disk"}, user.errors
    user.store.keep("v3/new/rest", "cpu", upstream(KEYS[0]), durable=True)
    user.store.lower.close()
    assert user.errors == []
    subprocess.run(["mount", "-o", "remount,rw", str(file_system)], check=True)
    assert_all_is_well(root)
