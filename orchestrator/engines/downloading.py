"""How many files are fetched at once: as many as make all of them come sooner, and no more."""

from __future__ import annotations

from typing import Final, Protocol

from orchestrator.clock import Clock
from orchestrator.engines.control import Signal
from orchestrator.waiting import Room

WIDTHS: Final = (2, 3, 4, 6, 8, 12, 16, 24, 32)
"""How many at once are tried. Each may hold a megabyte in memory."""

FIRST: Final = WIDTHS.index(4)
FIRST_STRIDE: Final = 2
"""By so many places of that row the width grows in the beginning, until that is in vain."""

WORTH: Final = 0.3
"""Twice as many at once pay where at least two to this power, 1.23, times as many bytes come."""

LONGEST_REST: Final = 15
"""For how many rounds at most a width is kept before another one is tried."""

SETTLING_SECONDS: Final = 0.5
"""How long new connections take to become as fast as they will be: what comes meanwhile does not count."""

UNTIL_ANSWERED: Final = 1.5
"""The same where answers take long: so many times as long as they usually do."""

ROUND_SECONDS: Final = 1.5
"""For how long is counted what comes."""

SILENT_SECONDS: Final = 2.0
"""Where nothing, or next to nothing, has come for so long, another file is fetched meanwhile.

It is longer where a server takes its time for all that it is asked for: there the width has to be learnt with that.
"""

MOST_SILENT: Final = 32
"""How many may be silent before others have to wait for them: with the widest width, 64 connections are open."""

LOOK_SECONDS: Final = 0.5
"""How often, while others wait, silent ones are counted."""


class Arriving(Protocol):
    """What comes of files, see `orchestrator.wiro.arrivals.Arrivals`."""

    @property
    def bytes(self) -> int:
        """How many bytes have come so far."""

    @property
    def usual_seconds(self) -> float:
        """How long an answer has taken of late, from the request to its head."""

    def silent(self, seconds: float, /) -> int:
        """Return of how many files nothing, or next to nothing, has come for so long, and for unusually long."""


class Width:
    """How many files to fetch at once, from how many bytes a second came so far. Pure.

    A width is worth the bytes that come, over the width to the power of `WORTH`. So the best one is that at which a
    shared link is full, the largest where each connection has a limit of its own, and the smallest where a server is
    slow whatever is asked of it. The width that is kept is compared with its neighbours: a better one takes its place,
    and after one that is no better the other side is tried, later each time.
    """

    def __init__(self) -> None:
        self._kept = self._place = FIRST
        self._worth = 0.0
        self._stride = FIRST_STRIDE
        self._rest = self._patience = 0

    @property
    def now(self) -> int:
        """How many at once, until the next word."""
        return WIDTHS[self._place]

    def measured(self, bytes_per_second: float) -> None:
        """So many bytes came while so many files were fetched as `now` says, and others waited."""
        worth = bytes_per_second / self.now**WORTH
        if self._place != self._kept and worth <= self._worth:
            self._place = self._kept
            self._stride = -1 if self._stride > 0 else 1
            self._rest = self._patience = min(2 * self._patience + 1, LONGEST_REST)
            return
        if self._place != self._kept:
            self._kept = self._place
            self._rest = self._patience = 0
        self._worth = worth
        if self._rest:
            self._rest -= 1
        else:
            self._place = self._neighbour()

    def _neighbour(self) -> int:
        last = len(WIDTHS) - 1
        if not 0 <= self._kept + self._stride <= last:
            self._stride = -1 if self._kept == last else 1
        return self._kept + self._stride


class Downloads:
    """Lets in as many as `Width` says, and one more for each that is silent, in the order in which they came.

    Nothing is measured, and nothing runs, while nobody has to wait.
    """

    def __init__(self, arrivals: Arriving, clock: Clock) -> None:
        """Begin with nobody in.

        Args:
            arrivals: What comes of those that are in.
            clock: Time.
        """
        self._arrivals = arrivals
        self._clock = clock
        self._width = Width()
        self._places = Room(self._width.now)
        self._crowd = Signal()

    async def acquire(self) -> None:
        """Wait until one more file may be fetched."""
        if not self.acquire_now():
            self._crowd.notify()
            await self._places.enter()

    def acquire_now(self) -> bool:
        """Fetch one more file where that is possible without waiting; return whether it is."""
        return self._places.enter_now()

    def release(self) -> None:
        """Let the next one in."""
        self._places.leave()

    async def run(self) -> None:
        """Measure, and widen or narrow; runs until cancelled."""
        while True:
            while not self._places.waiting:
                self._make_room(0)
                await self._crowd.wait()
            await self._pass(max(SETTLING_SECONDS, UNTIL_ANSWERED * self._arrivals.usual_seconds))
            if not self._full():
                continue
            bytes_before, began_at = self._arrivals.bytes, self._clock.monotonic()
            await self._pass(ROUND_SECONDS)
            if self._full():
                self._width.measured((self._arrivals.bytes - bytes_before) / (self._clock.monotonic() - began_at))

    async def _pass(self, seconds: float) -> None:
        """Let some time go by, and none of it be lost to those that are silent."""
        for _ in range(round(seconds / LOOK_SECONDS)):
            self._make_room(min(self._arrivals.silent(SILENT_SECONDS), MOST_SILENT))
            await self._clock.sleep(LOOK_SECONDS)

    def _make_room(self, silent: int) -> None:
        """Have as many places as there are to be, beside so many that are silent."""
        self._places.resize(self._width.now + silent)

    def _full(self) -> bool:
        """Return whether others wait while exactly so many are in as may be: after a narrowing there are more."""
        return self._places.waiting > 0 and self._places.free == 0
