"""The cache folder: private, marked as a cache, and not on a network file system."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ...errors import NetworkFolder, UntrustedFolder

# https://bford.info/cachedir/ : backup programs leave a folder with this tag out.
_TAG = """Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of chatterbox-cached: voices that were prepared for Chatterbox TTS.
# It may be deleted at any time; the voices are then prepared again.
"""
_MARKERS = {"CACHEDIR.TAG": _TAG, ".gitignore": "# A cache of chatterbox-cached; not for version control.\n*\n"}
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs"})


def entries_of(root: Path) -> Path:
    """The folder in the cache folder ``root`` that holds the entries."""
    return root / "entries"


def prepare(root: Path, *, trusted: bool = False) -> None:
    """Make the cache folder ``root`` ready.

    Entries say whose voice it is, so their folder is for its owner only (0700). ``root`` itself gets that mode and the
    markers when it is ours alone: a folder that the user keeps other things in stays as it is, and the markers go
    into the entries' folder instead. Unless it is ``trusted``, raises UntrustedFolder where other users can write.
    """
    _refuse_network(root)
    entries = entries_of(root)
    if not entries.is_dir():
        own = not root.exists() or (_owner_is_fine(root.stat().st_uid) and not any(root.iterdir()))
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if own:
            root.chmod(0o700)
        elif not trusted:
            refuse_strangers(root)  # before anything is made in it
        entries.mkdir(mode=0o700, exist_ok=True)
        marked = root if own else entries
        for name, text in _MARKERS.items():
            _write_once(marked / name, text)
    if not trusted:
        refuse_strangers(root)


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
    """Whether the disk tier has made its folder in the cache folder ``root``, and would use it. Never raises."""
    try:
        if not trusted:
            refuse_strangers(root)
        return os.path.isdir(entries_of(root)) and not is_on_network(root)
    except OSError:
        return False


def _owner_is_fine(user: int) -> bool:
    return not hasattr(os, "geteuid") or user in (os.geteuid(), 0)  # nothing is safe from root anyway


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text, encoding="utf-8")


def _refuse_network(root: Path) -> None:
    if is_on_network(root):
        raise NetworkFolder(
            f"{root} is on a network file system ({file_system(root)}), where SQLite can lose data. Choose a"
            " local folder with cache_dir= or CHATTERBOX_CACHED_DIR"
        )


def is_on_network(path: Path) -> bool:
    """Whether SQLite's locks can't be relied on at ``path``."""
    return file_system(path) in _NETWORK


def file_system(path: Path) -> str | None:
    """The type of the file system that ``path`` is or would be on; None where the system does not tell (not Linux)."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    real = os.path.realpath(path)
    best: tuple[str, str | None] = ("", None)
    for line in mounts:
        _, point, kind, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]
