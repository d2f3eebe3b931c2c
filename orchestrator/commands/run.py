"""Run a job, or go on with it: prepare, carry every task through its life, and say how it ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import anyio
import anyio.to_thread

from orchestrator import logs
from orchestrator.clock import Clock
from orchestrator.commands import calling, plan, schema, workshop
from orchestrator.commands.heartbeat import Heartbeat
from orchestrator.commands.options import Options, selection
from orchestrator.commands.prepare import (
    TRY_IT,
    Prepared,
    bind,
    binding,
    check_bound,
    check_size,
    credentials,
    facts_of,
    kept_tool,
    prepare,
    read_job,
    wrong_model_told,
)
from orchestrator.commands.pricing import check_prices
from orchestrator.commands.workshop import Workshop
from orchestrator.config import Settings
from orchestrator.drafts import holds, replace_for_good
from orchestrator.engines.control import Control, Halt
from orchestrator.engines.local import Orders
from orchestrator.errors import Exit, RefusedError, StoppedError
from orchestrator.ledger import Reason, SqliteLedger
from orchestrator.lifecycle import FINAL, State
from orchestrator.runs import RunFolder
from orchestrator.schemas import Schemas
from orchestrator.status import PASSING, Status
from orchestrator.steps.calls import Calls
from orchestrator.steps.insist import insist
from orchestrator.steps.outcomes import Stop
from orchestrator.steps.submit import UNORDERED, Frontier
from orchestrator.sweep import JobFile
from orchestrator.tasks import Task
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


async def run(
    path: Path,
    options: Options,
    settings: Settings,
    *,
    control: Control,
    clock: Clock,
    watcher: Watcher,
    agreed: Callable[[Prepared], Awaitable[bool]] | None = None,
    screen: logs.Screen | None = None,
) -> Result:
    """Run a job file, or go on with its run.

    Args:
        path: The job file.
        options: What the user asks for beside it.
        settings: Whom to ask, and as whom.
        control: Stops it.
        clock: Time.
        watcher: Follows it.
        agreed: Asked before anything is submitted, whether the user wants it; None does not ask.
        screen: Where the log's warnings are shown as they come, None for nowhere.

    Raises:
        OrchestratorError: It cannot start; the message says why and what to do.
    """
    file, folder = read_job(path, options, settings, clock.now())
    if not options.emulate:
        credentials(settings, TRY_IT)
    elif not folder.exists():  # the emulator keeps its state there: a job that is refused must not leave any
        _check(await plan.prepared(path, options, settings, clock), options)
    async with AsyncExitStack() as stack:
        early, since = options.emulate or folder.exists(), clock.now()
        if early:
            folder.make(options.state)
            stack.enter_context(folder.held())
        settings = await stack.enter_async_context(
            calling.service(settings, emulate=options.emulate, state=folder.emulator, profile=options.profile)
        )
        limits = options.limits(file.limits)
        tally = calling.Tally()
        calls = await stack.enter_async_context(
            calling.called(settings, limits.requests_per_second, clock, tally, folder)
        )
        schemas = Schemas(settings.cache, settings.base_url)
        prepared = await _prepare(file, folder, calls, schemas, clock, refresh=options.refresh_schema)
        bound = binding(file, settings, options)
        if prepared.facts:
            with folder.opened() as kept:
                check_bound(prepared, bound, kept, options)
        selected = _check(prepared, options)
        if agreed is not None and not await agreed(prepared):
            raise StoppedError("Nothing was submitted.")
        if not early:
            folder.make(options.state)
            since = clock.now()
            stack.enter_context(folder.held())
        store = stack.enter_context(workshop.kept(folder))
        edition = bind(prepared, bound, store, options, since)
        if not holds(folder.job, file.text.encode()):
            replace_for_good(folder.job, [file.text.encode()])
        log = stack.enter_context(logs.opened(folder.log, secrets=settings.secrets, screen=screen))
        shop = await stack.enter_async_context(
            workshop.opened(
                folder,
                store,
                job=prepared.job,
                limits=limits,
                tool=prepared.tool,
                edition=edition,
                settings=settings,
                calls=calls,
                tally=tally,
                control=control,
                clock=clock,
                log=log,
            )
        )
        orders = Orders(selected, options.limit, fail_fast=options.fail_fast, insists=options.resubmit_uncertain)
        return await carry_out(shop, orders, watcher)


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
    clock, ledger = shop.clock, shop.ledger
    started = clock.monotonic()
    heart = Heartbeat(shop, watcher.show, heartbeat_seconds)
    await heart.hear()
    entered = int(await ledger.read(lambda store: store.fact("entered")) or 0)
    unfinished = await ledger.read(SqliteLedger.unfinished)
    pending = shop.job.total() > entered or ledger.totals.counts[State.PENDING] > 0 or bool(unfinished)
    frontier = Frontier(ordered=await ledger.read(lambda store: store.fact(UNORDERED)) is None)
    if orders.submits and pending:
        await _find(frontier, shop, insists=orders.insists)
    if shop.clearing is not None:
        await shop.clearing.finish()
    engine = shop.engine(orders, entered, frontier)
    shop.log.info(  # `newest` tells `recover`, should the ledger be damaged, what cannot be ours, and `model` what can
        "run started",
        model=shop.job.model,
        tasks=shop.job.total(),
        entered=entered,
        unfinished=len(unfinished),
        newest=frontier.newest,
    )
    halt = None
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(_guard, shop.control, scope, clock)
            group.start_soon(heart.run)
            halt = await engine.run(unfinished)
        group.cancel_scope.cancel()
    halt = halt or shop.control.halt
    if orders.submits and shop.edition > 1 and not shop.control.left:
        await engine.feed.finish()  # what an edited job file has dropped has to be known however early the run stops
    final = await heart.last()
    await ledger.state({"updated_at": repr(clock.now()), "cancel": None, **dict.fromkeys(PASSING)})
    left_out = orders.submits and halt is not None and not engine.feed.exhausted
    exit_code = _exit_code(shop, halt, left_out=left_out)
    seconds = clock.monotonic() - started
    shop.log.info("run ended", exit_code=int(exit_code), halt=halt and halt.message, seconds=round(seconds, 3))
    failures = await ledger.read(lambda store: store.failures(MOST_REASONS))
    return Result(shop.folder.path, final, exit_code, halt, seconds, tuple(failures), shop.job.warnings)


async def _prepare(
    file: JobFile, folder: RunFolder, calls: Calls, schemas: Schemas, clock: Clock, *, refresh: bool
) -> Prepared:
    """Check the job against the model's schema: the folder's frozen one, else the one that the service has now."""
    facts = facts_of(folder)
    tool = None if refresh else kept_tool(file, facts)
    if tool is None:
        with wrong_model_told(file):
            tool = await schema.asked(file.model, calls, schemas, clock)
    return prepare(file, folder, facts, tool)


def _check(prepared: Prepared, options: Options) -> Callable[[Task], bool]:
    """Refuse what this invocation cannot do with a job, and return which tasks it is about.

    Raises:
        RefusedError: The job has too many tasks or none, has no price for its budget, or lacks an axis of `--only`.
    """
    job = prepared.job
    check_size(job)
    first = next(job.tasks(), None)
    if first is None:
        raise RefusedError(f"{prepared.file.path}: The job has no tasks: `exclude` leaves none.")
    check_prices(prepared.tool, options.limits(prepared.file.limits), first.parameters)
    return selection(options.only, job)


async def _find(frontier: Frontier, shop: Workshop, *, insists: bool) -> None:
    """Learn the newest remote task there is: what this run submits is newer.

    Raises:
        StoppedError: The list cannot be had, and the user does not insist on going on without it.
    """

    async def newest(client: Client) -> TaskPage:
        return await client.tasks(start=0, limit=1)

    try:
        page = await insist(newest, shop.calls, clock=shop.clock, random=shop.random)
    except StoppedError as error:
        if not insists:
            raise
        shop.log.warning("going on without the service's list of tasks", why=str(error))
        return
    for number in [task.number for task in page.tasks] or [0]:
        frontier.saw(number)


async def _guard(control: Control, scope: anyio.CancelScope, clock: Clock) -> None:
    """Once the run is left, give what is at hand a while to finish, then end it."""
    while not control.left:
        await control.changed.wait()
    await clock.wait(control.forced, GRACE_SECONDS)
    scope.cancel()


def _exit_code(shop: Workshop, halt: Halt | None, *, left_out: bool) -> Exit:
    """Return the exit code; with `left_out`, the ledger does not hold the whole job as it now is."""
    if halt is not None and halt.stop in SIGNALLED:
        return SIGNALLED[halt.stop]
    totals = shop.ledger.totals
    kept = {state: totals.counts[state] - totals.dropped[state] for state in State}
    if left_out or sum(kept[state] for state in FINAL) < shop.job.total():
        return Exit.STOPPED
    return Exit.DONE if kept[State.DONE] == shop.job.total() else Exit.SOME_FAILED
