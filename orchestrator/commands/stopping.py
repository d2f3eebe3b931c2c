"""Run something that can be stopped: ask, wait, force."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

import anyio

from orchestrator import signals
from orchestrator.engines.control import Control
from orchestrator.errors import Exit, OrchestratorError
from orchestrator.steps.outcomes import Stop
from orchestrator.wording import many

T = TypeVar("T")
Notice: TypeAlias = Callable[[], str]
"""A sentence that is made anew whenever it is shown."""

LAST_SECONDS: Final = 10.0
"""How long after the second signal what was made to end may take to write its last words."""


class InterruptedRunError(OrchestratorError):
    """A signal came before the run had begun, or could not be obeyed in peace."""

    def __init__(self, number: int) -> None:
        super().__init__(_what(number))
        self.code = exit_code(number)


def say(notice: Notice) -> None:
    """Tell on stderr, once."""
    sys.stderr.write(f"{notice()}\n")
    sys.stderr.flush()


async def stoppable(
    work: Callable[[Control], Awaitable[T]], tell: Callable[[Notice], None] = say
) -> tuple[T, int | None]:
    """Do the work; the first signal lets it finish what is at hand, the second ends it.

    What happened is saved even then. A disk that does not answer is waited for `LAST_SECONDS`, by a thread: nothing in
    the event loop can be relied on there. Then the process is gone, as if it had been killed: the next run takes what
    was about to be written for a doubt, and settles it.

    Args:
        work: What to do.
        tell: Told at the first signal what is waited for.

    Returns:
        What the work returned, and the signal that it was stopped by, if one came.

    Raises:
        InterruptedRunError: A signal ended it before it could return anything.
    """
    control = Control()
    came: list[int] = []
    done: list[T] = []
    last = threading.Timer(LAST_SECONDS, lambda: _vanish(came[0]))
    last.daemon = True

    def on_signal(number: int) -> None:
        came.append(number)
        if not control.begun or len(came) > 2:
            scope.cancel()
        elif len(came) > 1:
            control.forced.set()
            last.start()
        if len(came) == 1:
            stop = Stop.INTERRUPTED if number == signal.SIGINT else Stop.TERMINATED
            control.leave(stop, f"{_what(number)} What runs on the service goes on there.")
            if control.begun:
                tell(lambda: _at_hand(control, number))

    try:
        with anyio.CancelScope() as scope, signals.handled(on_signal):
            done.append(await work(control))
    finally:
        last.cancel()
    if not done:
        raise InterruptedRunError(came[0] if came else signal.SIGINT)
    return done[0], came[0] if came else None


def exit_code(number: int) -> int:
    """Return the exit code that goes with a signal."""
    return Exit.INTERRUPTED if number == signal.SIGINT else Exit.TERMINATED


def _what(number: int) -> str:
    return "Interrupted." if number == signal.SIGINT else f"Ended by {signal.Signals(number).name}."


def _at_hand(control: Control, number: int) -> str:
    finishing = many(control.downloads, "download") if control.downloads else "what is at hand"
    again = "press Ctrl-C" if number == signal.SIGINT else f"send {signal.Signals(number).name}"
    return f"Stopping: finishing {finishing}; {again} again to leave at once."


def _vanish(number: int) -> None:
    sys.stderr.write(
        f"orchestrator: The disk has not answered for {LAST_SECONDS:.0f} s, so this ends without saving how far it is."
        " Nothing is lost: the same command finds out what became of every task.\n"
    )
    sys.stderr.flush()
    os._exit(exit_code(number))
