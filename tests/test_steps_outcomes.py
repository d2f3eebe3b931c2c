"""What every error of the service means: the table, in both meanings of a call."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given, strategies as st

from orchestrator.steps.calls import TurnLostError
from orchestrator.steps.outcomes import Stop, Verdict, delays, judge
from orchestrator.wiro import (
    BalanceUsedUp,
    ConcurrencyLimit,
    CredentialsRefused,
    InvalidRequest,
    NoSuchEndpoint,
    NoSuchModel,
    NoSuchTask,
    NotInState,
    NotSent,
    RateLimited,
    Refused,
    ReplyLost,
    ServerFault,
    WiroError,
)

FULL = "You have reached your concurrent task limit. With your current balance of $50.00, you can run up to 5 tasks"
PAID_AND_FREE = [
    (ConcurrencyLimit("/Run", FULL), Verdict.WAIT, Verdict.WAIT),
    (RateLimited("/Run", "slow", http_status=429, retry_after_seconds=None), Verdict.WAIT, Verdict.WAIT),
    (ReplyLost("/Run", "the connection dropped"), Verdict.SETTLE, Verdict.AGAIN),
    (NotSent("/Run", "no connection"), Verdict.AGAIN, Verdict.AGAIN),
    (ServerFault("/Run", "oops"), Verdict.AGAIN, Verdict.AGAIN),
    (Refused("/Run", "a code nobody knows"), Verdict.AGAIN, Verdict.AGAIN),
    (NotInState("/Run", "no"), Verdict.AGAIN, Verdict.AGAIN),
    (InvalidRequest("/Run", "Request parameter [width] invalid"), Verdict.GIVE_UP, Verdict.GIVE_UP),
    (NoSuchTask("/Run", "There is no task yet."), Verdict.GONE, Verdict.GONE),
    (BalanceUsedUp("/Run", "Insufficient balance"), Verdict.STOP, Verdict.STOP),
    (CredentialsRefused("/Run", "no"), Verdict.STOP, Verdict.STOP),
    (NoSuchModel("/Run", "no"), Verdict.STOP, Verdict.STOP),
    (NoSuchEndpoint("/Run", "Error parsing url."), Verdict.STOP, Verdict.STOP),
]


@pytest.mark.parametrize(("error", "paying", "asking"), PAID_AND_FREE, ids=lambda value: type(value).__name__)
def test_every_error_has_one_meaning(error: WiroError, paying: Verdict, asking: Verdict) -> None:
    """Only a lost reply means something else where it may have been paid for: never simply again."""
    assert judge(error, paying=True).verdict is paying
    assert judge(error, paying=False).verdict is asking


def test_a_full_service_tells_its_number() -> None:
    outcome = judge(ConcurrencyLimit("/Run", FULL), paying=True)
    assert (outcome.full, outcome.places) == (True, 5)
    outcome = judge(RateLimited("/Run", "slow", http_status=429, retry_after_seconds=3), paying=True)
    assert (outcome.full, outcome.places) == (False, None)


@pytest.mark.parametrize(
    ("error", "stop", "hint"),
    [
        (BalanceUsedUp("/Run", "Insufficient balance"), Stop.BALANCE, "Add funds"),
        (CredentialsRefused("/Run", "not valid"), Stop.CREDENTIALS, "WIRO_API_KEY"),
        (NoSuchModel("/Run", "not there"), Stop.MODEL, "`model`"),
        (NoSuchEndpoint("/Run", "Error parsing url."), Stop.SERVICE, "WIRO_BASE_URL"),
    ],
)
def test_what_stops_a_run_says_what_to_do(error: WiroError, stop: Stop, hint: str) -> None:
    outcome = judge(error, paying=True)
    assert outcome.stop is stop
    assert hint in outcome.message
    assert error.message.rstrip(".") in outcome.message
    assert ".)" not in outcome.message


def test_what_never_left_was_not_sent() -> None:
    assert not judge(NotSent("/Run", "no connection"), paying=True).sent
    lost = judge(TurnLostError(), paying=True)
    assert (lost.verdict, lost.sent) == (Verdict.WAIT, False)
    assert judge(ServerFault("/Run", "oops"), paying=True).sent


def test_failures_of_tasks_have_a_kind() -> None:
    """The request is wrong, or the service could not do it: two kinds, also when it is given up after many tries."""
    assert judge(InvalidRequest("/Run", "bad"), paying=True).failure.kind == "invalid"
    assert judge(ServerFault("/Run", "oops"), paying=True).failure.kind == "service"


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=12, max_size=12), st.floats(0.1, 5))
def test_delays_double_up_to_the_most_and_are_spread(draws: list[float], first: float) -> None:
    luck = iter(draws)
    for number, wait in enumerate(islice(delays(lambda: next(luck), first=first, most=30.0), 12)):
        largest = min(first * 2**number, 30.0)
        assert largest / 2 <= wait <= largest
