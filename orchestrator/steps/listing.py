"""Read the service's list of tasks without a gap, and tell whether it is complete."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orchestrator.clock import Clock
from orchestrator.ledger import Ledger
from orchestrator.lifecycle import Attempt
from orchestrator.steps.calls import Calls, TurnLostError, Urgency
from orchestrator.steps.matching import is_older
from orchestrator.steps.outcomes import Outcome, Verdict, judge
from orchestrator.wiro import Client, RemoteTask, TaskPage, WiroError, id_number

PAGE: Final = 50
OVERLAP: Final = 5
MOST_PAGES: Final = 1000
MOST_IDLE_PAGES: Final = 3
"""How many pages in a row may bring nothing new before the reading is given up."""

PAGE_WAITS_SECONDS: Final = (0.25, 0.5, 1.0)
"""The waits before a page that failed is asked for again: a long list is not read anew for each slip."""

MOST_MISSED: Final = 20
"""How many tasks that a list does not show are asked for one by one: of more it is not complete."""

MOST_OF_OURS: Final = 5
"""How many tasks of ours have to be deleted before it is believed that the list shows none of them."""

QUESTIONS: Final = 2
"""How often the service has to say that it does not know a task."""

REMEMBERED_SECONDS: Final = 3600.0
"""For how long at least a service is taken to know each of its tasks, unless it was deleted."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The service's newest tasks, read without a gap down to what is older than every doubt.

    Attributes:
        tasks: By id, newest first.
        read_from: Monotonic seconds at which the reading began: what was accepted later may be missing. Before all time
            where the list is known to be behind: then it proves what it shows, and nothing else.
        read_at: The same moment by the wall clock.
    """

    tasks: Mapping[str, RemoteTask]
    read_from: float
    read_at: float

    @property
    def is_behind(self) -> bool:
        """Whether what it does not show may be there all the same."""
        return math.isinf(self.read_from)


@dataclass(frozen=True, slots=True)
class Lister:
    """Reads the list of the account's tasks.

    Attributes:
        settle_after_seconds: How long after a task was sent the service may still come to show it.
    """

    settle_after_seconds: float
    calls: Calls
    ledger: Ledger
    clock: Clock

    async def read(self, uncertain: Sequence[Attempt], newest: int | None) -> Listing | Outcome:
        """Read the list down to what is older than every uncertain request.

        The list moves while it is read, so pages overlap; where two do not, the reading steps back. What the
        list says of its own length is not relied on. A list that ends before it shows what is known to be
        there is not complete: absence in it proves nothing.

        Args:
            uncertain: Requests that may have been accepted.
            newest: The newest remote task known: a list without it is not complete.

        Returns:
            The list, or why it cannot be had just now.
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
            if page.tasks:
                is_all = all(is_older(page.tasks[-1], attempt) for attempt in uncertain)
            else:
                is_all = await self._may_end(found, uncertain, newest, read_at)
            if is_all and await self._is_behind(found, uncertain, read_at):
                return Listing(found, -math.inf, -math.inf)
            if is_all:
                return Listing(found, read_from, read_at)
            idle = 0 if fresh else idle + 1
            if not page.tasks or idle == MOST_IDLE_PAGES:
                break
            longest = max(longest, len(page.tasks))
            start += _step(len(page.tasks), longest, fresh=bool(fresh))
        return Outcome(Verdict.AGAIN, "The service's list of tasks is not complete.")

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
        if len(missing) > MOST_MISSED or not all([await self._is_deleted(str(number)) for number in missing]):
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

    async def _is_behind(self, found: Mapping[str, RemoteTask], uncertain: Sequence[Attempt], now: float) -> bool:
        """Return whether a list lacks what was sent and accepted so long ago that it has to show it.

        A copy of the list that stands still, or lags, shows what is older than every doubt just as the list does. Of
        what was sent before all of them, only what ids tell to be within what was read is missed.
        """
        is_placed = all(attempt.newest_known is not None for attempt in uncertain)
        since = 0.0 if is_placed else min(attempt.intent_at for attempt in uncertain)
        until = now - self.settle_after_seconds
        for task_id in await self.ledger.read(lambda store: store.last_sent(since, until, MOST_OF_OURS)):
            if task_id in found or (is_placed and _is_beyond(task_id, found.values())):
                return False
            if not await self._is_deleted(task_id):
                return True
        return False

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


def _is_beyond(task_id: str, read: Iterable[RemoteTask]) -> bool:
    """Return whether a task may be older than all that was read."""
    number = id_number(task_id)
    return number is None or all(task.number is None or number < task.number for task in read)


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
