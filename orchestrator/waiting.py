"""Waiting for each other: what is cheap because nearly nobody has to.

anyio's events and semaphores give others a turn each time, and are made for many who wait. Each request of a task goes
through a dozen such places, most of which let it pass at once.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from types import TracebackType

import anyio


class Turn:
    """What one waits for until somebody says so; it is passed at once where that has been said."""

    __slots__ = ("_is_over", "_waiter")

    def __init__(self) -> None:
        self._is_over = False
        self._waiter: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Return whether the wait is over."""
        return self._is_over

    def set(self) -> None:
        """Let whoever waits go on; a second call does nothing."""
        self._is_over = True
        self.wake()

    def wake(self) -> None:
        """Let whoever waits go on without its being over: the time for it may be."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait; one at a time.

        Raises:
            RuntimeError: Somebody waits already, and only one would be woken.
        """
        if not self._is_over:
            if self._waiter is not None and not self._waiter.done():
                raise RuntimeError("two wait for one turn")
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    async def outlast(self) -> None:
        """Wait even while being cancelled: the cancellation comes when the wait is over."""
        try:
            await self.wait()
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await self.wait()
            raise


class Room:
    """Lets in so many at a time, the lowest rank first, and those of one rank in the order in which they came.

    Attributes:
        places: How many may be in.
        free: How many more may come in at once; negative while more are in than there are places by now.
    """

    __slots__ = ("_order", "_queue", "free", "places")

    def __init__(self, places: int) -> None:
        self.places = self.free = places
        self._queue: list[tuple[float, int, Turn]] = []
        self._order = itertools.count()

    @property
    def waiting(self) -> int:
        """How many wait to be let in."""
        return len(self._queue)

    def enter_now(self) -> bool:
        """Come in where that is possible without waiting; return whether it was."""
        if self.free <= 0:
            return False
        self.free -= 1
        return True

    async def enter(self, rank: float = 0.0) -> None:
        """Wait to be let in."""
        if self.enter_now():
            return
        turn = Turn()
        entry = (rank, next(self._order), turn)
        heapq.heappush(self._queue, entry)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():  # it was let in and cancelled in the same moment
                self.leave()
            else:
                self._queue.remove(entry)
                heapq.heapify(self._queue)
            raise

    def leave(self) -> None:
        """Make room for the next one."""
        self._add(1)

    def resize(self, places: int) -> None:
        """Have so many places from now on; whoever is in stays."""
        more, self.places = places - self.places, places
        self._add(more)

    def _add(self, places: int) -> None:
        self.free += places
        while self._queue and self.free > 0:
            self.free -= 1
            heapq.heappop(self._queue)[2].set()

    async def __aenter__(self) -> None:
        await self.enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()
