"""Bugs in what becomes of requests that may have been accepted or not."""

from __future__ import annotations

import math
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from bugs import Bugs
from orchestrator import lifecycle
from orchestrator.engines.doubts import Doubts
from orchestrator.ledger import ClaimedError, Ledger, SqliteLedger, moves, writer
from orchestrator.lifecycle import Record
from orchestrator.simulation import Event, play, process
from orchestrator.steps import matching, settle
from orchestrator.steps.listing import Lister
from orchestrator.steps.outcomes import Outcome
from orchestrator.steps.settle import Settler

BUGS = Bugs()

HIDDEN = (Event("run unanswered", 1), Event("task hidden", 1, seconds=59.0))
SLOW_PAGES = tuple(Event("list slow", number, seconds=30.0) for number in range(2, 12))


@BUGS.planted(lag_seconds=59.9, events=(Event("run unanswered", 1),))
def it_is_sent_again_before_its_time(patch: pytest.MonkeyPatch) -> None:
    certain = Settler._certain
    patch.setattr(
        Settler,
        "_certain",
        lambda self, doubt, matched, listing: certain(self, doubt, matched, replace(listing, read_from=math.inf)),
    )


@BUGS.planted(cut_seconds=150.0, earlier=3, events=(Event("run unanswered", 1),))
def it_is_sent_again_though_the_list_is_not_complete(patch: pytest.MonkeyPatch) -> None:
    async def always(*_: object) -> bool:
        return True

    patch.setattr(Lister, "_may_end", always)


@BUGS.planted(
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


@BUGS.planted(seeds=1, repeat=1, page=50, strangers_seconds=0.0, events=(*HIDDEN, *SLOW_PAGES))
def the_list_counts_as_read_when_its_end_is_there(patch: pytest.MonkeyPatch) -> None:
    read = Lister.read

    async def late(self: Lister, uncertain: Any, newest: int | None) -> Any:
        listing = await read(self, uncertain, newest)
        return listing if isinstance(listing, Outcome) else replace(listing, read_from=self.clock.monotonic())

    patch.setattr(Lister, "read", late)


@BUGS.planted(lag_seconds=55.0, events=(Event("run unanswered", 1), Event("process skewed", 30)))
def a_dead_process_s_clock_is_believed(patch: pytest.MonkeyPatch) -> None:
    def add(self: Doubts, record: Record) -> None:
        ago = max(0.0, self._clock.now() - (record.sent.gave_up_at or self._clock.now()))
        self._open[record.task.id] = settle.Doubt(record, self._clock.monotonic() - ago)
        self._added.notify()

    patch.setattr(Doubts, "add", add)


@BUGS.planted(repeat=2, rate=10.0, events=(Event("run unanswered", 1),))
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


@BUGS.planted(repeat=2, places=5, concurrency=None, events=(Event("run lost", 1), Event("run slow", 2, seconds=20.0)))
def a_task_is_adopted_while_its_own_request_is_out(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def posting(_self: Doubts, _record: Record) -> Iterator[None]:
        yield

    patch.setattr(Doubts, "posting", posting)


@BUGS.planted(strangers_seconds=5.0, veiled_seconds=200.0, events=(Event("run lost", 1),))
def what_shows_nothing_is_taken_for_ours(patch: pytest.MonkeyPatch) -> None:
    likeness = matching.likeness

    def hopeful(sent: Any, shown: Any, defaults: Any) -> matching.Likeness:
        return likeness(sent, shown, defaults) if shown else matching.Likeness.SAME

    patch.setattr(matching, "likeness", hopeful)


@BUGS.planted(strangers_seconds=5.0, events=(Event("run lost", 1),))
def the_model_is_not_compared(patch: pytest.MonkeyPatch) -> None:
    finds = matching._finds

    def of_any(intents: Any, remote: Any, model: str, defaults: Any) -> Any:
        return finds(intents, [replace(task, model=None) for task in remote], model, defaults)

    patch.setattr(matching, "_finds", of_any)


@BUGS.planted(twins=True, earlier=3, events=(Event("run lost", 1),))
def nobody_asks_whether_a_task_is_older(patch: pytest.MonkeyPatch) -> None:
    older = matching.is_older
    patch.setattr(matching, "is_older", lambda task, attempt: older(task, attempt) and None)
    patch.setattr(matching, "_is_made", lambda _found, intent: not intent.out)


@BUGS.planted(twins=True, earlier=3, events=(Event("run lost", 1),))
def the_newest_task_that_was_known_counts_as_a_newer_one(patch: pytest.MonkeyPatch) -> None:
    older = matching.is_older

    def lenient(task: Any, attempt: Any) -> bool | None:
        is_newest = attempt is not None and task.number is not None and task.number == attempt.newest_known
        return False if is_newest else older(task, attempt)

    patch.setattr(matching, "is_older", lenient)


@BUGS.planted(rate=0.5, seeds=1, repeat=1, events=(Event("run unanswered", 1),))
def nobody_remembers_the_newest_task(patch: pytest.MonkeyPatch) -> None:
    intended = Record.intended
    patch.setattr(Record, "intended", lambda self, at, reserved, _newest: intended(self, at, reserved, None))
    patch.setattr(process, "LONGEST_SECONDS", 1800.0)  # it shows by never ending, and calls all the while
    patch.setattr(sys.modules[play.__module__], "MOST_STARTS", 6)


@BUGS.planted(events=(Event("run unanswered", 1),))
def what_is_adopted_counts_as_sent_again(patch: pytest.MonkeyPatch) -> None:
    counted = lifecycle.counted

    def confused(before: Record, after: Record) -> Mapping[str, int]:
        counts = counted(before, after)
        return {"resubmitted": 1} if "adopted" in counts else counts

    patch.setattr(writer, "counted", confused)


@BUGS.planted(events=(Event("run lost", 1), *(Event("process killed", number) for number in range(20, 120, 9))))
def what_became_of_a_doubt_is_counted_in_a_commit_of_its_own(patch: pytest.MonkeyPatch) -> None:
    save = Ledger.save
    patch.setattr(writer, "counted", lambda *_: {})

    async def then_count(self: Ledger, before: Record, after: Record, *, durable: bool, facts: Any = None) -> None:
        await save(self, before, after, durable=durable, facts=facts)
        for name, number in lifecycle.counted(before, after).items():
            self.count(name, number)

    patch.setattr(Ledger, "save", then_count)


@BUGS.planted(events=(Event("run unanswered", 1),))
def the_ledger_is_asked_for_a_column_that_it_lacks(patch: pytest.MonkeyPatch) -> None:
    async def claimed(self: Settler, _: object) -> set[str]:
        def query(store: SqliteLedger) -> set[str]:
            with store._file.translated():
                return set(store._db.execute("SELECT remote FROM attempts"))

        return await self.ledger.read(query)

    patch.setattr(Settler, "_claimed", claimed)
