"""The engine on one machine: carries every task through its life, until none is left or the run must stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import anyio
import anyio.abc

from orchestrator.clock import Clock
from orchestrator.engines.control import Control, Halt
from orchestrator.engines.doubts import Doubts
from orchestrator.engines.downloading import Downloads
from orchestrator.engines.feed import Feed
from orchestrator.engines.lateness import Lateness
from orchestrator.engines.slots import Slots
from orchestrator.engines.submitting import Submitter
from orchestrator.engines.tracking import Tracker
from orchestrator.lifecycle import FINAL, Failure, Record, State
from orchestrator.logs import Log
from orchestrator.steps.fetch import LATE_SECONDS, NotNowError, age_by_wall_clock
from orchestrator.steps.outcomes import Stop, delays
from orchestrator.tasks import Task
from orchestrator.wiro import RemoteTask

BACKLOG: Final = 64
"""How many tasks may wait for their download before no more are started."""

INHERITANCE_SECONDS: Final = 1.0
"""How often a task of an earlier run asks whether the job file, still being read, holds it."""

SAME_FAILURES: Final = 20
FETCHES: Final = 6
"""How often the outputs of one task are asked for, over about a minute, before they are left for another run.

Those that are only late do not count: whoever fetches says when they are so no longer.
"""


class Fetching(Protocol):
    """Brings home what a task made."""

    def __call__(self, record: Record, remote: RemoteTask | None, age: float, /) -> Awaitable[Record]:
        """See `orchestrator.steps.fetch.Fetcher.fetch`."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What one invocation is about.

    Attributes:
        selected: Whether a task belongs to it.
        most: How many tasks it may start, None for all.
        submits: Whether anything is to be submitted.
        follows: Whether what runs or is in doubt is to be followed to its end; otherwise files are fetched, no more.
        fail_fast: Whether nothing more is to be submitted once a task has failed.
        insists: Whether what stays in doubt is to be sent again, see `Settler`.
    """

    selected: Callable[[Task], bool] = lambda _: True
    most: int | None = None
    submits: bool = True
    follows: bool = True
    fail_fast: bool = False
    insists: bool = False


@dataclass(slots=True)
class LocalEngine:
    """One run on one machine.

    Attributes:
        finished: Told of each task that has ended.
        passed_over: How many pending tasks the orders leave out.
    """

    orders: Orders
    feed: Feed
    submitter: Submitter
    tracker: Tracker
    doubts: Doubts
    fetching: Fetching
    downloads: Downloads
    slots: Slots
    control: Control
    clock: Clock
    random: Callable[[], float]
    log: Log
    finished: Callable[[Record], Awaitable[None]]
    passed_over: int = 0
    _fetching_now: int = 0
    _inherited: set[str] = field(default_factory=set)
    _first_ends: list[Failure | None] = field(default_factory=list)
    _lateness: Lateness = field(default_factory=Lateness)

    async def run(self, unfinished: list[Record]) -> Halt | None:
        """Carry every task as far as it can go.

        Args:
            unfinished: Tasks that an earlier process left submitting, running or fetching; the slots count those that
                hold places.

        Returns:
            None when nothing was left to do, otherwise why it stopped early.
        """
        self.control.begun = True
        async with anyio.create_task_group() as group:
            group.start_soon(self.tracker.listener.run)
            group.start_soon(self.downloads.run)
            for record in unfinished:
                self._inherited.add(record.task.id)
                if not self.orders.follows and record.state is not State.FETCHING:
                    continue
                self._start(group, await self.doubts.recovered(record))
            group.start_soon(self.tracker.rounds.run)
            group.start_soon(self.doubts.run, lambda record: self._settled(group, record))
            if self.orders.submits:
                with self.control.until_closed():
                    await self._dispatch(group)
            while self.control.live or (len(self.doubts) and not self.control.left):
                await self.control.rested.wait()
            group.cancel_scope.cancel()
        return self.control.halt

    async def _dispatch(self, group: anyio.abc.TaskGroup) -> None:
        started = 0
        while not self.control.closed:
            record = await self.feed.next()
            if record is None:
                if self.passed_over and not started:
                    self.control.note(Stop.LIMIT, f"--only leaves out all {self.passed_over:,} pending tasks.")
                return
            if record.task.id in self._inherited:
                continue  # it has been carried from the start, and has become pending only now
            if not self.orders.selected(record.task):
                self.passed_over += 1
            elif self.orders.most is not None and started >= self.orders.most:
                self.control.note(Stop.LIMIT, f"--limit {self.orders.most} is reached.")
                return
            else:
                await self._room(record)
                started += 1
                self._start(group, record)

    async def _room(self, record: Record) -> None:
        """Wait until another task may be started."""
        while self._fetching_now >= BACKLOG:
            await self.control.changed.wait()
        await self.submitter.lobby.enter(record.task.id)

    def _start(self, group: anyio.abc.TaskGroup, record: Record) -> None:
        self.control.live += 1
        group.start_soon(self._carry, record)

    async def _settled(self, group: anyio.abc.TaskGroup, record: Record) -> None:
        """Go on with a task that is in doubt no longer."""
        if record.state is not State.RUNNING:
            self.slots.release()
        if record.state in FINAL:
            await self._told(record)
        elif record.state is not State.PENDING or not self.control.closed:
            self._start(group, record)
        self.control.changed.notify()
        self.control.rested.notify()

    async def _carry(self, record: Record) -> None:
        """Carry a task until it has ended, is in doubt, or stays for the next run."""
        remote: RemoteTask | None = None
        is_new = False
        try:
            while record.state not in FINAL:
                before = record
                if record.state is State.PENDING:
                    record, is_new = await self._submit(record), True
                    self.submitter.lobby.over(record.task.id)
                elif record.state is State.RUNNING:
                    record, remote = await self.tracker.track(record, is_new=is_new)
                    if record.state is not State.RUNNING:
                        self.slots.release()
                        self.control.changed.notify()
                elif record.state is State.FETCHING:
                    record = await self._fetch(record, remote)
                else:
                    self.doubts.add(record)
                if record is before:
                    return
            await self._ended(record)
        finally:
            self.submitter.lobby.over(record.task.id)
            self.control.live -= 1
            self.control.changed.notify()
            if not self.control.live:
                self.control.rested.notify()

    async def _submit(self, record: Record) -> Record:
        """Submit a pending task; one that may have been sent already is in doubt instead."""
        if self.doubts.may_have_been_sent(record):
            self.slots.take()
            return await self.doubts.reopened(record)
        return await self.submitter.submit(record) if await self._wanted(record) else record

    async def _wanted(self, record: Record) -> bool:
        """Return whether a pending task is to be submitted: the job file may have dropped what an earlier run left."""
        if record.task.id not in self._inherited:
            return True
        while self.orders.submits and not self.control.closed:
            if await self.feed.holds(record.task.id):
                return True
            if self.feed.exhausted:
                await self.feed.forget()
                return False
            with self.control.until_closed():
                await self.clock.sleep(INHERITANCE_SECONDS)
        return False

    async def _fetch(self, record: Record, remote: RemoteTask | None) -> Record:
        """Bring home what a task made; the record stays as it is where that has to wait for another run."""
        self._fetching_now += 1
        ended_at = self.clock.monotonic() - (age_by_wall_clock(record, self.clock.now()) if remote is None else 0.0)
        reason, tries = "", 0
        waits = delays(self.random, first=2.0, most=60.0)
        try:
            while tries < FETCHES:
                if not self.downloads.acquire_now():
                    with self.control.until_left():
                        await self.downloads.acquire()
                if self.control.left:
                    return record
                self.control.downloads += 1
                try:
                    fetched = await self.fetching(record, remote, self.clock.monotonic() - ended_at)
                except NotNowError as error:
                    reason, remote = error.message, None
                    tries += not error.late
                    wait = self._late_wait(ended_at, next(waits)) if error.late else next(waits)
                    self.control.delays.note(record.task.id, reason, self.clock.monotonic())
                    if error.disk:
                        self.control.close(Stop.DISK, reason)
                        return record
                    if error.blocked:  # only the user can help, and everything else goes on
                        self.log.warning("something stands where outputs belong", task=record.task.id, reason=reason)
                        self.control.note(Stop.DISK, reason)
                        return record
                else:
                    self.control.delays.over(record.task.id)
                    self._lateness.ended(in_vain=reason in fetched.warnings)
                    return fetched
                finally:
                    self.control.downloads -= 1
                    self.downloads.release()
                self.log.info("outputs are not available yet", task=record.task.id, reason=reason)
                self._fetching_now -= 1  # one that waits keeps nobody from being started
                with self.control.until_left():
                    await self.clock.sleep(wait)
                self._fetching_now += 1
            self.control.note(Stop.SERVICE, f"Some outputs could not be had. {reason}")
            return record
        finally:
            self._fetching_now -= 1

    def _late_wait(self, ended_at: float, wait: float) -> float:
        """Return how long to wait for outputs that are late: not much longer than they may be.

        Args:
            ended_at: Monotonic seconds of the task's end.
            wait: How long to wait otherwise.
        """
        may_be = max(0.0, ended_at + LATE_SECONDS - self.clock.monotonic())
        return min(max(wait, self._lateness.least_seconds), may_be + 1.0)

    async def _told(self, record: Record) -> None:
        """Tell of a task that has ended."""
        await self.finished(record)
        if record.failure is not None:
            self.log.warning("task ended", task=record.task.id, state=record.state, reason=record.failure.message)

    async def _ended(self, record: Record) -> None:
        await self._told(record)
        if self.orders.fail_fast and record.failure is not None and record.state is State.FAILED:
            self.control.close(Stop.FAILURE, f"Stopped by --fail-fast, as a task failed: {record.failure.message}")
        if len(self._first_ends) < SAME_FAILURES:
            self._first_ends.append(record.failure)
            first = self._first_ends[0]
            if len(self._first_ends) == SAME_FAILURES and first and all(end == first for end in self._first_ends):
                self.control.close(
                    Stop.SAME_FAILURE,
                    f"The first {SAME_FAILURES} tasks all failed alike: {first.message.rstrip('.')}."
                    " Fix the cause and run the same command again; `retry` is for those that failed.",
                )
