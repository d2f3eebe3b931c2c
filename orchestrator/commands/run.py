"""Run a job, or go on with it: prepare, see that the user wants it, and let it be carried out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from orchestrator import logs
from orchestrator.clock import Clock
from orchestrator.commands import calling, plan, schema, workshop
from orchestrator.commands.calling import Line
from orchestrator.commands.carrying import Result, Watcher, carry_out
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
from orchestrator.commands.workshop import Commission, Surroundings
from orchestrator.config import Settings
from orchestrator.drafts import holds, replace_for_good
from orchestrator.engines.control import Control
from orchestrator.engines.local import Orders
from orchestrator.errors import RefusedError, StoppedError
from orchestrator.runs import Binding, RunFolder
from orchestrator.sweep import JobFile
from orchestrator.tasks import Task


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
    limits = options.limits(file.limits)
    async with AsyncExitStack() as stack:
        early = options.emulate or folder.exists()
        since = stack.enter_context(_taken(folder, options, clock)) if early else None
        line = await stack.enter_async_context(
            calling.reached(
                settings,
                limits.requests_per_second,
                clock,
                emulate=options.emulate,
                profile=options.profile,
                folder=folder,
            )
        )
        prepared = await _prepare(file, folder, line, clock, refresh=options.refresh_schema)
        bound = binding(file, line.settings, options)
        selected = _permitted(prepared, bound, options)
        if agreed is not None and not await agreed(prepared):
            raise StoppedError("Nothing was submitted.")
        if since is None:
            since = stack.enter_context(_taken(folder, options, clock))
        store = stack.enter_context(workshop.working_ledger(folder))
        edition = bind(prepared, bound, store, options, since)
        if not holds(folder.job, file.text.encode()):
            replace_for_good(folder.job, [file.text.encode()])
        log = stack.enter_context(logs.opened(folder.log, secrets=line.settings.secrets, screen=screen))
        commission = Commission(prepared.job, limits, prepared.tool, edition)
        around = Surroundings(line, control, clock, log)
        shop = await stack.enter_async_context(workshop.opened(folder, store, commission, around))
        orders = Orders(selected, options.limit, fail_fast=options.fail_fast, insists=options.resubmit_uncertain)
        return await carry_out(shop, orders, watcher)


@contextmanager
def _taken(folder: RunFolder, options: Options, clock: Clock) -> Iterator[float]:
    """Be the only process at work in the folder, which is made where there is none; give since when, unix seconds."""
    since = clock.now()
    folder.make(options.state)
    with folder.held():
        yield since


async def _prepare(file: JobFile, folder: RunFolder, line: Line, clock: Clock, *, refresh: bool) -> Prepared:
    """Check the job against the model's schema: the folder's frozen one, else the one that the service has now."""
    facts = facts_of(folder)
    tool = None if refresh else kept_tool(file, facts)
    if tool is None:
        with wrong_model_told(file):
            tool = await schema.asked(file.model, line, clock)
    return prepare(file, folder, facts, tool)


def _permitted(prepared: Prepared, bound: Binding, options: Options) -> Callable[[Task], bool]:
    """See that a run may go on in its folder, and return which tasks this invocation is about.

    Raises:
        RefusedError: See `check_bound` and `_check`.
    """
    if prepared.facts:
        with prepared.folder.opened() as store:
            check_bound(prepared, bound, store, options)
    return _check(prepared, options)


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
