"""How a run is to go on: everybody asks here, and waits only as long as there is reason to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import anyio

from orchestrator.engines.delays import Delays
from orchestrator.steps.outcomes import Stop
from orchestrator.waiting import Turn


@dataclass(frozen=True, slots=True)
class Halt:
    """Why a run stopped early."""

    stop: Stop
    message: str


_Scopes = dict[anyio.CancelScope, None]
"""Who waits, in the order in which they began: it says who ends first, and no address in memory does."""


class Signal:
    """Something has changed: whoever waits looks again."""

    def __init__(self) -> None:
        self._waiting: list[Turn] = []

    def notify(self) -> None:
        """Wake everybody who waits; costs nothing where nobody does."""
        for turn in self._waiting:
            turn.set()
        self._waiting.clear()

    async def wait(self) -> None:
        """Wait for the next change."""
        turn = Turn()
        self._waiting.append(turn)
        await turn.wait()


class Until:
    """A wait that others may end; the block is told by its scope whether they did."""

    __slots__ = ("_over", "_scope", "_scopes")

    def __init__(self, scopes: _Scopes, *, over: bool) -> None:
        self._scopes = scopes
        self._over = over
        self._scope = anyio.CancelScope()

    def __enter__(self) -> anyio.CancelScope:
        scope = self._scope.__enter__()
        self._scopes[scope] = None
        if self._over:
            scope.cancel()
        return scope

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        del self._scopes[self._scope]
        return bool(self._scope.__exit__(kind, error, trace))


class Control:
    """Open, closed (no more submits, what runs is finished) or left (nothing is waited for any more).

    Attributes:
        halt: The first reason for closing, or the reason for leaving.
        begun: Tasks are being carried, so that there is something to leave in peace.
        cancelling: What runs on the service is to be ended.
        live: How many tasks are being carried.
        downloads: The outputs of how many are being fetched.
        delays: What tasks wait for longer than they should.
        forced: Not even what is at hand is to be finished.
        changed: Set off whenever a task moves or one of these words is said.
        rested: Set off when the last task is carried no longer, when a doubt is settled and when a word is said: for
            those who wait for the end of it all, and would be woken three times for each task otherwise.
    """

    def __init__(self) -> None:
        self.halt: Halt | None = None
        self.closed = False
        self.left = False
        self.begun = False
        self.cancelling = False
        self.live = 0
        self.downloads = 0
        self.delays = Delays()
        self.forced = Turn()
        self.changed = Signal()
        self.rested = Signal()
        self._hurries: list[Callable[[], None]] = []
        self._until_closed: _Scopes = {}
        self._until_left: _Scopes = {}

    def note(self, stop: Stop, message: str) -> None:
        """No further tasks are begun; those that are go on to their end."""
        self.halt = self.halt or Halt(stop, message)

    def close(self, stop: Stop, message: str) -> None:
        """Submit no more; what runs is finished."""
        self.note(stop, message)
        self.closed = True
        self._end(self._until_closed)

    def leave(self, stop: Stop, message: str) -> None:
        """Submit no more and wait for nothing; remote tasks stay, and the next run goes on with them."""
        if not self.left:
            self.halt = Halt(stop, message)
        self.closed = self.left = True
        self._end(self._until_closed | self._until_left)
        self._hurry()

    def cancel(self) -> None:
        """Submit no more, and end what runs on the service."""
        self.cancelling = True
        self.close(Stop.CANCELLED, "The run was cancelled, and what ran on the service was told to end.")
        self._hurry()

    def until_closed(self) -> Until:
        """A wait that is given up when nothing more is to be submitted."""
        return Until(self._until_closed, over=self.closed)

    def until_left(self) -> Until:
        """A wait that is given up when the run is left."""
        return Until(self._until_left, over=self.left)

    def on_hurry(self, hurry: Callable[[], None]) -> None:
        """Have something called when the run is left or cancelled: whoever waits for a look waits no longer."""
        self._hurries.append(hurry)

    def _hurry(self) -> None:
        for hurry in self._hurries:
            hurry()

    def _end(self, scopes: _Scopes) -> None:
        for scope in tuple(scopes):
            scope.cancel()
        self.changed.notify()
        self.rested.notify()
