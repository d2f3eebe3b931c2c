"""When to look at a task, for histories that are about other things than that."""

from __future__ import annotations

from typing import Final

from orchestrator.engines.forecast import Course, Forecast

SOONEST_SECONDS: Final = 3.0
GROWTH: Final = 0.5
USUAL_SECONDS: Final = 8.0


class SetLooks(Forecast):
    """Looks that come more and more seldom; nothing is learned, which costs as much as all the rest of a history."""

    def next_look(self, course: Course, price: float, now: float) -> float:
        """See `Forecast.next_look`."""
        del price, now
        return course.seen_at + max(SOONEST_SECONDS, GROWTH * course.seen_at)

    def likely_done(self, course: Course, age: float) -> bool:
        """See `Forecast.likely_done`."""
        del course
        return age >= USUAL_SECONDS

    def ended(self, course: Course, age: float, elapsed_seconds: float | None) -> None:
        """See `Forecast.ended`."""
