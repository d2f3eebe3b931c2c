"""Time as it is handed in: the system's, or one that a test moves by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import anyio
import anyio.lowlevel


class Clock(Protocol):
    """All that the logic knows of time."""

    def now(self) -> float:
        """Return the wall clock in unix seconds (UTC); it may jump."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; it never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait; zero or less still gives the others a turn."""

    async def wait(self, event: anyio.Event, seconds: float) -> bool:
        """Wait for `event`, at most `seconds`; return whether it came."""


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

    async def wait(self, event: anyio.Event, seconds: float) -> bool:
        """See `Clock.wait`."""
        with anyio.move_on_after(max(0.0, seconds)):
            await event.wait()
        return event.is_set()


class VirtualClock:
    """A clock that stands still until `run` moves it to the next moment somebody waits for."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._time = start
        self._jump = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._asked = anyio.Event()

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
        with self._alarm(seconds) as alarm:
            await alarm.wait()

    async def wait(self, event: anyio.Event, seconds: float) -> bool:
        """See `Clock.wait`."""
        if event.is_set() or seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return event.is_set()
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                await event.wait()
                group.cancel_scope.cancel()

            group.start_soon(watch)
            await self.sleep(seconds)
            group.cancel_scope.cancel()
        return event.is_set()

    async def run(self) -> None:
        """Move time from one awaited moment to the next, whenever everybody waits; runs until cancelled.

        A thread at work or a reply on its way across a socket counts as waiting.
        """
        while True:
            await _everybody_waits()
            if not self._sleepers:
                self._asked = anyio.Event()
                await self._asked.wait()
                continue
            moment, _, alarm = heapq.heappop(self._sleepers)
            self._time = max(self._time, moment)
            alarm.set()

    @contextmanager
    def _alarm(self, seconds: float) -> Iterator[anyio.Event]:
        entry = (self._time + seconds, next(self._order), anyio.Event())
        heapq.heappush(self._sleepers, entry)
        self._asked.set()
        try:
            yield entry[2]
        finally:
            if not entry[2].is_set():
                self._sleepers.remove(entry)
                heapq.heapify(self._sleepers)


async def _everybody_waits() -> None:
    """Return once nothing is left to do in this event loop; anyio's own way looks only ten times a second."""
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    if ready is None:  # a loop that does not show its queue
        await anyio.wait_all_tasks_blocked()
        return
    await anyio.lowlevel.checkpoint()
    while ready:
        await anyio.lowlevel.checkpoint()
