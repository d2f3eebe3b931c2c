"""What happened is written down even while being cancelled."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def shielded(save: Awaitable[T]) -> T:
    """Await a save to its end; a cancellation waits until it is done.

    The wait is as long as the disk takes. Whoever was told twice to stop is not held up by it for ever: see
    `orchestrator.commands.stopping`. What was not saved by then is in doubt, and the next run settles it.
    """
    done: list[T] = []
    with anyio.CancelScope(shield=True):
        done.append(await save)
    return done[0]
