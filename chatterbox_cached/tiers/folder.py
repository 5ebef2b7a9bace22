"""The cache folder: private, marked as a cache, and not on a network file system."""

from __future__ import annotations

import os
from pathlib import Path

# https://bford.info/cachedir/ : backup programs leave a folder with this tag out.
_TAG = """Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of chatterbox-cached: voices that were prepared for Chatterbox TTS.
# It may be deleted at any time; the voices are then prepared again.
"""
_MARKERS = {"CACHEDIR.TAG": _TAG, ".gitignore": "# A cache of chatterbox-cached; not for version control.\n*\n"}
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs"})


class NetworkFolder(OSError):
    """The folder is on a network file system, where SQLite's locks can't be relied on."""


def entries_of(root: Path) -> Path:
    """The folder in the cache folder ``root`` that holds the entries."""
    return root / "entries"


def prepare(root: Path) -> None:
    """Make the cache folder ``root`` ready.

    Entries say whose voice it is, so their folder is for its owner only (0700). ``root`` itself gets that mode and the
    markers when it is ours alone: a folder that the user keeps other things in stays as it is, and the markers go
    into the entries' folder instead.
    """
    _refuse_network(root)
    entries = entries_of(root)
    if not entries.is_dir():
        own = not root.exists() or not any(root.iterdir())
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        entries.mkdir(mode=0o700, exist_ok=True)
        marked = root if own else entries
        if own:
            root.chmod(0o700)
        for name, text in _MARKERS.items():
            _write_once(marked / name, text)


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text, encoding="utf-8")


def _refuse_network(root: Path) -> None:
    kind = file_system(root)
    if kind in _NETWORK:
        raise NetworkFolder(
            f"{root} is on a network file system ({kind}), where SQLite can lose data. Choose a local folder with"
            " cache_dir= or CHATTERBOX_CACHED_DIR"
        )


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
