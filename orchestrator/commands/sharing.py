"""Being one of several runs that use the same key: how a command enters its lane, and goes on where it cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Final

import anyio
from anyio.abc import TaskGroup

from orchestrator.clock import Clock
from orchestrator.commands.prepare import credentials
from orchestrator.config import Settings
from orchestrator.engines.pacing import Pacer
from orchestrator.engines.slots import Slots
from orchestrator.errors import LockedError
from orchestrator.lane import (
    WORD_SECONDS,
    LaneError,
    LaneFile,
    Lease,
    Neighbours,
    Pool,
    calls_lease,
    copy_at_work,
    known_as,
    lane_folder,
    places_lease,
)
from orchestrator.ledger import Fact, Ledger
from orchestrator.logs import Log
from orchestrator.runs import RunFolder
from orchestrator.steps.elsewhere import Alone, Others
from orchestrator.threads import Hop, in_thread

SEEN_SECONDS: Final = 5.0


@asynccontextmanager
async def sharing_calls(
    pacer: Pacer, calls_per_second: float, holder: str, settings: Settings, *, clock: Clock, hop: Hop = in_thread
) -> AsyncIterator[None]:
    """Keep to a share of the calls in a second that the account's runs have together while the block runs.

    Without a place to share anything it does not: a run says so (see `among_others`).

    Args:
        pacer: What is to keep to it.
        calls_per_second: The user's limit.
        holder: The run folder, so that a run goes on at once with what it had when it was killed; or any new word.
        settings: Whom to call, and where to share.
        clock: Time.
        hop: Where the lane's file is written.
    """
    async with AsyncExitStack() as stack:
        try:
            file = await stack.enter_async_context(_lane(settings, hop))
            lease = calls_lease(
                Pool(file, "calls", lingers=True), holder, pacer.schedule, calls_per_second, clock=clock, hop=hop
            )
            await lease.renew()
        except LaneError:
            yield
            return
        await stack.enter_async_context(_kept(lease))
        yield


@asynccontextmanager
async def among_others(
    folder: RunFolder,
    ledger: Ledger,
    model: str,
    slots: Slots,
    *,
    settings: Settings,
    clock: Clock,
    log: Log,
    hop: Hop,
) -> AsyncIterator[Others]:
    """Be known to the account's other runs while the block runs, share places with them, and give what asks them.

    A run without a place to share anything goes on alone: what it has paid for stands in its ledger all the same.

    Args:
        folder: The run's.
        ledger: Its ledger.
        model: `owner/model`.
        slots: Its places on the service.
        settings: Whom to ask, and where to share.
        clock: Time.
        log: Where it is told that nothing can be shared.
        hop: Where the lane's file and the others' ledgers are read.

    Raises:
        LockedError: A copy of the run is at work.
    """
    async with AsyncExitStack() as stack:
        try:
            file = await stack.enter_async_context(_lane(settings, hop))
            run = await _entered(file, folder, ledger, clock, hop)
            pool = Pool(file, "places", lingers=False)
            lease = places_lease(pool, run, slots, clock=clock, hop=hop)
            await lease.renew()
            told = await hop(partial(file.told_places, clock.now() - WORD_SECONDS))
        except LaneError as error:
            if settings.state is not None:
                await ledger.state({Fact.ALONE: "1"})
                log.warning(
                    "cannot share a key with other runs: do not start others, or set ORCHESTRATOR_HOME", why=str(error)
                )
            yield Alone()
            return
        await ledger.state({Fact.ALONE: None})
        if told is not None:
            slots.capacity.expect(told)
        group = await stack.enter_async_context(_kept(lease))
        group.start_soon(_stay, file, run, clock, log, hop)
        yield Neighbours(file, run, model, hop)
        await _leave_word(file, run, ledger, clock, hop)
        if slots.capacity.told is not None:
            with suppress(LaneError):  # then the next run finds out by itself
                await hop(partial(file.tell_places, slots.capacity.told, clock.now()))


@asynccontextmanager
async def _lane(settings: Settings, hop: Hop) -> AsyncIterator[LaneFile]:
    """Open the lane's file.

    Raises:
        LaneError: It cannot be used, or there is no place for it.
    """
    if settings.state is None:
        raise LaneError("nothing is kept beyond run folders")
    place = lane_folder(settings.state, settings.base_url, credentials(settings).fingerprint)
    file = await hop(partial(LaneFile, place))
    try:
        yield file
    finally:
        with anyio.CancelScope(shield=True):
            await hop(file.close)


@asynccontextmanager
async def _kept(lease: Lease) -> AsyncIterator[TaskGroup]:
    """Keep a lease while the block runs, then give it back; an error of the block comes out of it as it is."""
    failed: Exception | None = None
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(lease.keep)
            try:
                yield group
            except Exception as error:  # noqa: BLE001 - raised below: the group would wrap it, and hide what it is
                failed = error
            group.cancel_scope.cancel()
    finally:
        await lease.give_back()
    if failed is not None:
        raise failed


async def _entered(file: LaneFile, folder: RunFolder, ledger: Ledger, clock: Clock, hop: Hop) -> str:
    """Put the run into its lane before it sends anything, and return its id.

    Raises:
        LockedError: A copy of it is at work.
    """
    here = await hop(folder.path.resolve)
    held, anew = await ledger.read(lambda store: (store.fact(Fact.RUN), store.fact(Fact.ANEW) is not None))
    run = await hop(partial(known_as, file, held, here))
    if run != held:
        await ledger.state({Fact.RUN: run}, durable=True)
    await hop(partial(file.enter, run, here, clock.now(), anew=anew))
    if anew:
        await ledger.state({Fact.ANEW: None})
    other = await hop(partial(copy_at_work, file, run))  # after it is entered: of two that begin at once one is seen
    if other is not None:
        raise LockedError(
            f"Another process is at work in {other}, and {folder.path} holds the same run: one is a copy of the other,"
            " and both would pay for the same tasks. Go on with one of the two only."
        )
    return run


async def _leave_word(file: LaneFile, run: str, ledger: Ledger, clock: Clock, hop: Hop) -> None:
    """Tell others what they would read in the ledger, unless a request is open: the folder may not stay where it is."""
    since = clock.now() - WORD_SECONDS
    claims = await ledger.read(lambda store: None if store.intents() else store.claims(since))
    if claims is not None:
        with suppress(LaneError):  # then the folder has to stay, and whoever misses it says so
            await hop(partial(file.leave_word, run, since, claims))


async def _stay(file: LaneFile, run: str, clock: Clock, log: Log, hop: Hop) -> None:
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
