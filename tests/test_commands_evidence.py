"""What a task is taken for when the ledger and the manifest know different things of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from orchestrator.commands.evidence import Doubtful, completed, paid_unseen, reconciled, requested, unrequested
from orchestrator.lifecycle import Ending, Failure, Output, Record, State, reserved_usd
from orchestrator.money import FREE
from orchestrator.steps.track import concluded
from orchestrator.tasks import Task
from orchestrator.wiro import wire

NEW = Record(Task("k" * 24, 0, {"prompt": "a"}, {"prompt": "a"}, {}, "a"))
SENT = NEW.intended(10.0, Decimal("0.02"), 7)
RUNNING = SENT.accepted("8", "token", 11.0)
FETCHING = RUNNING.succeeded(Ending("task_postprocess_end", 0, Decimal("0.01"), 2.0, 13.0))
DONE = FETCHING.delivered((Output("files/a-kkkkkkkk-0.png", None, "image/png", 3, "0" * 64),), (), 14.0)
FAILED = RUNNING.failed(Failure("failed", "out of memory"), 13.0, Ending("task_postprocess_end", 1, FREE, 2.0, 13.0))


def line_of(record: Record) -> Record:
    """Return what the manifest would say: all but the token and the task's own words."""
    assert record.attempt
    return replace(
        record, task=replace(record.task, path="other"), attempt=replace(record.attempt, token=None, newest_known=None)
    )


class TestTheManifestSaysMore:
    def test_of_a_task_that_the_ledger_has_lost(self) -> None:
        assert reconciled(None, line_of(DONE)) == line_of(DONE)

    def test_of_one_that_the_ledger_saw_pending(self) -> None:
        """An older ledger is not believed against a line that was written later."""
        after = reconciled(NEW, line_of(DONE))
        assert (after.state, after.outputs, after.task) == (State.DONE, DONE.outputs, NEW.task)

    def test_and_the_token_is_kept(self) -> None:
        """The manifest holds no token; the ledger's row of the same request does."""
        after = reconciled(RUNNING, line_of(DONE))
        assert (after.state, after.sent.token) == (State.DONE, "token")

    def test_but_another_request_s_token_is_not(self) -> None:
        other = line_of(DONE)
        assert other.attempt
        after = reconciled(RUNNING, replace(other, attempt=replace(other.attempt, remote_id="9")))
        assert after.sent.token is None


class TestTheLedgerSaysMore:
    def test_of_a_later_request(self) -> None:
        """A failed task that was tried again is under way, whatever its old line says."""
        again = FAILED.retried().intended(20.0, Decimal("0.02"), 8).accepted("9", "new", 21.0)
        assert reconciled(again, line_of(FAILED)) == again

    def test_of_the_same_end(self) -> None:
        assert reconciled(DONE, line_of(DONE)) == DONE


class TestEachHasLostSomething:
    @pytest.mark.parametrize("state", [State.DONE, State.FETCHING])
    def test_the_line_tells_the_request_that_the_ledger_has_lost(self, state: State) -> None:
        """Neither the service's id nor what it cost goes with a damaged page."""
        held = replace(DONE if state is State.DONE else FETCHING, attempt=None)
        after = reconciled(held, line_of(DONE))
        assert (after.state, after.attempt, after.outputs) == (State.DONE, line_of(DONE).attempt, DONE.outputs)

    def test_an_earlier_request_is_none_of_the_latest_try(self) -> None:
        """A row of a first try is left, and that of the second one is lost."""
        line = replace(line_of(DONE), tries=2, attempt=replace(line_of(DONE).sent, number=2, remote_id="9"))
        after = reconciled(replace(DONE, tries=2), line)
        assert (after.sent.number, after.sent.remote_id, after.sent.token) == (2, "9", None)
        assert requested(replace(DONE, tries=2)) is None

    def test_the_line_tells_the_files_that_the_ledger_has_lost(self) -> None:
        assert reconciled(replace(DONE, outputs=()), line_of(DONE)) == DONE

    @pytest.mark.parametrize("lost", ["cost_usd", "elapsed_seconds", "ended_at", "submitted_at", "exit_code"])
    def test_either_fills_in_what_the_other_has_lost(self, lost: str) -> None:
        lacking = replace(DONE.sent, **{lost: None})  # type: ignore[arg-type]  # each of these may be None
        assert reconciled(replace(DONE, attempt=lacking), line_of(DONE)) == DONE
        assert reconciled(DONE, replace(line_of(DONE), attempt=lacking)) == DONE

    def test_what_was_free_stays_free(self) -> None:
        """Nothing is a value: a failed task has cost nothing, whoever has lost that."""
        after = reconciled(FAILED, replace(line_of(FAILED), attempt=replace(line_of(FAILED).sent, cost_usd=None)))
        assert after.sent.cost_usd == FREE

    def test_other_ends_are_not_mixed(self) -> None:
        """What was done, and could then not be fetched again, has failed since."""
        gone = DONE.refetched().undelivered(Failure("lost", "gone"), 20.0)
        assert reconciled(gone, line_of(DONE)) == gone


def test_what_is_done_and_has_lost_its_request_was_paid_for() -> None:
    """Its price counts against the budget for ever, since nobody knows what it cost."""
    after = paid_unseen(replace(DONE, attempt=None), Decimal("0.02"))
    assert (after.state, after.outputs, after.sent.remote_id, after.sent.uncertain) == (
        State.DONE,
        DONE.outputs,
        None,
        False,
    )
    assert reserved_usd(after.attempt) == Decimal("0.02")


class TestARowIsLost:
    def test_its_request_tells_that_the_service_has_it(self) -> None:
        """With a remote id the service can be asked, whatever became of the task."""
        after = completed(replace(NEW, attempt=DONE.attempt))
        assert (after.state, after.tries, after.sent.remote_id) == (State.RUNNING, 1, "8")

    def test_its_request_tells_that_it_was_about_to_be_sent(self) -> None:
        assert completed(replace(NEW, attempt=SENT.attempt)).state is State.SUBMITTING

    def test_a_task_that_waits_for_its_next_try_is_none(self) -> None:
        """Its last request is known and ended."""
        waiting = RUNNING.fell_through(
            Ending("task_postprocess_end", 1, FREE, 2.0, 13.0), Failure("failed", "out of memory")
        )
        assert completed(waiting) is waiting
        assert completed(NEW) is NEW

    def test_a_later_try_of_what_had_failed_is_what_counts(self) -> None:
        """The row of the task is older than that of the request."""
        again = FAILED.retried().intended(20.0, Decimal("0.02"), 8).accepted("9", "new", 21.0)
        after = completed(replace(FAILED, attempt=again.attempt))
        assert (after.state, after.tries, after.sent.remote_id, after.failure, after.finished_at) == (
            State.RUNNING,
            2,
            "9",
            None,
            None,
        )


def test_a_task_under_way_needs_its_request() -> None:
    """Without one the service cannot be asked for it, only its list."""
    assert SENT.attempt
    for record in (SENT, RUNNING, FETCHING):
        assert not unrequested(record)
        assert unrequested(replace(record, attempt=None))
    for record in (RUNNING, FETCHING):
        assert unrequested(replace(record, attempt=SENT.attempt))
        assert unrequested(replace(record, tries=2)), "that is an earlier request"
    for record in (NEW, replace(DONE, attempt=None), replace(FAILED, attempt=None)):
        assert not unrequested(record)


def test_what_nobody_knows_anything_of_is_in_doubt() -> None:
    """It may have been sent at any moment of the run, and nobody waits for its reply."""
    after = Doubtful(since=5.0, until=90.0, newest_known=3).of(NEW, Decimal("0.02"))
    assert (after.state, after.sent.uncertain) == (State.SUBMITTING, True)
    assert (after.sent.intent_at, after.sent.gave_up_at, after.sent.newest_known) == (5.0, 90.0, 3)


@pytest.mark.parametrize("record", [replace(RUNNING, attempt=None), replace(FETCHING, attempt=None)])
def test_what_the_service_is_known_to_have_had_is_never_free_to_be_sent_again(record: Record) -> None:
    """Its list may show it; where it does not, it was paid for and is lost."""
    after = Doubtful(since=5.0, until=90.0, newest_known=3).of(record, Decimal("0.02"))
    assert (after.state, after.sent.uncertain, after.tries) == (State.SUBMITTING, True, 1)
    gone = after.unlisted(100.0)
    assert (gone.state, gone.failure and gone.failure.kind, gone.attempt) == (State.FAILED, "lost", None)
    assert after.accepted("8", "token", 9.0).tries == 1


def test_what_may_not_have_been_sent_is_free_where_the_list_does_not_show_it() -> None:
    """Also a further try of a task that was accepted before."""
    for record in (NEW, replace(SENT, attempt=None), replace(NEW, tries=2)):
        after = Doubtful(since=5.0, until=90.0, newest_known=3).of(record, Decimal("0.02"))
        assert after.unlisted(100.0).state is State.PENDING


def test_what_has_failed_may_have_been_tried_again_since() -> None:
    """What is newer than its last try is looked for; where there is none it has failed as it had."""
    after = Doubtful(since=5.0, until=90.0, newest_known=3).of(FAILED, Decimal("0.02"))
    assert (after.state, after.sent.number, after.sent.newest_known) == (State.SUBMITTING, 2, 8)
    assert replace(after.unlisted(100.0), attempt=FAILED.attempt, failures=FAILED.failures) == FAILED


def test_a_try_that_is_found_to_have_failed_for_nothing_is_not_sent_again_by_itself() -> None:
    """It may be another one's; the earlier try, which was this one's, may have been paid for."""
    found = Doubtful(since=5.0, until=90.0, newest_known=3).of(FAILED, Decimal("0.02")).accepted("9", None, 95.0)
    read = wire.read_task({"id": "9", "status": "task_error", "pexit": "1", "totalcost": "0"})
    assert concluded(found, read, 1000, 100.0).state is State.FAILED
    assert concluded(replace(found, failures=0), read, 1000, 100.0).state is State.PENDING
