"""The cache folder: private or a group's, marked as a cache, and not on a network file system."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from ...errors import NetworkFolder, UntrustedFolder
from . import file_systems, rights

# https://bford.info/cachedir/ : backup programs leave a folder with this tag out.
_TAG = """Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of chatterbox-cached: voices that were prepared for Chatterbox TTS.
# It may be deleted at any time; the voices are then prepared again.
"""
_MARKERS = {"CACHEDIR.TAG": _TAG, ".gitignore": "# A cache of chatterbox-cached; not for version control.\n*\n"}
# What the index needs to be able to write to, where it is there.
_WRITTEN = ("cache.db", "cache.db-wal", "cache.db-shm", "open.lock")


def entries_of(root: Path) -> Path:
    """The folder in the cache folder ``root`` that holds the entries."""
    return root / "entries"


def prepare(root: Path, *, trusted: bool = False) -> None:
    """Make the cache folder ``root`` ready.

    A folder that is there keeps its mode and owner, and only a new one is made private (0700). Entries say whose voice
    it is, so their folder is for its owner only, unless ``root`` is a group's and ``trusted``: then it is the
    group's too. The markers go into ``root`` where there is nothing else in it, and else into the entries' folder.
    Unless it is ``trusted``, raises UntrustedFolder where other users can write.
    """
    _refuse_network(root)
    if not entries_of(root).is_dir():
        _begin(root, trusted)
    if not trusted:
        refuse_strangers(root)


def _begin(root: Path, trusted: bool) -> None:
    if not root.exists():
        _make(root, trusted)
    elif not trusted:
        refuse_strangers(root)  # before anything is made in it
    entries = entries_of(root)
    marked = entries if any(root.iterdir()) else root
    with contextlib.suppress(FileExistsError):
        rights.make_folder(entries, rights.rights_in(root) if trusted else rights.OWNER)
    for name, text in _MARKERS.items():
        _write_once(marked / name, text)


def _make(root: Path, trusted: bool) -> None:
    above = next(path for path in root.parents if path.exists())
    if trusted and rights.rights_in(above) is rights.GROUP:
        rights.make_folders(root, rights.GROUP)
    else:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)


def refuse_strangers(root: Path, *files: Path) -> None:
    """Raise UntrustedFolder if users but this one and root can write to the cache folder ``root`` or to ``files``.

    On POSIX only; elsewhere modes say nothing. What is above ``root`` is not looked at.
    """
    if not hasattr(os, "geteuid"):
        return
    entries = entries_of(root)
    for path in (root, entries, entries / "cache.db", *files):
        try:
            link, there = path.lstat(), path.stat()
        except FileNotFoundError:
            continue
        if not (_owner_is_fine(link.st_uid) and _owner_is_fine(there.st_uid)):
            raise UntrustedFolder(
                f"{path} belongs to another user (number {there.st_uid}), who could change what is in it. Choose a"
                " folder of your own with cache_dir= or CHATTERBOX_CACHED_DIR, or, if you trust that user, set"
                " trust_cache_dir=True or CHATTERBOX_CACHED_TRUST_CACHE_DIR=1"
            )
        # In a folder such as /tmp no user can move away or replace what is another's.
        sticky = path is root and there.st_mode & stat.S_ISVTX
        if there.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
            raise UntrustedFolder(
                f"{path} is writable by other users (mode {stat.S_IMODE(there.st_mode):04o}), who could change what"
                f" is in it. Run: chmod go-w '{path}'. If they may write there, set trust_cache_dir=True or"
                " CHATTERBOX_CACHED_TRUST_CACHE_DIR=1"
            )


def is_usable(root: Path, *, trusted: bool) -> bool:
    """Whether the disk tier has made its folder in the cache folder ``root``, and would write there. Never raises."""
    try:
        if not trusted:
            refuse_strangers(root)
        return os.path.isdir(entries_of(root)) and not (is_read_only(root) or is_on_network(root))
    except OSError:
        return False


def is_read_only(root: Path) -> bool:
    """Whether ``root`` was filled and this user can't write to it: part of an image, for one. Never raises."""
    entries = entries_of(root)
    needed = [entries, *(path for name in _WRITTEN if os.path.lexists(path := entries / name))]
    return os.path.isdir(entries) and not all(map(rights.can_write, needed))


def let_all_read(root: Path) -> None:
    """Let every user read what is kept in ``root``, which is to become a part of an image.

    A folder that holds other things is not opened to anybody.
    """
    ours = [root / name for name in (*_MARKERS, "account.db", "entries")]
    opened = [root] if (root / "CACHEDIR.TAG").exists() else []
    for path in (*opened, *ours, *entries_of(root).rglob("*")):
        if path.exists() and not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) | (0o055 if path.is_dir() else 0o044))


def _owner_is_fine(user: int) -> bool:
    return not hasattr(os, "geteuid") or user in (os.geteuid(), 0)  # nothing is safe from root anyway


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text, encoding="utf-8")


def _refuse_network(root: Path) -> None:
    if is_on_network(root):
        raise NetworkFolder(
            f"{root} is on a file system ({file_system(root)}) that machines share, where SQLite can lose data. Choose"
            " a local folder with cache_dir= or CHATTERBOX_CACHED_DIR. To share voices, copy a filled folder there and"
            " list it in read_only_dirs= or CHATTERBOX_CACHED_READ_ONLY_DIRS, or carry them over in a bundle:"
            " chatterbox-cached export and import"
        )


def is_on_network(path: Path) -> bool:
    """Whether SQLite's locks can't be relied on at ``path``."""
    return not file_systems.locks_hold(file_system(path))


def file_system(path: Path) -> str | None:
    """The type of the file system that ``path`` is or would be on; None where the system does not tell (not Linux)."""
    return file_systems.kind_at(path)
