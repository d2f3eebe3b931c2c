"""Bugs that break no promise but that of progress: something waits, and nothing stands in its way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bugs import Bugs
from orchestrator.engines import schedule, slots, tracking
from orchestrator.engines.schedule import Schedule
from orchestrator.engines.slots import Slots
from orchestrator.simulation import Event
from orchestrator.steps import outcomes

BUGS = Bugs()


@BUGS.planted(seeds=12, rate=10.0, concurrency=2, events=(Event("hour outage", at=3.0, seconds=400.0),))
def waits_grow_without_bound(patch: pytest.MonkeyPatch) -> None:
    delays = outcomes.delays

    def growing(random: Any, first: float = 0.5, most: float = 30.0) -> Iterator[float]:
        return delays(random, first, most * 1e9)

    for module in ("submitting", "tracking", "ending", "local"):
        patch.setattr(sys.modules[f"orchestrator.engines.{module}"], "delays", growing)


@BUGS.planted(seeds=4, rate=10.0, events=(Event("hour full", at=0.3, seconds=400.0),))
def a_full_account_is_asked_less_and_less_often(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(slots, "LONGEST_PAUSE_SECONDS", 3600.0)


@BUGS.planted(rate=10.0, veiled_seconds=0.0, events=(Event("run unanswered", 1),))
def doubts_are_looked_up_too_seldom(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sys.modules["orchestrator.engines.doubts"], "FIRST_WAIT_SECONDS", 600.0)


@BUGS.planted(rate=10.0, run_seconds=4.0, events=(Event("look gone", 2),))
def a_task_that_is_not_shown_at_once_is_left_for_long(patch: pytest.MonkeyPatch) -> None:
    waits = outcomes.delays

    def long(random: Any, first: float = 0.5, most: float = 30.0) -> Iterator[float]:
        return waits(random, 200 * first, 200 * most)

    patch.setattr(tracking, "delays", long)


@BUGS.planted(
    seeds=12,
    repeat=3,
    rate=10.0,
    concurrency=None,
    affordable=None,
    places=25,
    run_seconds=4.0,
    latency_seconds=0.2,
    disk_seconds=0.0,
    events=(Event("look throttled", 1), Event("look throttled", 2)),
)
def who_was_slowed_down_stays_slow(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(schedule, "CUT", 0.99)
    patch.setattr(schedule, "DEEPEST_CUT", 0.99)
    patch.setattr(Schedule, "_regained", lambda self, _calm: self._low)


@BUGS.planted(seeds=12, concurrency=1, strangers_seconds=0.0)
def nobody_is_woken_when_a_place_is_free(patch: pytest.MonkeyPatch) -> None:
    def release(self: Slots) -> None:
        self.active -= 1

    patch.setattr(Slots, "release", release)
