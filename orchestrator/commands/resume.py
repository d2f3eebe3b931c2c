"""Go on with a run folder without its job file: what the folder keeps says everything."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from orchestrator import logs
from orchestrator.clock import Clock
from orchestrator.commands import calling, workshop
from orchestrator.commands.carrying import Result, Watcher, carry_out
from orchestrator.commands.options import Options
from orchestrator.commands.prepare import credentials
from orchestrator.commands.workshop import Commission, Surroundings
from orchestrator.config import Settings
from orchestrator.engines.control import Control
from orchestrator.engines.local import Orders
from orchestrator.facts import forgotten, frozen_tool, resolved_job
from orchestrator.ledger import Fact, SqliteLedger
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
        emulate = ledger.fact(Fact.SERVICE) == EMULATOR
    async with AsyncExitStack() as stack:
        since = clock.now()
        stack.enter_context(folder.held())
        store = stack.enter_context(workshop.working_ledger(folder))
        facts = store.facts()
        job = resolved_job(facts)
        limits = options.limits(job.limits)
        line = await stack.enter_async_context(
            calling.reached(settings, limits.requests_per_second, clock, emulate=emulate, folder=folder)
        )
        address, account = line.settings.base_url, credentials(line.settings).fingerprint
        Binding(facts[Fact.SOURCE], EMULATOR if emulate else address, account).check(facts, folder.path, MOVED)
        with store.transaction(durable=True):
            store.state(forgotten(store.facts(), since))
            before(store)
        log = stack.enter_context(logs.opened(folder.log, secrets=line.settings.secrets, screen=screen))
        commission = Commission(job, limits, frozen_tool(facts), int(facts[Fact.EDITION]))
        around = Surroundings(line, control, clock, log)
        shop = await stack.enter_async_context(workshop.opened(folder, store, commission, around))
        return await carry_out(shop, orders, watcher)
