"""Where a ledger must not lie."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from orchestrator.mounts import listed, network_file_system

TABLE = r"""/dev/vda1 / ext4 rw,relatime 0 0
tmpfs /run tmpfs rw 0 0
server:/export /home nfs4 rw,vers=4.2 0 0
/dev/vdb1 /home/local xfs rw 0 0
//server/share /media/my\040share cifs rw 0 0
me@host: /mnt/ssh fuse.sshfs rw 0 0
/dev/vdc1 /mnt/cover ext4 rw 0 0
server:/x /mnt/cover nfs rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/runs/a", None),
        ("/run/a", None),
        ("/home/me/runs/a", "nfs4"),
        ("/homely/runs", None),
        ("/home/local/runs", None),
        ("/media/my share/a", "cifs"),
        ("/mnt/ssh", "fuse.sshfs"),
        ("/mnt/cover/a", "nfs"),
    ],
)
def test_the_innermost_file_system_counts(path: str, kind: str | None) -> None:
    """The longest place that holds the path, the later one of two, with its name unescaped."""
    assert listed(PurePosixPath(path), TABLE) == kind


def test_this_machine_s_own_folders(tmp_path: Path) -> None:
    """A folder of the tests is a local one, also by a path that goes through a link and does not exist yet."""
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    assert network_file_system(tmp_path / "link" / "new") is None
