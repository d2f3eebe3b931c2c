"""Settle requests whose reply was lost: the service's list tells whether it has them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from orchestrator.clock import Clock
from orchestrator.ledger import ClaimedError, Ledger
from orchestrator.lifecycle import Attempt, Record
from orchestrator.steps.calls import Calls, TurnLostError, Urgency
from orchestrator.steps.elsewhere import Alone, Foreign, Others
from orchestrator.steps.listing import Lister, Listing
from orchestrator.steps.matching import (
    Intent,
    Likeness,
    Matching,
    Spelling,
    likeness,
    match,
    needs_detail,
    spelt,
)
from orchestrator.steps.outcomes import Outcome, Verdict
from orchestrator.steps.saving import shielded
from orchestrator.tasks import Parameters
from orchestrator.wiro import Client, RemoteTask, WiroError

MOST_DETAILS: Final = 20
CHUNK: Final = 500
"""How many remote ids are looked up in the ledger at once."""

BEHIND: Final = "The service's list of tasks does not show yet what was accepted later."

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
        lister = Lister(self.settle_after_seconds, self.calls, self.ledger, self.clock)
        listing = await lister.read([*uncertain, *(rival.attempt for rival in rivals)], newest)
        if isinstance(listing, Outcome) and rivals:
            rivals = []
            listing = await lister.read(uncertain, newest)
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
        return Outcome(Verdict.AGAIN, BEHIND) if listing.is_behind and not settled else settled

    async def resend(self, doubts: Sequence[Doubt]) -> list[tuple[Doubt, Record]]:
        """Free what is due without asking the list, and return it: the user decided that it may be paid for twice."""
        now = self.clock.monotonic()
        settled = []
        for doubt in doubts:
            after = doubt.record.unlisted(self.clock.now())
            if self._is_due(doubt.since, now) and await self._save(doubt.record, after):
                settled.append((doubt, after))
        return settled

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
