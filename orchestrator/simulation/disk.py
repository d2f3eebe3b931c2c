"""What of a folder's files outlasts a power cut: what was synced, and of the rest nobody knows what."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final
from unittest import mock

Chance = Callable[[str], float]
"""Gives a number from 0 up to 1 for a word."""

LEDGER: Final = frozenset({"ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"})
"""What SQLite syncs for itself, past Python."""

Entries = Mapping[str, int]
"""The inodes of what stands in a folder, by name."""


class Disk:
    """Follows what a program syncs below a folder.

    A file that was not synced may be there in part, or as zeros; a name that was given or taken away since its folder
    was synced may be what it was before.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._synced: dict[int, bytes] = {}
        self._named: dict[Path, Entries] = {}
        self.rested()

    def rested(self) -> None:
        """All that stands there by now is on the disk."""
        for folder in self._folders():
            self._named[folder] = _entries(folder)
        self._synced = {path.stat().st_ino: path.read_bytes() for path in self._files()}

    def watched(self) -> AbstractContextManager[object]:
        """See all that is synced while the block runs."""
        sync = os.fsync

        def watching(handle: int) -> None:
            sync(handle)
            self._saw(os.fstat(handle))

        return mock.patch.object(os, "fsync", watching)

    def synced(self, path: Path) -> bytes:
        """Return what of a file certainly outlasts a power cut."""
        return self._synced.get(path.stat().st_ino, b"")

    def unplugged(self, chance: Chance) -> Callable[[], None]:
        """Return what makes the files what they are after a power cut at this moment."""
        held = dict(self._outlasting(self._root, chance))

        def restore() -> None:
            for path in self._files():
                path.unlink()
            for folder in sorted(self._folders(), reverse=True):
                if folder not in held and folder != self._root:
                    folder.rmdir()
            for path, content in held.items():
                if content is None:
                    path.mkdir(exist_ok=True)
                else:
                    path.write_bytes(content)
            self.rested()

        return restore

    def _saw(self, synced: os.stat_result) -> None:
        if stat.S_ISDIR(synced.st_mode):
            for folder in self._folders():
                if folder.stat().st_ino == synced.st_ino:
                    self._named[folder] = _entries(folder)
        else:
            for path in self._files():
                if path.stat().st_ino == synced.st_ino:
                    self._synced[synced.st_ino] = path.read_bytes()

    def _outlasting(self, folder: Path, chance: Chance) -> Iterator[tuple[Path, bytes | None]]:
        """Yield the folders, with None, and the files, with their bytes, that a power cut leaves."""
        now, before = _entries(folder), self._named.get(folder, {})
        for name in sorted({*now, *before}):
            path = folder / name
            inode = (before if now.get(name) != before.get(name) and chance("name") < 0.5 else now).get(name)
            if inode is None:
                continue
            if path.is_dir():
                yield path, None
                yield from self._outlasting(path, chance)
            else:
                yield path, self._left(path, inode, chance)

    def _left(self, path: Path, inode: int, chance: Chance) -> bytes:
        """Return what is left of a file."""
        synced = self._synced.get(inode, b"")
        if not path.is_file() or path.stat().st_ino != inode:
            return synced
        held = path.read_bytes()
        if held == synced:
            return held
        kept = synced if held.startswith(synced) else b""
        more = len(held) - len(kept)
        lucks = (held, synced, kept + bytes(more), held[: len(kept) + more // 2])
        return lucks[int(len(lucks) * chance("bytes"))]

    def _folders(self) -> Iterator[Path]:
        for place, _, _ in os.walk(self._root):
            yield Path(place)

    def _files(self) -> Iterator[Path]:
        for place, _, names in os.walk(self._root):
            yield from (Path(place, name) for name in names if name not in LEDGER)


def _entries(folder: Path) -> Entries:
    with os.scandir(folder) as found:
        return {each.name: each.inode() for each in found if each.name not in LEDGER}
