"""Look at a remote task once, and end one that is to run no longer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from orchestrator.clock import Clock
from orchestrator.ledger import Ledger
from orchestrator.lifecycle import Ending, Failure, Record
from orchestrator.money import FREE
from orchestrator.steps.calls import Calls, TurnLostError, Urgency
from orchestrator.steps.outcomes import Outcome, Verdict, judge
from orchestrator.wiro import Client, Phase, RemoteTask, WiroError
from orchestrator.wiro.errors import one_line

PATIENCE_SECONDS: Final = 10.0
"""How long the answer to a look may take at first. A look costs nothing and changes nothing, and while one hangs, as it
does on a connection that is dead without anybody having said so, the task's end is not seen. Whoever looks again is to
have twice the patience: a slow service is to be heard, too."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look has shown.

    Attributes:
        record: The task as it now stands in the ledger.
        remote: What the service said; None where it said nothing usable.
        trouble: What stood in the way of the look, if anything did.
    """

    record: Record
    remote: RemoteTask | None = None
    trouble: Outcome | None = None


async def ask(
    record: Record, urgency: Urgency, calls: Calls, *, patience_seconds: float = PATIENCE_SECONDS, by_id: bool = True
) -> RemoteTask | Outcome:
    """Ask the service for the task, by its token where there is one.

    Args:
        record: A task that was accepted.
        urgency: How likely it is that there is news.
        calls: The service.
        patience_seconds: How long an answer may take.
        by_id: Whether a task whose token the service does not know is asked for by its id as well.
    """
    attempt = record.sent
    said = await _detail(attempt.token, attempt.remote_id, urgency, calls, patience_seconds)
    if by_id and attempt.token and attempt.remote_id and isinstance(said, Outcome) and said.verdict is Verdict.GONE:
        return await _detail(None, attempt.remote_id, urgency, calls, patience_seconds)
    return said


async def _detail(
    token: str | None, task_id: str | None, urgency: Urgency, calls: Calls, seconds: float
) -> RemoteTask | Outcome:
    try:
        return await calls.make(urgency, lambda client: client.task(token=token, task_id=task_id, seconds=seconds))
    except (WiroError, TurnLostError) as error:
        return judge(error, paying=False)


async def look(
    record: Record,
    *,
    urgency: Urgency,
    patience_seconds: float = PATIENCE_SECONDS,
    attempts: int,
    price_usd: Decimal | None = None,
    overdue: Failure | None = None,
    by_id: bool = False,
    calls: Calls,
    ledger: Ledger,
    clock: Clock,
) -> Sight:
    """Ask once how a running task fares, and write down its end.

    Args:
        record: A running task.
        urgency: How likely it is that the task has ended.
        patience_seconds: How long the answer may take.
        attempts: How many times a task is tried in all when it fails unbilled.
        price_usd: What it costs if it succeeds, where that is fixed beforehand.
        overdue: Why we had it killed, if we had.
        by_id: Whether it is asked for by its id as well.
        calls: The service.
        ledger: Where the end is written down.
        clock: Gives the time of the end.

    Returns:
        The record: still running, or fetching, failed, cancelled, or pending for another try.
    """
    said = await ask(record, urgency, calls, patience_seconds=patience_seconds, by_id=by_id)
    if isinstance(said, Outcome):
        return Sight(record, trouble=said)
    after = concluded(record, said, attempts, clock.now(), overdue=overdue, price_usd=price_usd)
    if after is not record:
        await ledger.save(record, after, durable=False)
    return Sight(after, said)


def concluded(
    record: Record,
    remote: RemoteTask,
    attempts: int,
    now: float,
    *,
    overdue: Failure | None = None,
    price_usd: Decimal | None = None,
) -> Record:
    """Return the record that follows from what the service says of a running task."""
    phase = remote.phase
    if phase is Phase.UNDER_WAY:
        return record
    # One that ended without saying how may be paid for and its outputs on their way: it is never tried again by itself.
    made = phase is Phase.SUCCEEDED or remote.unclear
    ending = ending_of(remote, now, price_usd)
    if made:
        return record.succeeded(ending)
    if overdue is not None:
        return record.failed(overdue, now, ending)
    if phase is Phase.CANCELLED:
        return record.cancelled(ending)
    failure = Failure("failed", reason(remote))
    if remote.unbilled and record.failures + 1 < attempts:
        return record.fell_through(ending, failure)
    return record.failed(failure, now, ending)


def ending_of(remote: RemoteTask, now: float, price_usd: Decimal | None) -> Ending:
    """Return how a remote task has ended, as the service says now; a success that says no cost has cost `price_usd`."""
    cost = remote.cost_usd
    if cost is None and remote.phase is Phase.SUCCEEDED:
        cost = price_usd  # the older form of replies does not say
    elif remote.unclear:
        cost = cost or None  # a 0 may stand there because nobody has written the cost down yet
    elif remote.unbilled:
        cost = FREE
    return Ending(remote.status, remote.exit_code, cost, remote.elapsed_seconds, now)


def reason(remote: RemoteTask) -> str:
    """Return the service's words for a failure: the last line that says something."""
    lines = [line for line in map(one_line, remote.error_text.splitlines()) if line]
    if lines:
        return lines[-1]
    return one_line(f"the service gave no reason (status {remote.status}, exit code {remote.exit_text or 'none'})")


async def end(record: Record, calls: Calls, *, queued: bool) -> bool:
    """Ask the service to end a task: to cancel it while it is queued, to kill it when it runs.

    Returns:
        Whether the service agreed. That settles nothing: only a look tells what became of the task.
    """
    token, remote_id = record.sent.token, record.sent.remote_id or ""  # what runs has one
    if queued and await _agreed(lambda client: client.cancel(task_id=remote_id, token=token), calls):
        return True
    return await _agreed(lambda client: client.kill(task_id=remote_id, token=token), calls)


async def _agreed(call: Callable[[Client], Awaitable[object]], calls: Calls) -> bool:
    try:
        await calls.make(Urgency.LIKELY_DONE, call)
    except (WiroError, TurnLostError):
        return False
    return True
