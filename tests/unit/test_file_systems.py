"""SQLite's locks are relied on where files stay on this machine, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatterbox_cached.errors import NetworkFolder
from chatterbox_cached.tiers.disk import folder
from chatterbox_cached.tiers.disk.file_systems import locks_hold

BETWEEN = (
    "nfs nfs4 cifs smb3 smbfs afs ceph 9p virtiofs prl_fs vboxsf vmhgfs drvfs fakeowner lustre beegfs gpfs orangefs"
    " pvfs2 glusterfs ocfs2 gfs2 davfs fuse fuse.sshfs fuse.glusterfs fuse.grpcfuse fuse.osxfs fuse.s3fs fuse.rclone"
    " fuse.juicefs fuse.gcsfuse fuse.vmhgfs-fuse fuse.cephfs fuse.mount-s3 fuse.blobfuse2 fuse.never-heard-of osxfuse"
    " macfuse"
)
LOCAL = (
    "ext2 ext3 ext4 xfs btrfs tmpfs overlay zfs apfs hfs bcachefs f2fs ntfs3 vfat exfat squashfs ramfs fuseblk"
    " fuse.ntfs-3g fuse.fuse-overlayfs fuse.mergerfs"
)


@pytest.mark.parametrize("kind", BETWEEN.split())
def test_what_machines_share_is_not_relied_on(kind: str) -> None:
    assert not locks_hold(kind)


@pytest.mark.parametrize("kind", [*LOCAL.split(), None])
def test_a_local_disk_and_what_is_not_known_is_relied_on(kind: str | None) -> None:
    assert locks_hold(kind)


def test_the_refusal_says_what_to_use_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "file_system", lambda _: "virtiofs")
    with pytest.raises(NetworkFolder) as refused:
        folder.prepare(tmp_path / "voices")
    for word in ("virtiofs", "local folder", "CHATTERBOX_CACHED_DIR", "read_only_dirs", "export"):
        assert word in str(refused.value)
    assert not (tmp_path / "voices").exists()
