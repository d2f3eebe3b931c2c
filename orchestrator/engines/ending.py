"""Having the service end tasks: what runs too long, and all that runs where the user says so."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from orchestrator.clock import Clock
from orchestrator.engines.control import Control
from orchestrator.engines.slots import Slots
from orchestrator.lifecycle import Failure, Record
from orchestrator.logs import Log
from orchestrator.steps.calls import Calls
from orchestrator.steps.outcomes import Stop, delays
from orchestrator.steps.track import end
from orchestrator.wording import duration, many

ENDING_SECONDS: Final = 1.0
"""How often a task that is to end is looked at."""

ENDING_PATIENCE_SECONDS: Final = 60.0
UNENDING_SECONDS: Final = 10.0
"""How often one is looked at that did not end within that time."""

FIRST_REPEAT_SECONDS: Final = 2.0
LONGEST_REPEAT_SECONDS: Final = 60.0
"""How long to wait at first, and at most, before the service is told once more to end a task."""

OVERDUE: Final = "It runs longer than limits.task_timeout, and the service was told to end it."


@dataclass(slots=True)
class EndOrder:
    """Whether one task is to end, and how the service takes it, in monotonic seconds.

    Attributes:
        repeats: How long to wait before each further request, the next of which is due at `due_at`.
        since: When the service was told, None where it was not.
        overdue: Why the task is to end, where it has run too long.
        is_unheeded: Whether it did not end in time.
        alone_since: Since when all that runs are such tasks.
    """

    repeats: Iterator[float]
    due_at: float = -math.inf
    since: float | None = None
    overdue: Failure | None = None
    is_unheeded: bool = False
    alone_since: float | None = None


@dataclass(slots=True)
class Ender:
    """Has tasks ended.

    Attributes:
        timeout_seconds: How long a task may take from its acceptance.
    """

    timeout_seconds: float
    slots: Slots
    control: Control
    calls: Calls
    clock: Clock
    random: Callable[[], float]
    log: Log
    _unending: set[str] = field(default_factory=set)

    def order(self) -> EndOrder:
        """Return the order for a task that nobody wants to end yet."""
        return EndOrder(delays(self.random, FIRST_REPEAT_SECONDS, LONGEST_REPEAT_SECONDS))

    def is_cancelled(self, order: EndOrder) -> bool:
        """Return whether a task is to be ended because the user says so, and has not been told yet."""
        return self.control.cancelling and order.since is None

    def wait_seconds(self, order: EndOrder) -> float | None:
        """Return how long to wait before the next look at a task that is to end, None for any other."""
        if order.is_unheeded:
            return UNENDING_SECONDS
        return None if order.since is None else ENDING_SECONDS

    def seconds_left(self, age: float) -> float:
        """Return how long the next look may have to wait, so that a task is not found overdue too late."""
        return max(ENDING_SECONDS, self.timeout_seconds - age)

    async def tell(self, record: Record, order: EndOrder, *, queued: bool) -> bool:
        """Have the task ended, and return whether the service agreed; the next look shows what became of it."""
        now = self.clock.monotonic()
        order.since = now if order.since is None else order.since
        order.due_at = now + next(order.repeats)
        return await end(record, self.calls, queued=queued)

    async def insist(self, record: Record, order: EndOrder, age: float, *, queued: bool) -> bool:
        """Have a task ended that is still under way, where that is due.

        Returns:
            Whether it is left running: nothing more is to be waited for.
        """
        now = self.clock.monotonic()
        if order.since is None and age > self.timeout_seconds:
            order.overdue = Failure(
                "timeout", f"It still ran after limits.task_timeout ({duration(self.timeout_seconds)}), and was ended."
            )
            self.log.warning("stopping a task that runs longer than limits.task_timeout", task=record.task.id)
        if order.overdue is None:
            self.control.delays.over(record.task.id)
        else:
            self.control.delays.note(record.task.id, OVERDUE, now)
        if order.overdue is None and not self.control.cancelling:
            return False
        if order.since is None or now >= order.due_at:
            await self.tell(record, order, queued=queued)  # again and again: the request may have been lost
            return False
        return now - order.since > ENDING_PATIENCE_SECONDS and self._is_to_be_left(record, order)

    def over(self, record: Record) -> None:
        """A task has ended."""
        self._unending.discard(record.task.id)

    def _is_to_be_left(self, record: Record, order: EndOrder) -> bool:
        """Return whether a task that the service does not end is left running, for another run to fetch what it makes.

        It may yet succeed and be billed, and holds its place; so it is followed for as long as other tasks run.
        """
        if self.control.cancelling:
            return True
        if record.task.id not in self._unending:
            self._unending.add(record.task.id)
            order.is_unheeded = True
            self.log.warning("the service does not end a task that ran too long", task=record.task.id)
        now = self.clock.monotonic()
        alone = self.slots.active <= len(self._unending)
        order.alone_since = (order.alone_since or now) if alone else None
        if order.alone_since is None or now - order.alone_since <= ENDING_PATIENCE_SECONDS:
            return False
        self.control.close(
            Stop.SERVICE,
            f"The service does not end what ran longer than limits.task_timeout: {many(len(self._unending), 'task')}."
            " What it makes may yet be billed; the next run fetches it.",
        )
        return True
