"""A file on its way to disk: at its final name only when it is whole, checked and durable."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from orchestrator.drafts import sync_folder
from orchestrator.steps import recognise
from orchestrator.steps.recognise import Kind

SUSPECT = ".suspect"
UNKNOWN_EXTENSION = "bin"
STRANGE: Final = frozenset({"", ".", ".."})
"""What no part of a path may be."""

EARLY_BYTES = 2**23
"""So much at a time of a large file is sent to the disk while more comes: little is left to wait for at its end."""


@dataclass(frozen=True, slots=True)
class Landed:
    """A file at its final name.

    Attributes:
        path: Relative to the folder of the outputs, `/` between its parts.
        bytes: Its size.
        sha256: Of its bytes, 64 hexadecimal digits.
        kind: Its type by its bytes, None for an unknown one.
    """

    path: str
    bytes: int
    sha256: str
    kind: Kind | None


class NotWhole(Exception):  # noqa: N818 - an outcome: `except NotWhole` says all
    """What has come is no whole file; the text is a clause that says why."""


class Landing:
    """What has come of one file so far: at first in memory, in larger pieces in a file beside the final one.

    `take`, `restart` and `close` are for the event loop; `flush`, `land` and `abandon` touch the disk, are for a thread
    and raise OSError. What an earlier process left is replaced: after a crash of the machine it cannot be trusted.
    Paths are plain text here: those of `pathlib` take longer, and blow up Python's table of names on a large run.

    Args:
        folder: Where the outputs are; nothing is written outside.
        stem: The final path, relative, `/` between its parts, without an ending.

    Raises:
        ValueError: The stem is not relative or leads out of the folder.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        *parents, self._name = parts = stem.split("/")
        if not STRANGE.isdisjoint(parts) or "\\" in stem or ":" in stem:
            raise ValueError(f"The path {stem!r} is not a relative one within the folder of the outputs.")
        self._root = folder
        self._parents = parents
        self._folder = os.path.join(folder, *parents)
        self._path = os.path.join(self._folder, f".{self._name}.part")
        self._file: io.FileIO | None = None
        self.restart()

    def restart(self) -> None:
        """Forget what has come."""
        self.close()
        self._digest = hashlib.sha256()
        self._early_bytes = 0
        self._waiting: list[bytes] = []
        self.waiting_bytes = 0
        self.size = 0

    def take(self, chunk: bytes) -> None:
        """Add bytes, in memory."""
        self._waiting.append(chunk)
        self.waiting_bytes += len(chunk)
        self.size += len(chunk)

    def close(self) -> None:
        """Let go of the file, if it is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def flush(self) -> None:
        """Write what waits in memory."""
        if self._file is None:
            self._file = self._created()
        data = memoryview(b"".join(self._waiting))
        self._waiting.clear()
        self.waiting_bytes = 0
        self._digest.update(data)
        while data:
            data = data[self._file.write(data) :]
        if self.size - self._early_bytes >= EARLY_BYTES:
            _begin_to_sync(self._file.fileno(), self._early_bytes, self.size)
            self._early_bytes = self.size

    def land(self) -> Landed:
        """Check what has come and put it at its final name; one of that name is replaced, unless it holds the same.

        Raises:
            NotWhole: Nothing came, or a web page, or a file of a known type without its end.
        """
        if self._file is not None:
            self.flush()
        kind, is_whole = self._look()
        if kind is recognise.HTML:
            raise NotWhole("a web page came instead")
        if not is_whole:
            raise NotWhole(f"the {kind.extension if kind else 'file'} lacks its end")
        if self._file is None:
            self.flush()
        assert self._file is not None  # noqa: S101 - it has just been written to
        os.fsync(self._file.fileno())
        self.close()
        name = self._named(kind)
        final = os.path.join(self._folder, name)
        sha256 = self._digest.hexdigest()
        if _holds(final, self.size, sha256):
            os.unlink(self._path)
        else:
            os.replace(self._path, final)
        sync_folder(self._folder)
        return Landed("/".join([*self._parents, name]), self.size, sha256, kind)

    def abandon(self, *, keep: bool) -> str:
        """Remove what has come, or keep it under `.suspect/` for people to look at.

        Returns:
            Where it is kept, relative to the folder of the outputs; empty if it is not.
        """
        if keep and self.size:
            self.flush()
            name = self._named(self._look()[0])
            parents = [SUSPECT, *self._parents]
            folder = _make_folder(self._root, parents)
            self.close()
            os.replace(self._path, os.path.join(folder, name))
            return "/".join([*parents, name])
        self.close()
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        return ""

    def _created(self) -> io.FileIO:
        _make_folder(self._root, self._parents)
        try:
            return io.FileIO(self._path, "x+")  # a new one: never through a link that somebody put there
        except FileExistsError:
            os.unlink(self._path)
            return io.FileIO(self._path, "x+")

    def _look(self) -> tuple[Kind | None, bool]:
        """Return the type of what has come, and whether it is all there; what was never written is still in memory."""
        if self._file is None:
            return _judged(io.BytesIO(b"".join(self._waiting)))
        self._file.seek(0)
        reader = io.BufferedReader(self._file)
        try:
            return _judged(reader)
        finally:
            reader.detach()

    def _named(self, kind: Kind | None) -> str:
        return f"{self._name}.{kind.extension if kind else UNKNOWN_EXTENSION}"


def _judged(content: BinaryIO) -> tuple[Kind | None, bool]:
    head = content.read(recognise.HEAD_BYTES)
    kind = recognise.kind_of(head)
    return kind, bool(head) and (kind is None or kind.is_whole(content))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; it blocks.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _holds(path: str, size: int, sha256: str) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size and sha256_of(Path(path)) == sha256


def _make_folder(root: Path, parts: Sequence[str]) -> str:
    """Make a folder under `root`, durably, and see that no link on the way leads out.

    Returns:
        The folder.

    Raises:
        OSError: It cannot be made, or a link leads out.
    """
    folder = str(root)
    for part in ("", *parts):
        folder = os.path.join(folder, part) if part else folder
        try:
            is_link = stat.S_ISLNK(os.lstat(folder).st_mode)
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
            sync_folder(os.path.dirname(folder))
        else:
            if is_link and not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root)):
                raise OSError(errno.ELOOP, "a link leads out of the folder of the outputs")
    return folder


def _begin_to_sync(handle: int, start: int, end: int) -> None:
    """Let the system begin to write a part of a file where it can: what is not needed in memory goes to the disk."""
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):  # a file system that does not know of it
            os.posix_fadvise(handle, start, end - start, os.POSIX_FADV_DONTNEED)
