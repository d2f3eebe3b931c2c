"""The standard streams as a process may find them: closed, full, or with nobody at their other end any more."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TextIO

from orchestrator.errors import Exit

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import ReadableBuffer

NOBODY_THERE: Final = frozenset({errno.EPIPE, errno.EIO})
"""What writing gives once a pipe has no reader, or a terminal was closed."""


class OutputLostError(Exception):
    """What was to be printed cannot be; what comes later goes nowhere.

    Attributes:
        exit_code: `DONE` where whoever read our output has seen enough, otherwise `REFUSED`.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(f"The output cannot be written: {error.strerror}.")
        self.exit_code = Exit.DONE if error.errno in NOBODY_THERE else Exit.REFUSED


def prepare() -> None:
    """Make the standard streams safe to use, whatever this process was given.

    Those that were closed lead nowhere, so that no file of ours takes their numbers. What cannot be written to stdout
    raises `OutputLostError`, once; what cannot be written to stderr is nobody's to hear, and goes nowhere.
    """
    if os.name != "posix":
        return  # elsewhere they are always there, and a terminal is written to in a way of its own
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    if sys.stdin is None:  # the type checker does not know it, but it is so for a stream that was closed
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False))
    sys.stdout = _written(1, _raise_lost)
    sys.stderr = _written(2, _ignore)


def abandon() -> None:
    """Print no more: whoever interrupts us does not want to wait until somebody takes what is left."""
    if os.name == "posix":
        _lead_nowhere(1)


def linked(file: Path, environment: Mapping[str, str]) -> str:
    """Return a file's path for stdout: on a terminal that has links, one that opens it (OSC 8, the terminals' own)."""
    has_links = sys.stdout.isatty() and ("WT_SESSION" in environment or environment.get("TERM", "dumb") != "dumb")
    return f"\x1b]8;;{file.absolute().as_uri()}\x1b\\{file}\x1b]8;;\x1b\\" if has_links else str(file)


class _Output(io.FileIO):
    """A file descriptor that is written to for as long as that works."""

    def __init__(self, number: int, failed: Callable[[OSError], None]) -> None:
        super().__init__(number, "w", closefd=False)
        self._failed = failed

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            _lead_nowhere(self.fileno())
            self._failed(error)
        return memoryview(data).nbytes


def _lead_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _written(number: int, failed: Callable[[OSError], None]) -> TextIO:
    raw = _Output(number, failed)
    buffered = raw.isatty() or number == 2
    # What a terminal's encoding lacks is escaped: a prompt in another script is no reason to fail.
    return io.TextIOWrapper(io.BufferedWriter(raw), errors="backslashreplace", line_buffering=buffered)


def _raise_lost(error: OSError) -> None:
    raise OutputLostError(error) from error


def _ignore(error: OSError) -> None:
    pass
