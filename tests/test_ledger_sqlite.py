"""The ledger's tasks: saved as they move, kept over editions, and read back as they were."""

from __future__ import annotations

import itertools
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from stored import (
    FAILURE,
    PAID,
    RESERVE,
    UNBILLED,
    done,
    drop_all_but,
    enter,
    everything,
    output,
    rows,
    running,
    save,
    task,
)

from orchestrator.ledger import (
    ClaimedError,
    ConflictError,
    LedgerError,
    Reason,
    SqliteLedger,
)
from orchestrator.ledger.rows import PLACES
from orchestrator.lifecycle import Failure, Record, State
from orchestrator.money import FREE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteLedger]:
    with SqliteLedger(path) as store:
        yield store


class TestSaving:
    def test_a_record_comes_back_as_it_was_saved(self, store: SqliteLedger) -> None:
        """Every field of a task, its request, its outputs and its failure survives."""
        first, second, third = enter(store, task(0), task(1), task(2))
        saved = [done(store, first, "2221"), running(store, second, "2222")]
        sent = running(store, third, "2223")
        saved.append(save(store, sent, sent.fell_through(UNBILLED, FAILURE)))
        assert list(store.everything()) == saved

    def test_an_older_ledger_does_not_say_a_task_s_model(self, store: SqliteLedger, path: Path) -> None:
        enter(store, task(0))
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE tasks SET spec = json_remove(spec, '$.model')")
        [held] = store.everything()
        assert held == Record(replace(task(0), model=""))

    def test_the_newest_task_known_may_have_any_number(self, store: SqliteLedger) -> None:
        """Ids of the service may be longer than what SQLite calls an integer."""
        (record,) = enter(store, task(0))
        sent = save(store, record, record.intended(10.0, RESERVE, 10**30 + 1))
        assert everything(store) == {"task-000": sent}

    def test_a_save_follows_from_what_is_held(self, store: SqliteLedger) -> None:
        """A move from another state than the ledger's raises, and nothing is written."""
        (record,) = enter(store, task(0))
        sent = running(store, record, "2221")
        before = everything(store)
        with pytest.raises(ConflictError, match="task-000 is running, not pending"), store.transaction(durable=False):
            store.save(record, record.intended(99.0, RESERVE, None))
        assert everything(store) == before == {"task-000": sent}

    def test_a_task_that_is_not_there_cannot_be_saved(self, store: SqliteLedger) -> None:
        """Saving a task that was never entered raises, and does not enter it."""
        record = Record(task(0))
        with pytest.raises(ConflictError), store.transaction(durable=False):
            store.save(record, record.intended(10.0, RESERVE, None))
        assert everything(store) == {}

    def test_a_remote_task_belongs_to_one_task(self, store: SqliteLedger) -> None:
        """A second task with the same remote id raises `ClaimedError`, and nothing of the move is written."""
        first, second = enter(store, task(0), task(1))
        done(store, first, "2221")
        intended = second.intended(10.0, RESERVE, None)
        save(store, second, intended)
        with store.transaction(durable=False), pytest.raises(ClaimedError) as raised:
            store.save(intended, intended.accepted("2221", "token", 11.0))
        assert raised.value.remote_id == "2221"
        assert everything(store)["task-001"] == intended

    def test_a_remote_task_belongs_to_one_attempt(self, store: SqliteLedger) -> None:
        """A task's own earlier remote task is not taken for that of its next request either."""
        (record,) = enter(store, task(0))
        sent = running(store, record, "2221")
        pending = sent.fell_through(UNBILLED, FAILURE)
        again = pending.intended(50.0, RESERVE, 2221)
        save(store, sent, pending, again)
        with store.transaction(durable=False), pytest.raises(ClaimedError):
            store.save(again, again.accepted("2221", "token", 51.0))

    def test_what_is_claimed_is_found_by_the_file_alone(self, store: SqliteLedger) -> None:
        """After a refused claim the same transaction goes on, and the task may be given another remote task."""
        first, second = enter(store, task(0), task(1))
        running(store, first, "2221")
        intended = save(store, second, second.intended(10.0, RESERVE, None))
        accepted = intended.accepted("2222", "token", 11.0)
        with store.transaction(durable=False):
            with pytest.raises(ClaimedError):
                store.save(intended, intended.accepted("2221", "token", 11.0))
            store.save(intended, accepted)
        assert everything(store)["task-001"] == accepted

    def test_a_task_s_way_takes_few_statements(self, store: SqliteLedger) -> None:
        """Each move is one statement for the task and one for its request or its output: nothing is read for it."""
        first, second = enter(store, task(0), task(1))
        done(store, first, "2221")
        statements: list[str] = []
        store._db.set_trace_callback(statements.append)
        done(store, second, "2222")
        store._db.set_trace_callback(None)
        moves = [words for words in statements if words.startswith(("UPDATE", "INSERT", "DELETE", "SELECT"))]
        assert len(moves) == 9  # four moves, and the second output

    def test_uniqueness_is_the_file_s_own(self, store: SqliteLedger, path: Path) -> None:
        """Even somebody who writes past the ledger cannot give a remote task to two of ours."""
        first, second = enter(store, task(0), task(1))
        running(store, first, "2221")
        running(store, second, "2222")
        with pytest.raises(sqlite3.IntegrityError):
            rows(path, "UPDATE attempts SET remote_id = '2221'")

    def test_earlier_attempts_are_kept(self, store: SqliteLedger, path: Path) -> None:
        """A further request stands beside the earlier ones; the record tells of the latest."""
        (record,) = enter(store, task(0))
        sent = running(store, record, "2221")
        failed = sent.failed(FAILURE, 40.0, UNBILLED)
        last = running(store, save(store, sent, failed, failed.retried()), "2222")
        assert rows(path, "SELECT number, remote_id, status FROM attempts ORDER BY number") == [
            (1, "2221", "task_postprocess_end"),
            (2, "2222", None),
        ]
        assert everything(store) == {"task-000": last}

    def test_a_request_that_was_not_accepted_leaves_nothing(self, store: SqliteLedger, path: Path) -> None:
        """What was certainly not accepted is forgotten, and earlier attempts stay."""
        (record,) = enter(store, task(0))
        intended = record.intended(10.0, RESERVE, None)
        pending = save(store, record, intended, intended.not_accepted())
        assert rows(path, "SELECT * FROM attempts") == []
        sent = running(store, pending, "2221")
        again = sent.fell_through(UNBILLED, FAILURE)
        intended = again.intended(50.0, RESERVE, None)
        save(store, sent, again, intended, intended.rejected(FAILURE, 60.0))
        assert rows(path, "SELECT number, remote_id FROM attempts") == [(1, "2221")]

    def test_new_outputs_replace_the_old_ones(self, store: SqliteLedger) -> None:
        """After fetching again only the new files are told of."""
        (record,) = enter(store, task(0))
        first = done(store, record, "2221")
        refetched = first.refetched()
        second = save(store, first, refetched, refetched.delivered((output(7),), (), 90.0))
        assert everything(store)["task-000"] == second
        assert second.outputs == (output(7),)

    def test_a_failed_transaction_leaves_nothing(self, store: SqliteLedger) -> None:
        """What a block wrote before it failed is not there."""

        def write() -> None:
            with store.transaction(durable=True):
                store.enter([task(0)], 1, 0)
                store.state({"model": "Hevok/Studio-Trigger"})
                raise LookupError

        with pytest.raises(LookupError):
            write()
        assert everything(store) == {}
        assert store.facts() == {}
        enter(store, task(0))

    @pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 1)])
    def test_a_durable_commit_waits_for_the_disk(self, store: SqliteLedger, durable: bool, synchronous: int) -> None:
        """A durable transaction commits with `synchronous` FULL, any other with NORMAL, whatever came before."""
        for before in (True, False):
            with store.transaction(durable=before):
                pass
            with store.transaction(durable=durable):
                assert store._db.execute("PRAGMA synchronous").fetchone()[0] == synchronous
        assert store._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


class TestEditions:
    def test_entering_again_keeps_what_happened(self, store: SqliteLedger) -> None:
        """An edited job file moves a task and gives it other labels; its state and files stay."""
        (record,) = enter(store, task(0))
        held = done(store, record, "2221")
        moved = replace(task(5, "task-000"), labels={"prompt": "moved"}, path="moved")
        enter(store, moved, edition=2)
        assert everything(store) == {"task-000": replace(held, task=moved)}

    def test_entering_says_what_it_met(self, store: SqliteLedger) -> None:
        """How many tasks are new, and in which states dropped ones came back."""
        first, second = enter(store, task(0), task(1))
        done(store, first, "2221")
        running(store, second, "2222")
        enter(store, task(2), edition=2)
        drop_all_but(store, 2)
        with store.transaction(durable=False):
            entered = store.enter([task(0), task(1), task(2), task(3)], 3, 0)
        assert entered.new == 1
        assert entered.returned == {State.DONE: 1, State.RUNNING: 1}

    def test_dropped_tasks_are_kept_if_they_were_submitted(self, store: SqliteLedger) -> None:
        """What was never submitted is forgotten; all else stays without a place, and says so."""
        records = enter(store, *map(task, range(6)))
        done(store, records[1], "1")
        running(store, records[2], "2")
        sent = running(store, records[3], "3")
        save(store, sent, sent.fell_through(UNBILLED, FAILURE))
        save(store, records[4], records[4].intended(10.0, RESERVE, None))
        enter(store, task(5), edition=2)
        assert drop_all_but(store, 2)
        held = everything(store)
        assert sorted(held) == ["task-001", "task-002", "task-003", "task-004", "task-005"]
        assert [name for name, record in held.items() if not record.dropped] == ["task-005"]
        assert [record.task.id for record in store.unfinished()] == ["task-002", "task-004"]
        assert [record.task.id for record in store.unfinished(1)] == ["task-002"]
        assert not drop_all_but(store, 2)

    def test_saving_says_whether_the_task_was_dropped(self, store: SqliteLedger) -> None:
        """Who saves learns that the job file no longer holds the task, even with an older record in hand."""
        first, second = enter(store, task(0), task(1))
        sent = running(store, first, "2221")
        enter(store, task(1), edition=2)
        drop_all_but(store, 2)
        with store.transaction(durable=False):
            assert store.save(sent, sent.succeeded(PAID))
            assert not store.save(second, second.intended(10.0, RESERVE, None))

    def test_a_dropped_task_can_come_back(self, store: SqliteLedger) -> None:
        """A task that an edition took out and the next put in again is the same task."""
        (record,) = enter(store, task(0))
        held = done(store, record, "2221")
        drop_all_but(store, 2)
        assert everything(store)["task-000"].dropped
        enter(store, task(0), edition=3)
        assert everything(store) == {"task-000": held}


class TestReading:
    def test_pending_tasks_come_by_rank(self, store: SqliteLedger) -> None:
        """The order of submission is the rank, not the place; a cursor goes through it once."""
        records = enter(store, *(task(9 - number) for number in range(10)))
        running(store, records[1], "2221")
        first, rank = store.pending(1, -1, 4)
        second, rank = store.pending(1, rank, 40)
        assert [record.task.index for record in (*first, *second)] == [9, 7, 6, 5, 4, 3, 2, 1, 0]
        assert store.pending(1, rank, 40) == ([], rank)

    def test_pending_tasks_are_of_one_edition(self, store: SqliteLedger) -> None:
        """While an edition is being entered, tasks that only an earlier one holds are not given out."""
        enter(store, task(0), task(1))
        enter(store, task(1), task(2), edition=2)
        assert [record.task.index for record in store.pending(2, -1, 9)[0]] == [1, 2]

    def test_places_are_walked_in_order(self, store: SqliteLedger) -> None:
        """To put a million of them in order at the end of a run would take memory that nothing else in it takes."""
        records = enter(store, *(task((number * 7) % 10) for number in range(10)))
        for number, record in enumerate(records[:8]):
            done(store, record, str(number))
        ended = sorted(record.task.index for record in records[:8])
        assert list(store.places()) == [(task(index).id, index) for index in ended]
        with closing(sqlite3.connect(store.path)) as db:
            plan = [str(step[-1]) for step in db.execute(f"EXPLAIN QUERY PLAN {PLACES}")]
        assert plan == ["SCAN tasks USING INDEX tasks_by_place"]

    @pytest.mark.parametrize("chunk", [1, 2, 3, 500])
    def test_finished_tasks_come_by_place_and_dropped_ones_last(self, store: SqliteLedger, chunk: int) -> None:
        """The stream holds every finished task once, in the order of places, however it is cut."""
        records = enter(store, *(task((number * 7) % 10) for number in range(10)))
        for number, record in enumerate(records):
            if number % 3:
                done(store, record, str(number))
            else:
                running(store, record, str(number))
        kept = [record.task for record in records if record.task.index % 4]
        enter(store, *kept, edition=2)
        drop_all_but(store, 2)
        finished = list(store.finished(chunk))
        places = [record.task.index for record in finished if not record.dropped]
        assert places == sorted(
            each.index for number, each in enumerate(r.task for r in records) if number % 3 and each.index % 4
        )
        assert [record.dropped for record in finished] == sorted(record.dropped for record in finished)
        assert len(finished) == 6
        assert all(record.state is State.DONE and len(record.outputs) == 2 for record in finished)
        assert len(list(store.everything(chunk))) == 10

    @pytest.mark.parametrize("chunk", [1, 2, 500])
    def test_two_tasks_at_one_place_are_both_told_of(self, store: SqliteLedger, chunk: int) -> None:
        """While an edition is only partly entered, an old and a new task can share a place; none is skipped."""
        for record in enter(store, task(0), task(1), task(2)):
            done(store, record, record.task.id)
        for record in enter(store, task(0, "new-0"), task(1, "new-1"), edition=2):
            done(store, record, record.task.id)
        assert len(list(store.finished(chunk))) == 5

    def test_states_and_claims_are_told_for_those_asked_about(self, store: SqliteLedger) -> None:
        """Only what is known is told, and only of those asked about."""
        first, _ = enter(store, task(0), task(1))
        running(store, first, "2221")
        assert store.states(["task-000", "task-001", "task-999"]) == {
            "task-000": State.RUNNING,
            "task-001": State.PENDING,
        }
        assert store.claimed(["2221", "2222"]) == {"2221"}
        assert store.claimed([]) == set()

    def test_all_claims_take_little_memory(self, store: SqliteLedger, path: Path) -> None:
        """A run of a hundred thousand tasks does not end with as many names in its memory, which would be its peak."""
        count = 20_000
        (first,) = enter(store, task(0))
        assert store.claims(0.0) == ""
        running(store, first, "2221")
        columns = "task, number, intent_at, reserved, remote_id"
        with closing(sqlite3.connect(path)) as db, db:
            db.executemany(
                f"INSERT INTO attempts ({columns}) VALUES ('task-000', ?, 20.0, 0, ?)",  # noqa: S608 - constants only
                [(2, None), *((number, f"service-{number}") for number in range(3, count))],
            )
        tracemalloc.start()
        try:
            told = store.claims(10.0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert set(told.splitlines()) == {"2221", *(f"service-{number}" for number in range(3, count))}
        assert peak < 20 * count
        assert "2221" not in store.claims(20.0).splitlines()

    def test_failures_are_told_by_frequency(self, store: SqliteLedger) -> None:
        """The most frequent reason comes first, with its number."""
        for number, record in enumerate(enter(store, *map(task, range(5)))):
            sent = running(store, record, str(number))
            reason = Failure("model", "often") if number else FAILURE
            save(store, sent, sent.failed(reason, 40.0, UNBILLED))
        assert store.failures(5) == [Reason(Failure("model", "often"), 4), Reason(FAILURE, 1)]
        assert store.failures(1) == [Reason(Failure("model", "often"), 4)]

    def test_what_was_paid_for_and_failed_all_the_same_is_added_up(self, store: SqliteLedger) -> None:
        """Every request of a task counts, a done task never does, and each reason tells its own part."""
        assert store.paid_in_vain() == (0, FREE)
        free, paid, cancelled, made = enter(store, *map(task, range(4)))
        sent = running(store, free, "1")
        save(store, sent, sent.failed(FAILURE, 40.0, UNBILLED))
        sent = running(store, paid, "2")
        failed = save(store, sent, sent.failed(FAILURE, 40.0, PAID))
        sent = running(store, save(store, failed, failed.retried()), "3")
        save(store, sent, sent.failed(FAILURE, 41.0, PAID))
        sent = running(store, cancelled, "4")
        save(store, sent, sent.cancelled(PAID))
        done(store, made, "5")
        assert store.failures(5) == [Reason(FAILURE, 2, 1, Decimal("0.028"))]
        assert store.paid_in_vain() == (2, Decimal("0.042"))

    def test_facts_and_counters_last(self, store: SqliteLedger, path: Path) -> None:
        """Facts are set, replaced and removed; counters add up; both are there for the next process."""
        with store.transaction(durable=False):
            store.state({"model": "a/b", "cancel": "1"})
            store.count({"calls Run": 2})
        with store.transaction(durable=False):
            store.state({"model": "c/d", "cancel": None})
            store.count({"calls Run": 3, "uncertain": 1})
        with SqliteLedger(path, read_only=True) as other:
            assert other.facts() == {"model": "c/d"}
            assert other.fact("model") == "c/d"
            assert other.fact("cancel") is None
            assert other.totals().counters == {"calls Run": 5, "uncertain": 1}

    def test_a_reader_sees_what_is_committed(self, store: SqliteLedger, path: Path) -> None:
        """Another process reads along without waiting, and sees whole transactions only."""
        enter(store, task(0))
        with SqliteLedger(path, read_only=True) as reader:
            with store.transaction(durable=False):
                store.enter([task(1)], 1, 1)
                assert len(list(reader.everything())) == 1
            assert len(list(reader.everything())) == 2
            with pytest.raises(LedgerError, match="readonly"), reader.transaction(durable=False):
                reader.state({"model": "a/b"})

    def test_a_frozen_ledger_stays_as_it_is(self, store: SqliteLedger) -> None:
        """What is committed later is not seen, however long one reads."""
        enter(store, task(0))
        with store.frozen() as frozen:
            enter(store, task(1), rank=1)
            assert list(everything(frozen)) == ["task-000"]
        assert len(everything(store)) == 2


def test_twice_as_many_tasks_are_read_in_twice_the_steps(store: SqliteLedger) -> None:
    """A manifest of a million lines is written anew in a minute, not in hours."""
    steps = []
    for first in (0, 1000):
        for record in enter(store, *(task(number) for number in range(first, first + 1000)), rank=first):
            save(store, record, record.unready(FAILURE, 9.0))
        taken = itertools.count()

        def count(taken: Iterator[int] = taken) -> int:
            return 0 * next(taken)

        store._db.set_progress_handler(count, 100)
        for undone in (False, True):
            assert len(list(store.finished(50, undone=undone))) == first + 1000
        store._db.set_progress_handler(None, 0)
        steps.append(next(taken))
    assert steps[1] < 3 * steps[0]
