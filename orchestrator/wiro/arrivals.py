"""What has come of files, and of how many that are asked for nothing comes just now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["Arrivals", "Line"]

NEXT_TO_NOTHING: Final = 2**12
"""So many bytes have to come before a request counts as one that brings something: a server that drips does not."""

UNUSUAL: Final = 3.0
"""So many times as long as an answer usually takes is unusually long."""

MEMORY: Final = 1 / 8
"""How much an answer weighs in what is usual, against all before it."""


def loop_time() -> float:
    """Return the seconds of the event loop's clock."""
    return asyncio.get_running_loop().time()


class Line:
    """One request for a file, from its being made until its connection is let go.

    Attributes:
        waits: Whether it is the server that is waited for, and not our disk.
    """

    __slots__ = ("_arrivals", "_bytes", "_since", "waits")

    def __init__(self, arrivals: Arrivals) -> None:
        self.waits = True
        self._arrivals = arrivals
        self._bytes = 0
        self._since = arrivals.now()

    def answered(self) -> None:
        """The head of the answer has come."""
        self.waits = False
        self._arrivals.usual_seconds += MEMORY * (self._arrivals.now() - self._since - self._arrivals.usual_seconds)

    def heard(self, count: int) -> None:
        """So many bytes have come."""
        self._arrivals.bytes += count
        self._bytes += count
        if self._bytes >= NEXT_TO_NOTHING:
            self._bytes = 0
            self._since = self._arrivals.now()

    def is_silent(self, since: float) -> bool:
        """Return whether it has waited since then, and next to nothing has come."""
        return self.waits and self._since <= since

    def close(self) -> None:
        """Nothing more is to come."""
        self._arrivals.close(self)


class Arrivals:
    """What has come over all lines.

    Attributes:
        now: Tells the time in seconds.
        bytes: How many bytes of files have come so far.
        usual_seconds: How long an answer has taken of late, from the request to its head.
    """

    def __init__(self, now: Callable[[], float] = loop_time) -> None:
        self.now = now
        self.bytes = 0
        self.usual_seconds = 0.0
        self._open: set[Line] = set()

    @property
    def unusual_seconds(self) -> float:
        """After how long an answer is unusually late."""
        return UNUSUAL * self.usual_seconds

    def open(self) -> Line:
        """Return a new line."""
        line = Line(self)
        self._open.add(line)
        return line

    def close(self, line: Line) -> None:
        """Forget a line; a second call does nothing."""
        self._open.discard(line)

    def silent(self, seconds: float) -> int:
        """Return over how many lines next to nothing has come for so long, and for unusually long."""
        since = self.now() - max(seconds, self.unusual_seconds)
        return sum(line.is_silent(since) for line in self._open)
