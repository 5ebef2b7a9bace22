"""Other users of this machine, as processes that root forks and that become them."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatterbox_cached.accounting import account
from chatterbox_cached.accounting.account import Batch
from tests.support.children import all_done, started
from tests.support.store_user import User

AS_ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become other users, and give them folders"
)
ANNA, BEN, TEAM, STRANGER = 1000, 1001, 2000, 12345


def as_user(act: Callable[[], object], user: int = ANNA, groups: tuple[int, ...] = (), umask: int = 0o022) -> None:
    """Do ``act`` in a process of this user; the first of the groups is its own, by default one of its number.

    It must come to its end. Nothing that it has open is closed by it, as if it were killed there.
    """
    mine = groups or (user,)

    def become() -> None:
        os.setgroups(mine)
        os.setgid(mine[0])
        os.setuid(user)
        os.umask(umask)
        act()

    all_done([started(become)])


@functools.cache
def _load_everything() -> None:
    """Python imports some of its own only at their first use, from where other users may have no way to."""
    with tempfile.TemporaryDirectory() as folder:
        user = User(Path(folder))
        user.wants_all()
        user.store.check(fix=True)
        user.store.lower.close()
        account.add(Path(folder), Batch(1.0, {}, []), lambda error: None)
        account.read(Path(folder))
        assert user.errors == []


def within_reach() -> Iterator[Path]:
    """A folder that every user can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    _load_everything()
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", folder], check=True)
    subprocess.run(["rm", "-r", folder], check=True)


def volume(path: Path, mode: int, group: int = 0, owner: int = 0) -> Path:
    """An empty folder of this mode and owner."""
    path.mkdir()
    os.chown(path, owner, group)
    path.chmod(mode)
    return path
