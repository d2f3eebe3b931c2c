"""One timer for all looks, a share of the calls for them, and what one costs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from orchestrator.clock import VirtualClock
from orchestrator.engines.rounds import DEAR, JITTER, LEAST_SOUGHT, PRICE_SECONDS, SHARE, SOUGHT, Rounds
from orchestrator.steps.calls import Calls, First, Urgency
from orchestrator.waiting import Turn
from orchestrator.wiro import Client, Credentials


class Slow:
    """Lets nobody in before some time has passed."""

    def __init__(self, clock: VirtualClock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds

    @asynccontextmanager
    async def turn(self, _urgency: Urgency, _first: First | None = None) -> AsyncIterator[None]:
        await self.clock.sleep(self.seconds)
        yield

    def refused(self, _retry_after_seconds: float | None) -> None:
        raise AssertionError


class Counted(VirtualClock):
    """Counts how often it is waited for."""

    waits = 0

    async def wait(self, turn: Turn, seconds: float) -> bool:
        self.waits += 1
        return await super().wait(turn, seconds)


def in_virtual_time(
    work: Callable[[Counted, Rounds, Calls], Awaitable[None]], rate: float = 10.0, turn_seconds: float = 0.0
) -> None:
    async def main() -> None:
        clock = Counted()
        calls = Calls(Client(Credentials("key", None), "https://nowhere.test/v1"), Slow(clock, turn_seconds), clock)
        rounds = Rounds(rate, calls, clock, lambda: 1.0)
        async with anyio.create_task_group() as group:
            group.start_soon(clock.run)
            group.start_soon(rounds.run)
            await work(clock, rounds, calls)
            group.cancel_scope.cancel()

    anyio.run(main)


async def moments(clock: Counted, rounds: Rounds, waits: Sequence[float]) -> list[float]:
    """Return after how long each wait was over."""
    start, ended = clock.monotonic(), [0.0] * len(waits)

    async def one(number: int) -> None:
        await rounds.wait(waits[number])
        ended[number] = clock.monotonic() - start

    async with anyio.create_task_group() as group:
        for number in range(len(waits)):
            group.start_soon(one, number)
    return ended


def test_each_is_woken_when_it_is_due_whoever_asked_first() -> None:
    async def work(clock: Counted, rounds: Rounds, _: Calls) -> None:
        waits = [30.0, 2.0, 7.0, 0.0, 100.0]
        assert await moments(clock, rounds, waits) == pytest.approx([wait * (1 + JITTER) for wait in waits])

    in_virtual_time(work)


def test_a_thousand_that_are_due_together_take_their_share_of_the_calls_and_one_timer() -> None:
    async def work(clock: Counted, rounds: Rounds, _: Calls) -> None:
        ended = sorted(await moments(clock, rounds, [5.0] * 1000))
        most = max(sum(start <= moment < start + 10 for moment in ended) for start in ended)
        assert most <= SHARE * 10 * (10 + 1) + 1
        assert ended[-1] < 5.1 + 1000 / (SHARE * 10) + 1
        assert clock.waits < 1300

    in_virtual_time(work)


def test_one_that_is_given_up_takes_no_look_from_the_others() -> None:
    async def work(clock: Counted, rounds: Rounds, _: Calls) -> None:
        async with anyio.create_task_group() as group:
            for _number in range(500):
                group.start_soon(rounds.wait, 5.0)
            await clock.sleep(1.0)
            group.cancel_scope.cancel()
        assert await moments(clock, rounds, [4.5]) == pytest.approx([4.5 * (1 + JITTER)])

    in_virtual_time(work)


def test_all_can_be_asked_to_consider_anew_when_they_are_due() -> None:
    async def work(clock: Counted, rounds: Rounds, _: Calls) -> None:
        began, granted = clock.monotonic(), list[bool]()

        async def one() -> None:
            granted.append(await rounds.wait(600.0))
            granted.append(await rounds.wait(1.0))

        async with anyio.create_task_group() as group:
            group.start_soon(one)
            await clock.sleep(10.0)
            rounds.reconsider()
        assert granted == [False, True]
        assert clock.monotonic() - began < 12

    in_virtual_time(work)


def test_one_of_whom_there_is_news_considers_anew_and_the_others_wait_on() -> None:
    async def work(clock: Counted, rounds: Rounds, _: Calls) -> None:
        began, granted = clock.monotonic(), dict[str, tuple[bool, float]]()

        async def one(task: str) -> None:
            granted[task] = await rounds.wait(30.0, task), round(clock.monotonic() - began, 1)

        async with anyio.create_task_group() as group:
            group.start_soon(one, "a")
            group.start_soon(one, "b")
            await clock.sleep(10.0)
            rounds.hurry("a")
            rounds.hurry("nobody")
        assert granted == {"a": (False, 10.0), "b": (True, round(30.0 * (1 + JITTER), 1))}

    in_virtual_time(work)


def test_after_a_sleep_of_the_machine_all_are_due() -> None:
    """The clock that counts stood still meanwhile: what it says of the tasks is worth nothing."""

    async def work(clock: Counted, rounds: Rounds, _: Calls) -> None:
        async with anyio.create_task_group() as group:

            async def sleep_at_last() -> None:
                await clock.sleep(10.0)
                clock.jump(8 * 3600.0)

            group.start_soon(sleep_at_last)
            first, second = await moments(clock, rounds, [600.0, 700.0])
            assert first <= second < 16.0

    in_virtual_time(work)


def test_a_clock_that_is_put_back_changes_nothing() -> None:
    async def work(clock: Counted, rounds: Rounds, _: Calls) -> None:
        async with anyio.create_task_group() as group:

            async def put_back() -> None:
                await clock.sleep(10.0)
                clock.jump(-3600.0)

            group.start_soon(put_back)
            assert await moments(clock, rounds, [60.0]) == pytest.approx([60.0 * (1 + JITTER)])

    in_virtual_time(work)


def test_a_look_gets_dearer_when_calls_wait_for_their_turn_and_cheap_again() -> None:
    async def work(_clock: Counted, rounds: Rounds, calls: Calls) -> None:
        async def nothing(_client: Client) -> None:
            pass

        assert rounds.price() == PRICE_SECONDS
        for _number in range(40):
            await calls.make(Urgency.SUBMIT, nothing)
        assert rounds.price() > 10
        calls._pacing.seconds = 0.0  # type: ignore[attr-defined]  # the pacing of this test
        for _number in range(60):
            await calls.make(Urgency.SUBMIT, nothing)
        assert rounds.price() < 1.1 * PRICE_SECONDS

    in_virtual_time(work, turn_seconds=2.0)


def test_looks_that_were_planned_while_calls_were_scarce_are_considered_anew_when_they_are_cheap() -> None:
    """A few times, not with every moment that passes."""

    async def work(clock: Counted, rounds: Rounds, calls: Calls) -> None:
        async def nothing(_client: Client) -> None:
            pass

        for _number in range(40):
            await calls.make(Urgency.SUBMIT, nothing)
        began, prices = clock.monotonic(), [rounds.price()]
        while not await rounds.wait(60.0):
            prices.append(rounds.price())
            assert clock.monotonic() - began < 5.0
        assert 1 < len(prices) < 7
        assert prices[-1] < DEAR * PRICE_SECONDS

    in_virtual_time(work, turn_seconds=2.0)


def test_what_is_likely_to_be_told_is_not_looked_at_because_places_are_sought() -> None:
    async def work(_clock: Counted, rounds: Rounds, _: Calls) -> None:
        prices = [rounds.price(sought=True, patience=patience) for patience in (1.0, 2.0, 100.0)]
        assert prices[0] < PRICE_SECONDS / 4
        assert PRICE_SECONDS / 2 < prices[1] < PRICE_SECONDS
        assert prices[2] == pytest.approx(rounds.price(patience=100.0), rel=0.05)

    in_virtual_time(work)


def test_while_places_are_sought_looks_get_cheaper_until_they_use_the_calls() -> None:
    """Not below a bound, and no cheaper than they are otherwise where there are more than the calls allow."""

    async def work(clock: Counted, rounds: Rounds, _: Calls) -> None:
        assert rounds.price(sought=True) == pytest.approx(SOUGHT * PRICE_SECONDS)
        for _number in range(100):
            await moments(clock, rounds, [1.0])
        assert rounds.price(sought=True) == pytest.approx(LEAST_SOUGHT * PRICE_SECONDS)
        await moments(clock, rounds, [1.0] * 500)
        assert rounds.price(sought=True) == pytest.approx(PRICE_SECONDS)
        assert rounds.price() == PRICE_SECONDS

    in_virtual_time(work)
