from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, strategies as st

from orchestrator.clock import Clock, SystemClock, VirtualClock
from orchestrator.waiting import Turn

START = 1_800_000_000.0


@asynccontextmanager
async def moving(clock: VirtualClock) -> AsyncIterator[VirtualClock]:
    """Let time move while the block runs."""
    async with anyio.create_task_group() as group:
        group.start_soon(clock.run)
        yield clock
        group.cancel_scope.cancel()


@pytest.fixture(params=["system", "virtual"])
async def clock(request: pytest.FixtureRequest) -> AsyncIterator[Clock]:
    if request.param == "system":
        yield SystemClock()
    else:
        async with moving(VirtualClock()) as virtual:
            yield virtual


@pytest.mark.anyio
class TestEveryClock:
    async def test_sleeps_as_long_as_it_is_asked_to(self, clock: Clock) -> None:
        """Time has passed after a sleep, on both faces of the clock."""
        now, monotonic = clock.now(), clock.monotonic()
        await clock.sleep(0.01)
        assert clock.monotonic() - monotonic >= 0.0099
        assert clock.now() - now == pytest.approx(clock.monotonic() - monotonic, abs=0.05)

    @pytest.mark.parametrize("seconds", [0.0, -5.0])
    async def test_a_sleep_of_nothing_gives_the_others_a_turn(self, clock: Clock, seconds: float) -> None:
        """Zero or less does not wait, and does not keep the loop to itself either."""
        turns: list[str] = []

        async def other() -> None:
            turns.append("other")

        async with anyio.create_task_group() as group:
            group.start_soon(other)
            await clock.sleep(seconds)
            turns.append("sleeper")
        assert turns == ["other", "sleeper"]

    @pytest.mark.parametrize("seconds", [3600.0, math.inf])
    async def test_waiting_ends_with_the_event(self, clock: Clock, seconds: float) -> None:
        """`wait` returns True as soon as the event comes, long before its time is over, if it ever is."""
        event = Turn()

        async def come() -> None:
            await clock.sleep(0.005)
            event.set()

        before = clock.monotonic()
        async with anyio.create_task_group() as group:
            group.start_soon(come)
            assert await clock.wait(event, seconds)
        assert clock.monotonic() - before < 60

    async def test_waiting_ends_with_the_time(self, clock: Clock) -> None:
        """`wait` returns False once its time is over."""
        before = clock.monotonic()
        assert not await clock.wait(Turn(), 0.01)
        assert clock.monotonic() - before >= 0.0099

    @pytest.mark.parametrize("seconds", [0.0, -1.0, 10.0, math.inf])
    async def test_an_event_that_has_come_is_not_waited_for(self, clock: Clock, seconds: float) -> None:
        """An event that is set counts whatever the time."""
        event = Turn()
        event.set()
        before = clock.monotonic()
        assert await clock.wait(event, seconds)
        assert clock.monotonic() - before < 5
        assert not await clock.wait(Turn(), min(seconds, 0.0))

    async def test_a_wait_can_be_cancelled(self, clock: Clock) -> None:
        """Cancelling one who waits or sleeps ends it at once and is passed on."""
        ended: list[str] = []

        async def wait(name: str) -> None:
            try:
                await (clock.sleep(3600) if name == "sleep" else clock.wait(Turn(), 3600))
            finally:
                ended.append(name)

        async with anyio.create_task_group() as group:
            group.start_soon(wait, "sleep")
            group.start_soon(wait, "wait")
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert sorted(ended) == ["sleep", "wait"]

    async def test_a_cancellation_that_comes_with_the_event_goes_first(self, clock: Clock) -> None:
        """Whoever is cancelled takes nothing that he waited for."""
        event, went_on = Turn(), False

        async def take() -> None:
            nonlocal went_on
            await clock.wait(event, 3600)
            went_on = True

        async with anyio.create_task_group() as group:
            group.start_soon(take)
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            event.set()
            group.cancel_scope.cancel()
        assert not went_on


def test_the_system_clock_tells_the_time() -> None:
    """`now` is unix time."""
    assert abs(SystemClock().now() - time.time()) < 5


def test_a_wait_that_runs_out_sets_one_alarm() -> None:
    """A loop that counts milliseconds is not asked again and again whether the last part of one is over."""
    base: Any = pytest.importorskip("uvloop").Loop
    alarms: list[float] = []

    class Loop(base):  # type: ignore[misc]  # where it is not there it has no type
        def call_later(self, delay: float, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
            alarms.append(delay)
            handle: asyncio.TimerHandle = super().call_later(delay, *arguments, **options)
            return handle

    async def wait() -> None:
        began = time.monotonic()
        for _ in range(5):
            assert not await SystemClock().wait(Turn(), 0.0024)
        assert time.monotonic() - began >= 5 * 0.002

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(wait())
    assert alarms == [0.003] * 5


def test_virtual_time_begins_where_it_is_told() -> None:
    """A new virtual clock stands still at its start."""
    clock = VirtualClock(1000.0)
    assert (clock.now(), clock.monotonic()) == (1000.0, 1000.0)
    assert VirtualClock().now() == START


@pytest.mark.anyio
async def test_virtual_sleepers_wake_in_order() -> None:
    """Each sleeper wakes at its own moment; those of the same moment in the order in which they lay down."""
    woken: list[tuple[str, float]] = []
    async with moving(VirtualClock()) as clock:

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic() - START))

        async with anyio.create_task_group() as group:
            for name, seconds in (("late", 3600.0), ("twin", 5.0), ("other twin", 5.0), ("early", 0.25)):
                group.start_soon(sleeper, name, seconds)
    assert woken == [("early", 0.25), ("twin", 5.0), ("other twin", 5.0), ("late", 3600.0)]


@pytest.mark.anyio
async def test_time_stands_still_while_somebody_is_busy() -> None:
    """However many turns of the loop a piece of work takes, no time passes meanwhile."""
    async with moving(VirtualClock()) as clock:

        async def busy() -> None:
            for _ in range(200):
                await anyio.lowlevel.checkpoint()
                assert clock.monotonic() == START

        async with anyio.create_task_group() as group:
            group.start_soon(busy)
            await clock.sleep(1.0)
    assert clock.monotonic() == START + 1.0


@pytest.mark.anyio
async def test_virtual_hours_take_no_real_time() -> None:
    """Weeks of many sleepers who work between their sleeps pass while the test's time limit does not."""
    async with moving(VirtualClock()) as clock:

        async def worker(seconds: float) -> None:
            for _ in range(50):
                await clock.sleep(seconds)
                for _ in range(4):
                    await anyio.lowlevel.checkpoint()
                await clock.wait(Turn(), 3.0)

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(worker, 3600.0 * (number + 1))
    assert clock.monotonic() - START == 50 * (36_000.0 + 3.0)


@pytest.mark.anyio
async def test_time_waits_for_the_first_sleeper_after_a_pause() -> None:
    """A clock that nobody waits on does nothing, and moves on with the next sleeper."""
    async with moving(VirtualClock()) as clock:
        await anyio.wait_all_tasks_blocked()
        assert clock.monotonic() == START
        await clock.sleep(7.0)
        assert clock.monotonic() == START + 7.0


@pytest.mark.anyio
async def test_a_jump_moves_the_wall_clock_alone() -> None:
    """After a jump the wall clock is elsewhere, and sleepers sleep as long as before."""
    async with moving(VirtualClock()) as clock:
        moments: list[float] = []

        async def sleeper() -> None:
            await clock.sleep(10.0)
            moments.append(clock.monotonic())

        async with anyio.create_task_group() as group:
            group.start_soon(sleeper)
            clock.jump(-500.0)
            assert (clock.now(), clock.monotonic()) == (START - 500.0, START)
        clock.jump(2000.0)
        assert moments == [START + 10.0]
        assert clock.now() == START + 10.0 + 1500.0


@given(st.lists(st.tuples(st.integers(min_value=2, max_value=50), st.booleans()), min_size=1, max_size=30))
def test_a_cancelled_sleeper_holds_nobody_up(sleepers: list[tuple[int, bool]]) -> None:
    """Sleepers cancelled out of the middle leave the others' order as it was, and no moment of their own behind."""
    woken: list[int] = []
    clock = VirtualClock()

    async def sleeper(seconds: int, scope: anyio.CancelScope) -> None:
        with scope:
            await clock.sleep(seconds)
            woken.append(seconds)

    async def main() -> None:
        scopes = [anyio.CancelScope() for _ in sleepers]
        async with moving(clock), anyio.create_task_group() as group:
            for (seconds, _), scope in zip(sleepers, scopes, strict=True):
                group.start_soon(sleeper, seconds, scope)
            await clock.sleep(1.0)
            for (_, cancelled), scope in zip(sleepers, scopes, strict=True):
                if cancelled:
                    scope.cancel()

    anyio.run(main)
    assert woken == sorted(seconds for seconds, cancelled in sleepers if not cancelled)
    assert clock.monotonic() == START + max([1, *woken])


@pytest.mark.anyio
async def test_time_moves_for_shielded_work_in_a_cancelled_scope() -> None:
    """Time moves also while a cancelled scope waits for shielded work to end."""
    async with moving(VirtualClock()) as clock:

        async def saving() -> None:
            with anyio.CancelScope(shield=True):
                await clock.sleep(5.0)

        async with anyio.create_task_group() as group:
            group.start_soon(saving)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    assert clock.monotonic() == START + 5.0
