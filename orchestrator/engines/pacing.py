"""How fast: one pacer spaces all API calls of a run, exactly where their bytes are written."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final

from orchestrator.clock import Clock
from orchestrator.steps.calls import LONGEST_HOLD_SECONDS, First, TurnLostError, Urgency
from orchestrator.waiting import Room

MARGIN: Final = 1.02
"""Calls are spaced a little wider than the limit says, so that the network's jitter breaks nothing."""

WINDOW_SECONDS: Final = MARGIN
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

CUT: Final = 0.08
"""How much slower it goes after a refusal, as a share of the rate: the limit is probably just below it."""

STEEPER: Final = 3.0
DEEPEST_CUT: Final = 0.5
"""How many times as large the cut becomes with each refusal that comes soon, and its bound: it may be far below."""

AIM: Final = 0.4
"""What is aimed at then: the rate less this share of the cut."""

SOON_SECONDS: Final = 5.0
CALM_SECONDS: Final = 32.0
"""How long no more than what is aimed at is tried: briefly after several refusals, which may have been a bad hour."""

GROWTH_SECONDS: Final = 17.0
"""How long it takes from there to e times as much: the exponent grows with the fourth power of time."""

SLOWEST: Final = 0.1
FIRST_PAUSE_SECONDS: Final = 1.0


class Schedule:
    """When the next call may be written. Pure: every moment is handed in, in monotonic seconds.

    At most max(1, ⌊rate⌋) calls start in any half-open second, never closer than 1.02/rate, counted
    from the last real write.

    Attributes:
        limit: Calls in a second at most; 0 where there are none for this run just now.
        rate: The same while the service wants fewer.
    """

    def __init__(self, calls_per_second: float) -> None:
        self.limit = calls_per_second
        self.rate = calls_per_second
        self._low = self._aim = calls_per_second
        self._cut = CUT
        self._plateau = CALM_SECONDS
        self._until = math.inf
        self._sent: deque[float] = deque(maxlen=max(1, math.floor(calls_per_second)))
        self._held_until = -math.inf
        self._episode_from = -math.inf
        self._pause = FIRST_PAUSE_SECONDS

    def change(self, limit: float, until: float) -> None:
        """Go by another limit from now on, or by the same one for longer; at `until` it lapses."""
        self._until = until
        if limit == self.limit:
            return
        self.rate = min(self.rate, limit) if 0 < self.rate < self.limit else limit
        self.limit = limit
        self._sent = deque(self._sent, maxlen=max(1, math.floor(limit)))

    def earliest(self, now: float) -> float:
        """Return the first moment, `now` or later, at which a call may be written; infinite while there is none."""
        moment = max(now, self._held_until)
        if not self.rate or now >= self._until:
            return math.inf
        if self._sent:
            moment = max(moment, self._sent[-1] + MARGIN / self.rate)
        if len(self._sent) == self._sent.maxlen:
            moment = max(moment, self._sent[0] + WINDOW_SECONDS)
        return moment

    def sent(self, at: float) -> None:
        """A call was written."""
        self._sent.append(at)
        if math.isinf(self._episode_from):  # no rate has been fine so far
            self._episode_from = at
        if self.rate < self.limit:
            self.rate = min(self.limit, max(self.rate, self._regained(self._calm(at))))

    def refused(self, written_at: float, now: float, retry_after_seconds: float | None) -> None:
        """The service says that calls come too fast; refusals of calls that were already out count once."""
        soon = self._calm(written_at) < SOON_SECONDS + MARGIN / max(self.rate, SLOWEST)
        if retry_after_seconds is not None:
            self._held_until = max(self._held_until, now + min(retry_after_seconds, LONGEST_HOLD_SECONDS))
        if written_at < self._episode_from:
            return
        least = min(self.limit, SLOWEST)
        self._episode_from = now
        self._plateau = SOON_SECONDS if soon else CALM_SECONDS
        self._cut = min(self._cut * STEEPER, DEEPEST_CUT) if soon else CUT
        self._low = max(self.rate * (1 - self._cut), least)
        self._aim = max(self.rate * (1 - AIM * self._cut), least)
        self.rate = self._low
        if not soon:
            self._pause = FIRST_PAUSE_SECONDS
        if retry_after_seconds is None:
            self._held_until = max(self._held_until, now + self._pause)
            if self.rate == least:  # longer pauses only help where no rate does
                self._pause = min(self._pause * 2, LONGEST_HOLD_SECONDS)

    def _calm(self, at: float) -> float:
        """Return for how long, at a moment, calls have been written since the last episode of refusals."""
        return at - max(self._episode_from, self._held_until)

    def _regained(self, calm: float) -> float:
        """Return the rate after so many calm seconds: soon near what is aimed at, there for a while, then far up."""
        beyond = calm - self._plateau
        if beyond < 0:
            return self._aim - (self._aim - self._low) * (-beyond / self._plateau) ** 3
        return self._aim * math.exp(min(beyond / GROWTH_SECONDS, 4.0) ** 4)


class _Turn:
    """One call between being let in and being written."""

    def __init__(self, first: First | None, place: float, room: Room) -> None:
        self.first = first
        self.place = place
        self.room = room
        self.granted_at = 0.0
        self.written_at: float | None = None


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
        self._current: ContextVar[_Turn] = ContextVar("turn")

    @asynccontextmanager
    async def turn(self, urgency: Urgency, first: First | None = None) -> AsyncIterator[None]:
        """Wait to be let in; the block makes one call, and `first` is done right before its request is written."""
        place = self._clock.monotonic() - HEAD_START_SECONDS[urgency]
        turn = _Turn(first, place, self._rooms[first is not None])
        await turn.room.enter(place)
        try:
            while (ahead := self._ahead()) > PATIENCE_SECONDS:
                await self._clock.sleep(NAP_SECONDS if math.isinf(ahead) else ahead - PATIENCE_SECONDS / 2)
            turn.granted_at = self._clock.monotonic()
            token = self._current.set(turn)
            try:
                yield
            finally:
                self._current.reset(token)
        finally:
            if turn.written_at is None:
                turn.room.leave()

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

    async def _write(self, turn: _Turn) -> None:
        await self._gate.enter(turn.place)
        try:
            turn.written_at = await self._moment(turn)
            self.schedule.sent(turn.written_at)
        finally:
            self._gate.leave()
        turn.room.leave()

    async def _moment(self, turn: _Turn) -> float:
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
