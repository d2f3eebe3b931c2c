"""A run begins with what earlier ones have learned, and leaves what it has learned itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import anyio

from orchestrator.clock import VirtualClock
from orchestrator.commands.learning import KEEP_SECONDS, forecasting
from orchestrator.engines.forecast import Forecast
from orchestrator.experience import Experience

T = TypeVar("T")


class Noted(Experience):
    """What was learned, kept in memory."""

    def __init__(self) -> None:
        super().__init__(None, "service", "acme/model")
        self.kept: list[Any] = []

    def keep(self, learned: Any) -> None:
        self.kept.append(learned)


async def at_once(work: Callable[[], T]) -> T:
    return work()


def taught(forecast: Forecast, seconds: float) -> None:
    course = forecast.begin({"steps": 20}, 0.0)
    forecast.ended(course, seconds, seconds)


def test_what_is_learned_is_kept_while_the_run_goes_on_and_at_its_end() -> None:
    """A run that was killed had taught nothing."""
    noted = Noted()

    async def work() -> None:
        clock = VirtualClock()
        async with anyio.create_task_group() as ticking:
            ticking.start_soon(clock.run)
            async with forecasting(noted, None, clock, at_once) as forecast:
                taught(forecast, 8.0)
                await clock.sleep(2.5 * KEEP_SECONDS)
                taught(forecast, 9.0)
            ticking.cancel_scope.cancel()

    anyio.run(work)
    first, second, last = noted.kept
    assert None is not first == second != last
