"""Settle requests whose reply was lost: the service's list tells whether it has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from orchestrator.clock import Clock
from orchestrator.ledger import ClaimedError, Ledger
from orchestrator.lifecycle import Record
from orchestrator.money import to_pico
from orchestrator.steps.calls import Calls, TurnLostError, Urgency
from orchestrator.steps.matching import (
    Likeness,
    Matching,
    Spelling,
    is_of_model,
    is_older,
    is_older_than_all,
    likeness,
    match,
    spelt,
)
from orchestrator.steps.outcomes import Outcome, Verdict, judge
from orchestrator.steps.saving import shielded
from orchestrator.tasks import Parameters
from orchestrator.wiro import Client, RemoteTask, TaskPage, WiroError

PAGE: Final = 50
OVERLAP: Final = 5
MOST_PAGES: Final = 400
MOST_IDLE_PAGES: Final = 3
"""How many pages in a row may bring nothing new before the reading is given up."""

MOST_DETAILS: Final = 20


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
class Settler:
    """Looks uncertain tasks up in the service's list and writes down what is certain.

    Attributes:
        model: `owner/model`.
        defaults: The model's default parameters: what the service leaves out of its list.
        settle_after_seconds: How long after a request was given up the service may still come to show it.
        sent: Gives a task's parameters as they were sent.
    """

    model: str
    defaults: Spelling
    sent: Callable[[Parameters], Parameters]
    settle_after_seconds: float
    calls: Calls
    ledger: Ledger
    clock: Clock

    async def settle(
        self, doubts: Sequence[Doubt], *, posting: Sequence[Parameters], newest: int | None
    ) -> list[tuple[Doubt, Record]] | Outcome:
        """Look doubts up.

        Args:
            doubts: What is to be settled.
            posting: Parameters of tasks whose requests are still out: nothing like them is adopted.
            newest: The newest remote task known: a list without it is not complete.

        Returns:
            Those that are settled, running or pending; or why the list could not be read.
        """
        listing = await self.read_list([doubt.record for doubt in doubts], newest)
        if isinstance(listing, Outcome):
            return listing
        claimed = await self._claimed(listing)
        free = [task for remote_id, task in listing.tasks.items() if remote_id not in claimed]
        sought = [self._as_sent(doubt.record) for doubt in doubts]
        free = await self._with_parameters(free, sought)
        matching = match(sought, [self.sent(parameters) for parameters in posting], free, self.model, self.defaults)
        settled = []
        for doubt in doubts:
            after = self._certain(doubt, matching, listing)
            if after is not None and await self._save(doubt.record, after):
                settled.append((doubt, after))
        return settled

    async def read_list(self, uncertain: Sequence[Record], newest: int | None) -> Listing | Outcome:
        """Read the list of the account's tasks down to what is older than every uncertain one.

        The list moves while it is read, so pages overlap; where two do not, the reading steps back. What the
        list says of its own length is not relied on. A list that ends before it shows what is known to be
        there is not complete: absence in it proves nothing.
        """
        read_from = self.clock.monotonic()
        found: dict[str, RemoteTask] = {}
        start = idle = 0
        for _ in range(MOST_PAGES):
            page = await self._page(start)
            if isinstance(page, Outcome):
                return page
            fresh = [task for task in page.tasks if task.task_id not in found]
            if found and fresh and len(fresh) == len(page.tasks):
                start = max(0, start - PAGE)  # tasks have gone from the list, and nothing joins the two pages
                continue
            found.update((task.task_id, task) for task in fresh)
            if page.tasks and is_older_than_all(page.tasks[-1], uncertain):
                return Listing(found, read_from)
            if not page.tasks and _may_end(found, uncertain, newest):
                return Listing(found, read_from)
            idle = 0 if fresh else idle + 1
            if not page.tasks or idle == MOST_IDLE_PAGES:
                break
            overlap = OVERLAP if fresh or len(page.tasks) > OVERLAP else 0  # the few last ones are known: look beyond
            start += max(1, len(page.tasks) - overlap)
        return Outcome(Verdict.AGAIN, "The service's list of tasks is not complete.")

    def _certain(self, doubt: Doubt, matching: Matching, listing: Listing) -> Record | None:
        """Return the record that is certain now, None where nothing is."""
        record = doubt.record
        remote = matching.adopted.get(record.task.id)
        if remote is not None:
            return record.accepted(remote.task_id, remote.token, remote.created_at or self.clock.now())
        if record.task.id in matching.absent and listing.read_from - doubt.since >= self.settle_after_seconds:
            return record.not_accepted()
        return None

    async def _save(self, before: Record, after: Record) -> bool:
        try:
            await shielded(self.ledger.save(before, after, durable=True))
        except ClaimedError:
            return False
        if after.attempt is None:
            self.ledger.count("resubmitted")
        else:
            self.ledger.count("adopted")
            self.ledger.count("saved", to_pico(after.attempt.reserved_usd))
        return True

    async def _page(self, start: int) -> TaskPage | Outcome:
        async def tasks(client: Client) -> TaskPage:
            return await client.tasks(start=start, limit=PAGE)

        try:
            return await self.calls.make(Urgency.LIKELY_DONE, tasks)
        except (WiroError, TurnLostError) as error:
            return judge(error, paying=False)

    async def _claimed(self, listing: Listing) -> set[str]:
        ids = iter(listing.tasks)
        claimed: set[str] = set()
        while part := list(islice(ids, PAGE)):
            claimed |= await self._claimed_of(part)
        return claimed

    async def _claimed_of(self, ids: Sequence[str]) -> set[str]:
        return await self.ledger.read(lambda store: store.claimed(ids))

    def _as_sent(self, record: Record) -> Record:
        return replace(record, task=replace(record.task, parameters=self.sent(record.task.parameters)))

    async def _with_parameters(self, free: Sequence[RemoteTask], sought: Sequence[Record]) -> list[RemoteTask]:
        """Ask, one by one, for those that might be ours if only the list showed all of their parameters."""
        known, asked = [], 0
        for task in free:
            if asked < MOST_DETAILS and self._is_unclear(task, sought):
                asked += 1
                known.append(await self._in_detail(task))
            else:
                known.append(task)
        return known

    def _is_unclear(self, task: RemoteTask, sought: Sequence[Record]) -> bool:
        return is_of_model(task, self.model) and any(
            likeness(spelt(record.task.parameters), task.parameters, self.defaults)
            in {Likeness.UNCLEAR, Likeness.LIKELY}
            and not is_older(task, record)
            for record in sought
        )

    async def _in_detail(self, task: RemoteTask) -> RemoteTask:
        async def detail(client: Client) -> RemoteTask:
            return await client.task(token=task.token) if task.token else await client.task(task_id=task.task_id)

        try:
            seen = await self.calls.make(Urgency.LIKELY_DONE, detail)
        except (WiroError, TurnLostError):
            return task
        return replace(task, parameters=seen.parameters or task.parameters, model=task.model or seen.model)


def _may_end(found: Mapping[str, RemoteTask], uncertain: Sequence[Record], newest: int | None) -> bool:
    """Return whether a list can end here: nothing that is known to be older, or there at all, is missing from it."""
    tasks = found.values()
    if newest and all(task.number != newest for task in tasks):
        return False
    return all(not record.sent.newest_known or any(is_older(task, record) for task in tasks) for record in uncertain)
