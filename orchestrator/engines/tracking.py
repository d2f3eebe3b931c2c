"""Following a running task to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from structlog.typing import FilteringBoundLogger

from orchestrator.clock import Clock
from orchestrator.engines import forecast
from orchestrator.engines.control import Control
from orchestrator.engines.slots import Slots
from orchestrator.ledger import Ledger
from orchestrator.lifecycle import Failure, Record, State
from orchestrator.steps.calls import Calls, Urgency
from orchestrator.steps.outcomes import SILENCE_SECONDS, Outcome, Stop, Verdict, delays
from orchestrator.steps.track import Sight, end, look
from orchestrator.tasks import Parameters
from orchestrator.wiro import RemoteTask

ENDING_SECONDS: Final = 1.0
"""How often a task that is to end is looked at."""

ENDING_PATIENCE_SECONDS: Final = 60.0
UNENDING_SECONDS: Final = 10.0
"""How often one is looked at that did not end within that time."""

FRESH_SECONDS: Final = 0.5
MEMORY: Final = 10
"""Over about how many tasks the usual time is averaged."""

GONE_SECONDS: Final = 180.0
"""How long the service may not know a task that it has accepted before it counts as lost."""


@dataclass(slots=True)
class Tracker:
    """Looks at running tasks until they have ended.

    Attributes:
        attempts: How many times a task is tried in all when it fails unbilled.
        timeout_seconds: How long a task may take from its acceptance.
        stated_seconds: The run time that the service states for the model.
        price_usd: What a task with given parameters costs, where that is fixed beforehand.
    """

    attempts: int
    timeout_seconds: float
    stated_seconds: float | None
    price_usd: Callable[[Parameters], Decimal | None]
    slots: Slots
    control: Control
    calls: Calls
    ledger: Ledger
    clock: Clock
    random: Callable[[], float]
    log: FilteringBoundLogger
    usual_seconds: float | None = None
    _learned: int = 0
    _strange: set[str] = field(default_factory=set)
    _unending: set[str] = field(default_factory=set)

    async def track(self, record: Record) -> tuple[Record, RemoteTask | None]:
        """Follow a running task.

        Returns:
            The record, and what the service last said: running no longer, or still running where the run is left.
        """
        passed = self._passed(record)
        looks = forecast.looks(self.stated_seconds, self.usual_seconds, passed)
        watch = _Watch(self.clock.monotonic() - passed, looks, self.random)
        while True:
            with self.control.pause():
                await self.clock.sleep(watch.next_wait())
            with self.control.until_left() as looking:
                sight = await self._look(record, watch)
            if looking.cancelled_caught:
                return record, None
            if sight.record.state is not State.RUNNING:
                self._unending.discard(record.task.id)
                if passed < FRESH_SECONDS:  # one that ran on while nobody looked teaches nothing
                    self._learn(sight.record)
                return sight.record, sight.remote
            if sight.remote is not None:
                over = await self._under_way(record, sight.remote, watch)
            else:
                over = await self._in_trouble(record, sight.trouble, watch)
            if over is not None:
                return over, None

    async def _look(self, record: Record, watch: _Watch) -> Sight:
        passed = self.clock.monotonic() - watch.since
        likely = watch.ending_since is not None or forecast.likely_done(passed, self.usual_seconds)
        return await look(
            record,
            urgency=Urgency.LIKELY_DONE if likely else Urgency.ROUTINE,
            attempts=self.attempts,
            price_usd=self.price_usd(record.task.parameters),
            overdue=watch.overdue,
            calls=self.calls,
            ledger=self.ledger,
            clock=self.clock,
        )

    async def _under_way(self, record: Record, remote: RemoteTask, watch: _Watch) -> Record | None:
        """Let the task run, or end it where that is due; return the record where nothing more is to be waited for."""
        watch.calm()
        if not remote.known_status and remote.status not in self._strange:
            self._strange.add(remote.status)
            self.log.warning("unknown status, taken as under way", status=remote.status, task=record.task.id)
        passed, now = self._passed(record), self.clock.monotonic()
        if watch.ending_since is None and passed > self.timeout_seconds:
            watch.overdue = Failure("timeout", f"It still ran {passed:.0f} s after it was accepted, and was ended.")
        if watch.overdue is None and not self.control.cancelling:
            return None
        watch.ending_since = now if watch.ending_since is None else watch.ending_since
        if now - watch.ending_since > ENDING_PATIENCE_SECONDS and self._is_to_be_left(record, watch):
            return record
        await end(record, remote, self.calls)  # again at each look: the request may have been lost
        return None

    def _is_to_be_left(self, record: Record, watch: _Watch) -> bool:
        """Return whether a task that the service does not end is left running, for another run to fetch what it makes.

        It may yet succeed and be billed, and holds its place; so it is followed for as long as other tasks run.
        """
        if self.control.cancelling:
            return True
        if record.task.id not in self._unending:
            self._unending.add(record.task.id)
            watch.is_unending = True
            self.log.warning("the service does not end a task that ran too long", task=record.task.id)
        now = self.clock.monotonic()
        alone = self.slots.active <= len(self._unending)
        watch.alone_since = (watch.alone_since or now) if alone else None
        if watch.alone_since is None or now - watch.alone_since <= ENDING_PATIENCE_SECONDS:
            return False
        self.control.close(
            Stop.SERVICE,
            f"The service does not end {len(self._unending)} of the tasks, which ran longer than limits.task_timeout."
            " They may yet be billed; the next run fetches what they have made.",
        )
        return True

    async def _in_trouble(self, record: Record, trouble: Outcome | None, watch: _Watch) -> Record | None:
        """Bear that a look brought nothing; return the record where it makes no sense to look again."""
        if trouble is None:
            return None
        watch.in_trouble = True
        if trouble.stop is not None:
            self.control.close(trouble.stop, trouble.message)
            return record
        if trouble.verdict is Verdict.GONE:
            now = self.clock.monotonic()
            watch.gone_since = now if watch.gone_since is None else watch.gone_since
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
        """Return the seconds since the service accepted the task."""
        now = self.clock.now()
        return max(0.0, now - (record.sent.submitted_at or now))

    def _learn(self, record: Record) -> None:
        attempt = record.sent
        if attempt.ended_at is None or attempt.submitted_at is None:
            return
        seconds = max(0.0, attempt.ended_at - attempt.submitted_at)
        self._learned = min(self._learned + 1, MEMORY)
        usual = seconds if self.usual_seconds is None else self.usual_seconds
        self.usual_seconds = usual + (seconds - usual) / self._learned


class _Watch:
    """What is remembered of one task while it is followed, in monotonic seconds."""

    def __init__(self, since: float, looks: Iterator[float], random: Callable[[], float]) -> None:
        self.since = since
        self.in_trouble = False
        self.gone_since: float | None = None
        self.ending_since: float | None = None
        self.overdue: Failure | None = None
        self.is_unending = False
        self.alone_since: float | None = None
        self._looks = looks
        self._random = random
        self._retries = delays(random, first=1.0)

    def next_wait(self) -> float:
        """Return how long to wait before the next look."""
        if self.in_trouble:
            return next(self._retries)
        if self.is_unending:
            return UNENDING_SECONDS
        return ENDING_SECONDS if self.ending_since is not None else next(self._looks)

    def calm(self) -> None:
        """A look brought an answer."""
        if self.in_trouble:
            self.in_trouble = False
            self._retries = delays(self._random, first=1.0)
        self.gone_since = None
