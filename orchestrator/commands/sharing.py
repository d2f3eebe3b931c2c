"""Being one of several runs that use the same key: how a command enters its lane, and goes on where it cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import anyio
from structlog.typing import FilteringBoundLogger

from orchestrator.clock import Clock
from orchestrator.commands.prepare import credentials
from orchestrator.config import Settings
from orchestrator.lane import RUN, LaneError, LaneFile, Neighbours, known_as, lane_folder
from orchestrator.ledger import Ledger
from orchestrator.runs import RunFolder
from orchestrator.steps.elsewhere import Alone, Others
from orchestrator.threads import Hop

SEEN_SECONDS: Final = 5.0


@asynccontextmanager
async def among_others(
    folder: RunFolder,
    ledger: Ledger,
    model: str,
    *,
    settings: Settings,
    clock: Clock,
    log: FilteringBoundLogger,
    hop: Hop,
) -> AsyncIterator[Others]:
    """Be known to the other runs of the account while the block runs, and give what knows them.

    A run without a place to share anything goes on alone: what it has paid for stands in its ledger all the same.
    """
    if settings.state is None:
        yield Alone()
        return
    place = lane_folder(settings.state, settings.base_url, credentials(settings).fingerprint)
    try:
        file = await hop(partial(LaneFile, place))
        run = await _entered(file, folder, ledger, clock, hop)
    except LaneError as error:
        log.warning("cannot share a key with other runs: start none, or set ORCHESTRATOR_HOME", why=str(error))
        yield Alone()
        return
    if file.set_aside is not None:
        log.warning("what runs with the same key share was damaged and begins anew", set_aside=str(file.set_aside))
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_stay, file, run, clock, log, hop)
            yield Neighbours(file, run, model, hop)
            group.cancel_scope.cancel()
    finally:
        file.close()


async def _entered(file: LaneFile, folder: RunFolder, ledger: Ledger, clock: Clock, hop: Hop) -> str:
    """Put the run into its lane before it sends anything, and return its id."""
    here = await hop(folder.path.resolve)
    held = await ledger.read(lambda store: store.fact(RUN))
    run = await hop(partial(known_as, file, held, here))
    if run != held:
        await ledger.state({RUN: run}, durable=True)
    await hop(partial(file.enter, run, here, clock.now()))
    return run


async def _stay(file: LaneFile, run: str, clock: Clock, log: FilteringBoundLogger, hop: Hop) -> None:
    """Tell again and again that the run is at work."""
    told = False
    while True:
        await clock.sleep(SEEN_SECONDS)
        try:
            await hop(partial(file.seen, run, clock.now()))
        except LaneError as error:
            if not told:
                log.warning("cannot tell other runs with the same key of this one", why=str(error))
            told = True
