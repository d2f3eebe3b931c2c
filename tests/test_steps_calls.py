"""Every call is let in first, made once, and its refusals are told to the pacer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest

from orchestrator.clock import VirtualClock
from orchestrator.emulator import Emulator, Profile
from orchestrator.logs import Entry, Log
from orchestrator.steps.calls import IDLE_SECONDS, NEWEST, Calls, First, TurnLostError, Urgency
from orchestrator.wiro import Client, Credentials, NotSent, RateLimited, ReplyLost, ServerFault, TaskPage

pytestmark = pytest.mark.anyio


@dataclass
class Noting:
    """Lets everybody in, and notes what it is told."""

    told: list[object] = field(default_factory=list)
    closed: bool = False

    @asynccontextmanager
    async def turn(self, urgency: Urgency, first: First | None = None) -> AsyncIterator[None]:
        if self.closed:
            raise TurnLostError
        self.told.append(urgency)
        if first is not None:
            await first()
        yield
        self.told.append("answered")

    def refused(self, retry_after_seconds: float | None) -> None:
        self.told.append(retry_after_seconds)


@dataclass
class Slow(Noting):
    """Lets nobody in before some seconds have passed, and notes how long calls are said to wait until then."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    waits: Callable[[], float] = float
    seconds: float = 0.0

    @asynccontextmanager
    async def turn(self, _urgency: Urgency, _first: First | None = None) -> AsyncIterator[None]:
        self.clock._time += self.seconds
        self.told.append(self.waits())
        yield


@asynccontextmanager
async def calling(profile: Profile) -> AsyncIterator[tuple[Emulator, Calls, Noting, VirtualClock]]:
    clock, pacing = VirtualClock(), Noting()
    credentials = Credentials(profile.api_key, profile.api_secret)
    async with Emulator(profile) as service, Client(credentials, service.base_url) as client:
        yield service, Calls(client, pacing, clock), pacing, clock


def newest(client: Client) -> Awaitable[TaskPage]:
    return client.tasks(start=0, limit=1)


async def test_the_pacer_is_told_what_comes_first() -> None:
    async with calling(Profile()) as (service, calls, pacing, _):

        async def first() -> None:
            pacing.told.append(f"first, {service.stats.calls.total()} calls")

        await calls.make(Urgency.SUBMIT, newest, first=first)
        assert pacing.told == [Urgency.SUBMIT, "first, 0 calls", "answered"]
        assert service.stats.calls.total() == 1


async def test_nothing_is_made_of_a_turn_that_is_lost() -> None:
    async with calling(Profile()) as (service, calls, pacing, _):
        pacing.closed = True
        with pytest.raises(TurnLostError):
            await calls.make(Urgency.SUBMIT, newest)
        assert service.stats.calls.total() == 0


async def test_a_refusal_for_haste_is_told_while_the_turn_lasts() -> None:
    async with calling(replace(Profile(), rate=1, retry_after_seconds=2.5)) as (_, calls, pacing, _clock):
        await calls.make(Urgency.ROUTINE, newest)
        with pytest.raises(RateLimited):
            await calls.make(Urgency.ROUTINE, newest)
        assert pacing.told[-2:] == [Urgency.ROUTINE, 2.5]


async def test_a_silence_is_told_once() -> None:
    """Until the service has answered again."""
    async with calling(Profile()) as (service, calls, _, clock):
        told: list[Entry] = []
        calls.log = Log(told.append)
        service.lose_replies = lambda _, number: None if number == 6 else "before"
        after = []
        for _ in range(10):
            with suppress(ReplyLost):
                await calls.make(Urgency.ROUTINE, newest)
            after.append(len(told))
            clock._time += 8
        assert after == [0, 0, 1, 1, 1, 1, 1, 1, 2, 2]
        assert {event["event"] for event in told} == {"the service does not answer"}


async def test_a_long_hold_is_told_once_and_how_long_it_is_kept() -> None:
    """Nothing goes on meanwhile, and nobody is to wonder why."""
    async with calling(replace(Profile(), rate=1, retry_after_seconds=99_999)) as (_, calls, _pacing, clock):
        told: list[Entry] = []
        calls.log = Log(told.append)
        await calls.make(Urgency.ROUTINE, newest)
        for passed in (0.0, 299.0, 2.0):
            clock._time += passed
            with pytest.raises(RateLimited):
                await calls.make(Urgency.ROUTINE, newest)
        assert [(event["asked"], event["waiting"]) for event in told] == [("27 h 46 min", "5 min 0 s")] * 2


@pytest.mark.parametrize("seconds", [None, 2.5])
async def test_a_short_hold_is_not_told(seconds: float | None) -> None:
    async with calling(replace(Profile(), rate=1, retry_after_seconds=seconds)) as (_, calls, _pacing, _clock):
        told: list[Entry] = []
        calls.log = Log(told.append)
        await calls.make(Urgency.ROUTINE, newest)
        with pytest.raises(RateLimited):
            await calls.make(Urgency.ROUTINE, newest)
        assert told == []


async def raising(error: Exception) -> TaskPage:
    raise error


@pytest.mark.parametrize(
    ("answer", "silent"),
    [
        (lambda _: raising(ReplyLost("/Task/List", "lost")), 40.0),
        (lambda _: raising(NotSent("/Task/List", "no connection")), 40.0),
        (lambda _: raising(ServerFault("/Task/List", "oops")), 0.0),
        (newest, 0.0),
    ],
    ids=["lost", "not sent", "a fault", "an answer"],
)
async def test_silence_is_counted_from_the_first_call_without_an_answer(
    answer: Callable[[Client], Awaitable[TaskPage]], silent: float
) -> None:
    async with calling(Profile()) as (service, calls, _, clock):

        def lose(_endpoint: str, number: int) -> Literal["after"] | None:
            return "after" if number == 1 else None

        service.lose_replies = lose
        assert calls.silent_seconds() == 0
        with pytest.raises(ReplyLost):
            await calls.make(Urgency.ROUTINE, newest)
        clock._time += 30
        assert calls.silent_seconds() == 30
        clock._time += 10
        with suppress(ReplyLost, NotSent, ServerFault):
            await calls.make(Urgency.ROUTINE, answer)
        assert calls.silent_seconds() == silent


def slow_calls() -> tuple[Calls, Slow]:
    pacing = Slow()
    calls = Calls(Client(Credentials("key", None), "https://nowhere.test/v1"), pacing, pacing.clock)
    pacing.waits = lambda: calls.wait_seconds
    return calls, pacing


async def nothing(_client: Client) -> None:
    """Call for nothing."""


async def test_how_long_calls_wait_is_forgotten_while_none_does() -> None:
    """Not while one waits, however long: then calls are scarce."""
    calls, pacing = slow_calls()
    pacing.seconds = 4.0
    for _ in range(20):
        await calls.make(Urgency.ROUTINE, nothing)
    before = calls.wait_seconds
    assert before > 3
    await calls.make(Urgency.ROUTINE, nothing)
    assert pacing.told[-1] == before
    pacing.clock._time += IDLE_SECONDS
    assert calls.wait_seconds == pytest.approx((before + (4 - before) * NEWEST) / 2)
    pacing.clock._time += 1e9
    assert calls.wait_seconds == 0


async def test_while_the_service_wants_no_calls_waiting_for_a_turn_is_not_for_want_of_them() -> None:
    calls, pacing = slow_calls()
    with pytest.raises(RateLimited):
        await calls.make(
            Urgency.ROUTINE,
            lambda _: raising(RateLimited("/Task/List", "too fast", http_status=429, retry_after_seconds=30.0)),
        )
    pacing.seconds = 30.0
    await calls.make(Urgency.ROUTINE, nothing)
    assert calls.wait_seconds == 0
    pacing.seconds = 2.0
    await calls.make(Urgency.ROUTINE, nothing)
    assert calls.wait_seconds == pytest.approx(2 * NEWEST)
