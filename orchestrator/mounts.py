"""Which file systems are other machines': SQLite's locks and shared memory cannot be relied on there."""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePath
from typing import Final

TABLE: Final = Path("/proc/self/mounts")
"""Linux's table of what is mounted: device, place, type, options (proc(5))."""

NETWORK: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "panfs",
        "prl_fs",
        "pvfs2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
    }
)

REMOTE_DRIVE: Final = 4
"""`DRIVE_REMOTE` of Windows' `GetDriveTypeW`."""


def network_file_system(path: Path) -> str | None:
    """Return the type of the network file system that a path lies on, None if it is none or cannot be told."""
    real = path.resolve()
    if sys.platform == "win32":
        return _windows(real)
    try:
        table = TABLE.read_text("utf-8", errors="surrogateescape")
    except OSError:  # systems without such a table do not tell
        return None
    return listed(real, table)


def listed(path: PurePath, table: str) -> str | None:
    r"""Return what `network_file_system` does, from the table of what is mounted.

    Args:
        path: Absolute, without links.
        table: As in proc(5): a line for each, spaces within as `\040`.
    """
    best, kind = -1, ""
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = PurePath(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[1]))
        if path.is_relative_to(place) and len(place.parts) >= best:  # the later one of two lies on top
            best, kind = len(place.parts), fields[2]
    return kind if kind in NETWORK else None


def _windows(path: Path) -> str | None:
    if path.drive.startswith("\\\\"):
        return "a network share"
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415 - only there

        if ctypes.windll.kernel32.GetDriveTypeW(f"{path.drive}\\") == REMOTE_DRIVE:
            return "a network drive"
    return None
