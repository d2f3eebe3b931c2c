from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from decimal import Decimal

import pytest

from orchestrator.engines.delays import Delay
from orchestrator.ledger import Totals
from orchestrator.lifecycle import State
from orchestrator.status import Status, status

NONE = dict.fromkeys(State, 0)


def totals(counters: dict[str, int] | None = None, dropped: dict[State, int] | None = None, **counts: int) -> Totals:
    return Totals(
        counts=NONE | {State(name): number for name, number in counts.items()},
        dropped=NONE | (dropped or {}),
        spent_usd=Decimal("0.0280"),
        reserved_usd=Decimal("0.02"),
        dearest_usd=Decimal("0.014"),
        counters=counters or {},
        attempts=7,
    )


def seen(held: Totals, *, tasks: int = 5, running: bool = False, seconds_left: float | None = None) -> Status:
    return status(
        held,
        tasks=tasks,
        running=running,
        started_at="2026-11-22T10:00:00.000Z",
        updated_at="2026-11-22T10:05:00.000Z",
        seconds_left=seconds_left,
    )


def test_the_object_is_the_contract_s() -> None:
    """Every key of `status --json` in its form; money is text."""
    counters = {
        "calls Task/Detail": 9,
        "calls Run": 4,
        "uncertain": 3,
        "adopted": 2,
        "resubmitted": 1,
        "saved": 14_000_000_000,
    }
    found = seen(totals(counters, done=2, running=1, failed=1), running=True, seconds_left=12.5)
    assert json.loads(json.dumps(found.to_json())) == {
        "format": 1,
        "state": "running",
        "counts": {
            "pending": 1,
            "submitting": 0,
            "running": 1,
            "fetching": 0,
            "done": 2,
            "failed": 1,
            "cancelled": 0,
        },
        "dropped": 0,
        "cost_usd": "0.028",
        "paid_in_vain": 0,
        "paid_in_vain_usd": "0",
        "reserved_usd": "0.02",
        "saved_usd": "0.014",
        "calls": {"Run": 4, "Task/Detail": 9},
        "attempts": 7,
        "uncertain": 3,
        "adopted": 2,
        "resubmitted": 1,
        "in_doubt": 0,
        "doubt_seconds_left": None,
        "started_at": "2026-11-22T10:00:00.000Z",
        "updated_at": "2026-11-22T10:05:00.000Z",
        "seconds_left": 12.5,
        "progress": None,
        "waiting": [],
        "undeleted": 0,
        "alone": False,
    }


def test_what_never_happened_is_nothing() -> None:
    """A folder in which nothing has been done yet has every key too."""
    shown = status(totals(), tasks=5, running=False, started_at=None, updated_at=None).to_json()
    assert (shown["state"], shown["counts"]["pending"], shown["calls"], shown["saved_usd"]) == ("stopped", 5, {}, "0")
    assert (shown["uncertain"], shown["adopted"], shown["resubmitted"]) == (0, 0, 0)
    assert (shown["started_at"], shown["updated_at"], shown["seconds_left"]) == (None, None, None)


@pytest.mark.parametrize(
    ("held", "running", "state", "left"),
    [
        (totals(done=5), False, "finished", 0.0),
        (totals(done=3, failed=1, cancelled=1), False, "finished", 0.0),
        (totals(done=4), False, "stopped", None),
        (totals(done=4, pending=1), False, "stopped", None),
        (totals(done=4, submitting=1), False, "stopped", None),
        (totals(done=4, running=1), False, "stopped", None),
        (totals(done=4, fetching=1), False, "stopped", None),
        (totals(done=4), True, "running", 7.0),
        (totals(done=5), True, "running", 7.0),
    ],
)
def test_a_run_is_finished_when_nothing_is_left(held: Totals, running: bool, state: str, left: float | None) -> None:
    """Running while a process is at work, finished when every task has ended, stopped otherwise."""
    found = seen(held, running=running, seconds_left=7.0)
    assert (found.state, found.seconds_left) == (state, left)


@pytest.mark.parametrize(("running", "shown"), [(True, 0.333), (False, None)])
def test_how_far_tasks_are_is_told_while_they_are_followed(running: bool, shown: float | None) -> None:
    found = status(totals(running=2), tasks=5, running=running, started_at=None, updated_at=None, progress=1 / 3)
    assert (found.progress, found.to_json()["progress"]) == (shown, shown)


@pytest.mark.parametrize(("running", "shown"), [(True, [{"tasks": 2, "why": "It sleeps."}]), (False, [])])
def test_what_is_waited_for_is_told_while_somebody_waits(running: bool, shown: list[object]) -> None:
    found = status(
        totals(), tasks=2, running=running, started_at=None, updated_at=None, waiting=[Delay(2, "It sleeps.")]
    )
    assert found.to_json()["waiting"] == shown


def test_tasks_not_written_down_yet_are_pending() -> None:
    """The ledger holds tasks just ahead of their turn; the others count as pending all the same."""
    found = seen(totals(pending=2, done=3), tasks=1000)
    assert found.counts[State.PENDING] == 997
    assert (found.total, found.ended) == (1000, 3)


def test_dropped_tasks_are_not_taken_for_the_file_s() -> None:
    """A task that the file no longer holds does not make one of the file's look written down."""
    found = seen(totals(done=3, dropped={State.DONE: 2}), tasks=4)
    assert found.counts[State.PENDING] == 3
    assert (found.state, found.counts[State.DONE], found.to_json()["dropped"]) == ("stopped", 3, 2)


def test_a_dropped_task_that_waits_holds_nothing_up() -> None:
    """A dropped task that failed once and will not be sent again does not keep the run unfinished."""
    assert seen(totals(done=5, pending=1, dropped={State.PENDING: 1})).state == "finished"
    assert seen(totals(done=5, running=1, dropped={State.RUNNING: 1})).state == "stopped"


@pytest.mark.parametrize(("running", "in_doubt", "left"), [(True, 2, 8.5), (False, 3, None)])
def test_what_is_in_doubt(running: bool, in_doubt: int, left: float | None) -> None:
    """Where nobody is at work, so is every request that was about to be sent."""
    held = replace(totals(submitting=3), in_doubt=2)
    found = status(held, tasks=5, running=running, started_at=None, updated_at=None, doubt_seconds_left=8.5)
    assert (found.in_doubt, found.doubt_seconds_left) == (in_doubt, left)
    assert (found.to_json()["in_doubt"], found.to_json()["doubt_seconds_left"]) == (in_doubt, left)


def test_the_totals_are_left_alone() -> None:
    """Looking changes nothing, and what was seen does not change either."""
    held = totals(done=1)
    found = seen(held)
    assert held == totals(done=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.state = "finished"  # type: ignore[misc]  # the point of the test
