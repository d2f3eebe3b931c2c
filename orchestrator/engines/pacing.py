"""How fast: one pacer spaces all API calls of a run, exactly where their bytes are written."""

from __future__ import annotations

import math
from contextvars import ContextVar
from types import TracebackType
from typing import Final

from orchestrator.clock import Clock
from orchestrator.engines.schedule import Schedule
from orchestrator.steps.calls import First, TurnLostError, Urgency
from orchestrator.waiting import Room

HEAD_START_SECONDS: Final = {Urgency.LIKELY_DONE: 1.0, Urgency.SUBMIT: 0.0, Urgency.ROUTINE: -2.0}
"""Who comes first when calls are scarce. Places in the queue age, so nobody waits for ever."""

NEAR_SECONDS: Final = 0.05
"""How far ahead of its moment a request does at least what comes first, as a share of the calls of a second."""

AHEAD: Final = 2.0
"""The same in times of what that takes: whoever comes when others have begun to commit waits for these, too."""

NEWEST: Final = 0.2
"""How much the newest one counts for in what that takes on average."""

PATIENCE_SECONDS: Final = 1.0
STALE_SECONDS: Final = 5.0
"""A call is written at most this long after it was let in: its intent must not be older than 10 s."""

NAP_SECONDS: Final = 0.25
"""How often a call looks whether there is a limit again, where it is told of none."""


class Pacer:
    """Lets calls in by urgency and writes them by schedule.

    A call first asks for a `turn`, then finds its connection, then passes the `gate` and is written.
    Only few calls are between turn and gate, so that connections do not grow old in a queue; and of these only
    the next ones have done what comes first, so that a kill leaves hardly a request in doubt that was never sent.
    These are as many as come in turn while it is done, so that a slow disk costs no calls; and those that have
    nothing to do first have a room of their own, so that they do not wait for it.
    """

    def __init__(self, calls_per_second: float, clock: Clock) -> None:
        self.schedule = Schedule(calls_per_second)
        self._clock = clock
        places = max(1, min(32, math.floor(calls_per_second)))
        self._rooms = {True: Room(places), False: Room(places)}
        self._near = Room(1)
        self._first_seconds = 0.0
        self._gate = Room(1)
        self._current: ContextVar[Admission] = ContextVar("turn")

    def turn(self, urgency: Urgency, first: First | None = None) -> Admission:
        """Wait to be let in; the block makes one call, and `first` is done right before its request is written."""
        place = self._clock.monotonic() - HEAD_START_SECONDS[urgency]
        return Admission(self, first, place, self._rooms[first is not None])

    async def let_in(self, turn: Admission) -> None:
        """Wait until a call of this task is let in by a turn."""
        await turn.room.enter(turn.place)
        try:
            while (ahead := self._ahead()) > PATIENCE_SECONDS:
                await self._clock.sleep(NAP_SECONDS if math.isinf(ahead) else ahead - PATIENCE_SECONDS / 2)
        except BaseException:
            turn.room.leave()
            raise
        turn.granted_at = self._clock.monotonic()
        self._current.set(turn)

    async def gate(self, _endpoint: str = "") -> None:
        """Wait for the moment at which the current call may be written.

        Raises:
            TurnLostError: The moment is too far off to wait for it here: ask for another turn.
        """
        turn = self._current.get()
        if turn.first is None:
            await self._write(turn)
            return
        self._near.resize(self._firsts())
        await self._near.enter(turn.place)
        try:
            begun_at = self._clock.monotonic()
            if begun_at - turn.granted_at > STALE_SECONDS / 2:  # rather now than with an intent that was for nothing
                raise TurnLostError
            await turn.first()
            self._first_seconds += (self._clock.monotonic() - begun_at - self._first_seconds) * NEWEST
            await self._write(turn)
        finally:
            self._near.leave()

    def _firsts(self) -> int:
        """Return how many calls at a time do what comes first, or have done so."""
        seconds = max(NEAR_SECONDS, self._first_seconds * AHEAD)
        return max(1, min(self._rooms[True].places, math.ceil(self.schedule.rate * seconds)))

    async def _write(self, turn: Admission) -> None:
        await self._gate.enter(turn.place)
        try:
            turn.written_at = await self._moment(turn)
            self.schedule.sent(turn.written_at)
        finally:
            self._gate.leave()
        turn.room.leave()

    async def _moment(self, turn: Admission) -> float:
        """Wait until a call may be written, and return that moment."""
        while True:
            now = self._clock.monotonic()
            moment = self.schedule.earliest(now)
            wake = now + NAP_SECONDS if math.isinf(moment) else moment
            if wake - turn.granted_at > STALE_SECONDS:
                raise TurnLostError
            if moment <= now:
                return now
            await self._clock.sleep(wake - now)

    def refused(self, retry_after_seconds: float | None) -> None:
        """The current call was answered that calls come too fast."""
        now = self._clock.monotonic()
        self.schedule.refused(self._current.get().written_at or now, now, retry_after_seconds)

    def _ahead(self) -> float:
        now = self._clock.monotonic()
        return self.schedule.earliest(now) - now


class Admission:
    """One call, from asking to be let in until it is answered."""

    __slots__ = ("_pacer", "first", "granted_at", "place", "room", "written_at")

    def __init__(self, pacer: Pacer, first: First | None, place: float, room: Room) -> None:
        self.first = first
        self.place = place
        self.room = room
        self.granted_at = 0.0
        self.written_at: float | None = None
        self._pacer = pacer

    async def __aenter__(self) -> None:
        await self._pacer.let_in(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.written_at is None:
            self.room.leave()
