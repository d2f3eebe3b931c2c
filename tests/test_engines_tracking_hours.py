"""Tasks are followed for hours, in virtual time: through latency, jumps of the clock, sleep, and a changing limit."""

from __future__ import annotations

import math
import random
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Any

import anyio
import pytest

from orchestrator.clock import VirtualClock
from orchestrator.engines.control import Control
from orchestrator.engines.forecast import Forecast
from orchestrator.engines.listening import Listen, Listener
from orchestrator.engines.pacing import Pacer
from orchestrator.engines.rounds import PRICE_SECONDS, Rounds
from orchestrator.engines.slots import Capacity, Slots
from orchestrator.engines.tracking import Tracker
from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.logs import silent
from orchestrator.money import FREE
from orchestrator.steps.calls import Calls
from orchestrator.tasks import Task
from orchestrator.wiro import Client, Credentials, Event, RemoteTask, ReplyLost
from orchestrator.wiro.transport import STANDARD_TIMEOUTS
from orchestrator.wiro.wire import read_task

LATENCY = 0.05


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The ledger writes in the one thread there is, so that time stands still meanwhile."""


class Service(Client):
    """The service's side of tasks that were accepted, in the time of the clock that it is given.

    Attributes:
        ends: When each task ends, in monotonic seconds.
        looks: How often each was looked at, and when last.
        answers: Says whether a look, counted from 1 for each task, is answered at all.
    """

    answers: Callable[[str, int], bool] = staticmethod(lambda *_: True)

    def __init__(self, clock: VirtualClock, latency: float) -> None:
        super().__init__(Credentials("key", None), "https://nowhere.test/v1")
        self.clock, self.latency = clock, latency
        self.pacer = Pacer(10, clock)
        self.ends: dict[str, float] = {}
        self.looks: Counter[str] = Counter()
        self.seen: dict[str, float] = {}

    async def task(
        self, *, token: str | None = None, task_id: str | None = None, seconds: float = math.inf
    ) -> RemoteTask:
        assert task_id == token
        await self.pacer.gate("/Task/Detail")
        number = str(token)
        self.looks[number] += 1
        if not self.answers(number, self.looks[number]):
            await self.clock.sleep(min(seconds, STANDARD_TIMEOUTS.total))
            raise ReplyLost("/Task/Detail", "no answer in time")
        if self.latency > seconds:
            await self.clock.sleep(seconds)
            raise ReplyLost("/Task/Detail", "no answer in time")
        await self.clock.sleep(self.latency / 2)
        ended = self.clock.monotonic() >= self.ends[number]
        self.seen[number] = self.clock.monotonic()
        await self.clock.sleep(self.latency / 2)
        done = {"status": "task_postprocess_end", "pexit": "0", "totalcost": "0.01"}
        return read_task({"id": number, "status": "task_output"} | (done if ended else {}))


@dataclass
class World:
    """Tasks that are accepted and followed, so many at once."""

    clock: VirtualClock
    service: Service
    tracker: Tracker
    ledger: Ledger
    lags: list[float] = field(default_factory=list)

    async def tasks(self, number: int, seconds: Callable[[int], float], places: Callable[[], int] = lambda: 16) -> None:
        """Follow tasks to their ends; `places` tells how many may run at once just now."""
        running, changed, first = set[int](), [anyio.Event()], len(self.service.ends)

        async def one(index: int) -> None:
            await self._one(index, seconds(index))
            running.discard(index)
            changed[0].set()

        async with anyio.create_task_group() as group:
            for index in range(first, first + number):
                while len(running) >= places():
                    changed[0] = anyio.Event()
                    await changed[0].wait()
                running.add(index)
                group.start_soon(one, index)

    async def _one(self, index: int, seconds: float) -> None:
        task, now = Task(f"task-{index}", index, {"steps": 40}, {}, {}, "x"), self.clock.now()
        moves = [Record(task)]
        moves.append(moves[-1].intended(now, FREE, None))
        moves.append(moves[-1].accepted(str(index), str(index), now))
        await self.ledger.enter([task], 1, index)
        await self.ledger.save(moves[0], moves[1], durable=False)
        await self.ledger.save(moves[1], moves[2], durable=False)
        self.service.ends[str(index)] = self.clock.monotonic() + seconds
        record, _ = await self.tracker.track(moves[2])
        assert record.state is State.FETCHING
        self.lags.append(self.clock.monotonic() - self.service.ends[str(index)])

    def calls(self, first: int = 0) -> float:
        """Return the looks for each task from a certain one on."""
        return fmean(self.service.looks[str(index)] for index in range(first, len(self.service.ends)))


async def inline(work: Callable[[], Any]) -> Any:
    return work()


@contextmanager
def store() -> Iterator[SqliteLedger]:
    with tempfile.TemporaryDirectory() as folder, SqliteLedger(Path(folder) / "ledger.sqlite") as opened:
        yield opened


Hear = Callable[[World], Listen]
"""Gives the socket that tells of a world's tasks."""


def following(
    work: Callable[[World], Awaitable[None]],
    *,
    latency: float = LATENCY,
    stated: float = 10.0,
    hear: Hear | None = None,
) -> None:
    async def main(held: SqliteLedger) -> None:
        clock = VirtualClock()
        service = Service(clock, latency)
        calls, control, ledger = Calls(service, service.pacer, clock), Control(), Ledger(held, clock, inline)
        dice = random.Random(1)
        rounds = Rounds(10, calls, clock, dice.random)
        tracker = Tracker(
            attempts=3,
            timeout_seconds=7200,
            price_usd=lambda _: None,
            slots=Slots(Capacity(None), clock),
            forecast=Forecast(stated),
            rounds=rounds,
            listener=Listener(clock, random.random, silent()),
            control=control,
            calls=calls,
            ledger=ledger,
            clock=clock,
            random=dice.random,
            log=silent(),
        )
        world = World(clock, service, tracker, ledger)
        tracker.listener.listen = None if hear is None else hear(world)
        async with anyio.create_task_group() as group:
            for service_of_time in (clock.run, ledger.run, rounds.run, tracker.listener.run):
                group.start_soon(service_of_time)
            try:
                await work(world)
            finally:
                ledger.close()
            group.cancel_scope.cancel()

    with store() as held:
        anyio.run(main, held)


def lognormal(seconds: float, sigma: float = 0.35) -> Callable[[int], float]:
    return lambda index: seconds * math.exp(sigma * random.Random(index).gauss(0, 1))


@pytest.mark.parametrize("latency", [0.05, 0.5])
def test_with_any_latency_few_looks_see_the_end_soon(latency: float) -> None:
    """Half a second for each call makes an answer late by that, and costs no more looks."""

    async def work(world: World) -> None:
        await world.tasks(150, lognormal(10.0))
        assert world.calls(first=50) < 2.7
        assert median(world.lags[50:]) < 1.6 + latency

    following(work, latency=latency)


def test_a_look_that_is_never_answered_does_not_hold_its_task_up() -> None:
    """The first look at every third task hangs, as one does on a connection that is dead: soon another one is taken."""

    async def work(world: World) -> None:
        world.service.answers = lambda number, look: look > 1 or int(number) % 3 > 0
        await world.tasks(60, lognormal(10.0))
        assert max(world.lags) < 15
        assert world.calls() < 3.5

    following(work)


def test_a_service_that_takes_its_time_is_heard_all_the_same() -> None:
    """It answers after longer than a look is waited for at first: later looks are, and few of them are in vain."""

    async def work(world: World) -> None:
        await world.tasks(16, lambda _: 60.0)
        assert max(world.lags) < 80
        assert max(world.service.looks.values()) <= 6

    following(work, latency=25.0)


def test_a_service_that_becomes_twenty_times_slower() -> None:
    async def work(world: World) -> None:
        await world.tasks(100, lognormal(6.0, 0.2))
        await world.tasks(80, lognormal(120.0, 0.2))
        assert world.calls(first=100) < 9
        assert median(world.lags[116:]) < 8

    following(work)


def test_a_service_ten_times_quicker_than_it_states_is_found_out_by_one_task() -> None:
    """The others, whose first look lies far ahead, do not wait for it."""

    async def work(world: World) -> None:
        await world.tasks(16, lognormal(3.0, 0.2))
        assert max(world.lags) < 10
        assert sorted(world.service.looks.values())[-2] <= 3

    following(work, stated=30.0)


@pytest.mark.parametrize("jump", [-3600.0, -5.0, 5.0, 3600.0])
def test_a_clock_that_jumps_costs_a_look_for_each_task_at_most(jump: float) -> None:
    """And what was learned stays as it was: nobody takes an hour for a run time."""

    async def work(world: World) -> None:
        await world.tasks(60, lognormal(10.0))
        async with anyio.create_task_group() as group:
            group.start_soon(world.tasks, 60, lognormal(10.0))
            await world.clock.sleep(15.0)
            world.clock.jump(jump)
        await world.tasks(60, lognormal(10.0))
        assert world.calls(first=60) < 2.9
        assert median(world.lags[120:]) < 1.9

    following(work)


def test_a_laptop_that_sleeps_looks_at_all_when_it_wakes() -> None:
    """Its monotonic clock stood still, and the tasks ended meanwhile: none waits for the time it was to take."""

    async def work(world: World) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(world.tasks, 16, lambda _: 900.0)
            await world.clock.sleep(60.0)
            world.clock.jump(8 * 3600.0)
            woken_at = world.clock.monotonic()
            world.service.ends = dict.fromkeys(world.service.ends, woken_at)
        assert world.clock.monotonic() - woken_at < 10

    following(work, stated=900.0)


def test_a_limit_that_drops_to_one_and_rises_again() -> None:
    """Tasks that run alone are looked at no more often, and no later."""
    places = [16]

    async def work(world: World) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(world.tasks, 150, lognormal(10.0), lambda: places[0])
            await world.clock.sleep(50.0)
            places[0] = 1
            await world.clock.sleep(300.0)
            places[0] = 16
        assert world.calls(first=40) < 2.7
        assert median(world.lags[40:]) < 1.6

    following(work)


def test_hundreds_at_once_keep_within_the_limit_on_calls() -> None:
    """Ten calls a second for tasks of six seconds: looks become fewer, and all are seen as soon as calls allow."""

    async def work(world: World) -> None:
        began = world.clock.monotonic()
        await world.tasks(200, lognormal(6.0), lambda: 200)
        assert world.calls() < 2
        assert world.clock.monotonic() - began < 200 * 2 / 8 + 10

    following(work, stated=6.0)


UNDER_WAY, ENDED = Event("task_output"), Event("task_postprocess_end")


def socket(
    late: float = LATENCY, *, lies: float = math.inf, drops: float = math.inf, tells: Callable[[int], bool] = bool
) -> Hear:
    """Return a socket that begins with a word and tells of the end.

    Args:
        late: How many seconds it takes to tell.
        lies: Every so many seconds it tells of an end that is none.
        drops: After so many seconds the connection drops.
        tells: Whether it tells of the end of the n-th task.
    """

    def hear(world: World) -> Listen:
        async def listen(token: str, *, opened: Callable[[], None], tell: Callable[[Event], None]) -> str:
            clock, ends = world.clock, world.service.ends[token] + late
            await clock.sleep(late)
            opened()
            tell(UNDER_WAY)
            dropped = clock.monotonic() + drops
            while (left := min(ends, dropped) - clock.monotonic()) > 0:
                await clock.sleep(min(left, lies))
                tell(ENDED if left > lies else UNDER_WAY)
            if clock.monotonic() < ends:
                return "the connection closed"
            if tells(int(token) + 1):
                tell(ENDED)
            await anyio.sleep_forever()
            return ""

        return listen

    return hear


def silent_socket(_world: World) -> Listen:
    async def listen(token: str, *, opened: Callable[[], None], tell: Callable[[Event], None]) -> str:
        del token, tell
        opened()
        await anyio.sleep_forever()
        return ""

    return listen


@pytest.mark.parametrize(("seconds", "most"), [(6.0, 1.1), (30.0, 1.15), (120.0, 1.4)])
def test_with_a_socket_a_task_needs_one_look_a_moment_after_its_end(seconds: float, most: float) -> None:
    async def work(world: World) -> None:
        await world.tasks(300, lognormal(seconds))
        looks = [world.service.looks[str(index)] for index in range(100, 300)]
        assert median(looks) == 1
        assert fmean(looks) < most
        assert median(world.lags[100:]) < 0.2
        assert sorted(world.lags[100:])[-5] < 1.0

    following(work, stated=seconds, hear=socket())


@cache
def polled(seconds: float) -> tuple[float, float]:
    """Return calls and median lag without a socket."""
    found: list[float] = []

    async def work(world: World) -> None:
        await world.tasks(200, lognormal(seconds))
        found.extend((world.calls(first=50), median(world.lags[50:])))

    following(work, stated=seconds)
    return found[0], found[1]


@pytest.mark.parametrize(
    "hear",
    [silent_socket, socket(tells=lambda _: False), socket(lies=2.0), socket(drops=1.0)],
    ids=["silence", "no ends", "lies", "drops"],
)
def test_a_bad_socket_costs_no_more_than_the_normal_poll(hear: Hear) -> None:
    calls, lag = polled(10.0)

    async def work(world: World) -> None:
        await world.tasks(200, lognormal(10.0))
        assert world.calls(first=50) < 1.25 * calls
        cost = median(world.lags[50:]) + PRICE_SECONDS * world.calls(first=50)  # fewer calls may be a little later
        assert cost < 1.15 * (lag + PRICE_SECONDS * calls)

    following(work, hear=hear)


def test_a_socket_that_falls_silent_is_found_out_by_a_few_tasks() -> None:
    calls, lag = polled(10.0)

    async def work(world: World) -> None:
        await world.tasks(200, lognormal(10.0))
        await world.tasks(150, lognormal(10.0))
        assert max(world.lags[200:]) < 60
        assert median(world.lags[232:]) < 1.5 * lag
        assert world.calls(first=232) < 1.3 * calls

    following(work, hear=socket(tells=lambda number: number <= 200))


def test_ends_that_now_and_then_are_not_told_are_seen_soon() -> None:
    async def work(world: World) -> None:
        await world.tasks(400, lognormal(10.0))
        assert world.calls(first=100) < 1.6
        assert fmean(world.lags[100:]) < 1.5

    following(work, hear=socket(tells=lambda number: number % 10 != 0))
