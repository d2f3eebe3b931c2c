"""Go on with a run folder without its job file: what the folder keeps says everything."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from orchestrator import logs
from orchestrator.clock import Clock
from orchestrator.commands import calling, workshop
from orchestrator.commands.options import Options
from orchestrator.commands.prepare import credentials
from orchestrator.commands.run import Result, Watcher, carry_out
from orchestrator.config import Settings
from orchestrator.engines.control import Control
from orchestrator.engines.local import Orders
from orchestrator.facts import forgotten, frozen_tool, resolved_job
from orchestrator.ledger import SqliteLedger
from orchestrator.runs import EMULATOR, Binding, RunFolder

MOVED: Final = "Set WIRO_BASE_URL and WIRO_API_KEY to those; `orchestrator run JOB --rebind` tells it of new ones."


async def resume(
    folder: RunFolder,
    options: Options,
    settings: Settings,
    *,
    orders: Orders,
    before: Callable[[SqliteLedger], None],
    control: Control,
    clock: Clock,
    watcher: Watcher,
    screen: logs.Screen | None = None,
) -> Result:
    """Let the engine go on with a run folder.

    Args:
        folder: The run folder.
        options: This invocation's limits.
        settings: Whom to ask; has to be the service and the account that the folder belongs to.
        orders: What this invocation is about.
        before: Changes the ledger before the engine reads it.
        control: Stops it.
        clock: Time.
        watcher: Follows it.
        screen: Where the log's warnings are shown as they come, None for nowhere.

    Raises:
        OrchestratorError: It cannot start.
    """
    with folder.opened() as ledger:
        emulate = ledger.fact("service") == EMULATOR
    async with AsyncExitStack() as stack:
        since = clock.now()
        stack.enter_context(folder.held())
        settings = await stack.enter_async_context(calling.service(settings, emulate=emulate, state=folder.emulator))
        store = stack.enter_context(workshop.kept(folder))
        facts = store.facts()
        service = EMULATOR if emulate else settings.base_url
        Binding(facts["source"], service, credentials(settings).fingerprint).check(facts, folder.path, MOVED)
        job = resolved_job(facts)
        limits = options.limits(job.limits)
        tally = calling.Tally()
        calls = await stack.enter_async_context(
            calling.called(settings, limits.requests_per_second, clock, tally, folder)
        )
        with store.transaction(durable=True):
            store.state(forgotten(store.facts(), since))
            before(store)
        shop = await stack.enter_async_context(
            workshop.opened(
                folder,
                store,
                job=job,
                limits=limits,
                tool=frozen_tool(facts),
                edition=int(facts["edition"]),
                settings=settings,
                calls=calls,
                tally=tally,
                control=control,
                clock=clock,
                log=stack.enter_context(logs.opened(folder.log, secrets=settings.secrets, screen=screen)),
            )
        )
        return await carry_out(shop, orders, watcher)
