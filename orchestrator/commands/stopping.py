"""Run something that can be stopped: ask, wait, force."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from orchestrator import signals
from orchestrator.engines.control import Control
from orchestrator.errors import Exit, OrchestratorError
from orchestrator.steps.outcomes import Stop

T = TypeVar("T")


class InterruptedRunError(OrchestratorError):
    """A signal came before the run had begun, or could not be obeyed in peace."""

    def __init__(self, number: int) -> None:
        super().__init__("Interrupted.")
        self.code = exit_code(number)


async def stoppable(work: Callable[[Control], Awaitable[T]]) -> tuple[T, int | None]:
    """Do the work; the first signal lets it finish what is at hand, the second ends it.

    Returns:
        What the work returned, and the signal that it was stopped by, if one came.

    Raises:
        InterruptedRunError: A signal ended it before it could return anything.
    """
    control = Control()
    came: list[int] = []
    done: list[T] = []

    def on_signal(number: int) -> None:
        came.append(number)
        if not control.begun or len(came) > 2:
            scope.cancel()
        elif len(came) > 1:
            control.forced.set()
        control.leave(Stop.INTERRUPTED, "Interrupted; what runs on the service goes on there.")

    with anyio.CancelScope() as scope, signals.handled(on_signal):
        done.append(await work(control))
    if not done:
        raise InterruptedRunError(came[0] if came else signal.SIGINT)
    return done[0], came[0] if came else None


def exit_code(number: int) -> int:
    """Return the exit code that goes with a signal."""
    return Exit.INTERRUPTED if number == signal.SIGINT else Exit.TERMINATED
