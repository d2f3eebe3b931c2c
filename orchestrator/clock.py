"""Time as it is handed in: the system's, or one that a test moves by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import anyio
import anyio.lowlevel

from orchestrator.waiting import Turn


class Clock(Protocol):
    """All that the logic knows of time."""

    def now(self) -> float:
        """Return the wall clock in unix seconds (UTC); it may jump."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; it never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait; zero or less still gives the others a turn."""

    async def wait(self, turn: Turn, seconds: float) -> bool:
        """Wait for a turn, at most `seconds` (infinite: as long as it takes); return whether it came."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """See `Clock.now`."""
        return time.time()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await anyio.sleep(max(0.0, seconds))

    async def wait(self, turn: Turn, seconds: float) -> bool:
        """See `Clock.wait`."""
        if math.isinf(seconds):
            await turn.wait()
        else:
            whole = math.ceil(max(0.0, seconds) * 1000) / 1000  # uvloop counts milliseconds, and none is too soon
            alarm = asyncio.get_running_loop().call_later(whole, turn.wake)
            try:
                await turn.wait()
            finally:
                alarm.cancel()
        await anyio.lowlevel.checkpoint_if_cancelled()  # where both came at once, the cancellation goes first
        return turn.is_set()


@dataclass(eq=False, slots=True)
class _Alarm:
    """What is done at a moment that somebody waits for; nothing, once it is called off."""

    ring: Callable[[], object] | None


class VirtualClock:
    """A clock that stands still until `run` or `tick` moves it to the next moment somebody waits for."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._time = start
        self._jump = 0.0
        self._order = itertools.count()
        self._alarms: list[tuple[float, int, _Alarm]] = []
        self._asked = asyncio.Event()

    def now(self) -> float:
        """See `Clock.now`."""
        return self._time + self._jump

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._time

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or a time server does."""
        self._jump += seconds

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        over = asyncio.Event()
        alarm = self._set(seconds, over.set)
        try:
            await over.wait()
        finally:
            alarm.ring = None

    async def wait(self, turn: Turn, seconds: float) -> bool:
        """See `Clock.wait`."""
        if turn.is_set() or seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return turn.is_set()
        alarm = self._set(seconds, turn.wake) if seconds < math.inf else _Alarm(None)
        try:
            await turn.wait()
        finally:
            alarm.ring = None
        await anyio.lowlevel.checkpoint_if_cancelled()  # see `SystemClock.wait`
        return turn.is_set()

    def tick(self) -> bool:
        """Move time to the next moment that somebody waits for, and wake them; return whether there was one."""
        while self._alarms:
            moment, _, alarm = heapq.heappop(self._alarms)
            if alarm.ring is not None:
                self._time = max(self._time, moment)
                alarm.ring()
                return True
        return False

    async def run(self) -> None:
        """Move time from one awaited moment to the next, whenever everybody waits; runs until cancelled.

        A thread at work or a reply on its way across a socket counts as waiting.
        """
        while True:
            await _everybody_waits()
            if not self.tick():
                self._asked.clear()
                await self._asked.wait()

    def _set(self, seconds: float, ring: Callable[[], object]) -> _Alarm:
        alarm = _Alarm(ring)
        heapq.heappush(self._alarms, (self._time + seconds, next(self._order), alarm))
        self._asked.set()
        return alarm


async def _everybody_waits() -> None:
    """Return once nothing is left to do in this event loop; anyio's own way looks only ten times a second."""
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    if ready is None:  # a loop that does not show its queue
        await anyio.wait_all_tasks_blocked()
        return
    await asyncio.sleep(0)
    while ready:  # noqa: ASYNC110 - the loop has no event for it
        await asyncio.sleep(0)
