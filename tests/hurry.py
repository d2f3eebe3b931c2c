"""A clock of this machine on which a second passes in a fraction of one."""

from __future__ import annotations

import time

from orchestrator.clock import SystemClock
from orchestrator.waiting import Turn


class HurriedClock:
    """See `orchestrator.clock.Clock`; for both sides of a connection, so that they agree."""

    def __init__(self, times_faster: float) -> None:
        self._times_faster = times_faster
        self._began, self._began_at = time.monotonic(), time.time()
        self._skipped = 0.0

    def skip(self, seconds: float) -> None:
        """Let these seconds pass at once."""
        self._skipped += seconds

    def monotonic(self) -> float:
        return (time.monotonic() - self._began) * self._times_faster + self._skipped

    def now(self) -> float:
        return self._began_at + self.monotonic()

    async def sleep(self, seconds: float) -> None:
        await SystemClock().sleep(seconds / self._times_faster)

    async def wait(self, turn: Turn, seconds: float) -> bool:
        return await SystemClock().wait(turn, seconds / self._times_faster)
