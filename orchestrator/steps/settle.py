"""Settle requests whose reply was lost: the service's list tells whether it has them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Final

from orchestrator.clock import Clock
from orchestrator.ledger import ClaimedError, Ledger
from orchestrator.lifecycle import Record
from orchestrator.money import to_pico
from orchestrator.steps.calls import Calls, TurnLostError, Urgency
from orchestrator.steps.outcomes import Outcome, Verdict, judge
from orchestrator.steps.saving import shielded
from orchestrator.tasks import Parameters, canonical_json
from orchestrator.wiro import Client, RemoteTask, TaskPage, WiroError

PAGE: Final = 50
OVERLAP: Final = 5
MOST_PAGES: Final = 400
CLOCK_SLACK_SECONDS: Final = 120.0
"""How far the service's clock may be behind ours, where only its clock tells old tasks from new ones."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A task whose request may have been accepted.

    Attributes:
        since: Monotonic seconds since when nobody waits for the reply.
    """

    record: Record
    since: float


@dataclass(frozen=True, slots=True)
class Listing:
    """The service's newest tasks, read without a gap down to what is older than every doubt.

    Attributes:
        tasks: By id, newest first.
        read_from: Monotonic seconds at which the reading began: what was accepted later may be missing.
    """

    tasks: Mapping[str, RemoteTask]
    read_from: float


@dataclass(frozen=True, slots=True)
class Matching:
    """What a listing says of the doubts, by task id.

    Attributes:
        adopted: The remote task that one found is.
        absent: Those that the service does not show.
        blocked: Those that may be behind a remote task whose parameters cannot be read.
    """

    adopted: Mapping[str, RemoteTask]
    absent: frozenset[str]
    blocked: frozenset[str]


async def settle(
    doubts: Sequence[Doubt],
    *,
    posting: Collection[Parameters],
    model: str,
    settle_after_seconds: float,
    calls: Calls,
    ledger: Ledger,
    clock: Clock,
) -> list[tuple[Doubt, Record]] | Outcome:
    """Look the doubts up in the service's list and write down what is certain now.

    Args:
        doubts: What is to be settled.
        posting: Parameters of requests that are still out: nothing like them is adopted.
        model: `owner/model`.
        settle_after_seconds: How long after a request was given up the service may still come to show it.
        calls: The service.
        ledger: Where it is written down, and who knows which remote tasks are ours already.
        clock: Gives the time.

    Returns:
        Those that are settled, running or pending; or why the list could not be read.
    """
    listing = await read_list([doubt.record for doubt in doubts], calls, clock)
    if isinstance(listing, Outcome):
        return listing
    claimed = await _claimed(listing, ledger)
    free = {remote_id: task for remote_id, task in listing.tasks.items() if remote_id not in claimed}
    out = {canonical(parameters) for parameters in posting}
    open_doubts = [doubt for doubt in doubts if canonical(doubt.record.task.parameters) not in out]
    free = await _with_parameters(free, open_doubts, model, calls)
    matching = match([doubt.record for doubt in open_doubts], list(free.values()), model)
    settled = []
    for doubt in open_doubts:
        after = _follow(doubt, matching, listing.read_from - settle_after_seconds, clock.now())
        if after is not None and await _save(doubt.record, after, ledger):
            settled.append((doubt, after))
    return settled


async def read_list(uncertain: Sequence[Record], calls: Calls, clock: Clock) -> Listing | Outcome:
    """Read the list of the account's tasks down to what is older than every uncertain one.

    The list moves while it is read, so pages overlap; where two do not, the reading steps back. It ends
    at a task that is old enough or at a page that brings nothing new; what the list says of its own
    length is not relied on.
    """
    read_from = clock.monotonic()
    found: dict[str, RemoteTask] = {}
    start = 0
    for _ in range(MOST_PAGES):
        page = await _page(start, calls)
        if isinstance(page, Outcome):
            return page
        fresh = [task for task in page.tasks if task.task_id not in found]
        if found and fresh and len(fresh) == len(page.tasks):
            start = max(0, start - PAGE)  # tasks have gone from the list, and nothing joins the two pages
            continue
        found.update((task.task_id, task) for task in fresh)
        if not fresh or _older_than_all(fresh[-1], uncertain):
            return Listing(found, read_from)
        start += max(1, len(page.tasks) - OVERLAP)
    return Outcome(Verdict.AGAIN, "The service's list of tasks has no end that fits.")


def match(uncertain: Sequence[Record], remote: Sequence[RemoteTask], model: str) -> Matching:
    """Say which uncertain task is which remote one. Pure.

    Args:
        uncertain: Tasks of ours.
        remote: Remote tasks that belong to none of ours.
        model: `owner/model`.
    """
    same_model = [task for task in remote if task.model is None or task.model.casefold() == model.casefold()]
    free = sorted(same_model, key=lambda task: (task.number or 0, task.task_id))
    adopted: dict[str, RemoteTask] = {}
    absent, blocked = set(), set()
    for record in sorted(uncertain, key=lambda record: record.sent.intent_at):
        candidates = [task for task in free if not _older(task, record)]
        sought = canonical(record.task.parameters)
        found = next((task for task in candidates if _same(sought, task)), None)
        if found is not None:
            adopted[record.task.id] = found
            free.remove(found)
        elif any(not task.parameters for task in candidates):
            blocked.add(record.task.id)
        else:
            absent.add(record.task.id)
    return Matching(adopted, frozenset(absent), frozenset(blocked))


def canonical(parameters: Parameters) -> frozenset[tuple[str, str]]:
    """Return parameters in a form in which the spellings `4`, `"4"` and `4.0` are one; empty ones are left out."""
    return frozenset((name, text) for name, value in parameters.items() if (text := _text(value)))


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return canonical_json(value)
    text = str(value).strip()
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return f"{number.normalize():f}" if number.is_finite() and abs(number.adjusted()) < 40 else text


def _same(sought: frozenset[tuple[str, str]], task: RemoteTask) -> bool:
    """The service may add parameters of its own, so ours have to be among those it shows."""
    return bool(task.parameters) and sought <= canonical(task.parameters or {})


def _older(task: RemoteTask, record: Record) -> bool:
    """Whether a remote task was certainly there before the request was sent. Ids grow, clocks differ."""
    attempt = record.sent
    if task.number is not None and attempt.newest_known is not None:
        return task.number <= attempt.newest_known
    return task.created_at is not None and task.created_at < attempt.intent_at - CLOCK_SLACK_SECONDS


def _older_than_all(task: RemoteTask, uncertain: Sequence[Record]) -> bool:
    return all(_older(task, record) for record in uncertain)


def _follow(doubt: Doubt, matching: Matching, given_up_by: float, now: float) -> Record | None:
    """Return the record that is certain now, None where nothing is."""
    record = doubt.record
    remote = matching.adopted.get(record.task.id)
    if remote is not None:
        return record.accepted(remote.task_id, remote.token, remote.created_at or now)
    if record.task.id in matching.absent and doubt.since <= given_up_by:
        return record.not_accepted()
    return None


async def _save(before: Record, after: Record, ledger: Ledger) -> bool:
    try:
        await shielded(ledger.save(before, after, durable=True))
    except ClaimedError:
        return False
    if after.attempt is None:
        ledger.count("resubmitted")
    else:
        ledger.count("adopted")
        ledger.count("saved", to_pico(after.attempt.reserved_usd))
    return True


async def _page(start: int, calls: Calls) -> TaskPage | Outcome:
    async def tasks(client: Client) -> TaskPage:
        return await client.tasks(start=start, limit=PAGE)

    try:
        return await calls.make(Urgency.LIKELY_DONE, tasks)
    except (WiroError, TurnLostError) as error:
        return judge(error, paying=False)


async def _claimed(listing: Listing, ledger: Ledger) -> set[str]:
    ids = list(listing.tasks)
    claimed: set[str] = set()
    for start in range(0, len(ids), PAGE):
        part = ids[start : start + PAGE]
        claimed |= await ledger.read(lambda store, part=part: store.claimed(part))  # type: ignore[misc]  # mypy knows no default of a lambda
    return claimed


async def _with_parameters(
    free: Mapping[str, RemoteTask], doubts: Sequence[Doubt], model: str, calls: Calls
) -> dict[str, RemoteTask]:
    """Ask for those whose parameters the list does not show and that could be ours, one by one."""
    known = dict(free)
    for remote_id, task in free.items():
        if task.parameters or (task.model is not None and task.model.casefold() != model.casefold()):
            continue
        if all(_older(task, doubt.record) for doubt in doubts):
            continue

        async def detail(client: Client, task: RemoteTask = task) -> RemoteTask:
            return await client.task(token=task.token) if task.token else await client.task(task_id=task.task_id)

        try:
            seen = await calls.make(Urgency.LIKELY_DONE, detail)
        except (WiroError, TurnLostError):
            continue
        known[remote_id] = replace(task, parameters=seen.parameters, model=task.model or seen.model)
    return known
