"""Carry the tasks of an opened run through their lives, and say how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import anyio

from orchestrator.clock import Clock
from orchestrator.commands.assembling import assembled
from orchestrator.commands.heartbeat import Heartbeat
from orchestrator.commands.workshop import Workshop
from orchestrator.engines.control import Control, Halt
from orchestrator.engines.local import LocalEngine, Orders
from orchestrator.errors import Exit, StoppedError
from orchestrator.facts import PASSING
from orchestrator.ledger import Fact, Reason, SqliteLedger
from orchestrator.lifecycle import FINAL, Record, State
from orchestrator.status import Status
from orchestrator.steps.insist import insist
from orchestrator.steps.outcomes import Stop
from orchestrator.steps.submit import Frontier
from orchestrator.wiro import Client, TaskPage

HEARTBEAT_SECONDS: Final = 0.25
GRACE_SECONDS: Final = 10.0
MOST_REASONS: Final = 5
SIGNALLED: Final = {Stop.INTERRUPTED: Exit.INTERRUPTED, Stop.TERMINATED: Exit.TERMINATED}


class Watcher(Protocol):
    """Follows a run while it goes on."""

    def show(self, status: Status) -> None:
        """Take note of where the run stands; called a few times a second."""


@dataclass(frozen=True, slots=True)
class Result:
    """How an invocation ended.

    Attributes:
        halt: Why it stopped early, None if it did not.
        seconds: How long it took.
        failures: The most frequent reasons of failed tasks.
        warnings: What the job file probably does not mean.
    """

    folder: Path
    status: Status
    exit_code: Exit
    halt: Halt | None
    seconds: float
    failures: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()


async def carry_out(
    shop: Workshop, orders: Orders, watcher: Watcher, *, heartbeat_seconds: float = HEARTBEAT_SECONDS
) -> Result:
    """Let the engine carry the run folder's tasks as far as the orders say and the service lets it.

    Args:
        shop: What it works with.
        orders: What this invocation is about.
        watcher: Follows it.
        heartbeat_seconds: How often the watcher is shown where the run stands.
    """
    around, started = shop.around, shop.around.clock.monotonic()
    heart = Heartbeat(shop, watcher.show, heartbeat_seconds)
    await heart.hear()
    engine, unfinished = await _begun(shop, orders)
    halt = None
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(_guard, around.control, scope, around.clock)
            group.start_soon(heart.run)
            halt = await engine.run(unfinished)
        group.cancel_scope.cancel()
    halt = halt or around.control.halt
    if orders.submits and shop.commission.edition > 1 and not around.control.left:
        await engine.feed.finish()  # what an edited job file has dropped has to be known however early the run stops
    final = await heart.last()
    await shop.ledger.state({Fact.UPDATED_AT: repr(around.clock.now()), Fact.CANCEL: None, **dict.fromkeys(PASSING)})
    code = _exit_code(shop, halt, left_out=orders.submits and halt is not None and not engine.feed.exhausted)
    seconds = around.clock.monotonic() - started
    around.log.info("run ended", exit_code=int(code), halt=halt and halt.message, seconds=round(seconds, 3))
    failures = await shop.ledger.read(lambda store: store.failures(MOST_REASONS))
    return Result(shop.folder.path, final, code, halt, seconds, tuple(failures), shop.commission.job.warnings)


async def _begun(shop: Workshop, orders: Orders) -> tuple[LocalEngine, list[Record]]:
    """Do what comes before the first task, and return the engine and the tasks that it goes on with.

    Raises:
        StoppedError: See `_find`.
    """
    job, ledger = shop.commission.job, shop.ledger
    entered = int(await ledger.read(lambda store: store.fact(Fact.ENTERED)) or 0)
    unfinished = await ledger.read(SqliteLedger.unfinished)
    pending = job.total() > entered or ledger.totals.counts[State.PENDING] > 0 or bool(unfinished)
    frontier = Frontier(ordered=await ledger.read(lambda store: store.fact(Fact.UNORDERED)) is None)
    if orders.submits and pending:
        await _find(frontier, shop, insists=orders.insists)
    if shop.clearing is not None:
        await shop.clearing.finish()
    shop.around.log.info(
        "run started",  # `newest` tells `recover`, should the ledger be damaged, what cannot be ours, `model` what can
        model=job.model,
        tasks=job.total(),
        entered=entered,
        unfinished=len(unfinished),
        newest=frontier.newest,
    )
    return assembled(shop, orders, entered, frontier), unfinished


async def _find(frontier: Frontier, shop: Workshop, *, insists: bool) -> None:
    """Learn the newest remote task there is: what this run submits is newer.

    Raises:
        StoppedError: The list cannot be had, and the user does not insist on going on without it.
    """

    async def newest(client: Client) -> TaskPage:
        return await client.tasks(start=0, limit=1)

    around = shop.around
    try:
        page = await insist(newest, around.line.calls, clock=around.clock, random=around.random)
    except StoppedError as error:
        if not insists:
            raise
        around.log.warning("going on without the service's list of tasks", why=str(error))
        return
    for number in [task.number for task in page.tasks] or [0]:
        frontier.saw(number)


async def _guard(control: Control, scope: anyio.CancelScope, clock: Clock) -> None:
    """Once the run is left, give what is at hand a while to finish, then end it."""
    while not control.left:
        await control.rested.wait()
    await clock.wait(control.forced, GRACE_SECONDS)
    scope.cancel()


def _exit_code(shop: Workshop, halt: Halt | None, *, left_out: bool) -> Exit:
    """Return the exit code; with `left_out`, the ledger does not hold the whole job as it now is."""
    if halt is not None and halt.stop in SIGNALLED:
        return SIGNALLED[halt.stop]
    totals, tasks = shop.ledger.totals, shop.commission.job.total()
    if left_out or totals.kept(*FINAL) < tasks:
        return Exit.STOPPED
    return Exit.DONE if totals.kept(State.DONE) == tasks else Exit.SOME_FAILED
