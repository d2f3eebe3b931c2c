"""Where work is done that blocks: in a thread, or as the way that is handed in does it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

import anyio.to_thread

from orchestrator.waiting import Turn

T = TypeVar("T")


class Hop(Protocol):
    """Does blocking work where it blocks nobody."""

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Return what the work returns; even a cancelled caller waits for its end."""


async def in_thread(work: Callable[[], T]) -> T:
    """Do it in a thread."""
    return await anyio.to_thread.run_sync(work)


@asynccontextmanager
async def crew(threads: int, instead: Hop | None = None) -> AsyncIterator[Hop]:
    """Give threads that share what is to be done; they go when the block ends.

    To wake a thread and to be woken by it costs more than most of what there is to do. So a thread takes its share of
    all that waits, and the event loop hears of the whole share at once.

    Args:
        threads: How many.
        instead: Where the work is done instead, for whoever wants to know all that happens.
    """
    if instead is not None:
        yield instead
        return
    asked: SimpleQueue[_Errand[Any] | None] = SimpleQueue()
    loop = asyncio.get_running_loop()

    async def hop(work: Callable[[], T], /) -> T:
        errand = _Errand(work)
        asked.put(errand)
        await errand.done.outlast()
        return errand.result()

    for number in range(threads):
        threading.Thread(target=_run_errands, args=(asked, threads, loop), name=f"crew {number}", daemon=True).start()
    try:
        yield hop
    finally:
        for _ in range(threads):
            asked.put(None)


class _Errand(Generic[T]):
    """One piece of work, and what came of it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._value: list[T] = []
        self._error: BaseException | None = None
        self.done = Turn()

    def run(self) -> None:
        """Do the work, in a thread."""
        try:
            self._value.append(self._work())
        except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it
            self._error = error

    def result(self) -> T:
        """Return or raise what came of it."""
        if self._error is not None:
            raise self._error
        return self._value[0]


def _run_errands(asked: SimpleQueue[_Errand[Any] | None], threads: int, loop: asyncio.AbstractEventLoop) -> None:
    """Do what is asked for, until told that this is all."""
    while (errand := asked.get()) is not None:
        share = [errand, *_waiting(asked, asked.qsize() // threads)]
        for each in share:
            each.run()
        loop.call_soon_threadsafe(_tell, share)


def _waiting(asked: SimpleQueue[_Errand[Any] | None], most: int) -> Iterator[_Errand[Any]]:
    """Take what waits without waiting for more."""
    for _ in range(most):
        try:
            errand = asked.get_nowait()
        except Empty:  # another thread was quicker
            return
        if errand is None:  # meant for whoever asks next
            asked.put(None)
            return
        yield errand


def _tell(share: list[_Errand[Any]]) -> None:
    for errand in share:
        errand.done.set()
