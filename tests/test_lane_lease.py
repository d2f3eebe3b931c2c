"""A share is kept, kept to, and given back."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.clock import VirtualClock
from orchestrator.engines.schedule import Schedule
from orchestrator.engines.slots import PROBE_SECONDS, Capacity, Slots
from orchestrator.errors import StoppedError
from orchestrator.lane import LaneFile, Lease, Pool, calls_lease, places_lease
from orchestrator.lane.lease import PATIENCE_SECONDS, RENEW_SECONDS

T = TypeVar("T")


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The lane's file is written in the one thread there is, so that time stands still meanwhile."""


async def inline(work: Callable[[], T]) -> T:
    return work()


def in_virtual_time(folder: Path, work: Callable[[LaneFile, VirtualClock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with anyio.create_task_group() as group:
            group.start_soon(clock.run)
            with closing(LaneFile(folder)) as file:
                await work(file, clock)
            group.cancel_scope.cancel()

    anyio.run(main)


def calls(file: LaneFile, clock: VirtualClock, name: str, limit: float) -> tuple[Lease, Schedule]:
    schedule = Schedule(limit)
    return calls_lease(Pool(file, "calls", lingers=True), name, schedule, limit, clock=clock, hop=inline), schedule


def test_two_runs_come_to_have_half_each_and_one_has_all_again(tmp_path: Path) -> None:
    async def work(file: LaneFile, clock: VirtualClock) -> None:
        (one, first), (two, second) = calls(file, clock, "one", 10), calls(file, clock, "two", 10.5)
        async with anyio.create_task_group() as group:
            await one.renew()
            assert first.limit == 10
            group.start_soon(one.keep)
            await two.renew()
            assert second.limit == 0
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as keeping:
                    keeping.start_soon(two.keep)
                    await clock.sleep(3)
                    assert (first.limit, second.limit) == (5, 5)
                    scope.cancel()
            await two.give_back()
            await clock.sleep(2)
            assert first.limit == 10
            group.cancel_scope.cancel()

    in_virtual_time(tmp_path, work)


def test_a_run_that_was_killed_goes_on_at_once_with_what_it_had(tmp_path: Path) -> None:
    async def work(file: LaneFile, clock: VirtualClock) -> None:
        (killed, _), (again, schedule) = calls(file, clock, "one", 10), calls(file, clock, "one", 10)
        other, _ = calls(file, clock, "two", 10)
        await killed.renew()
        await other.renew()
        await killed.renew()
        await clock.sleep(1.5)
        await other.renew()
        await again.renew()
        assert schedule.limit == 5

    in_virtual_time(tmp_path, work)


def test_a_run_that_stood_still_uses_nothing_that_was_handed_on(tmp_path: Path) -> None:
    """Neither when it wakes nor once it has asked, until the others have given something up."""

    async def work(file: LaneFile, clock: VirtualClock) -> None:
        pool = Pool(file, "places", lingers=False)
        (calls_of_one, first), (calls_of_two, second) = calls(file, clock, "1", 20), calls(file, clock, "2", 20)
        ours, theirs = Slots(Capacity(4), clock), Slots(Capacity(4), clock)
        places_of_one, places_of_two = (
            places_lease(pool, name, slots, clock=clock, hop=inline) for name, slots in (("1", ours), ("2", theirs))
        )

        async def renewed(seconds: float) -> None:
            for _ in range(int(seconds / RENEW_SECONDS)):
                await calls_of_one.renew()
                await places_of_one.renew()
                await clock.sleep(RENEW_SECONDS)

        def used() -> list[float]:
            return [first.limit, second.limit, ours.active, theirs.active]

        async with anyio.create_task_group() as group:
            for slots in (ours, theirs):
                slots.allow(0, clock.monotonic())
                for _ in range(9):
                    group.start_soon(slots.acquire)
            await renewed(0.5)
            group.start_soon(calls_of_two.keep)
            group.start_soon(places_of_two.keep)
            await renewed(1)
            ours.release()
            ours.release()
            await renewed(3)
            assert used() == [10, 10, 2, 2]
            await clock.sleep(72)
            assert math.isinf(first.earliest(clock.monotonic()))
            ours.release()
            await clock.sleep(0.1)
            assert used()[1:] == [20, 1, 4]
            await calls_of_one.renew()
            await places_of_one.renew()
            await clock.sleep(0.1)
            assert used() == [0, 20, 1, 4]
            await renewed(3)
            assert used() == [10, 10, 1, 4]
            theirs.release()
            theirs.release()
            await renewed(3)
            assert used() == [10, 10, 2, 2]
            group.cancel_scope.cancel()

    in_virtual_time(tmp_path, work)


def test_a_run_that_was_stopped_while_it_asked_takes_nothing_from_the_others(tmp_path: Path) -> None:
    """By the time it was then, they would have the moments of their leases from the future."""

    async def work(file: LaneFile, clock: VirtualClock) -> None:
        (one, first), (two, second) = calls(file, clock, "one", 20), calls(file, clock, "two", 20)

        async def stopped(work: Callable[[], T]) -> T:
            one.hop = inline
            await clock.sleep(72)
            return work()

        async with anyio.create_task_group() as group:
            await one.renew()
            group.start_soon(two.keep)
            await clock.sleep(1)
            one.hop = stopped
            await one.renew()
            assert (first.limit, second.limit) == (0, 20)
            group.cancel_scope.cancel()

    in_virtual_time(tmp_path, work)


class Crowd:
    """Runs that use each place they are given, and that stand still now and then.

    Attributes:
        active: How many tasks are on the service.
        most: How many there were when one was added.
    """

    def __init__(self, file: LaneFile, clock: VirtualClock) -> None:
        self.pool, self.clock = Pool(file, "places", lingers=False), clock
        self.begun_at = clock.monotonic()
        self.active = self.most = 0

    async def run(self, name: str, stops: list[tuple[float, float]]) -> None:
        """Have one task done after another, and stand still from a moment on for so many seconds."""
        slots = Slots(Capacity(4), self.clock)

        async def awake() -> None:
            for begins, seconds in stops:
                passed = self.clock.monotonic() - self.begun_at
                if begins <= passed < begins + seconds:
                    await self.clock.sleep(begins + seconds - passed)

        async def stopping(work: Callable[[], T]) -> T:
            await awake()
            return work()

        async def tasks(seconds: float) -> None:
            while True:
                await slots.acquire()
                self.active += 1
                self.most = max(self.most, self.active)
                await self.clock.sleep(seconds)
                self.active -= 1
                await awake()
                slots.release()

        lease = places_lease(self.pool, name, slots, clock=self.clock, hop=stopping)
        await lease.renew()
        async with anyio.create_task_group() as group:
            group.start_soon(lease.keep)
            for number in range(6):
                group.start_soon(tasks, 1.7 + 0.5 * number)


STOPS = st.lists(st.tuples(st.floats(0, 90), st.floats(0.1, 75)), max_size=3).map(sorted)


@settings(max_examples=20)
@given(st.lists(STOPS, min_size=2, max_size=3))
def test_no_more_tasks_are_active_than_may_be_whoever_stands_still(stops: list[list[tuple[float, float]]]) -> None:
    async def work(file: LaneFile, clock: VirtualClock) -> None:
        crowd = Crowd(file, clock)
        async with anyio.create_task_group() as group:
            for number, each in enumerate(stops):
                group.start_soon(crowd.run, str(number), each)
            await clock.sleep(120)
            group.cancel_scope.cancel()
        assert crowd.most <= 4

    with tempfile.TemporaryDirectory() as folder:
        in_virtual_time(Path(folder), work)


def test_places_go_to_those_who_seek_some(tmp_path: Path) -> None:
    """What is active cannot be given back before it has ended; who has enough lends the rest."""

    async def work(file: LaneFile, clock: VirtualClock) -> None:
        pool = Pool(file, "places", lingers=False)
        ours, theirs = Slots(Capacity(6), clock), Slots(Capacity(None), clock)
        one = places_lease(pool, "one", ours, clock=clock, hop=inline)
        two = places_lease(pool, "two", theirs, clock=clock, hop=inline)
        await one.renew()
        assert ours.capacity.allowed == 6
        for _ in range(5):
            await ours.acquire()
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(theirs.acquire)
            await two.renew()
            await clock.sleep(0.1)
            for _ in range(3):
                await one.renew()
                await two.renew()
            await clock.sleep(0.1)
            assert (ours.active, theirs.active) == (5, 1)
            for _ in range(4):
                ours.release()
            await one.renew()
            await two.renew()
            await clock.sleep(0.1)
            assert (ours.active, theirs.active) == (1, 4)
        await one.give_back()
        await two.renew()
        assert theirs.capacity.allowed > 100

    in_virtual_time(tmp_path, work)


def test_who_goes_on_after_a_kill_keeps_the_places_of_what_still_runs(tmp_path: Path) -> None:
    """What runs there counts from the first word on, before anybody has looked at it."""

    async def work(file: LaneFile, clock: VirtualClock) -> None:
        pool = Pool(file, "places", lingers=False)
        killed, theirs = Slots(Capacity(3), clock), Slots(Capacity(3), clock)
        one, two = (
            places_lease(pool, name, at, clock=clock, hop=inline) for name, at in (("1", killed), ("2", theirs))
        )
        await one.renew()
        for _ in range(2):
            await killed.acquire()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(theirs.acquire)
            await two.renew()
            await clock.sleep(0.1)
            for lease in (two, one, two, one):
                await lease.renew()
            again = Slots(Capacity(3), clock, active=2)
            one = places_lease(pool, "1", again, clock=clock, hop=inline)
            for lease in (one, two, one, two):
                await lease.renew()
            await clock.sleep(0.1)
            assert (again.active, theirs.active) == (2, 1)
            group.cancel_scope.cancel()

    in_virtual_time(tmp_path, work)


def test_what_one_learns_from_a_refusal_all_know(tmp_path: Path) -> None:
    """A run that comes later asks for no more than is left, and all try for one more after a while."""

    async def work(file: LaneFile, clock: VirtualClock) -> None:
        pool = Pool(file, "places", lingers=False)
        ours, theirs = Slots(Capacity(None), clock), Slots(Capacity(None), clock)
        one, two = (
            places_lease(pool, name, slots, clock=clock, hop=inline) for name, slots in (("1", ours), ("2", theirs))
        )
        for _ in range(7):
            await ours.acquire()
        await one.renew()
        ours.refused(6)
        await one.renew()
        assert (ours.active, ours.capacity.allowed) == (6, 6)
        await two.renew()
        assert theirs.capacity.allowed == 0
        for _ in range(4):
            ours.release()
        await one.renew()
        await two.renew()
        assert (ours.capacity.allowed, theirs.capacity.allowed) == (4, 2)
        await clock.sleep(PROBE_SECONDS)
        await one.renew()
        await two.renew()
        await one.renew()
        assert ours.capacity.allowed + theirs.capacity.allowed == 7

    in_virtual_time(tmp_path, work)


class Account:
    """Has 25 places, and says so when it refuses a task."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock, self.active = clock, 0

    async def work(self, slots: Slots, seconds: float) -> None:
        """Have one task done after another."""
        while True:
            await slots.acquire()
            with slots.sending() as usable:
                await self.clock.sleep(0.05)
                if not usable():
                    slots.release()
                    continue
                if self.active >= 25:
                    slots.refused(25)
                    continue
            self.active += 1
            await self.clock.sleep(seconds)
            self.active -= 1
            slots.release()


def test_the_places_of_a_run_that_ends_are_soon_used_by_the_other(tmp_path: Path) -> None:
    """Though it was refused again and again meanwhile, by what both tried beyond the limit."""

    async def work(file: LaneFile, clock: VirtualClock) -> None:
        pool, account = Pool(file, "places", lingers=False), Account(clock)

        async def run(name: str, slots: Slots, seconds: float) -> None:
            lease = places_lease(pool, name, slots, clock=clock, hop=inline)
            await lease.renew()
            async with anyio.create_task_group() as group:
                group.start_soon(lease.keep)
                for _ in range(40):
                    group.start_soon(account.work, slots, seconds)

        ours, theirs = Slots(Capacity(None), clock), Slots(Capacity(None), clock)
        async with anyio.create_task_group() as second:
            async with anyio.create_task_group() as first:
                first.start_soon(run, "1", ours, 5.0)
                await clock.sleep(100.0)
                second.start_soon(run, "2", theirs, 7.0)
                await clock.sleep(100.0)
                first.cancel_scope.cancel()
            account.active = theirs.active
            pool.leave("1", clock.now())
            await clock.sleep(5.0)
            assert theirs.active >= 20
            second.cancel_scope.cancel()

    in_virtual_time(tmp_path, work)


def test_two_runs_that_begin_together_soon_have_all_places(tmp_path: Path) -> None:
    """Though one was refused while the other had far more than its share, since nothing was known yet."""

    async def work(file: LaneFile, clock: VirtualClock) -> None:
        pool, account = Pool(file, "places", lingers=False), Account(clock)

        async def run(name: str, slots: Slots) -> None:
            lease = places_lease(pool, name, slots, clock=clock, hop=inline)
            await lease.renew()
            async with anyio.create_task_group() as group:
                group.start_soon(lease.keep)
                for number in range(40):
                    group.start_soon(account.work, slots, 7.0 + number % 3)
                    await clock.sleep(0.1)

        async with anyio.create_task_group() as both:
            both.start_soon(run, "1", Slots(Capacity(None), clock))
            await clock.sleep(1.5)
            both.start_soon(run, "2", Slots(Capacity(None), clock))
            await clock.sleep(20.0)
            active = []
            for _ in range(20):
                active.append(account.active)
                await clock.sleep(0.5)
            assert sum(active) / len(active) >= 23
            both.cancel_scope.cancel()

    in_virtual_time(tmp_path, work)


def test_a_file_that_cannot_be_written_for_long_stops_the_run(tmp_path: Path) -> None:
    """Until then the limit lapses, so that no call is made beyond what is this run's."""

    async def work(file: LaneFile, clock: VirtualClock) -> None:
        lease, schedule = calls(file, clock, "one", 10)
        await lease.renew()
        file.close()
        begun = clock.monotonic()
        with pytest.raises(StoppedError, match="Fix the cause and run the same command again"):
            await lease.keep()
        assert clock.monotonic() - begun == pytest.approx(PATIENCE_SECONDS, abs=1)
        assert schedule.earliest(clock.monotonic()) > clock.monotonic() + 1000
        await lease.give_back()

    in_virtual_time(tmp_path, work)
