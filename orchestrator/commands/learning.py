"""What a run learns of its model, from the runs before and for those to come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import anyio

from orchestrator.clock import Clock
from orchestrator.engines.forecast import Forecast
from orchestrator.experience import Experience
from orchestrator.threads import Hop

KEEP_SECONDS: Final = 60.0
"""How often it is kept while the run goes on: a run that is killed has taught something, too."""


@asynccontextmanager
async def forecasting(
    experience: Experience, stated_seconds: float | None, clock: Clock, hop: Hop
) -> AsyncIterator[Forecast]:
    """Give the forecast that earlier runs have taught, and keep what this one teaches."""
    forecast = Forecast.remembered(await hop(experience.remembered), stated_seconds)

    async def keep() -> None:
        await hop(partial(experience.keep, forecast.kept()))

    async def keep_on() -> None:
        while True:
            await clock.sleep(KEEP_SECONDS)
            await keep()

    async with anyio.create_task_group() as keeping:
        keeping.start_soon(keep_on)
        try:
            yield forecast
        finally:
            keeping.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await keep()
