"""What is left of a run is guessed from what has ended, and not from what does not end."""

from __future__ import annotations

from hypothesis import given, strategies as st

from orchestrator.commands.heartbeat import MOST_UNSURE, Countdown, Estimate


def test_before_a_few_have_ended_nobody_knows() -> None:
    estimate = Estimate(100.0)
    assert [estimate.seconds(ended, 9, 110.0) for ended in range(MOST_UNSURE)] == [None] * MOST_UNSURE


def test_it_goes_by_the_pace_so_far_and_runs_down_with_time() -> None:
    estimate = Estimate(100.0)
    assert estimate.seconds(4, 6, 120.0) == 30.0
    assert estimate.seconds(4, 6, 125.0) == 25.0
    assert estimate.seconds(5, 5, 130.0) == 30.0
    assert estimate.seconds(10, 0, 160.0) == 0.0


@given(st.integers(MOST_UNSURE, 50), st.integers(1, 50), st.floats(0, 1000), st.lists(st.floats(0, 5000), min_size=2))
def test_where_nothing_ends_it_never_climbs(ended: int, left: int, took: float, moments: list[float]) -> None:
    """A run that is stuck comes to take nobody knows how long."""
    estimate = Estimate(0.0)
    shown = [estimate.seconds(ended, left, took + moment) for moment in [0.0, *sorted(moments)]]
    known = [each for each in shown if each is not None]
    assert known == sorted(known, reverse=True)
    assert shown[len(known) :] == [None] * (len(shown) - len(known))


def test_what_is_in_doubt_is_looked_for_from_the_latest_on() -> None:
    countdown = Countdown(60.0)
    assert countdown.seconds(0, 100.0) is None
    assert countdown.seconds(2, 110.0) == 60.0
    assert countdown.seconds(2, 125.0) == 45.0
    assert countdown.seconds(1, 130.0) == 40.0
    assert countdown.seconds(3, 150.0) == 60.0
    assert countdown.seconds(3, 250.0) == 0.0
    assert countdown.seconds(0, 260.0) is None
