"""Bugs in how a task ends: by itself, by the user's word, or by a fault that is none of its own."""

from __future__ import annotations

import sys
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bugs import Bugs
from orchestrator.engines import ending, tracking
from orchestrator.engines.control import Control, Halt
from orchestrator.engines.tracking import Tracker
from orchestrator.lifecycle import Ending, Failure, Record, State
from orchestrator.simulation import Event, play
from orchestrator.steps import submit, track
from orchestrator.steps.calls import Calls
from orchestrator.steps.fetch import Fetcher
from orchestrator.steps.outcomes import Stop

BUGS = Bugs()


@BUGS.planted(seeds=4, run_seconds=10.0, events=(Event("hour interrupt", at=4.0),))
def what_runs_is_ended_where_the_user_leaves(patch: pytest.MonkeyPatch) -> None:
    def ruthless(self: Control, stop: Stop, message: str) -> None:
        self.cancel()
        self.halt = Halt(stop, message)

    patch.setattr(Control, "leave", ruthless)


@BUGS.planted(seeds=12, run_seconds=10.0, places=2, events=(Event("hour poor", at=5.0, seconds=100.0),))
def what_runs_is_ended_where_the_balance_is_used_up(patch: pytest.MonkeyPatch) -> None:
    close = Control.close

    def ruthless(self: Control, stop: Stop, message: str) -> None:
        self.cancelling |= stop is Stop.BALANCE
        close(self, stop, message)

    patch.setattr(Control, "close", ruthless)


@BUGS.planted(events=(Event("task late", 1, seconds=100.0),))
def minutes_are_taken_for_seconds(patch: pytest.MonkeyPatch) -> None:
    begin = Tracker.__post_init__

    def short(self: Tracker) -> None:
        self.timeout_seconds /= 60
        begin(self)

    patch.setattr(Tracker, "__post_init__", short)


@BUGS.planted(seeds=4, run_seconds=60.0, events=(Event("hour cancel", at=8.0),))
def what_is_cancelled_runs_on(patch: pytest.MonkeyPatch) -> None:
    async def deaf(*_: object, **__: object) -> bool:
        return True

    patch.setattr(ending, "end", deaf)


@BUGS.planted(
    seeds=2,
    run_seconds=60.0,
    events=(Event("hour cancel", at=8.0), *(Event("task stubborn", number) for number in (1, 2))),
)
def what_runs_is_cancelled_and_never_killed(patch: pytest.MonkeyPatch) -> None:
    async def gently(record: Record, calls: Calls, *, queued: bool) -> bool:  # noqa: ARG001 - it makes no difference
        attempt = record.sent
        return await track._agreed(
            lambda client: client.cancel(task_id=attempt.remote_id or "", token=attempt.token), calls
        )

    patch.setattr(ending, "end", gently)
    patch.setattr(sys.modules[play.__module__], "MOST_STARTS", 12)  # it shows by never ending


@BUGS.planted(seeds=12, run_seconds=10.0, places=2, rate=10.0, events=(Event("hour cancel", at=8.0),))
def tasks_are_begun_after_the_user_said_stop(patch: pytest.MonkeyPatch) -> None:
    def cancel(self: Control) -> None:
        self.cancelling = True
        self._hurry()

    patch.setattr(Control, "cancel", cancel)


@BUGS.planted(seeds=12, run_seconds=4.0, rate=25.0, latency_seconds=2.0, events=(Event("hour cancel", at=4.0),))
def what_is_told_to_end_counts_as_cancelled(patch: pytest.MonkeyPatch) -> None:
    look = Tracker._look

    async def blind(self: Tracker, record: Record, watch: Any) -> Any:
        if watch.order.since is None:
            return await look(self, record, watch)
        ending = Ending("task_cancel", None, Decimal(0), None, self.clock.now())
        after = record.cancelled(ending)
        await self.ledger.save(record, after, durable=False)
        return track.Sight(after)

    patch.setattr(Tracker, "_look", blind)


@BUGS.planted()
def an_end_is_written_over(patch: pytest.MonkeyPatch) -> None:
    concluded = Fetcher._concluded

    async def twice(self: Fetcher, *arguments: Any) -> Record:
        record = await concluded(self, *arguments)
        other = replace(record, state=State.CANCELLED)
        await self.ledger.save(record, other, durable=True)
        return other

    patch.setattr(Fetcher, "_concluded", twice)


@BUGS.planted(events=(Event("run faulty", 1),))
def one_fault_of_the_service_is_the_end_of_a_task(patch: pytest.MonkeyPatch) -> None:
    once = submit.submit

    async def impatient(record: Record, **words: Any) -> Any:
        return await once(record, **{**words, "last": True})

    patch.setattr(sys.modules["orchestrator.engines.submitting"], "submit", impatient)


@BUGS.planted(events=(Event("look lost", 1),))
def a_failing_look_ends_the_task(patch: pytest.MonkeyPatch) -> None:
    async def hasty(self: Tracker, record: Record, trouble: Any, _watch: Any) -> Record | None:
        return None if trouble is None else await self._failed(record, Failure("lost", "It did not answer."))

    patch.setattr(Tracker, "_in_trouble", hasty)


@BUGS.planted(seeds=1, repeat=1, attempts=2, events=tuple(Event("task fails", number) for number in (1, 2, 3)))
def a_failing_task_is_tried_once_too_often(patch: pytest.MonkeyPatch) -> None:
    concluded = track.concluded

    def eager(record: Record, remote: Any, attempts: int, now: float, **words: Any) -> Record:
        return concluded(record, remote, attempts + 1, now, **words)

    patch.setattr(track, "concluded", eager)


@BUGS.planted(seeds=4, events=(Event("look gone", 2),))
def what_is_not_shown_once_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tracking, "GONE_SECONDS", -1.0)
