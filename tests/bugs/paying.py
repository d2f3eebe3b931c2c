"""Bugs that pay twice, or lose what was paid for."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

import anyio.abc
import anyio.lowlevel
import pytest

from bugs import Bugs
from orchestrator.commands import retry
from orchestrator.engines.doubts import Doubts
from orchestrator.engines.local import LocalEngine
from orchestrator.ledger import Ledger, SqliteLedger, Totals, moves
from orchestrator.lifecycle import PAID_KINDS, Attempt, Ending, Failure, Output, Record, State
from orchestrator.simulation import Event
from orchestrator.steps import submit, track
from orchestrator.steps.calls import Calls, First, Urgency
from orchestrator.wiro import Acceptance, RemoteTask, ReplyLost

BUGS = Bugs()

LONE = {"seeds": 1, "repeat": 1, "rate": 10.0, "earlier": 1}
"""One task at its own pace: what befalls a step befalls the same one in nearly every history."""


FAILING = tuple(Event("task fails", number) for number in range(1, 6))
OVER_THE_LOBBY = {"seeds": 6, "repeat": 1, "concurrency": 1, "places": 25, "run_seconds": 10.0, "small": True}
"""Tasks that wait for another try come before one that an earlier process left."""


@BUGS.planted(**LONE | OVER_THE_LOBBY, attempts=3, events=(*FAILING, Event("hour kill", at=38.0)))
def what_a_kill_left_is_carried_twice(patch: pytest.MonkeyPatch) -> None:
    async def all_of_them(self: LocalEngine, group: anyio.abc.TaskGroup) -> None:
        while not self.control.closed and (record := await self.feed.next()):
            await self._room(record)
            self._start(group, record)

    patch.setattr(LocalEngine, "_dispatch", all_of_them)


@BUGS.planted()
def the_intent_is_written_after_the_request(patch: pytest.MonkeyPatch) -> None:
    make = Calls.make

    async def late(self: Calls, urgency: Urgency, call: Any, *, first: First | None = None) -> Any:
        result = await make(self, urgency, call)
        if first is not None:
            await first()
        return result

    patch.setattr(Calls, "make", late)


@BUGS.planted(**LONE, events=(Event("process unplugged", 26), Event("process unplugged", 29)))
def the_intent_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    save = Ledger.save

    async def soon(self: Ledger, before: Record, after: Record, *, durable: bool, facts: Any = None) -> None:
        await save(self, before, after, durable=durable and after.state is not State.SUBMITTING, facts=facts)

    patch.setattr(Ledger, "save", soon)


@BUGS.planted(events=tuple(Event("process unplugged", number) for number in (17, 19, 21, 23, 25)))
def the_token_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    save = Ledger.save

    async def soon(self: Ledger, before: Record, after: Record, *, durable: bool, facts: Any = None) -> None:
        await save(self, before, after, durable=durable and after.state is not State.RUNNING, facts=facts)

    patch.setattr(Ledger, "save", soon)


@BUGS.planted()
def the_token_is_written_some_seconds_later(patch: pytest.MonkeyPatch) -> None:
    accepted = submit._accepted

    async def later(intended: Any, reply: Any, frontier: Any, ledger: Any, clock: Any) -> Any:
        await clock.sleep(5)
        return await accepted(intended, reply, frontier, ledger, clock)

    patch.setattr(submit, "_accepted", later)


@BUGS.planted(events=(Event("run hurried", 1), Event("run hurried", 2)))
def no_shield_is_around_a_save(patch: pytest.MonkeyPatch) -> None:
    save = Ledger.save

    async def bare(self: Ledger, before: Record, after: Record, *, durable: bool, facts: Any = None) -> None:
        await anyio.lowlevel.checkpoint()
        await save(self, before, after, durable=durable, facts=facts)

    patch.setattr(Ledger, "save", bare)


@BUGS.planted(events=(Event("run unanswered", 1),))
def a_lost_reply_counts_as_a_refusal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ReplyLost, "accepted", Acceptance.NO)


@BUGS.planted()
def what_a_kill_left_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    async def recovered(self: Doubts, record: Record) -> Record:
        if record.state is not State.SUBMITTING:
            return record
        after = record.not_accepted()
        await self._ledger.save(record, after, durable=True)
        return after

    patch.setattr(Doubts, "recovered", recovered)


@BUGS.planted(retries=1, events=(Event("task empty", 1),))
def what_was_paid_for_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(retry, "may_be_paid", lambda _: False)
    patch.setattr(SqliteLedger, "was_billed", lambda *_: False)


@BUGS.planted(events=(Event("task empty", 1),))
def what_cannot_be_delivered_is_pending_again(patch: pytest.MonkeyPatch) -> None:
    def undelivered(self: Record, failure: Failure, at: float, outputs: tuple[Output, ...] = ()) -> Record:
        return replace(self, state=State.PENDING, outputs=outputs, failure=failure, finished_at=at)

    patch.setattr(Record, "undelivered", undelivered)


@BUGS.planted(seeds=1, repeat=1, events=(Event("task stubborn", 1),))
def what_ends_well_though_it_was_told_to_end_has_failed(patch: pytest.MonkeyPatch) -> None:
    concluded = track.concluded

    def hasty(record: Record, remote: Any, attempts: int, now: float, **words: Any) -> Record:
        after = concluded(record, remote, attempts, now, **words)
        overdue = words.get("overdue")
        return record.failed(overdue, now) if overdue and after is not record else after

    patch.setattr(track, "concluded", hasty)


@BUGS.planted(attempts=3, seeds=1, repeat=1, events=(Event("task billed", 1),))
def a_failure_that_was_billed_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    concluded = track.concluded

    def generous(record: Record, remote: Any, attempts: int, now: float, **words: Any) -> Record:
        after = concluded(record, remote, attempts, now, **words)
        if after.state is not State.FAILED or after.failure is None or record.failures + 1 >= attempts:
            return after
        ending = Ending(remote.status, remote.exit_code, remote.cost_usd, remote.elapsed_seconds, now)
        return record.fell_through(ending, after.failure)

    patch.setattr(track, "concluded", generous)


@BUGS.planted(retries=1, seeds=1, repeat=1, events=(Event("task billed", 1),))
def the_user_s_retry_pays_again_for_what_was_billed(patch: pytest.MonkeyPatch) -> None:
    def by_kind(record: Record) -> bool:
        return record.failure is not None and record.failure.kind in PAID_KINDS

    patch.setattr(retry, "may_be_paid", by_kind)
    patch.setattr(SqliteLedger, "was_billed", lambda *_: False)


@BUGS.planted(attempts=3, seeds=1, repeat=1, events=(Event("task wordless", 1),))
def what_ended_without_a_word_has_failed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RemoteTask, "unclear", property(lambda _: False))


@BUGS.planted(attempts=3, events=(Event("task fails", 1), *(Event("run throttled", number) for number in range(2, 9))))
def a_refusal_strikes_out_earlier_requests(patch: pytest.MonkeyPatch) -> None:
    write = moves._write_attempt

    def sweeping(db: sqlite3.Connection, task: str, before: Attempt | None, after: Attempt | None) -> None:
        if after is None and before is not None:
            db.execute("DELETE FROM attempts WHERE task = ?", (task,))
        write(db, task, before, after)

    patch.setattr(moves, "_write_attempt", sweeping)


@BUGS.planted(attempts=3, events=(Event("task fails", 1),))
def a_second_try_takes_the_place_of_the_first_in_the_sums(patch: pytest.MonkeyPatch) -> None:
    replaced = Totals._replace

    def confused(self: Totals, before: Attempt | None, after: Attempt | None) -> None:
        replaced(self, before and after and replace(before, number=after.number), after)

    patch.setattr(Totals, "_replace", confused)
