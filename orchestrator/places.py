"""Where on this machine things are kept that outlive a run folder, for this user alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

OURS: Final = "ORCHESTRATOR_HOME"
"""The variable that names one folder for all of it, whatever the platform does."""

APP: Final = "orchestrator"


def cache_folder(environment: Mapping[str, str], platform: str = sys.platform) -> Path | None:
    """Return the folder of what can be had again at any time; for the rest see `state_folder`."""
    return _folder(environment, platform, "cache", "XDG_CACHE_HOME", mac="Library/Caches", other=".cache")


def state_folder(environment: Mapping[str, str], platform: str = sys.platform) -> Path | None:
    """Return the folder of what has to be remembered between runs.

    `ORCHESTRATOR_HOME` goes first, then the XDG variable (freedesktop.org's Base Directory Specification, by which a
    path that is not absolute is ignored), then the custom of the platform.

    Args:
        environment: The variables to go by. Nobody else is asked, so an empty one names no folder.
        platform: As in `sys.platform`.

    Returns:
        An absolute path that may not exist yet; None where the environment names no home.
    """
    return _folder(
        environment, platform, "state", "XDG_STATE_HOME", mac="Library/Application Support", other=".local/state"
    )


def _folder(
    environment: Mapping[str, str], platform: str, kind: str, variable: str, *, mac: str, other: str
) -> Path | None:
    def named(name: str) -> Path | None:
        path = Path(environment.get(name, ""))
        return path if path.is_absolute() else None

    if ours := named(OURS):
        return ours / kind
    if chosen := named(variable):
        return chosen / APP
    if platform == "win32":
        local = named("LOCALAPPDATA")
        return local and local / APP / kind
    home = named("HOME")
    return home and home / (mac if platform == "darwin" else other) / APP


def make_private(path: Path) -> None:
    """Make an empty file that its owner alone can read, unless there is one.

    A file that is there is not even opened: with any descriptor of it that a process closes, POSIX takes all of the
    process's locks on it away, those of an open database too.

    Raises:
        OSError: It cannot be made.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
