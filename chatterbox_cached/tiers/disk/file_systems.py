"""Which file system a folder is on, and whether SQLite's locks hold there.

An index in WAL mode needs locks that all its users see, and memory that they share through a mapped file. Between
machines, or between a virtual machine and its host, neither can be relied on: the index then goes to pieces.
"""

from __future__ import annotations

import os
from pathlib import Path

# fmt: off
_BETWEEN_MACHINES = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "smb", "ncpfs", "afpfs", "davfs", "webdav", "coda", "afs", "auristorfs",
    "openafs", "ceph", "cephfs", "glusterfs", "lustre", "beegfs", "gpfs", "mmfs", "orangefs", "pvfs2", "panfs",
    "wekafs", "quobyte", "moosefs", "acfs", "ocfs2", "gfs", "gfs2",
})
_BETWEEN_A_MACHINE_AND_ITS_GUESTS = frozenset({
    "9p", "virtiofs", "drvfs", "prl_fs", "vboxsf", "vmhgfs", "grpcfuse", "osxfs", "fakeowner",  # the last: Docker's
})
# FUSE says nothing of what is behind it; these are known to keep their files on this machine.
_LOCAL_FUSE = frozenset({
    "fuseblk", "fuse.ntfs-3g", "fuse.ntfs", "fuse.exfat", "fuse.fuse-ext2", "fuse.zfs-fuse", "fuse.fuse-overlayfs",
    "fuse.mergerfs", "fuse.unionfs", "fuse.bindfs", "fuse.gocryptfs", "fuse.encfs", "fuse.squashfuse", "fuse.snapfuse",
})
# fmt: on


def locks_hold(kind: str | None) -> bool:
    """Whether SQLite's locks can be relied on; where it is not known what kind it is, they are."""
    if kind is None or kind in _LOCAL_FUSE:
        return True
    is_fuse = kind.partition(".")[0] in ("fuse", "macfuse", "osxfuse")
    return not is_fuse and kind not in _BETWEEN_MACHINES | _BETWEEN_A_MACHINE_AND_ITS_GUESTS


def kind_at(path: Path) -> str | None:
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
