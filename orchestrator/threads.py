"""Where work is done that blocks: in a thread, or wherever whoever hands another way in wants it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import anyio.to_thread

T = TypeVar("T")


class Hop(Protocol):
    """Does blocking work where it blocks nobody."""

    async def __call__(self, work: Callable[[], T], /) -> T:
        """Return what the work returns; even a cancelled caller waits for its end."""


async def in_thread(work: Callable[[], T]) -> T:
    """Do it in a thread."""
    return await anyio.to_thread.run_sync(work)
