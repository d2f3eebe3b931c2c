"""How the program ends: every error as a sentence and an exit code, never as a traceback."""

from __future__ import annotations

import errno
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping

import typer

from orchestrator.errors import Exit, OrchestratorError
from orchestrator.streams import OutputLostError, abandon

OUT_OF_OUR_HANDS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENFILE}
    | {errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR, errno.ENOTDIR}
)
"""What the machine can come to lack at any moment: room, permission, a disk that works, handles; and names that lead
nowhere on it, or to a folder where a file is meant."""

SECRETS = ("WIRO_API_KEY", "WIRO_API_SECRET")


def reported(work: Callable[[], int | None], environment: Mapping[str, str]) -> int:
    """Do the work, tell on stderr what went wrong, and return the exit code.

    Args:
        work: May return an exit code.
        environment: Where the secrets stand that no report may show.
    """
    try:
        code = work()
        if code == Exit.INTERRUPTED:
            abandon()  # what was not taken until then: whoever was interrupted at the end of a pipe has waited enough
        sys.stdout.flush()
    except (typer.Abort, KeyboardInterrupt):
        abandon()
        _say("Interrupted.")
        return Exit.INTERRUPTED
    except OutputLostError as lost:
        return _lost(lost)
    except Exception as error:  # noqa: BLE001 - the last line of defence
        if hasattr(error, "show"):  # the command line's own errors: a wrong option, a missing argument
            error.show()
            return Exit.REFUSED
        return _told(root(error), environment)
    return code or Exit.DONE


def answered(answer: str, code: int) -> int:
    """Print how something ended, and return the exit code: `code`, which holds even where nobody is there to read."""
    try:
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    except OutputLostError as lost:
        return code or _lost(lost)
    return code


def root(error: BaseException) -> BaseException:
    """Return what is behind the groups that task groups make: an error with a sentence of its own, if there is one."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    inner = [root(each) for each in error.exceptions]
    return next((each for each in inner if isinstance(each, OrchestratorError)), inner[0])


def _told(error: BaseException, environment: Mapping[str, str]) -> int:
    if isinstance(error, OrchestratorError):
        code = getattr(error, "code", error.exit_code)
        _say(str(error))
        return int(code)
    if isinstance(error, OSError) and error.errno in OUT_OF_OUR_HANDS:
        name = error.filename2 or error.filename or "A file"  # of two, what was to be replaced is the one people know
        _say(
            f"{name} cannot be used: {error.strerror}. Fix the cause and run the same command again: nothing that was"
            " paid for is lost."
        )
        return Exit.STOPPED
    text = "".join(traceback.format_exception(error))
    for name in SECRETS:
        if secret := environment.get(name):
            text = text.replace(secret, "[secret]")
    with tempfile.NamedTemporaryFile("w", prefix="orchestrator-", suffix=".log", delete=False) as file:
        file.write(text)
    _say(
        f"This is a bug: {type(error).__name__}. Nothing that was paid for is lost: run the same command again to go"
        f" on. Please report it with the details in {file.name}"
    )
    return Exit.BUG


def _lost(lost: OutputLostError) -> Exit:
    if lost.exit_code is not Exit.DONE:
        _say(str(lost))
    return lost.exit_code


def _say(sentence: str) -> None:
    sys.stderr.write(f"orchestrator: {sentence}\n")
