"""What a run cannot begin without is asked for a few times, and given up with a sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from orchestrator.clock import VirtualClock
from orchestrator.emulator import Emulator, Profile
from orchestrator.engines.pacing import Pacer
from orchestrator.errors import StoppedError
from orchestrator.steps.calls import Calls, TurnLostError
from orchestrator.steps.insist import TRIES, insist
from orchestrator.wiro import (
    Client,
    ConcurrencyLimit,
    Credentials,
    CredentialsRefused,
    InvalidRequest,
    NoSuchModel,
    NoSuchTask,
    NotSent,
    RateLimited,
    ReplyLost,
    ServerFault,
)

pytestmark = pytest.mark.anyio
RATE_LIMITED = RateLimited("/Tool/Detail", "slow", http_status=429, retry_after_seconds=None)


@asynccontextmanager
async def insisting() -> AsyncIterator[
    tuple[Callable[[Callable[[Client], Awaitable[str]]], Awaitable[str]], VirtualClock]
]:
    clock = VirtualClock()
    pacer = Pacer(10, clock)
    client = Client(Credentials("key", None), "http://127.0.0.1:9/v1", before_send=pacer.gate)
    calls = Calls(client, pacer, clock)

    def ask(call: Callable[[Client], Awaitable[str]]) -> Awaitable[str]:
        return insist(call, calls, clock=clock, random=lambda: 0.5)

    async with anyio.create_task_group() as group:
        group.start_soon(clock.run)
        yield ask, clock
        group.cancel_scope.cancel()


class Answers:
    """Raises what it is given, one after the other, and then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    async def __call__(self, _: Client) -> str:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return "an answer"


@pytest.mark.parametrize(
    "error",
    [ReplyLost("/Tool/Detail", "lost"), NotSent("/Tool/Detail", "no connection"), ServerFault("/Tool/Detail", "oops")],
)
async def test_what_can_pass_is_asked_again_and_given_up_in_the_end(error: Exception) -> None:
    async with insisting() as (ask, clock):
        answers, begun = Answers(*[error] * (TRIES - 1)), clock.monotonic()
        assert await ask(answers) == "an answer"
        assert 1 < clock.monotonic() - begun < 30
        answers = Answers(*[error] * TRIES)
        with pytest.raises(StoppedError, match="WIRO_BASE_URL and the network"):
            await ask(answers)
        assert answers.asked == TRIES


@pytest.mark.parametrize("error", [RATE_LIMITED, TurnLostError(), ConcurrencyLimit("/Tool/Detail", "full")])
async def test_haste_is_waited_for_as_often_as_it_takes(error: Exception) -> None:
    async with insisting() as (ask, _):
        answers = Answers(*[error] * 10)
        assert await ask(answers) == "an answer"
        assert answers.asked == 11


async def test_refused_credentials_stop_at_once() -> None:
    async with insisting() as (ask, _):
        answers = Answers(CredentialsRefused("/Tool/Detail", "not valid"))
        with pytest.raises(StoppedError, match="refused the credentials"):
            await ask(answers)
        assert answers.asked == 1


@pytest.mark.parametrize("error", [NoSuchTask("/Task/Detail", "none"), InvalidRequest("/Tool/Detail", "bad")])
async def test_an_answer_that_says_no_is_the_callers_to_judge(error: Exception) -> None:
    async with insisting() as (ask, _):
        with pytest.raises(type(error)):
            await ask(Answers(error))


async def test_a_model_that_is_not_there_is_told_as_such() -> None:
    """The caller knows the file and the line; it gets the error itself."""
    async with insisting() as (ask, _):
        with pytest.raises(NoSuchModel):
            await ask(Answers(NoSuchModel("/Tool/Detail", "slug-owner-project-not-exist")))


async def test_through_sockets() -> None:
    profile, clock = Profile(), VirtualClock()
    pacer = Pacer(100, clock)
    async with Emulator(profile) as service, anyio.create_task_group() as group:
        group.start_soon(clock.run)
        service.lose_replies = lambda _, number: "before" if number < 3 else None
        credentials = Credentials(profile.api_key, profile.api_secret)
        async with Client(credentials, service.base_url, before_send=pacer.gate) as client:
            calls = Calls(client, pacer, clock)
            page = await insist(lambda client: client.tasks(start=0, limit=1), calls, clock=clock, random=lambda: 0.5)
        assert page.tasks == ()
        assert service.stats.calls["Task/List"] == 3
        group.cancel_scope.cancel()
