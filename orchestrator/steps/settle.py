"""Settle requests whose reply was lost: the service's list tells whether it has them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from orchestrator.clock import Clock
from orchestrator.ledger import ClaimedError, Ledger
from orchestrator.lifecycle import Attempt, Record
from orchestrator.steps.calls import Calls, TurnLostError, Urgency
from orchestrator.steps.elsewhere import Alone, Foreign, Others
from orchestrator.steps.matching import (
    Intent,
    Likeness,
    Matching,
    Spelling,
    is_older,
    likeness,
    match,
    needs_detail,
    spelt,
)
from orchestrator.steps.outcomes import Outcome, Verdict, judge
from orchestrator.steps.saving import shielded
from orchestrator.tasks import Parameters
from orchestrator.wiro import Client, RemoteTask, TaskPage, WiroError

PAGE: Final = 50
OVERLAP: Final = 5
MOST_PAGES: Final = 1000
MOST_IDLE_PAGES: Final = 3
"""How many pages in a row may bring nothing new before the reading is given up."""

PAGE_WAITS_SECONDS: Final = (0.25, 0.5, 1.0)
"""The waits before a page that failed is asked for again: a long list is not read anew for each slip."""

MOST_DETAILS: Final = 20
MOST_OF_OURS: Final = 5
"""How many tasks of ours have to be deleted before it is believed that the list shows none of them."""

QUESTIONS: Final = 2
"""How often the service has to say that it does not know a task."""
REMEMBERED_SECONDS: Final = 3600.0
"""For how long at least a service is taken to know each of its tasks, unless it was deleted."""

CHUNK: Final = 500
"""How many remote ids are looked up in the ledger at once."""

UNREAD: Final = (
    "A run in {} used the same key at that time, and cannot be read there: what the service's list shows may be its"
    " own. Bring it back, or run it where it is now; if it is gone for good, --resubmit-uncertain goes on without it."
)


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
        read_at: The same moment by the wall clock.
    """

    tasks: Mapping[str, RemoteTask]
    read_from: float
    read_at: float


@dataclass(frozen=True, slots=True)
class Settler:
    """Looks uncertain tasks up in the service's list and writes down what is certain.

    Attributes:
        model: `owner/model`.
        defaults: The model's default parameters: what the service leaves out of its list.
        settle_after_seconds: How long after a request was given up the service may still come to show it.
        sent: Gives a task's parameters as they were sent.
        others: The other runs of the account.
        insists: Whether the user wants sent again what the list does not settle once it is due.
    """

    model: str
    defaults: Spelling
    sent: Callable[[Parameters], Parameters]
    settle_after_seconds: float
    calls: Calls
    ledger: Ledger
    clock: Clock
    others: Others = field(default_factory=Alone)
    insists: bool = False

    async def settle(
        self,
        doubts: Sequence[Doubt],
        *,
        beside: Callable[[], Sequence[Parameters]],
        newest: int | None,
        ordered: bool = True,
    ) -> list[tuple[Doubt, Record]] | Outcome:
        """Look doubts up.

        Args:
            doubts: What is to be settled.
            beside: Gives the parameters of other tasks of the run whose requests are out or in doubt as well.
            newest: The newest remote task known: a list without it is not complete.
            ordered: Whether the service's ids tell which of two tasks is the newer one.

        Returns:
            Those that are settled: running, pending, or failed as paid for and lost; or why nothing can be settled
            just now.
        """
        uncertain = [doubt.record.sent for doubt in doubts]
        since = min(attempt.intent_at for attempt in uncertain)
        rivals = await self._rivals(doubts, since)
        if not ordered:
            uncertain = [_unplaced(attempt) for attempt in uncertain]
            rivals = [_unplaced_foreign(rival) for rival in rivals]
        listing = await self.read_list([*uncertain, *(rival.attempt for rival in rivals)], newest)
        if isinstance(listing, Outcome) and rivals:
            rivals = []
            listing = await self.read_list(uncertain, newest)
        if isinstance(listing, Outcome):
            return listing
        intents = [self._intent(doubt, attempt, listing) for doubt, attempt in zip(doubts, uncertain, strict=True)]
        free = await self._with_parameters(await self._free(listing.tasks.values()), intents)
        async with self.others.consulted({task.task_id for task in free}, since) as elsewhere:
            if elsewhere is None:
                return Outcome(Verdict.AGAIN, "Another run with the same key is settling what is in doubt.")
            theirs = elsewhere.open if ordered else [_unplaced_foreign(request) for request in elsewhere.open]
            intents += self._others_intents(beside(), theirs, listing, {rival.task for rival in rivals})
            free = [task for task in await self._free(free) if task.task_id not in elsewhere.claimed]
            matching = match(intents, free, self.model, self.defaults)
            if matching.adopted and elsewhere.unread and not self.insists:
                return Outcome(Verdict.AGAIN, UNREAD.format(elsewhere.unread[0]), stuck=True)
            settled = []
            for doubt in doubts:
                after = self._certain(doubt, matching, listing)
                if after is not None and await self._save(doubt.record, after):
                    settled.append((doubt, after))
        return settled

    async def resend(self, doubts: Sequence[Doubt]) -> list[tuple[Doubt, Record]]:
        """Let go on without the list what is due, and return it: the user decided that it may be paid for twice."""
        now = self.clock.monotonic()
        settled = []
        for doubt in doubts:
            after = doubt.record.unlisted(self.clock.now())
            if self._is_due(doubt.since, now) and await self._save(doubt.record, after):
                settled.append((doubt, after))
        return settled

    async def read_list(self, uncertain: Sequence[Attempt], newest: int | None) -> Listing | Outcome:
        """Read the list of the account's tasks down to what is older than every uncertain one.

        The list moves while it is read, so pages overlap; where two do not, the reading steps back. What the
        list says of its own length is not relied on. A list that ends before it shows what is known to be
        there is not complete: absence in it proves nothing.
        """
        read_from, read_at = self.clock.monotonic(), self.clock.now()
        found: dict[str, RemoteTask] = {}
        start = idle = longest = 0
        for _ in range(MOST_PAGES):
            page = await self._page(start)
            if isinstance(page, Outcome):
                return page
            fresh = [task for task in page.tasks if task.task_id not in found]
            if found and fresh and len(fresh) == len(page.tasks):  # nothing joins this page and what was read before
                if start:
                    start = max(0, start - max(OVERLAP, len(page.tasks)))
                    continue
                found.clear()  # more have come than a page holds: from the newest one on again
            found.update((task.task_id, task) for task in fresh)
            if page.tasks and all(is_older(page.tasks[-1], attempt) for attempt in uncertain):
                return Listing(found, read_from, read_at)
            if not page.tasks and await self._may_end(found, uncertain, newest, read_at):
                return Listing(found, read_from, read_at)
            idle = 0 if fresh else idle + 1
            if not page.tasks or idle == MOST_IDLE_PAGES:
                break
            longest = max(longest, len(page.tasks))
            start += _step(len(page.tasks), longest, fresh=bool(fresh))
        return Outcome(Verdict.AGAIN, "The service's list of tasks is not complete.")

    def _certain(self, doubt: Doubt, matching: Matching, listing: Listing) -> Record | None:
        """Return the record that is certain now, None where nothing is."""
        record = doubt.record
        remote = matching.adopted.get(record.task.id)
        if remote is not None:
            return record.accepted(remote.task_id, remote.token, remote.created_at or self.clock.now())
        unsettled = matching.absent | matching.blocked if self.insists else matching.absent
        if record.task.id in unsettled and self._is_due(doubt.since, listing.read_from):
            return record.unlisted(self.clock.now())
        return None

    async def _save(self, before: Record, after: Record) -> bool:
        try:
            await shielded(self.ledger.save(before, after, durable=True))
        except ClaimedError:
            return False
        return True

    async def _page(self, start: int) -> TaskPage | Outcome:
        async def tasks(client: Client) -> TaskPage:
            return await client.tasks(start=start, limit=PAGE)

        waits = iter(PAGE_WAITS_SECONDS)
        while True:
            try:
                return await self.calls.make(Urgency.LIKELY_DONE, tasks)
            except (WiroError, TurnLostError) as error:
                outcome = judge(error, paying=False)
            seconds = next(waits, None)
            if seconds is None or outcome.verdict not in {Verdict.AGAIN, Verdict.WAIT}:
                return outcome
            await self.clock.sleep(seconds)

    async def _free(self, tasks: Iterable[RemoteTask]) -> list[RemoteTask]:
        """Return those that belong to none of our tasks."""
        free, left = [], iter(tasks)
        while part := list(islice(left, CHUNK)):
            claimed = await self._claimed([task.task_id for task in part])
            free += [task for task in part if task.task_id not in claimed]
        return free

    async def _claimed(self, ids: Sequence[str]) -> set[str]:
        return await self.ledger.read(lambda store: store.claimed(ids))

    def _is_due(self, since: float, now: float) -> bool:
        return now - since >= self.settle_after_seconds

    def _intent(self, doubt: Doubt, attempt: Attempt, listing: Listing) -> Intent:
        task = doubt.record.task
        sent = spelt(self.sent(task.parameters))
        return Intent(task.id, sent, attempt, due=self._is_due(doubt.since, listing.read_from))

    async def _rivals(self, doubts: Sequence[Doubt], since: float) -> list[Foreign]:
        """Return the other runs' requests that may have made the same as one of these.

        The list is read down to what is older than they are too: where it stops above what an older request made, that
        request, which goes first, would be given a task of ours, and ours would be sent again.
        """
        ours = [spelt(self.sent(doubt.record.task.parameters)) for doubt in doubts]
        async with self.others.consulted((), since) as elsewhere:
            requests = () if elsewhere is None else elsewhere.open
        return [
            request
            for request, theirs in [(request, spelt(request.parameters)) for request in requests]
            if any(likeness(theirs, sent, {}) is not Likeness.DIFFERENT for sent in ours)
        ]

    def _others_intents(
        self, beside: Sequence[Parameters], theirs: Sequence[Foreign], listing: Listing, looked_for: Collection[str]
    ) -> list[Intent]:
        """Return the requests that are not to be settled here, and may have made what the list shows.

        Of those that the list was not read for, nobody knows whether it has to show what they made.
        """
        out = [Intent("", spelt(self.sent(parameters)), None, ours=False, out=True) for parameters in beside]
        for request in theirs:
            gave_up_at = request.attempt.gave_up_at
            out.append(
                Intent(
                    request.task,
                    spelt(request.parameters),
                    request.attempt,
                    ours=False,
                    due=gave_up_at is not None
                    and request.task in looked_for
                    and self._is_due(gave_up_at, listing.read_at),
                    out=gave_up_at is None,
                )
            )
        return out

    async def _with_parameters(self, free: Sequence[RemoteTask], intents: Sequence[Intent]) -> list[RemoteTask]:
        """Ask, one by one, for those that might be ours if only the list showed all of their parameters."""
        asked = needs_detail(intents, free, self.model, self.defaults, MOST_DETAILS)
        return [await self._in_detail(task) if task.task_id in asked else task for task in free]

    async def _may_end(
        self, found: Mapping[str, RemoteTask], uncertain: Sequence[Attempt], newest: int | None, now: float
    ) -> bool:
        """Return whether a list can end here: nothing that has to be there, or is older, is missing from it.

        A task that the service itself does not know any more was deleted, and is missed by nobody: then the last
        that is left has to be there, for it may be the list that fails. That says nothing of a doubt from long ago: a
        service may forget old tasks, and with them the one that is sought.
        """
        if any(attempt.newest_known is None and not found for attempt in uncertain):
            return False
        missing = {newest} if newest and all(task.number != newest for task in found.values()) else set()
        is_newest_gone = bool(missing)
        for attempt in uncertain:
            if attempt.newest_known and not any(is_older(task, attempt) for task in found.values()):
                missing.add(attempt.newest_known)
                if now - attempt.intent_at > REMEMBERED_SECONDS:
                    return False
        if len(missing) > MOST_DETAILS or not all([await self._is_deleted(str(number)) for number in missing]):
            return False
        return not is_newest_gone or await self._shows_what_is_left(found)

    async def _shows_what_is_left(self, found: Mapping[str, RemoteTask]) -> bool:
        """Return whether the last task that is known, of those that were not deleted, is shown."""
        for task_id in await self.ledger.read(lambda store: store.known_to_exist(MOST_OF_OURS)):
            if task_id in found:
                return True
            if not await self._is_deleted(task_id):
                return False
        return True

    async def _is_deleted(self, task_id: str) -> bool:
        """Return whether the service does not know a task, and says so each time: a slip may have us pay twice."""

        async def detail(client: Client) -> RemoteTask:
            return await client.task(task_id=task_id)

        for _ in range(QUESTIONS):
            try:
                await self.calls.make(Urgency.LIKELY_DONE, detail)
            except (WiroError, TurnLostError) as error:
                if judge(error, paying=False).verdict is not Verdict.GONE:
                    return False
            else:
                return False
        return True

    async def _in_detail(self, task: RemoteTask) -> RemoteTask:
        async def detail(client: Client) -> RemoteTask:
            return await client.task(token=task.token, task_id=task.task_id)

        try:
            seen = await self.calls.make(Urgency.LIKELY_DONE, detail)
        except (WiroError, TurnLostError):
            return task
        return replace(task, parameters=seen.parameters or task.parameters, model=task.model or seen.model)


def _unplaced(attempt: Attempt) -> Attempt:
    """Return a request without its place among the ids, which say nothing."""
    return replace(attempt, newest_known=None)


def _unplaced_foreign(request: Foreign) -> Foreign:
    """Return another run's request likewise."""
    return replace(request, attempt=_unplaced(request.attempt))


def _step(shown: int, longest: int, *, fresh: bool) -> int:
    """Return how much further down the list its next page is to begin.

    Args:
        shown: How many tasks the last page showed.
        longest: How many the longest one did: a shorter one is the last.
        fresh: Whether any of them was new.
    """
    if fresh or shown > OVERLAP:
        return max(1, shown - OVERLAP)
    return shown if shown < longest else max(1, shown - 1)
