"""Bugs that break a limit: of tasks at once, of money, of calls."""

from __future__ import annotations

import math
from collections import deque
from decimal import Decimal
from typing import Any

import pytest
from anyio.abc import TaskGroup

from bugs import Bugs
from orchestrator.engines import schedule
from orchestrator.engines.budget import Budget
from orchestrator.engines.local import LocalEngine
from orchestrator.engines.schedule import Schedule
from orchestrator.engines.slots import Capacity, Slots
from orchestrator.engines.submitting import Submitter
from orchestrator.ledger import Totals
from orchestrator.lifecycle import Record, State
from orchestrator.simulation import Event

BUGS = Bugs()


@BUGS.planted()
def one_task_too_many_runs(patch: pytest.MonkeyPatch) -> None:
    room, fits = Capacity.room, Capacity.fits
    patch.setattr(Capacity, "room", lambda self, active, now: room(self, max(0, active - 1), now))
    patch.setattr(Capacity, "fits", lambda self, active, now: fits(self, max(0, active - 1), now))


@BUGS.planted(seeds=4, concurrency=2, places=25, rate=10.0, run_seconds=10.0, events=(Event("run unanswered", 1),))
def a_task_in_doubt_holds_no_place(patch: pytest.MonkeyPatch) -> None:
    first = Submitter.submit

    async def free(self: Submitter, record: Record) -> Record:
        after = await first(self, record)
        if after.state is State.SUBMITTING:
            self.slots.release()
        return after

    patch.setattr(Submitter, "submit", free)


@BUGS.planted(seeds=4, concurrency=2, places=25, rate=10.0, run_seconds=60.0, events=(Event("hour kill", at=8.0),))
def what_an_earlier_process_left_holds_no_place(patch: pytest.MonkeyPatch) -> None:
    begin = Slots.__init__
    patch.setattr(Slots, "__init__", lambda self, capacity, clock, active: begin(self, capacity, clock, active * 0))


@BUGS.planted(events=(Event("hour full", at=1.0, seconds=90.0),))
def a_full_account_is_asked_again_at_once(patch: pytest.MonkeyPatch) -> None:
    refused = Capacity.refused

    def at_once(self: Capacity, others_active: int, stated: int | None, now: float) -> None:
        refused(self, others_active, stated, now)
        self._not_before = -math.inf

    patch.setattr(Capacity, "refused", at_once)


@BUGS.planted(seeds=4, concurrency=2, places=25)
def a_place_is_given_that_may_not_be_used(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Capacity, "room", lambda self, active, now: active < self._learned and now >= self._not_before)


@BUGS.planted(seeds=4, places=1, concurrency=2, strangers_seconds=5.0, rate=10.0)
def a_refused_task_gives_its_place_back_twice(patch: pytest.MonkeyPatch) -> None:
    refused = Slots.refused

    def twice(self: Slots, stated: int | None) -> None:
        refused(self, stated)
        self.release()

    patch.setattr(Slots, "refused", twice)


@BUGS.planted(concurrency=1, seeds=6, events=(Event("run lost", 1), Event("run lost", 2)))
def a_doubt_that_is_settled_keeps_its_place(patch: pytest.MonkeyPatch) -> None:
    settled = LocalEngine._settled

    async def greedy(self: LocalEngine, group: Any, record: Record) -> None:
        if record.state is State.PENDING:
            self.slots.take()
        await settled(self, group, record)

    patch.setattr(LocalEngine, "_settled", greedy)


@BUGS.planted(seeds=3, concurrency=1, events=(Event("run unanswered", 1),))
def a_place_is_never_given_back(patch: pytest.MonkeyPatch) -> None:
    async def settled(self: LocalEngine, group: TaskGroup, record: Record) -> None:
        self._start(group, record)

    patch.setattr(LocalEngine, "_settled", settled)


@BUGS.planted()
def the_budget_forgets_what_is_kept_aside(patch: pytest.MonkeyPatch) -> None:
    def fits(self: Budget, price: Decimal, totals: Totals) -> bool:
        return self.cap_usd is None or totals.spent_usd + self.held_usd + price <= self.cap_usd

    patch.setattr(Budget, "fits", fits)


@BUGS.planted()
def the_budget_forgets_what_is_on_its_way(patch: pytest.MonkeyPatch) -> None:
    def fits(self: Budget, price: Decimal, totals: Totals) -> bool:
        return self.cap_usd is None or totals.spent_usd + totals.reserved_usd + price <= self.cap_usd

    patch.setattr(Budget, "fits", fits)


@BUGS.planted()
def too_many_calls_slow_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Schedule, "refused", lambda *_: None)


@BUGS.planted(events=tuple(Event("look throttled", number) for number in range(1, 12)))
def nobody_waits_longer_than_half_a_minute(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(schedule, "LONGEST_HOLD_SECONDS", 30.0)


@BUGS.planted()
def a_second_holds_one_call_too_many(patch: pytest.MonkeyPatch) -> None:
    begin = Schedule.__init__

    def wide(self: Schedule, rate: float) -> None:
        begin(self, rate)
        self._sent = deque(maxlen=(self._sent.maxlen or 0) + 1)

    patch.setattr(Schedule, "__init__", wide)


@BUGS.planted()
def calls_are_a_little_too_close(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(schedule, "MARGIN", 1.0)
