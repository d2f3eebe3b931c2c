"""What is written beside the file whose place it takes, so that the old one stands until the new one is whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def draft_of(path: Path) -> Path:
    """Return a hidden name beside a file, at which nothing lies.

    What was left there, or put there by somebody, is taken away: a link must not be written through.

    Raises:
        OSError: It cannot be taken away.
    """
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    return draft


def holds(path: Path, content: bytes) -> bool:
    """Return whether a file of its own, no link, holds this.

    Raises:
        OSError: It cannot be read.
    """
    return (
        path.is_file()
        and not path.is_symlink()
        and path.stat().st_size == len(content)
        and path.read_bytes() == content
    )


def replace(path: Path, content: bytes) -> None:
    """Let a file hold this, if it does not: the old content stands until the new one does.

    Raises:
        OSError: It cannot be written.
    """
    if holds(path, content):
        return
    draft = draft_of(path)
    draft.write_bytes(content)
    draft.replace(path)


def replace_for_good(path: Path, lines: Iterable[bytes]) -> None:
    """Let a file hold these lines, and not return before they are on the disk; where that fails, no draft stays.

    What is replaced otherwise may be empty after a power cut.

    Raises:
        OSError: It cannot be written.
    """
    draft = draft_of(path)
    try:
        with draft.open("wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, on the disk: a power cut takes what lies in them otherwise.

    Raises:
        OSError: It cannot be made.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        with suppress(OSError):  # one that may be written and not read is synced in the system's own time
            sync_folder(each.parent)


def sync_folder(folder: str | Path) -> None:
    """Have the names in a folder be on the disk.

    Raises:
        OSError: They cannot be.
    """
    if os.name == "nt":
        return  # Windows has no way to do it
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
