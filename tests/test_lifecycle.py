from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from orchestrator.lifecycle import (
    ACTIVE,
    CANCELLED,
    FINAL,
    TABLE,
    Attempt,
    Ending,
    Event,
    Failure,
    IllegalMoveError,
    Output,
    Record,
    State,
    after,
    reserved_usd,
    spent_usd,
)
from orchestrator.money import FREE
from orchestrator.tasks import Task

TASK = Task("k3v9x2abcdefghijklmnopqr", 17, {"prompt": "a harbour in fog"}, {}, {}, "harbour")
FAILURE = Failure("model", "the model ran out of memory")
OUTPUT = Output("files/harbour-k3v9x2ab-0.png", "https://cdn.example/0.png", "image/png", 3, "0" * 64)
PAID = Ending("task_postprocess_end", 0, Decimal("0.014"), 6.0, 30.0)
UNBILLED = Ending("task_postprocess_end", 1, FREE, 2.0, 40.0)

MOVES: dict[Event, Callable[[Record], Record]] = {
    Event.UNREADY: lambda record: record.unready(FAILURE, 9.0),
    Event.INTENDED: lambda record: record.intended(10.0, Decimal("0.02"), 2220),
    Event.ACCEPTED: lambda record: record.accepted("2221", "token", 11.0),
    Event.NOT_ACCEPTED: lambda record: record.not_accepted(),
    Event.REJECTED: lambda record: record.rejected(FAILURE, 12.0),
    Event.NOT_RETRIED: lambda record: replace(record, failure=CANCELLED, finished_at=8.0).unlisted(12.0),
    Event.SUCCEEDED: lambda record: record.succeeded(PAID),
    Event.FELL_THROUGH: lambda record: record.fell_through(UNBILLED, FAILURE),
    Event.FAILED: lambda record: record.failed(FAILURE, 40.0, UNBILLED),
    Event.CANCELLED: lambda record: record.cancelled(UNBILLED),
    Event.DELIVERED: lambda record: record.delivered((OUTPUT,), ("odd size",), 50.0),
    Event.UNDELIVERED: lambda record: record.undelivered(Failure("lost", "the files are gone"), 50.0),
    Event.RETRIED: lambda record: record.retried(),
    Event.REFETCHED: lambda record: record.refetched(),
}
PATHS = {
    State.PENDING: [],
    State.SUBMITTING: [Event.INTENDED],
    State.RUNNING: [Event.INTENDED, Event.ACCEPTED],
    State.FETCHING: [Event.INTENDED, Event.ACCEPTED, Event.SUCCEEDED],
    State.DONE: [Event.INTENDED, Event.ACCEPTED, Event.SUCCEEDED, Event.DELIVERED],
    State.FAILED: [Event.INTENDED, Event.ACCEPTED, Event.FAILED],
    State.CANCELLED: [Event.INTENDED, Event.ACCEPTED, Event.CANCELLED],
}
PAIRS = list(itertools.product(State, Event))


def record_in(state: State) -> Record:
    """Return a record that came to a state in the shortest way."""
    record = Record(TASK)
    for event in PATHS[state]:
        record = MOVES[event](record)
    return record


def legal(state: State) -> list[Event]:
    return [event for (held, event) in TABLE if held is state]


histories = st.lists(st.integers(min_value=0, max_value=11), max_size=40)


def walk(choices: list[int]) -> list[Record]:
    """Return the records of a random legal history."""
    records = [Record(TASK)]
    for choice in choices:
        events = legal(records[-1].state)
        records.append(MOVES[events[choice % len(events)]](records[-1]))
    return records


@pytest.mark.parametrize(("state", "event"), [pair for pair in PAIRS if pair in TABLE])
def test_a_legal_move_leads_where_the_table_says(state: State, event: Event) -> None:
    """The table and the records agree."""
    assert after(state, event) is TABLE[state, event]
    assert MOVES[event](record_in(state)).state is TABLE[state, event]


@pytest.mark.parametrize(("state", "event"), [pair for pair in PAIRS if pair not in TABLE])
def test_an_illegal_move_raises_and_changes_nothing(state: State, event: Event) -> None:
    """A move that the table does not hold says what was wrong and leaves the record as it was."""
    record, untouched = record_in(state), record_in(state)
    with pytest.raises(IllegalMoveError, match=f"a task that is {state} cannot be {event}") as raised:
        after(state, event)
    assert (raised.value.state, raised.value.event) == (state, event)
    with pytest.raises(IllegalMoveError):
        MOVES[event](record)
    assert record == untouched


def test_every_state_can_be_reached_and_left() -> None:
    """No state is an island, and each can still get to an end."""
    reached, frontier = {State.PENDING}, [State.PENDING]
    while frontier:
        state = frontier.pop()
        for event in legal(state):
            if TABLE[state, event] not in reached:
                reached.add(TABLE[state, event])
                frontier.append(TABLE[state, event])
    assert reached == set(State)
    assert all(legal(state) for state in State)


def test_only_the_user_leaves_an_end() -> None:
    """What is done, failed or cancelled stays so until the user says otherwise."""
    leaving = {event for state in FINAL for event in legal(state)}
    assert leaving == {Event.RETRIED, Event.REFETCHED}
    assert Event.RETRIED not in legal(State.DONE)
    assert {State.SUBMITTING, State.RUNNING} == ACTIVE


@given(histories)
def test_a_record_keeps_its_promises(choices: list[int]) -> None:
    """Whatever happens to a task, its record says the same thing in all its fields."""
    for before, record in itertools.pairwise(walk(choices)):
        assert record.task is TASK
        assert record.tries >= before.tries
        assert record.failures >= 0
        assert (record.finished_at is not None) == (record.state in FINAL)
        if record.state is State.SUBMITTING:
            assert record.sent.number == record.tries + 1
            assert record.sent.remote_id is None
        if record.state is State.RUNNING:
            assert record.sent.number == record.tries
            assert record.sent.remote_id is not None
        if record.state in {State.FAILED, State.CANCELLED}:
            assert record.failure is not None
        if record.state is State.DONE:
            assert record.failure is None
            assert record.outputs


@given(histories)
def test_tries_count_what_was_accepted(choices: list[int]) -> None:
    """The number of tries is the number of requests that the service accepted."""
    records = walk(choices)
    accepted = sum(
        before.state is State.SUBMITTING and record.state is State.RUNNING
        for before, record in itertools.pairwise(records)
    )
    assert records[-1].tries == accepted


def test_an_intent_says_all_that_settling_needs() -> None:
    """Time, reserve and the newest id known are written down before the request."""
    record = Record(TASK).intended(10.0, Decimal("0.02"), 2220)
    assert record.attempt == Attempt(1, 10.0, Decimal("0.02"), newest_known=2220)
    assert record.failure is None


def test_a_request_is_uncertain_from_giving_up_until_it_is_found() -> None:
    """A request is in doubt once nobody waits for its reply, until the service shows its task."""
    intended = Record(TASK).intended(10.0, FREE, None)
    uncertain = intended.given_up(20.0)
    adopted = uncertain.accepted("2221", None, 90.0)
    assert not intended.sent.uncertain
    assert uncertain.sent.uncertain
    assert uncertain.state is State.SUBMITTING
    assert not adopted.sent.uncertain
    assert (adopted.sent.remote_id, adopted.sent.submitted_at, adopted.tries) == ("2221", 90.0, 1)


@pytest.mark.parametrize("event", [Event.FAILED, Event.CANCELLED])
def test_what_had_ended_before_it_came_into_doubt_has_ended_as_it_had(event: Event) -> None:
    """Where the service shows a further request, the task goes on with that one."""
    ended = MOVES[event](record_in(State.RUNNING))
    doubted = replace(ended.retried().intended(50.0, FREE, 2221), failure=ended.failure, finished_at=ended.finished_at)
    uncertain = doubted.given_up(60.0)
    after = uncertain.unlisted(120.0)
    assert (after.state, after.failure, after.finished_at, after.attempt) == (
        ended.state,
        ended.failure,
        ended.finished_at,
        None,
    )
    found = uncertain.accepted("2222", None, 55.0)
    assert (found.state, found.tries, found.failure, found.finished_at) == (State.RUNNING, 2, None, None)


def test_a_record_without_a_request_says_so() -> None:
    """Asking a task that was never sent for its request is a bug with a name."""
    with pytest.raises(ValueError, match=f"task {TASK.id} is pending without a request"):
        _ = Record(TASK).sent


def test_what_the_service_says_of_an_end_is_kept() -> None:
    """Status, exit code, cost and time stand in the attempt."""
    sent = record_in(State.FETCHING).sent
    assert (sent.status, sent.exit_code, sent.cost_usd) == ("task_postprocess_end", 0, Decimal("0.014"))
    assert (sent.elapsed_seconds, sent.ended_at) == (6.0, 30.0)


def test_failures_are_counted_until_the_user_asks_again() -> None:
    """Each failed try counts; after `retried` the count begins anew, and tries go on."""
    record = record_in(State.RUNNING).fell_through(UNBILLED, FAILURE)
    assert (record.state, record.failures, record.failure) == (State.PENDING, 1, FAILURE)
    record = MOVES[Event.FAILED](MOVES[Event.ACCEPTED](MOVES[Event.INTENDED](record)))
    assert (record.failures, record.tries, record.failure, record.finished_at) == (2, 2, FAILURE, 40.0)
    record = record.retried()
    assert (record.failures, record.tries, record.failure, record.finished_at) == (0, 2, None, None)


def test_a_failure_without_an_ending_leaves_the_attempt_open() -> None:
    """Where the service never said how it ended, its reserve stays."""
    record = record_in(State.RUNNING).failed(FAILURE, 99.0)
    assert (record.state, record.finished_at, record.sent.ended_at) == (State.FAILED, 99.0, None)
    assert reserved_usd(record.attempt) == Decimal("0.02")


def test_partial_outputs_of_an_undelivered_task_are_kept() -> None:
    """What could be had of a paid task is not lost with the rest."""
    record = record_in(State.FETCHING).undelivered(Failure("lost", "one is gone"), 60.0, (OUTPUT,))
    assert (record.state, record.outputs) == (State.FAILED, (OUTPUT,))


def test_delivering_replaces_what_was_there() -> None:
    """After fetching again the record tells of the new files and of no failure."""
    record = record_in(State.FETCHING).undelivered(Failure("lost", "gone"), 60.0).refetched()
    delivered = record.delivered((OUTPUT,), (), 70.0)
    assert (delivered.outputs, delivered.failure, delivered.finished_at) == ((OUTPUT,), None, 70.0)


@pytest.mark.parametrize(
    ("attempt", "reserved", "spent"),
    [
        (None, "0", "0"),
        (Attempt(1, 0.0, Decimal("0.02")), "0.02", "0"),
        (Attempt(1, 0.0, Decimal("0.02"), cost_usd=Decimal("0.014")), "0", "0.014"),
        (Attempt(1, 0.0, Decimal("0.02"), cost_usd=FREE), "0", "0"),
    ],
)
def test_a_reserve_holds_until_the_cost_is_known(attempt: Attempt | None, reserved: str, spent: str) -> None:
    """An attempt counts with its reserve or with its cost, never with both."""
    assert (reserved_usd(attempt), spent_usd(attempt)) == (Decimal(reserved), Decimal(spent))
