"""Places on the service: never more than there are, in the order of asking, and found out by asking."""

from __future__ import annotations

import itertools
import math
from collections.abc import Awaitable, Callable

import anyio
import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.clock import VirtualClock
from orchestrator.engines.slots import LONGEST_PAUSE_SECONDS, PROBE_SECONDS, Capacity, Slots
from orchestrator.waiting import Turn


def in_virtual_time(work: Callable[[VirtualClock], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with anyio.create_task_group() as group:
            group.start_soon(clock.run)
            await work(clock)
            group.cancel_scope.cancel()

    anyio.run(main)


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5), st.none() | st.floats(0, 5)), max_size=30),
)
@settings(max_examples=80)
def test_never_more_than_the_number_and_nothing_leaks(
    most: int, tasks: list[tuple[float, float, float | None]]
) -> None:
    """Whoever comes, works, or is cancelled while waiting: the number holds, and all places are free at the end."""
    peak = served = 0

    async def work(clock: VirtualClock) -> None:
        nonlocal peak
        slots = Slots(Capacity(most), clock)

        async def task(arrives: float, works: float) -> None:
            nonlocal peak, served
            await clock.sleep(arrives)
            await slots.acquire()
            peak = max(peak, slots.active)
            try:
                await clock.sleep(works)
                served += 1
            finally:
                slots.release()

        async def live(arrives: float, works: float, gives_up: float | None) -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(task, arrives, works)
                if gives_up is not None:
                    await clock.sleep(gives_up)
                    group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for each in tasks:
                group.start_soon(live, *each)
        assert slots.active == 0
        for _ in range(most):
            await slots.acquire()

    in_virtual_time(work)
    assert peak <= most
    assert served >= sum(gives_up is None for _, _, gives_up in tasks)


def test_first_come_first_served() -> None:
    order: list[int] = []

    async def work(clock: VirtualClock) -> None:
        slots = Slots(Capacity(1), clock)
        await slots.acquire()

        async def task(number: int) -> None:
            await clock.sleep(number / 1000)
            await slots.acquire()
            order.append(number)
            await clock.sleep(1)
            slots.release()

        async with anyio.create_task_group() as group:
            for number in range(9):
                group.start_soon(task, number)
            await clock.sleep(1)
            slots.release()

    in_virtual_time(work)
    assert order == list(range(9))


def test_nobody_overtakes() -> None:
    """Who asks in the very moment in which a place is given back waits behind those who asked before."""
    order: list[str] = []

    async def work(clock: VirtualClock) -> None:
        slots = Slots(Capacity(1), clock)

        async def ask(name: str) -> None:
            await slots.acquire()
            order.append(name)
            slots.release()

        await slots.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(ask, "early")
            await clock.sleep(1)
            slots.release()
            await ask("late")

    in_virtual_time(work)
    assert order == ["early", "late"]


def test_who_stands_behind_one_that_gives_up_is_not_forgotten() -> None:
    """The first in the queue is cancelled just when a place comes free: the next one has it at once."""
    waited: list[float] = []

    async def work(clock: VirtualClock) -> None:
        slots = Slots(Capacity(1), clock)
        begin = clock.monotonic()
        first = anyio.CancelScope()

        async def give_up() -> None:
            with first:
                await slots.acquire()

        async def ask() -> None:
            await slots.acquire()
            waited.append(clock.monotonic() - begin)

        await slots.acquire()
        async with anyio.create_task_group() as group:
            group.start_soon(give_up)
            await clock.sleep(1)
            group.start_soon(ask)
            await clock.sleep(1)
            slots.release()
            first.cancel()

    in_virtual_time(work)
    assert waited == [pytest.approx(2.0)]


def test_one_who_gives_up_at_the_head_of_the_queue_takes_no_place() -> None:
    """The first two in the queue are cancelled just when a place comes free: the third one has it."""
    waited: list[float] = []

    async def work(clock: VirtualClock) -> None:
        slots = Slots(Capacity(1), clock)
        scopes = [anyio.CancelScope() for _ in range(3)]

        async def ask(scope: anyio.CancelScope) -> None:
            with scope:
                await slots.acquire()
                waited.append(clock.monotonic() - begin)

        begin = clock.monotonic()
        await slots.acquire()
        async with anyio.create_task_group() as group:
            for scope in scopes:
                group.start_soon(ask, scope)
            await clock.sleep(1)
            slots.release()
            scopes[0].cancel()
            scopes[1].cancel()
        assert slots.active == 1

    in_virtual_time(work)
    assert waited == [pytest.approx(1.0)]


def test_a_task_that_is_active_already_is_counted_whether_there_is_room_or_not() -> None:
    async def work(clock: VirtualClock) -> None:
        slots = Slots(Capacity(1), clock)
        slots.take()
        slots.take()
        slots.release()
        async with anyio.create_task_group() as group:
            group.start_soon(slots.acquire)
            await clock.sleep(100)
            assert slots.active == 1
            slots.release()
        assert slots.active == 1

    in_virtual_time(work)


def test_who_waits_for_a_turn_hears_that_the_bound_has_fallen() -> None:
    """A refusal bounds what is out, and those who hold places for requests that have not left give them back."""

    async def work(clock: VirtualClock) -> None:
        slots = Slots(Capacity(None), clock)
        for _ in range(6):
            await slots.acquire()
        with slots.sending() as first, slots.sending() as second, slots.sending() as third:
            assert first()
            assert second()
            slots.refused(None)  # one of the three that had left before is the one to give its place back
            assert (slots.active, slots.unsent) == (5, 1)
            assert not third()
            assert second()
        assert slots.unsent == 0

    in_virtual_time(work)


def test_who_waits_for_a_turn_heeds_the_pause_too() -> None:
    """It was let in before others were found to hold every place."""

    async def work(clock: VirtualClock) -> None:
        slots = Slots(Capacity(None), clock)
        for _ in range(2):
            await slots.acquire()
        with slots.sending() as first, slots.sending() as second:
            assert first()
            slots.refused(None)
            await clock.sleep(4.9)
            assert not second()
            await clock.sleep(0.2)
            assert second()

    in_virtual_time(work)


def test_with_none_of_ours_running_it_asks_again_after_5_to_60_s() -> None:
    """Others hold every place: pauses grow from 5 to 60 s, one task asks at a time, and success starts anew."""
    asked: list[float] = []

    async def work(clock: VirtualClock) -> None:
        slots = Slots(Capacity(None), clock)
        begin = clock.monotonic()

        async def task() -> None:
            while len(asked) < 20:
                await slots.acquire()
                asked.append(clock.monotonic() - begin)
                if clock.monotonic() - begin > 300:
                    slots.accepted()
                    return
                slots.refused(None)

        async with anyio.create_task_group() as group:
            group.start_soon(task)
            await clock.sleep(0)
            await clock.sleep(400)
            group.cancel_scope.cancel()
        slots.capacity.refused(0, None, clock.monotonic())
        assert slots.capacity.next_chance(0, clock.monotonic()) == pytest.approx(5.0)

    in_virtual_time(work)
    pauses = [round(later - earlier) for earlier, later in itertools.pairwise(asked)]
    assert pauses == [5, 10, 20, 40, 60, 60, 60, 60]


def test_many_at_once_come_to_one_who_asks() -> None:
    """Sixteen are refused together although none of ours runs: from then on one at a time asks."""
    asks: list[float] = []

    async def work(clock: VirtualClock) -> None:
        slots = Slots(Capacity(None), clock)
        begin = clock.monotonic()

        async def task() -> None:
            while True:
                await slots.acquire()
                await clock.sleep(0.1)
                asks.append(clock.monotonic() - begin)
                slots.refused(5)

        async with anyio.create_task_group() as group:
            for _ in range(16):
                group.start_soon(task)
            await clock.sleep(60)
            group.cancel_scope.cancel()

    in_virtual_time(work)
    assert [round(at) for at in asks[:16]] == [0] * 16
    assert [round(at) for at in asks[16:]] == [5, 15, 35]


def test_waiting_is_not_spinning() -> None:
    """A wait without an end looks at the clock about once a minute."""
    looks = 0

    class Counted(VirtualClock):
        async def wait(self, turn: Turn, seconds: float) -> bool:
            nonlocal looks
            looks += 1
            assert seconds > 0
            return await super().wait(turn, seconds)

    async def work() -> None:
        clock = Counted()
        slots = Slots(Capacity(1), clock)
        slots.take()
        async with anyio.create_task_group() as group:
            group.start_soon(clock.run)
            for _ in range(4):
                group.start_soon(slots.acquire)
            await clock.sleep(3600)
            group.cancel_scope.cancel()

    anyio.run(work)
    assert looks <= 4 * 3600 / LONGEST_PAUSE_SECONDS + 4


@given(st.integers(1, 40), st.none() | st.integers(1, 50), st.integers(1, 80))
@settings(max_examples=40)
def test_the_service_limit_is_used_and_seldom_run_into(limit: int, most: int | None, tasks: int) -> None:
    """An unknown limit: everything gets done, as fast as the limit lets it, with few refusals after the first ones."""
    running = peak = refusals = 0
    seconds = 0.0

    async def work(clock: VirtualClock) -> None:
        nonlocal peak, refusals, seconds
        slots = Slots(Capacity(most), clock)
        lobby = anyio.Semaphore(16)
        begin = clock.monotonic()

        async def task() -> None:
            nonlocal running, peak, refusals
            async with lobby:
                while True:
                    await slots.acquire()
                    await clock.sleep(0.05)
                    if running < limit:
                        break
                    refusals += 1
                    slots.refused(limit)
            slots.accepted()
            running += 1
            peak = max(peak, running)
            await clock.sleep(10)
            running -= 1
            slots.release()

        async with anyio.create_task_group() as group:
            for _ in range(tasks):
                group.start_soon(task)
        seconds = clock.monotonic() - begin

    in_virtual_time(work)
    places = min(limit, most or limit)
    rounds = math.ceil(tasks / places)
    assert peak <= places
    assert refusals <= 16 + seconds / PROBE_SECONDS + 1
    assert seconds <= rounds * 10.5 + 1


def test_a_share_of_what_several_runs_have_holds_until_it_changes() -> None:
    """What is active beyond it stays; nobody spins while waiting, and a larger share is used at once."""

    async def work(clock: VirtualClock) -> None:
        slots = Slots(Capacity(10), clock)
        begin = clock.monotonic()
        taken: list[float] = []

        async def task() -> None:
            await slots.acquire()
            taken.append(clock.monotonic() - begin)

        async with anyio.create_task_group() as group:
            slots.allow(2, math.inf)
            for _ in range(5):
                group.start_soon(task)
            await clock.sleep(5)
            assert (slots.active, slots.sought) == (2, True)
            slots.allow(1, math.inf)
            slots.release()
            await clock.sleep(100)
            assert slots.active == 1
            slots.allow(3, math.inf)
            await clock.sleep(5)
            assert (slots.active, slots.sought) == (3, True)
            slots.allow(math.inf, math.inf)
        assert taken == pytest.approx([0, 0, 105, 105, 110])

    in_virtual_time(work)


def test_who_found_that_the_share_has_lapsed_has_a_place_once_it_is_given_again() -> None:
    async def work(clock: VirtualClock) -> None:
        slots = Slots(Capacity(10), clock)
        slots.allow(2, clock.monotonic() + 3)
        await slots.acquire()
        await clock.sleep(3)
        async with anyio.create_task_group() as group:
            group.start_soon(slots.acquire)
            await clock.sleep(100)
            assert (slots.active, slots.sought) == (1, True)
            slots.allow(2, clock.monotonic() + 3)
        assert slots.active == 2

    in_virtual_time(work)
