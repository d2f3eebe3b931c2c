"""When calls may be written: within the limit, slower when the service says so, and as fast as ever afterwards."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st
from paced import assert_within

from orchestrator.engines.schedule import Schedule

RATES = st.floats(0.1, 100, allow_nan=False)


def schedule(rate: float = 10) -> Schedule:
    """A schedule that is written to as fast as it allows, for a second."""
    made, now = Schedule(rate), 100.0
    for _ in range(math.floor(rate)):
        now = made.earliest(now)
        made.sent(now)
    return made


def test_an_episode_of_refusals_counts_once() -> None:
    """Refusals of calls that were out together slow down once; one of a call written later counts anew."""
    made = schedule()
    for answered in (101.2, 101.21, 101.25):
        made.refused(101.0, answered, None)
    assert made.rate == pytest.approx(7.6)
    made.refused(109.0, 109.1, None)
    assert made.rate == pytest.approx(7.6 * 0.92)


@pytest.mark.parametrize(("retry_after", "held"), [(3.5, 3.5), (1e9, 300.0), (0.0, 0.0)])
def test_what_the_service_asks_for_is_waited_for_up_to_five_minutes(retry_after: float, held: float) -> None:
    made = schedule()
    made.refused(101.0, 200.0, retry_after)
    assert made.earliest(200.0) == 200.0 + held


def test_without_a_word_on_how_long_the_pauses_double_once_no_rate_helps() -> None:
    """A second each while the rate comes down, then 2, 4 … seconds."""
    made, now = schedule(), 200.0
    pauses = []
    for _ in range(10):
        made.refused(now, now, None)
        pauses.append(round(made.earliest(now) - now, 6))
        now += pauses[-1]
    assert made.rate == 0.1
    assert pauses == [1.0] * 9 + [2.0]


@pytest.mark.parametrize("allowed", [1, 8, 25])
def test_a_much_lower_limit_is_found_within_seconds(allowed: int) -> None:
    """The service counts the calls of each second and says no more than that there were too many."""
    made, now = Schedule(40), 100.0
    taken: list[float] = []
    refused_at: list[float] = []
    while now < 130:
        now = made.earliest(now)
        made.sent(now)
        if sum(each > now - 1 for each in taken) < allowed:
            taken.append(now)
        else:
            refused_at.append(now)
            made.refused(now, now, None)
    assert len([at for at in refused_at if at < 110]) <= 8
    assert len(taken) >= 0.6 * allowed * 30


def test_the_rate_never_falls_below_a_tenth_and_recovers_by_itself() -> None:
    made = schedule()
    for second in range(200, 300):
        made.refused(second, second, 0.0)
    assert made.rate == pytest.approx(0.1, abs=0.03)
    assert made.rate >= 0.1
    now = 300.0
    while made.rate < made.limit:
        now = made.earliest(now)
        made.sent(now)
        assert now < 2000
    assert made.rate == made.limit


def serve(told: float, allowed: Sequence[tuple[float, int]], jitter: float = 0.02) -> tuple[list[float], list[float]]:
    """Write as fast as the schedule allows to a service that counts each second's calls, 0.2 s there and back.

    Args:
        told: The limit that the schedule is told of.
        allowed: Until when it is so many calls in any second.
        jitter: By how much calls arrive late, in seconds, at most.

    Returns:
        When calls were taken, and when refused.
    """
    made, dice, now = Schedule(told), random.Random(3), 0.0  # noqa: S311  # jitter, no secret
    replies: list[tuple[float, bool, float]] = []
    taken: list[float] = []
    refused: list[float] = []
    while now < allowed[-1][0]:
        now = made.earliest(now)
        while replies and replies[0][0] <= now:
            at, arrives, written_at = heapq.heappop(replies)
            if not arrives:
                made.refused(written_at, at, None)
            elif sum(each > at - 1 for each in taken[-100:]) < next((most for until, most in allowed if at < until), 0):
                taken.append(at)
            else:
                refused.append(at)
                heapq.heappush(replies, (at + 0.1, False, written_at))
            now = made.earliest(at)
        made.sent(now)
        heapq.heappush(replies, (now + 0.1 + jitter * dice.random(), True, now))
    return taken, refused


@pytest.mark.parametrize(
    ("allowed", "jitter", "share"), [(20, 0.02, 0.97), (20, 0.05, 0.92), (19, 0.02, 0.9), (10, 0.02, 0.9)]
)
def test_a_limit_at_ours_or_below_is_used_and_seldom_run_against(allowed: int, jitter: float, share: float) -> None:
    taken, refused = serve(20, [(600.0, allowed)], jitter)
    assert len(taken) >= share * 600 * allowed
    assert len(refused) <= 0.005 * len(taken)


@pytest.mark.parametrize("allowed", [19, 20])
def test_the_same_small_mistake_is_made_less_and_less_often(allowed: int) -> None:
    """The limit is right, or nearly, and now and then a call overtakes another: not at its full height every minute."""
    taken, refused = serve(20, [(1800.0, allowed)], 0.05)
    assert len(refused) <= 20
    assert sum(at > 600 for at in refused) <= 12
    assert len(taken) >= 0.93 * 1800 * allowed


@pytest.mark.parametrize("low", [1, 5])
@pytest.mark.parametrize("seconds", [10, 30, 120])
def test_a_limit_that_has_risen_is_used_within_a_minute(low: int, seconds: int) -> None:
    rises = 60.0 + seconds
    taken, refused = serve(20, [(60.0, 20), (rises, low), (rises + 80, 20)])
    assert sum(rises + 60 <= at < rises + 70 for at in taken) >= 0.9 * 196
    assert sum(at < rises for at in refused) <= 20 + seconds / 8


@pytest.mark.parametrize(("gap", "at_most"), [(1.0, 0.01), (2.0, 0.02), (5.0, 0.04)])
def test_a_limit_of_few_calls_is_used_and_seldom_run_against(gap: float, at_most: float) -> None:
    """Where calls are seconds apart it is calls that are counted, and too large a step is taken back by itself."""
    made, now, latest = Schedule(10), 0.0, -math.inf
    taken, refused = list[float](), list[float]()
    while now < 3600:
        now = made.earliest(now)
        made.sent(now)
        if now - latest < gap:
            refused.append(now)
            made.refused(now, now + 0.1, None)
        else:
            taken.append(now)
            latest = now
    assert len(taken) >= 0.93 * 3600 / gap
    assert sum(at > 600 for at in refused) <= at_most * 3000 / gap
    assert len(refused) <= 40


@pytest.mark.parametrize("low", [1, 5])
def test_what_was_fine_before_is_soon_tried_again(low: int) -> None:
    """A limit that was low for a minute and a half is used again half a minute after it has risen."""
    taken, refused = serve(20, [(300.0, 20), (390.0, low), (460.0, 20)])
    assert sum(420 <= at < 430 for at in taken) >= 0.9 * 196
    assert sum(at < 390 for at in refused) <= 24


def test_a_refusal_while_there_is_no_limit_is_no_error() -> None:
    made = schedule()
    made.change(0, math.inf)
    made.refused(101.0, 101.1, None)
    made.change(10, math.inf)
    assert made.rate == 10


@given(st.lists(st.floats(0, 40), min_size=1, max_size=40), st.floats(0.1, 100))
def test_the_rate_only_rises_while_nothing_is_refused(waits: list[float], rate: float) -> None:
    made, now = Schedule(rate), 100.0
    for number in range(3):
        made.refused(now + number, now + number, None)
    before = made.rate
    for wait in waits:
        now = made.earliest(now + wait)
        made.sent(now)
        assert before <= made.rate <= made.limit
        before = made.rate


@given(st.lists(st.tuples(st.floats(0, 5), st.none() | st.floats(0, 3)), max_size=40), RATES)
def test_the_rate_stays_between_its_bounds(refusals: list[tuple[float, float | None]], rate: float) -> None:
    made, now = Schedule(rate), 100.0
    for wait, retry_after in refusals:
        now = made.earliest(now + wait)
        made.sent(now)
        made.refused(now, now + 0.01, retry_after)
        assert min(rate, 0.1) <= made.rate <= rate


@given(st.lists(st.tuples(st.floats(0.05, 4), st.sampled_from([0.0, 0.4, 1.0, 3.0, 8.0])), min_size=1, max_size=8))
def test_a_limit_that_changes_holds_from_then_on(changes: list[tuple[float, float]]) -> None:
    """A second that begins with the change has no more calls than the new limit; one before it no more than the old."""
    plan, at, limit = Schedule(5), 0.0, 5.0
    for seconds, following in [*changes, (4.0, 0.0)]:
        starts = []
        while (moment := plan.earliest(at)) < at + seconds:
            plan.sent(moment)
            starts.append(moment)
            if len(starts) > 100:
                raise AssertionError
        assert_within(limit or 1e-9, starts)
        at, limit = at + seconds, following
        plan.change(following, math.inf)


def test_a_larger_limit_is_used_at_once_and_a_slower_pace_is_kept() -> None:
    plan = Schedule(0)
    assert plan.earliest(5) == math.inf
    plan.change(10, math.inf)
    assert plan.earliest(5) == 5
    plan.refused(5, 5, 0)
    slow = plan.rate
    plan.change(20, math.inf)
    assert plan.rate == slow
    plan.change(2, math.inf)
    assert plan.rate == 2


def test_a_limit_lapses_unless_it_is_renewed() -> None:
    plan = Schedule(10)
    plan.change(10, 3.0)
    assert (plan.earliest(2.9), plan.earliest(3.0)) == (2.9, math.inf)
    plan.change(10, 6.0)
    assert plan.earliest(3.0) == 3.0
