"""Following a running task to its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Final

from orchestrator.clock import Clock
from orchestrator.engines.control import Control
from orchestrator.engines.ending import Ender, EndOrder
from orchestrator.engines.forecast import Course, Forecast
from orchestrator.engines.listening import Ear, Listener
from orchestrator.engines.rounds import Rounds
from orchestrator.engines.slots import Slots
from orchestrator.ledger import Ledger
from orchestrator.lifecycle import Failure, Record, State
from orchestrator.logs import Log
from orchestrator.steps.calls import Calls, Urgency
from orchestrator.steps.outcomes import SILENCE_SECONDS, Outcome, Stop, Verdict, delays
from orchestrator.steps.track import PATIENCE_SECONDS, Sight, look
from orchestrator.tasks import Parameters
from orchestrator.wiro import RemoteTask
from orchestrator.wording import duration

FRESH_SECONDS: Final = 0.5
"""A task that was accepted longer ago than this has run while nobody looked, and teaches nothing."""

JUMP_SECONDS: Final = 2.0
"""How much the wall clock may go apart from the time that passes before one of them is not believed."""

GONE_SECONDS: Final = 180.0
"""How long the service may not know a task that it has accepted before it counts as lost."""

TOLD_GONE_SECONDS: Final = 10.0
"""How long, before that is told: right after its acceptance a task may not be shown yet."""


@dataclass(slots=True)
class Tracker:
    """Looks at running tasks until they have ended.

    Attributes:
        attempts: How many times a task is tried in all when it fails unbilled.
        timeout_seconds: How long a task may take from its acceptance.
        price_usd: What a task with given parameters costs, where that is fixed beforehand.
    """

    attempts: int
    timeout_seconds: float
    forecast: Forecast
    rounds: Rounds
    listener: Listener
    price_usd: Callable[[Parameters], Decimal | None]
    slots: Slots
    control: Control
    calls: Calls
    ledger: Ledger
    clock: Clock
    random: Callable[[], float]
    log: Log
    _edition: int = 0
    _strange: set[str] = field(default_factory=set)
    _ender: Ender = field(init=False)

    def __post_init__(self) -> None:
        self._ender = Ender(
            self.timeout_seconds, self.slots, self.control, self.calls, self.clock, self.random, self.log
        )
        self.control.on_hurry(self.rounds.let_go)

    async def track(self, record: Record, *, is_new: bool = False) -> tuple[Record, RemoteTask | None]:
        """Follow a running task.

        Args:
            record: The task.
            is_new: Whether the service accepted it a moment ago; else the wall clock has to tell how long it has run.

        Returns:
            The record, and what the service last said: running no longer, or still running where the run is left.
        """
        with self.listener.following(record, partial(self.rounds.hurry, record.task.id)) as ear:
            watch = self._watch(record, ear, 0.0 if is_new else self._passed(record))
            try:
                return await self._follow(record, watch)
            finally:
                self.control.delays.over(record.task.id)
                self.forecast.left(watch.course)

    async def _follow(self, record: Record, watch: _Watch) -> tuple[Record, RemoteTask | None]:
        while True:
            while not self.control.left and not await self.rounds.wait(self._next_wait(watch), record.task.id):
                pass
            if self.control.left:
                return record, None
            with self.control.until_left() as looking:
                cancelled = self._ender.is_cancelled(watch.order)
                if cancelled and not await self._ender.tell(record, watch.order, queued=watch.queued):
                    watch.order.due_at = -math.inf  # it may still be in the queue: the look tells
                sight = await self._look(record, watch)
            if looking.cancelled_caught:
                return record, None
            if sight.record.state is not State.RUNNING:
                self._ender.over(record)
                self.listener.ended(watch.ear)
                self._learn(sight.record, watch)
                return sight.record, sight.remote
            if sight.remote is not None:
                self._note(record, sight.remote, watch)
                age = watch.age(self.clock.monotonic())
                over = record if await self._ender.insist(record, watch.order, age, queued=watch.queued) else None
            else:
                over = await self._in_trouble(record, sight.trouble, watch)
            if over is not None:
                return over, None

    def _watch(self, record: Record, ear: Ear, passed: float) -> _Watch:
        now = self.clock.monotonic()
        course = self.forecast.begin(record.task.parameters, now - passed)
        ahead = self.clock.now() - now
        return _Watch(course, ear, ahead, passed < FRESH_SECONDS, delays(self.random, first=1.0), self._ender.order())

    def _next_wait(self, watch: _Watch) -> float:
        """Return how many seconds to wait before the next look; not much beyond the task's deadline."""
        if self._ender.is_cancelled(watch.order):
            return 0.0
        if watch.in_trouble:
            return watch.retry_seconds
        if watch.ear.wait_seconds is not None:
            return watch.ear.wait_seconds
        if (ending := self._ender.wait_seconds(watch.order)) is not None:
            return ending
        now = self.clock.monotonic()
        price = self.rounds.price(sought=self.slots.sought, patience=self.listener.patience(watch.ear))
        wait = self.forecast.next_look(watch.course, price, now) - watch.age(now)
        self._tell_news()
        return max(0.0, min(wait, self._ender.seconds_left(watch.age(now))))

    def _tell_news(self) -> None:
        if self._edition != self.forecast.edition:
            self._edition = self.forecast.edition
            self.rounds.reconsider()

    async def _look(self, record: Record, watch: _Watch) -> Sight:
        begun_at = self.clock.monotonic()
        age = watch.age(begun_at)
        likely = (
            watch.order.since is not None
            or watch.ear.told_at is not None
            or self.forecast.likely_done(watch.course, age)
        )
        sight = await look(
            record,
            urgency=Urgency.LIKELY_DONE if likely else Urgency.ROUTINE,
            patience_seconds=watch.patience_seconds,
            attempts=self.attempts,
            price_usd=self.price_usd(record.task.parameters),
            overdue=watch.order.overdue,
            by_id=watch.told_gone,  # only then: a new task may not be shown at once, whatever it is asked by
            calls=self.calls,
            ledger=self.ledger,
            clock=self.clock,
        )
        watch.patience_seconds = max(PATIENCE_SECONDS, 2 * (self.clock.monotonic() - begun_at))
        return sight

    def _note(self, record: Record, remote: RemoteTask, watch: _Watch) -> None:
        """Take note of how a task that is under way fares."""
        watch.calm(delays(self.random, first=1.0))
        watch.queued = remote.queued
        age = watch.age(self.clock.monotonic())
        self.forecast.saw(watch.course, age, queued=remote.queued, progress=remote.progress)
        self.listener.runs_on(watch.ear, remote.progress)
        if not remote.known_status and remote.status not in self._strange:
            self._strange.add(remote.status)
            self.log.warning("unknown status, taken as under way", status=remote.status, task=record.task.id)

    async def _in_trouble(self, record: Record, trouble: Outcome | None, watch: _Watch) -> Record | None:
        """Bear that a look brought nothing; return the record where it makes no sense to look again."""
        if trouble is None:
            return None
        watch.in_trouble, watch.retry_seconds = True, next(watch.retries)
        if trouble.verdict is not Verdict.WAIT:
            self.control.delays.note(record.task.id, trouble.message, self.clock.monotonic())
        if trouble.stop is not None:
            self.control.close(trouble.stop, trouble.message)
            return record
        if trouble.verdict is Verdict.GONE:
            now = self.clock.monotonic()
            watch.gone_since = now if watch.gone_since is None else watch.gone_since
            if now - watch.gone_since > TOLD_GONE_SECONDS and not watch.told_gone:
                watch.told_gone = True
                self.log.warning(
                    "the service no longer knows a task that it accepted: it soon counts as lost",
                    task=record.task.id,
                    after=duration(GONE_SECONDS),
                )
            if now - watch.gone_since > GONE_SECONDS:
                return await self._failed(record, Failure("lost", "The service does not know the task any more."))
        if self.calls.silent_seconds() > SILENCE_SECONDS:
            self.control.leave(Stop.SERVICE, f"The service has not answered for 10 minutes. {trouble.message}")
        return None

    async def _failed(self, record: Record, failure: Failure) -> Record:
        after = record.failed(failure, self.clock.now())
        await self.ledger.save(record, after, durable=True)
        return after

    def _passed(self, record: Record) -> float:
        """Return the seconds since the service accepted the task, by the wall clock, which may jump later."""
        now = self.clock.now()
        return max(0.0, now - (record.sent.submitted_at or now))

    def _learn(self, record: Record, watch: _Watch) -> None:
        """Learn how long the task took, where it came to a good end and no clock has jumped meanwhile."""
        now = self.clock.monotonic()
        steady = abs(self.clock.now() - now - watch.ahead) < JUMP_SECONDS
        if record.state is State.FETCHING and watch.fresh and steady:
            if watch.ear.heard_at is not None:  # under way, and that was true: its end has been seen since
                watch.course.seen_at = max(watch.course.seen_at, watch.age(watch.ear.heard_at))
            self.forecast.ended(watch.course, watch.age(now), record.sent.elapsed_seconds)
            self._tell_news()


@dataclass(slots=True)
class _Watch:
    """What is remembered of one task while it is followed, in monotonic seconds.

    Attributes:
        course: What was seen of it.
        ear: What is heard of it.
        ahead: How far the wall clock was ahead of the monotonic one at the start.
        fresh: Whether it is followed from its start.
        retries: How long to wait before each further look where one brought nothing.
        order: Whether it is to end, and how the service takes it.
        queued: Whether it did not run yet when it was last looked at.
        patience_seconds: How long the answer to the next look may take: at least twice as long as the last one took, or
            was waited for.
    """

    course: Course
    ear: Ear
    ahead: float
    fresh: bool
    retries: Iterator[float]
    order: EndOrder
    in_trouble: bool = False
    retry_seconds: float = 0.0
    gone_since: float | None = None
    told_gone: bool = False
    queued: bool = False
    patience_seconds: float = PATIENCE_SECONDS

    def age(self, now: float) -> float:
        """Return the seconds since the service accepted the task, by the wall clock, which may jump later."""
        return now - self.course.accepted_at

    def calm(self, retries: Iterator[float]) -> None:
        """A look brought an answer."""
        if self.in_trouble:
            self.in_trouble = False
            self.retries = retries
        self.gone_since = None
