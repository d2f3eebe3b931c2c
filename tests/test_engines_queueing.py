"""How long tasks wait before they run."""

from __future__ import annotations

import math

from hypothesis import given, strategies as st

from orchestrator.engines.queueing import POINTS, QueueTimes

SECONDS = st.floats(0, 1e5)


@given(st.lists(st.tuples(SECONDS, SECONDS)), SECONDS, SECONDS | st.just(math.inf))
def test_the_points_lie_where_they_may(seen: list[tuple[float, float]], low: float, more: float) -> None:
    waits = QueueTimes()
    for one, other in seen:
        waits.saw(min(one, other), max(one, other))
    points = waits.points(low, low + more)
    assert 1 <= len(points) <= POINTS
    assert list(points) == sorted(points)
    assert all(low <= point <= low + more for point in points)


def test_bounds_that_the_usual_wait_fits_change_nothing() -> None:
    """Most tasks are seen out of the queue long after they left it; that does not make the wait longer."""
    waits = QueueTimes()
    for _ in range(20):
        waits.saw(0.0, 5.0)
    assert waits.usual_seconds == 0.0
    for _ in range(20):
        waits.saw(3.0, 9.0)
    waits.saw(0.0, 100.0)
    assert waits.usual_seconds == 3.0
    assert waits.points(0.0) == (0.0, 0.0, 0.0, 3.0, 3.0, 3.0)


def test_one_that_waits_longer_than_all_may_wait_much_longer() -> None:
    waits = QueueTimes()
    waits.saw(3.0, 3.0)
    first, *_, last = waits.points(10.0)
    assert 10 < first < 13
    assert last > 20
