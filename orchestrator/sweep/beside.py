"""The files that a job file names: where they may lie, and how they are read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from orchestrator.sweep.nodes import CREDENTIALS_HINT, IN_USE, unwanted
from orchestrator.sweep.problems import Mark, Problems, Source, did_you_mean, shorten

MOST_TEXT_BYTES = 20_000_000
"""How large a file of values or a file of wildcards may be."""
MOST_MATCHES = 100_000
"""How many files a pattern may fit."""

_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_MAGIC = frozenset("*?[")


class UnreadableError(Exception):
    """A file that cannot or may not be read; `hint` says what to do, where that is known."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Beside:
    """The folders whose files a job file may name.

    Attributes:
        base: The folder as the user named it, for messages.
        folder: The job file's own folder, links resolved; relative names start from there.
        allowed: Further folders, links resolved.
    """

    base: Path
    folder: Path
    allowed: tuple[Path, ...] = ()

    @classmethod
    def of(cls, job: Path, allowed: Sequence[Path] = ()) -> Beside:
        """Return what a job file may name.

        Args:
            job: The job file.
            allowed: The folders that the user allows beside its own.
        """
        return cls(job.parent, job.resolve().parent, tuple(path.resolve() for path in allowed))

    def place(self, written: str) -> Path:
        """Return where a file or a folder lies, links resolved.

        Raises:
            UnreadableError: It lies outside of what may be named, or is hidden.
        """
        try:
            path = (self.folder / written).resolve()
        except (OSError, RuntimeError, ValueError):  # links in a circle, a name that no system takes
            raise UnreadableError(f"`{shorten(written)}` cannot be the name of a file.") from None
        inside = next(
            (path.relative_to(each) for each in (self.folder, *self.allowed) if path.is_relative_to(each)), None
        )
        if inside is None:
            message = f"`{shorten(written)}` lies outside the folder of the job file."
            raise UnreadableError(message, "Copy it there, or allow its folder with `--allow-files DIR`.")
        if any(part.startswith(".") for part in inside.parts):
            message = f"`{shorten(written)}` is hidden, and hidden files are never read."
            raise UnreadableError(message, "Copy it to a name that does not begin with a dot.")
        return path

    def open(self, written: str) -> tuple[Path, BinaryIO]:
        """Open a file for reading; the caller closes it.

        Returns:
            Where it lies, links resolved, and the open file.

        Raises:
            UnreadableError: It is none that may be named, is no ordinary file, or cannot be opened.
        """
        path = self.place(written)
        shown = f"`{shorten(written)}`"
        try:
            file = os.fdopen(os.open(path, _FLAGS), "rb")
        except FileNotFoundError:
            raise UnreadableError(f"There is no file {shown} beside the job file.", self._nearest(path)) from None
        except (OSError, ValueError) as error:
            reason = "it is a folder" if path.is_dir() else getattr(error, "strerror", None) or "no reason given"
            raise UnreadableError(f"{shown} cannot be read: {reason}.") from None
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise UnreadableError(f"{shown} cannot be read: it is not a regular file.")
        return path, file

    def text(self, written: str, path: str, problems: Problems) -> Source | None:
        """Return the text of a file, or None after noting what is wrong within it.

        Args:
            written: The file, as the job file names it.
            path: The key that names it.
            problems: Takes what is wrong.

        Raises:
            UnreadableError: It cannot or may not be read, or is too large.
        """
        _, file = self.open(written)
        with file:
            data = file.read(MOST_TEXT_BYTES + 1)
        if len(data) > MOST_TEXT_BYTES:
            raise UnreadableError(f"`{shorten(written)}` is over {MOST_TEXT_BYTES // 10**6} MB.", "Split it.")
        source = decoded(str(self.base / written), data, problems, path=path)
        return source if source is not None and _is_fit(source, path, problems) else None

    def matches(self, pattern: str) -> list[str]:
        """Return the files that fit a pattern, as one would write them, in the order of their names.

        Raises:
            UnreadableError: The pattern leads out of what may be named, or nothing fits it.
        """
        fixed, rest = _split(pattern)
        start = self.place(fixed or ".")
        try:
            found = sorted(self._fitting(start, fixed, rest))
        except (OSError, ValueError, NotImplementedError, IndexError):
            raise UnreadableError(f"`{shorten(pattern)}` is not a file name pattern.") from None
        if not found:
            raise UnreadableError(f"No file fits `{shorten(pattern)}`.", "It starts from the folder of the job file.")
        return found

    def _fitting(self, start: Path, fixed: str, rest: str) -> Iterator[str]:
        for count, path in enumerate(start.glob(rest) if rest else [start]):
            if count > MOST_MATCHES:
                raise UnreadableError(f"More than {MOST_MATCHES} files fit the pattern.", "Narrow it.")
            inner = path.relative_to(start)
            if path.is_file() and not any(part.startswith(".") for part in inner.parts):
                yield (Path(fixed) / inner).as_posix()

    def _nearest(self, path: Path) -> str | None:
        try:
            names = [entry.name for entry in os.scandir(path.parent) if entry.is_file()]
        except OSError:
            return None
        found = did_you_mean(path.name, [name for name in names if not name.startswith(".")])
        return found if found and found.startswith("Did") else None


def decoded(name: str, data: bytes, problems: Problems, *, path: str = "", yaml: bool = False) -> Source | None:
    """Return a file's bytes as text, or None after noting where they are not UTF-8.

    Args:
        name: The file as the user knows it.
        data: All of it; a mark of the byte order at its beginning is left out unless `yaml`.
        problems: Takes what is wrong.
        path: The key that names the file.
        yaml: Whether lines are counted as YAML counts them.
    """
    try:
        return Source(name, data.decode("utf-8" if yaml else "utf-8-sig"), yaml)
    except UnicodeDecodeError as error:
        before = Source(name, data[: error.start].decode(errors="replace"), yaml)
        problems.add(_end(before, path), "The file is not UTF-8.", "Save it with the encoding UTF-8.", show=False)
        return None


def _is_fit(source: Source, path: str, problems: Problems) -> bool:
    """Return whether a text can be sent; a character that cannot and a credential are noted."""
    found = unwanted(source.text)
    if found:
        mark = _end(Source(source.name, source.text[: found.start()], source.yaml), path)
        problems.add(mark, f"The character U+{ord(found.group()):04X} cannot be sent.", "Delete it.", show=False)
        return False
    if not problems.has_secret(source.text):
        return True
    line = next((number for number, text in enumerate(source.lines, 1) if problems.has_secret(text)), 0)
    problems.add(Mark(source, line, 1 if line else 0, path), IN_USE, CREDENTIALS_HINT, show=False)
    return False


def _end(before: Source, path: str) -> Mark:
    return Mark(before, len(before.lines), len(before.lines[-1]) + 1, path)


def _split(pattern: str) -> tuple[str, str]:
    """Split a pattern into the folders that are named in full and the part with wildcards."""
    parts = pattern.split("/")
    first = next((place for place, part in enumerate(parts) if _MAGIC & set(part)), len(parts))
    if ".." in parts[first:]:
        raise UnreadableError(
            f"`{shorten(pattern)}` goes up again behind a wildcard.", "Name one folder in each pattern."
        )
    return "/".join(parts[:first]) + ("/" if pattern.startswith("/") and first == 1 else ""), "/".join(parts[first:])
