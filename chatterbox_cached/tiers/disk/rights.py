"""Who may use what is made in a cache folder: its owner only, or the group whose folder it is.

A folder is a group's where its members can write to it and what is made in it gets its group (setgid). The umask does
not count: one user's would lock out the others.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Rights(NamedTuple):
    """The modes of what is made."""

    file: int
    folder: int


OWNER, GROUP = Rights(0o600, 0o700), Rights(0o660, 0o2770)
_GROUPS = stat.S_ISGID | stat.S_IWGRP


def rights_in(folder: str | Path) -> Rights:
    """The rights of what this user makes in ``folder``; those of its owner only, where it is not there."""
    with contextlib.suppress(OSError):
        status = os.stat(folder)
        if status.st_mode & _GROUPS == _GROUPS and _is_member(status.st_gid):
            return GROUP
    return OWNER


def _is_member(group: int) -> bool:
    # The system takes the setgid bit off what a user makes for a group that is not theirs.
    return hasattr(os, "geteuid") and (os.geteuid() == 0 or group in (os.getegid(), *os.getgroups()))


def make_folder(path: str | Path, rights: Rights) -> None:
    """Raises FileExistsError where it is there already."""
    os.mkdir(path, rights.folder & 0o777)
    if rights is GROUP:
        os.chmod(path, rights.folder)


def make_folders(path: str | Path, rights: Rights) -> None:
    """Make a folder and those above it that are missing."""
    if not os.path.isdir(path or os.curdir):
        make_folders(os.path.dirname(path), rights)
        with contextlib.suppress(FileExistsError):
            make_folder(path, rights)


def create(path: str | Path, rights: Rights) -> BinaryIO:
    """A new file, opened to be written to. Raises FileExistsError where it is there already."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags, rights.file), "wb")
    if rights is GROUP:
        os.fchmod(file.fileno(), rights.file)
    return file


def can_write(path: str | Path) -> bool:
    """Whether this user may write to a file, or make and remove what is in a folder."""
    mode = os.W_OK | (os.X_OK if os.path.isdir(path) else 0)
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
