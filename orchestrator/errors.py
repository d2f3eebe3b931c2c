"""Everything that can go wrong in the words of a user, and the exit code that goes with it."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class Exit(IntEnum):
    """How the program ends; other programs rely on these numbers."""

    DONE = 0
    SOME_FAILED = 1
    REFUSED = 2
    STOPPED = 3
    BUG = 70
    LOCKED = 75
    INTERRUPTED = 130
    TERMINATED = 143


class OrchestratorError(Exception):
    """The root: its text is a whole sentence for the user, its class tells the exit code."""

    exit_code: ClassVar[Exit] = Exit.BUG


class RefusedError(OrchestratorError):
    """Nothing was submitted: the file, the options, the model, the folder or the credentials do not fit."""

    exit_code = Exit.REFUSED


class StoppedError(OrchestratorError):
    """The run stopped early; the same command goes on with it."""

    exit_code = Exit.STOPPED


class LockedError(OrchestratorError):
    """Another process holds the run folder."""

    exit_code = Exit.LOCKED
