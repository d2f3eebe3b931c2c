"""Bugs are planted in the program, one at a time: the simulation finds each within a bounded number of histories."""

from __future__ import annotations

import math
import os
import sqlite3
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import anyio.lowlevel
import pytest

from orchestrator import lifecycle
from orchestrator.commands import retry
from orchestrator.engines import pacing, slots, tracking
from orchestrator.engines.budget import Budget
from orchestrator.engines.control import Control, Halt
from orchestrator.engines.doubts import Doubts
from orchestrator.engines.local import LocalEngine
from orchestrator.engines.pacing import Schedule
from orchestrator.engines.slots import Capacity, Slots
from orchestrator.engines.submitting import Submitter
from orchestrator.engines.tracking import Tracker
from orchestrator.ledger import ClaimedError, Ledger, SqliteLedger, Totals, moves, writer
from orchestrator.lifecycle import Attempt, Ending, Failure, Output, Record, State
from orchestrator.output import manifest
from orchestrator.output.keeper import ManifestKeeper
from orchestrator.simulation import Event, History, draw, play, process
from orchestrator.steps import download, fetch, landing, matching, outcomes, settle, submit, track
from orchestrator.steps.calls import Calls, First, Urgency
from orchestrator.steps.clearing import Clearing
from orchestrator.steps.fetch import Fetcher
from orchestrator.steps.landing import Landing
from orchestrator.steps.listing import Lister
from orchestrator.steps.outcomes import Outcome, Stop
from orchestrator.steps.recognise import Kind
from orchestrator.steps.settle import Settler
from orchestrator.wiro import Acceptance, RemoteTask, ReplyLost

MOST_HISTORIES: Final = 60
"""Within how many histories a bug is found that is looked for where it may be; most take a handful."""

MOST_OF_ANY: Final = 500
"""How many are played for a bug that nobody looks for."""

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Bug:
    """A bug, and what a history needs in which it may show."""

    plant: Plant
    needs: Mapping[str, Any]

    def suits(self, history: History) -> History:
        """Return a history in which it may show."""
        needs = dict(self.needs)
        return replace(history, **{**needs, "events": (*needs.get("events", ()), *history.events)})


BUGS: Final[dict[str, Bug]] = {}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The ledger writes in the one thread there is, so that time stands still meanwhile."""


def planted(**needs: Any) -> Callable[[Plant], Plant]:
    """Add a bug to the list; its name says what the program then does."""

    def add(plant: Plant) -> Plant:
        BUGS[plant.__name__.replace("_", " ")] = Bug(plant, needs)
        return plant

    return add


# Paying


@planted()
def the_intent_is_written_after_the_request(patch: pytest.MonkeyPatch) -> None:
    make = Calls.make

    async def late(self: Calls, urgency: Urgency, call: Any, *, first: First | None = None) -> Any:
        result = await make(self, urgency, call)
        if first is not None:
            await first()
        return result

    patch.setattr(Calls, "make", late)


@planted(events=tuple(Event("process unplugged", number) for number in (13, 14, 15, 16, 17)))
def the_intent_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    save = Ledger.save

    async def soon(self: Ledger, before: Record, after: Record, *, durable: bool, facts: Any = None) -> None:
        await save(self, before, after, durable=durable and after.state is not State.SUBMITTING, facts=facts)

    patch.setattr(Ledger, "save", soon)


@planted(events=tuple(Event("process unplugged", number) for number in (17, 19, 21, 23, 25)))
def the_token_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    save = Ledger.save

    async def soon(self: Ledger, before: Record, after: Record, *, durable: bool, facts: Any = None) -> None:
        await save(self, before, after, durable=durable and after.state is not State.RUNNING, facts=facts)

    patch.setattr(Ledger, "save", soon)


@planted()
def the_token_is_written_some_seconds_later(patch: pytest.MonkeyPatch) -> None:
    accepted = submit._accepted

    async def later(intended: Any, reply: Any, frontier: Any, ledger: Any, clock: Any) -> Any:
        await clock.sleep(5)
        return await accepted(intended, reply, frontier, ledger, clock)

    patch.setattr(submit, "_accepted", later)


@planted(events=(Event("run hurried", 1), Event("run hurried", 2)))
def no_shield_is_around_a_save(patch: pytest.MonkeyPatch) -> None:
    save = Ledger.save

    async def bare(self: Ledger, before: Record, after: Record, *, durable: bool, facts: Any = None) -> None:
        await anyio.lowlevel.checkpoint()
        await save(self, before, after, durable=durable, facts=facts)

    patch.setattr(Ledger, "save", bare)


@planted()
def a_lost_reply_counts_as_a_refusal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ReplyLost, "accepted", Acceptance.NO)


@planted()
def what_a_kill_left_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    async def recovered(self: Doubts, record: Record) -> Record:
        if record.state is not State.SUBMITTING:
            return record
        after = record.not_accepted()
        await self._ledger.save(record, after, durable=True)
        return after

    patch.setattr(Doubts, "recovered", recovered)


@planted()
def it_is_sent_again_before_its_time(patch: pytest.MonkeyPatch) -> None:
    certain = Settler._certain
    patch.setattr(
        Settler,
        "_certain",
        lambda self, doubt, matched, listing: certain(self, doubt, matched, replace(listing, read_from=math.inf)),
    )


@planted(cut_seconds=150.0, earlier=3, events=(Event("run unanswered", 1),))
def it_is_sent_again_though_the_list_is_not_complete(patch: pytest.MonkeyPatch) -> None:
    async def always(*_: object) -> bool:
        return True

    patch.setattr(Lister, "_may_end", always)


@planted(
    cut_seconds=150.0,
    earlier=3,
    seeds=1,
    repeat=3,
    concurrency=2,
    places=2,
    events=(Event("task vanishes", 1, seconds=5.0), Event("run claimed", 3, seconds=20.0)),
)
def a_list_without_what_was_deleted_counts_as_complete(patch: pytest.MonkeyPatch) -> None:
    async def shown(*_: object) -> bool:
        return True

    patch.setattr(Lister, "_shows_what_is_left", shown)


@planted(lag_seconds=55.0, events=(Event("run unanswered", 1), Event("process skewed", 30)))
def a_dead_process_s_clock_is_believed(patch: pytest.MonkeyPatch) -> None:
    def add(self: Doubts, record: Record) -> None:
        ago = max(0.0, self._clock.now() - (record.sent.gave_up_at or self._clock.now()))
        self._open[record.task.id] = settle.Doubt(record, self._clock.monotonic() - ago)
        self._added.notify()

    patch.setattr(Doubts, "add", add)


@planted()
def a_task_of_ours_is_adopted_by_another_one(patch: pytest.MonkeyPatch) -> None:
    async def none(*_: object) -> set[str]:
        return set()

    patch.setattr(Settler, "_claimed", none)
    write = moves.write

    def take(db: sqlite3.Connection, before: Record, after: Record) -> None:
        try:
            write(db, before, after)
        except ClaimedError as error:
            db.execute("DELETE FROM attempts WHERE remote_id = ?", (error.remote_id,))
            write(db, before, after)

    patch.setattr(moves, "write", take)


@planted(repeat=2, places=5, concurrency=None, events=(Event("run lost", 1), Event("run slow", 2, seconds=20.0)))
def a_task_is_adopted_while_its_own_request_is_out(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def posting(_self: Doubts, _record: Record) -> Iterator[None]:
        yield

    patch.setattr(Doubts, "posting", posting)


@planted(strangers_seconds=5.0, veiled_seconds=200.0, events=(Event("run lost", 1),))
def what_shows_nothing_is_taken_for_ours(patch: pytest.MonkeyPatch) -> None:
    likeness = matching.likeness

    def hopeful(sent: Any, shown: Any, defaults: Any) -> matching.Likeness:
        return likeness(sent, shown, defaults) if shown else matching.Likeness.SAME

    patch.setattr(matching, "likeness", hopeful)


@planted(strangers_seconds=5.0, events=(Event("run lost", 1),))
def the_model_is_not_compared(patch: pytest.MonkeyPatch) -> None:
    finds = matching._finds

    def of_any(intents: Any, remote: Any, model: str, defaults: Any) -> Any:
        return finds(intents, [replace(task, model=None) for task in remote], model, defaults)

    patch.setattr(matching, "_finds", of_any)


@planted(twins=True, earlier=3, events=(Event("run lost", 1),))
def nobody_asks_whether_a_task_is_older(patch: pytest.MonkeyPatch) -> None:
    older = matching.is_older
    patch.setattr(matching, "is_older", lambda task, attempt: older(task, attempt) and None)
    patch.setattr(matching, "_is_made", lambda _found, intent: not intent.out)


@planted(twins=True, earlier=3, events=(Event("run lost", 1),))
def the_newest_task_that_was_known_counts_as_a_newer_one(patch: pytest.MonkeyPatch) -> None:
    older = matching.is_older

    def lenient(task: Any, attempt: Any) -> bool | None:
        is_newest = attempt is not None and task.number is not None and task.number == attempt.newest_known
        return False if is_newest else older(task, attempt)

    patch.setattr(matching, "is_older", lenient)


@planted(rate=0.5, seeds=2, events=(Event("run unanswered", 1),))
def nobody_remembers_the_newest_task(patch: pytest.MonkeyPatch) -> None:
    intended = Record.intended
    patch.setattr(Record, "intended", lambda self, at, reserved, _newest: intended(self, at, reserved, None))
    patch.setattr(process, "LONGEST_SECONDS", 3600.0)  # it shows by never ending, and calls all the while
    patch.setattr(sys.modules[play.__module__], "MOST_STARTS", 12)


@planted(retries=1, events=(Event("task empty", 1),))
def what_was_paid_for_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(retry, "may_be_paid", lambda _: False)


@planted(events=(Event("task empty", 1),))
def what_cannot_be_delivered_is_pending_again(patch: pytest.MonkeyPatch) -> None:
    def undelivered(self: Record, failure: Failure, at: float, outputs: tuple[Output, ...] = ()) -> Record:
        return replace(self, state=State.PENDING, outputs=outputs, failure=failure, finished_at=at)

    patch.setattr(Record, "undelivered", undelivered)


@planted(seeds=1, repeat=1, events=(Event("task stubborn", 1),))
def what_ends_well_though_it_was_told_to_end_has_failed(patch: pytest.MonkeyPatch) -> None:
    concluded = track.concluded

    def hasty(record: Record, remote: Any, attempts: int, now: float, **words: Any) -> Record:
        after = concluded(record, remote, attempts, now, **words)
        overdue = words.get("overdue")
        return record.failed(overdue, now) if overdue and after is not record else after

    patch.setattr(track, "concluded", hasty)


@planted(attempts=3, seeds=1, repeat=1, events=(Event("task billed", 1),))
def a_failure_that_was_billed_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    concluded = track.concluded

    def generous(record: Record, remote: Any, attempts: int, now: float, **words: Any) -> Record:
        after = concluded(record, remote, attempts, now, **words)
        if after.state is not State.FAILED or after.failure is None or record.failures + 1 >= attempts:
            return after
        ending = Ending(remote.status, remote.exit_code, remote.cost_usd, remote.elapsed_seconds, now)
        return record.fell_through(ending, after.failure)

    patch.setattr(track, "concluded", generous)


@planted(retries=1, seeds=1, repeat=1, events=(Event("task billed", 1),))
def the_user_s_retry_pays_again_for_what_was_billed(patch: pytest.MonkeyPatch) -> None:
    def by_kind(record: Record) -> bool:
        return record.failure is not None and record.failure.kind in retry.PAID_KINDS

    patch.setattr(retry, "may_be_paid", by_kind)


@planted(attempts=3, seeds=1, repeat=1, events=(Event("task wordless", 1),))
def what_ended_without_a_word_has_failed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RemoteTask, "unclear", property(lambda _: False))


@planted(attempts=3, events=(Event("task fails", 1), *(Event("run throttled", number) for number in range(2, 9))))
def a_refusal_strikes_out_earlier_requests(patch: pytest.MonkeyPatch) -> None:
    write = moves._write_attempt

    def sweeping(db: sqlite3.Connection, task: str, before: Attempt | None, after: Attempt | None) -> None:
        if after is None and before is not None:
            db.execute("DELETE FROM attempts WHERE task = ?", (task,))
        write(db, task, before, after)

    patch.setattr(moves, "_write_attempt", sweeping)


HIDDEN = (Event("run unanswered", 1), Event("task hidden", 1, seconds=59.0))
SLOW_PAGES = tuple(Event("list slow", number, seconds=30.0) for number in range(2, 12))


@planted(seeds=1, repeat=1, page=50, strangers_seconds=0.0, events=(*HIDDEN, *SLOW_PAGES))
def the_list_counts_as_read_when_its_end_is_there(patch: pytest.MonkeyPatch) -> None:
    read = Lister.read

    async def late(self: Lister, uncertain: Any, newest: int | None) -> Any:
        listing = await read(self, uncertain, newest)
        return listing if isinstance(listing, Outcome) else replace(listing, read_from=self.clock.monotonic())

    patch.setattr(Lister, "read", late)


# The user's word

# The user's word


@planted(seeds=4, run_seconds=10.0, events=(Event("hour interrupt", at=4.0),))
def what_runs_is_ended_where_the_user_leaves(patch: pytest.MonkeyPatch) -> None:
    def ruthless(self: Control, stop: Stop, message: str) -> None:
        self.cancel()
        self.halt = Halt(stop, message)

    patch.setattr(Control, "leave", ruthless)


@planted(seeds=12, run_seconds=10.0, places=2, events=(Event("hour poor", at=5.0, seconds=100.0),))
def what_runs_is_ended_where_the_balance_is_used_up(patch: pytest.MonkeyPatch) -> None:
    close = Control.close

    def ruthless(self: Control, stop: Stop, message: str) -> None:
        self.cancelling |= stop is Stop.BALANCE
        close(self, stop, message)

    patch.setattr(Control, "close", ruthless)


@planted(events=(Event("task late", 1, seconds=100.0),))
def minutes_are_taken_for_seconds(patch: pytest.MonkeyPatch) -> None:
    begin = Tracker.__post_init__

    def short(self: Tracker) -> None:
        self.timeout_seconds /= 60
        begin(self)

    patch.setattr(Tracker, "__post_init__", short)


@planted(seeds=4, run_seconds=60.0, events=(Event("hour cancel", at=8.0),))
def what_is_cancelled_runs_on(patch: pytest.MonkeyPatch) -> None:
    async def deaf(*_: object, **__: object) -> bool:
        return True

    patch.setattr(tracking, "end", deaf)


@planted(seeds=4, run_seconds=60.0, events=(Event("hour cancel", at=8.0),))
def what_runs_is_cancelled_and_never_killed(patch: pytest.MonkeyPatch) -> None:
    async def gently(record: Record, calls: Calls, *, queued: bool) -> bool:  # noqa: ARG001 - it makes no difference
        attempt = record.sent
        return await track._agreed(
            lambda client: client.cancel(task_id=attempt.remote_id or "", token=attempt.token), calls
        )

    patch.setattr(tracking, "end", gently)


@planted(seeds=12, run_seconds=10.0, places=2, rate=10.0, events=(Event("hour cancel", at=8.0),))
def tasks_are_begun_after_the_user_said_stop(patch: pytest.MonkeyPatch) -> None:
    def cancel(self: Control) -> None:
        self.cancelling = True
        self._hurry()

    patch.setattr(Control, "cancel", cancel)


@planted(delete_remote=True)
def copies_are_deleted_before_ours_are_recorded(patch: pytest.MonkeyPatch) -> None:
    owe = Clearing.owe

    async def hasty(self: Clearing, record: Record) -> None:
        await owe(self, record)
        await self.clear(record)

    patch.setattr(Clearing, "owe", hasty)


# What is told


@planted(events=(Event("run unanswered", 1),))
def what_is_adopted_counts_as_sent_again(patch: pytest.MonkeyPatch) -> None:
    counted = lifecycle.counted

    def confused(before: Record, after: Record) -> Mapping[str, int]:
        counts = counted(before, after)
        return {"resubmitted": 1} if "adopted" in counts else counts

    patch.setattr(writer, "counted", confused)


@planted(events=(Event("run lost", 1), *(Event("process killed", number) for number in range(20, 120, 9))))
def what_became_of_a_doubt_is_counted_in_a_commit_of_its_own(patch: pytest.MonkeyPatch) -> None:
    save = Ledger.save
    patch.setattr(writer, "counted", lambda *_: {})

    async def then_count(self: Ledger, before: Record, after: Record, *, durable: bool, facts: Any = None) -> None:
        await save(self, before, after, durable=durable, facts=facts)
        for name, number in lifecycle.counted(before, after).items():
            self.count(name, number)

    patch.setattr(Ledger, "save", then_count)


@planted(attempts=3, events=(Event("task fails", 1),))
def a_second_try_takes_the_place_of_the_first_in_the_sums(patch: pytest.MonkeyPatch) -> None:
    replaced = Totals._replace

    def confused(self: Totals, before: Attempt | None, after: Attempt | None) -> None:
        replaced(self, before and after and replace(before, number=after.number), after)

    patch.setattr(Totals, "_replace", confused)


# States


@planted()
def an_end_is_written_over(patch: pytest.MonkeyPatch) -> None:
    concluded = Fetcher._concluded

    async def twice(self: Fetcher, *arguments: Any) -> Record:
        record = await concluded(self, *arguments)
        other = replace(record, state=State.CANCELLED)
        await self.ledger.save(record, other, durable=True)
        return other

    patch.setattr(Fetcher, "_concluded", twice)


@planted(events=(Event("run faulty", 1),))
def one_fault_of_the_service_is_the_end_of_a_task(patch: pytest.MonkeyPatch) -> None:
    once = submit.submit

    async def impatient(record: Record, **words: Any) -> Any:
        return await once(record, **{**words, "last": True})

    patch.setattr(sys.modules["orchestrator.engines.submitting"], "submit", impatient)


@planted(events=(Event("task unfinished", 1),))
def outputs_that_come_later_are_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fetch, "LOOKS_FOR_OUTPUTS", 1)
    patch.setattr(fetch, "LATE_SECONDS", 0.0)


@planted(seeds=1, repeat=1, attempts=2, events=tuple(Event("task fails", number) for number in (1, 2, 3)))
def a_failing_task_is_tried_once_too_often(patch: pytest.MonkeyPatch) -> None:
    concluded = track.concluded

    def eager(record: Record, remote: Any, attempts: int, now: float, **words: Any) -> Record:
        return concluded(record, remote, attempts + 1, now, **words)

    patch.setattr(track, "concluded", eager)


@planted(seeds=12, run_seconds=4.0, rate=25.0, latency_seconds=2.0, events=(Event("hour cancel", at=4.0),))
def what_is_told_to_end_counts_as_cancelled(patch: pytest.MonkeyPatch) -> None:
    look = Tracker._look

    async def blind(self: Tracker, record: Record, watch: Any) -> Any:
        if watch.ending_since is None:
            return await look(self, record, watch)
        ending = Ending("task_cancel", None, Decimal(0), None, self.clock.now())
        after = record.cancelled(ending)
        await self.ledger.save(record, after, durable=False)
        return track.Sight(after)

    patch.setattr(Tracker, "_look", blind)


@planted(seeds=4, events=(Event("look gone", 2),))
def what_is_not_shown_once_is_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tracking, "GONE_SECONDS", -1.0)


@planted(seeds=4, events=tuple(Event("hour outage", at=at, seconds=20.0) for at in (6.0, 9.0, 12.0)))
def files_that_cannot_be_reached_are_lost(patch: pytest.MonkeyPatch) -> None:
    reason = download._reason
    patch.setattr(fetch, "LATE_SECONDS", 0.0)
    patch.setattr(download, "_reason", lambda error: "broken" if reason(error) == "unavailable" else reason(error))


@planted(samples=2)
def the_last_output_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    concluded = Fetcher._concluded

    async def short(self: Fetcher, record: Record, got: Any, *rest: Any) -> Record:
        return await concluded(self, record, got[:1], *rest)

    patch.setattr(Fetcher, "_concluded", short)


@planted(samples=2, events=(Event("task torn", 1),))
def what_lacks_an_output_is_done(patch: pytest.MonkeyPatch) -> None:
    concluded = Fetcher._concluded

    async def content(self: Fetcher, record: Record, got: Any, warnings: Any, failures: list[Failure]) -> Record:
        return await concluded(self, record, got, warnings, [] if got else failures)

    patch.setattr(Fetcher, "_concluded", content)


@planted(delete_remote=True, events=tuple(Event("process killed", number) for number in range(30, 300, 13)))
def what_is_owed_is_deleted_though_the_task_is_not_done(patch: pytest.MonkeyPatch) -> None:
    async def always(*_: object) -> bool:
        return True

    patch.setattr(Clearing, "_is_done", always)


# Limits


@planted(seeds=12, places=2, concurrency=2, strangers_seconds=5.0)
def a_refused_task_gives_its_place_back_twice(patch: pytest.MonkeyPatch) -> None:
    refused = Slots.refused

    def twice(self: Slots, stated: int | None) -> None:
        refused(self, stated)
        self.release()

    patch.setattr(Slots, "refused", twice)


@planted(concurrency=1, seeds=6, events=(Event("run lost", 1), Event("run lost", 2)))
def a_doubt_that_is_settled_keeps_its_place(patch: pytest.MonkeyPatch) -> None:
    settled = LocalEngine._settled

    def greedy(self: LocalEngine, group: Any, record: Record) -> None:
        if record.state is State.PENDING:
            self.slots.take()
        settled(self, group, record)

    patch.setattr(LocalEngine, "_settled", greedy)


@planted()
def one_task_too_many_runs(patch: pytest.MonkeyPatch) -> None:
    room, fits = Capacity.room, Capacity.fits
    patch.setattr(Capacity, "room", lambda self, active, now: room(self, max(0, active - 1), now))
    patch.setattr(Capacity, "fits", lambda self, active: fits(self, max(0, active - 1)))


@planted()
def a_task_in_doubt_holds_no_place(patch: pytest.MonkeyPatch) -> None:
    first = Submitter.submit

    async def free(self: Submitter, record: Record) -> Record:
        after = await first(self, record)
        if after.state is State.SUBMITTING:
            self.slots.release()
        return after

    patch.setattr(Submitter, "submit", free)


@planted()
def what_an_earlier_process_left_holds_no_place(patch: pytest.MonkeyPatch) -> None:
    begin = Slots.__init__
    patch.setattr(Slots, "__init__", lambda self, capacity, clock, active: begin(self, capacity, clock, active * 0))


@planted()
def the_budget_forgets_what_is_kept_aside(patch: pytest.MonkeyPatch) -> None:
    def fits(self: Budget, price: Decimal, totals: Totals) -> bool:
        return self.cap_usd is None or totals.spent_usd + self.held_usd + price <= self.cap_usd

    patch.setattr(Budget, "fits", fits)


@planted()
def the_budget_forgets_what_is_on_its_way(patch: pytest.MonkeyPatch) -> None:
    def fits(self: Budget, price: Decimal, totals: Totals) -> bool:
        return self.cap_usd is None or totals.spent_usd + totals.reserved_usd + price <= self.cap_usd

    patch.setattr(Budget, "fits", fits)


@planted()
def too_many_calls_slow_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Schedule, "refused", lambda *_: None)


@planted(events=tuple(Event("look throttled", number) for number in range(1, 12)))
def nobody_waits_longer_than_half_a_minute(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pacing, "LONGEST_HOLD_SECONDS", 30.0)


@planted()
def a_second_holds_one_call_too_many(patch: pytest.MonkeyPatch) -> None:
    begin = Schedule.__init__

    def wide(self: Schedule, rate: float) -> None:
        begin(self, rate)
        self._sent = deque(maxlen=(self._sent.maxlen or 0) + 1)

    patch.setattr(Schedule, "__init__", wide)


@planted()
def calls_are_a_little_too_close(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pacing, "MARGIN", 1.0)


# Progress


@planted(seeds=12, rate=10.0, concurrency=2, events=(Event("hour outage", at=3.0, seconds=400.0),))
def waits_grow_without_bound(patch: pytest.MonkeyPatch) -> None:
    delays = outcomes.delays

    def growing(random: Any, first: float = 0.5, most: float = 30.0) -> Iterator[float]:
        return delays(random, first, most * 1e9)

    for module in ("submitting", "tracking", "local"):
        patch.setattr(sys.modules[f"orchestrator.engines.{module}"], "delays", growing)


@planted(seeds=4, rate=10.0, events=(Event("hour full", at=0.3, seconds=400.0),))
def a_full_account_is_asked_less_and_less_often(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(slots, "LONGEST_PAUSE_SECONDS", 3600.0)


@planted(rate=10.0, veiled_seconds=0.0, events=(Event("run unanswered", 1),))
def doubts_are_looked_up_too_seldom(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sys.modules["orchestrator.engines.doubts"], "FIRST_WAIT_SECONDS", 600.0)


@planted(rate=10.0, run_seconds=4.0, events=(Event("look gone", 2),))
def a_task_that_is_not_shown_at_once_is_left_for_long(patch: pytest.MonkeyPatch) -> None:
    waits = outcomes.delays

    def long(random: Any, first: float = 0.5, most: float = 30.0) -> Iterator[float]:
        return waits(random, 200 * first, 200 * most)

    patch.setattr(tracking, "delays", long)


@planted(seeds=12, rate=10.0, events=(Event("look throttled", 1), Event("look throttled", 2)))
def who_was_slowed_down_stays_slow(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pacing, "CUT", 0.99)
    patch.setattr(pacing, "DEEPEST_CUT", 0.99)
    patch.setattr(Schedule, "_regained", lambda self, _calm: self._low)


# Power cuts

CUTS = tuple(Event("process unplugged", number) for number in range(70, 400, 45))


@planted(seeds=6, concurrency=1, run_seconds=0.5, events=CUTS)
def a_file_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    def sync(handle: int) -> None:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.fsync(handle)

    patch.setattr(landing, "os", SimpleNamespace(**{**vars(os), "fsync": sync}))


@planted(seeds=6, concurrency=1, run_seconds=0.5, events=CUTS)
def a_file_s_name_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(landing, "sync_folder", lambda _: None)


@planted(seeds=6, concurrency=1, run_seconds=0.5, events=CUTS)
def a_folder_s_name_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    def make(root: Path, parts: Any) -> Path:
        folder = root.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    patch.setattr(landing, "_make_folder", make)


# Files and progress


@planted(events=(Event("file page", 1),))
def any_bytes_are_a_picture(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Landing, "_look", lambda _: (Kind("png", "image/png", lambda _: True), True))


@planted(events=(Event("task fails", 1),), attempts=1)
def the_manifest_leaves_out_what_has_failed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(manifest, "FINAL", {State.DONE})


@planted()
def the_manifest_is_never_mended(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ManifestKeeper, "_in_order", lambda *_: True)


@planted(seeds=12, concurrency=1, strangers_seconds=0.0)
def nobody_is_woken_when_a_place_is_free(patch: pytest.MonkeyPatch) -> None:
    def release(self: Slots) -> None:
        self.active -= 1

    patch.setattr(Slots, "release", release)


@planted()
def a_place_is_never_given_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LocalEngine, "_settled", lambda self, group, record: self._start(group, record))


@planted(events=(Event("run unanswered", 1),))
def the_ledger_is_asked_for_a_column_that_it_lacks(patch: pytest.MonkeyPatch) -> None:
    async def claimed(self: Settler, _: object) -> set[str]:
        def query(store: SqliteLedger) -> set[str]:
            with store._file.translated():
                return set(store._db.execute("SELECT remote FROM attempts"))

        return await self.ledger.read(query)

    patch.setattr(Settler, "_claimed", claimed)


@planted()
def a_failing_look_ends_the_task(patch: pytest.MonkeyPatch) -> None:
    async def hasty(self: Tracker, record: Record, trouble: Any, _watch: Any) -> Record | None:
        return None if trouble is None else await self._failed(record, Failure("lost", "It did not answer."))

    patch.setattr(Tracker, "_in_trouble", hasty)


def found(bug: Bug, histories: Iterable[History]) -> tuple[int, str]:
    """Return how many histories it takes until a planted bug breaks a promise, and which one; empty if none does."""
    played = 0
    with pytest.MonkeyPatch.context() as patch:
        bug.plant(patch)
        for played, history in enumerate(histories, 1):
            violation = play(history).violation
            if violation is not None:
                return played, violation
    return played, ""


def suitable(bug: Bug) -> Iterator[History]:
    return (bug.suits(draw(seed)) for seed in range(MOST_HISTORIES))


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str) -> None:
    _, violation = found(BUGS[name], suitable(BUGS[name]))
    assert violation, f"{MOST_HISTORIES} histories do not show it"


def main() -> None:
    """Print how many histories each takes: of those in which it may show, and of any; and what is found then."""
    sys.stdout.write("| planted bug | where it may show | anywhere | what gives it away |\n| --- | --- | --- | --- |\n")
    for name, bug in BUGS.items():
        suited, shown = found(bug, suitable(bug))
        histories, violation = found(bug, map(draw, range(MOST_OF_ANY)))
        anywhere = str(histories) if violation else f"over {MOST_OF_ANY}"
        sys.stdout.write(f"| {name} | {suited} | {anywhere} | {violation or shown or 'NOT FOUND'} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
