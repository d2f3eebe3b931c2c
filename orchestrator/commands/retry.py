"""Another try for what failed or was cancelled."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from orchestrator import logs
from orchestrator.clock import Clock
from orchestrator.commands.carrying import Result, Watcher
from orchestrator.commands.options import Options, selection
from orchestrator.commands.pricing import check_prices
from orchestrator.commands.resume import resume
from orchestrator.config import Settings
from orchestrator.engines.control import Control
from orchestrator.engines.local import Orders
from orchestrator.facts import frozen_tool, resolved_job
from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import PAID_KINDS, Record, State
from orchestrator.runs import RunFolder
from orchestrator.tasks import Task


async def retry(
    folder: RunFolder,
    options: Options,
    settings: Settings,
    *,
    pay_again: bool,
    control: Control,
    clock: Clock,
    watcher: Watcher,
    screen: logs.Screen | None = None,
) -> Result:
    """Make failed and cancelled tasks pending again, and go on with the run.

    Args:
        folder: The run folder.
        options: Which tasks, and this invocation's limits.
        settings: Whom to ask.
        pay_again: Send tasks again that were paid for and not delivered; otherwise only their outputs are asked for.
        control: Stops it.
        clock: Time.
        watcher: Follows it.
        screen: Where the log's warnings are shown as they come, None for nowhere.

    Raises:
        OrchestratorError: It cannot start.
    """
    with folder.opened() as store:
        facts = store.facts()
    job = resolved_job(facts)
    selected = selection(options.only, job)
    for task in islice(job.tasks(), 1):
        check_prices(frozen_tool(facts), options.limits(job.limits), task.parameters)
    return await resume(
        folder,
        options,
        settings,
        orders=Orders(selected, options.limit),
        before=lambda store: reopen(store, selected, pay_again=pay_again),
        control=control,
        clock=clock,
        watcher=watcher,
        screen=screen,
    )


def reopen(store: SqliteLedger, selected: Callable[[Task], bool], *, pay_again: bool) -> None:
    """Write down that failed and cancelled tasks are to be tried again; those that were dropped stay."""
    for record in store.finished(undone=True):
        if record.dropped or not selected(record.task):
            continue
        paid = may_be_paid(record)
        if pay_again or not (paid or store.was_billed(record.task.id)):  # an earlier try counts, too
            store.save(record, record.retried())
        elif paid and can_be_asked_for(record):
            store.save(record, record.refetched())


def may_be_paid(record: Record) -> bool:
    """Return whether a failed task was or may have been paid for, so that sending it again might pay twice."""
    failure = record.failure
    if record.state is not State.FAILED or failure is None:
        return False
    if failure.kind in PAID_KINDS:
        return True
    return can_be_asked_for(record) and (record.sent.cost_usd is None or record.sent.cost_usd > 0)


def can_be_asked_for(record: Record) -> bool:
    """Return whether it is known which of the service's tasks it is; `recover` may have found that to be lost."""
    return record.attempt is not None and record.attempt.remote_id is not None


def is_lost(record: Record) -> bool:
    """Return whether a task was or may have been paid for and has failed because outputs of it could not be had."""
    return may_be_paid(record) and record.failure is not None and record.failure.kind in PAID_KINDS
