"""Misfortunes that have once broken a promise, each as small as it could be told."""

from __future__ import annotations

import pytest

from orchestrator.simulation import Event, History, play


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The ledger writes in the one thread there is, so that time stands still meanwhile."""


def test_a_clock_that_jumps_between_two_processes_has_nothing_paid_for_twice() -> None:
    """The second process took a request for one that was given up an hour ago, and the list shows it after 40 s."""
    events = (
        Event("run unanswered", number=1),
        Event("task hidden", number=1, seconds=40.0),
        Event("hour kill", at=3.0),
        Event("clock jumps", at=4.0, seconds=3600.0),
    )
    verdict = play(History(seed=3, seeds=1, events=events))
    assert (verdict.violation, verdict.paid) == (None, 1)


@pytest.mark.parametrize("seconds", [86400.0, -7200.0])
def test_a_clock_that_jumps_ends_no_task_and_has_nobody_wait(seconds: float) -> None:
    """Tasks that had run for seconds were killed for having run for a day, and nobody looked at others for as long."""
    verdict = play(History(seed=16, repeat=3, events=(Event("clock jumps", at=4.55, seconds=seconds),)))
    assert (verdict.violation, verdict.starts, verdict.paid) == (None, 1, 9)
    said = [what for _, what in verdict.story]
    assert "/Task/Kill is written" not in said
    assert sum(what.endswith(" is done") for what in said) == 9
    assert verdict.story[-1][0] < 120


def test_a_clock_that_jumps_while_the_reply_is_written_down_ends_no_task() -> None:
    """The task counted as one that had run for a day, and was ended at the first look."""
    verdict = play(
        History(seed=60602, seeds=1, disk_seconds=0.3, events=(Event("clock jumps", at=2.0, seconds=86400.0),))
    )
    assert (verdict.violation, verdict.paid) == (None, 1)
    assert verdict.story[-1][0] < 120


def test_a_doubt_is_settled_although_others_use_the_account() -> None:
    """Pages of four tasks were passed over while new ones came, and the list was read from its beginning each time."""
    events = (Event("run unanswered", number=2),)
    verdict = play(
        History(seed=90254, seeds=1, repeat=2, strangers_seconds=5.0, cut_seconds=150.0, page=4, events=events)
    )
    assert (verdict.violation, verdict.paid) == (None, 2)
    assert verdict.story[-1][0] < 250


def test_a_doubt_is_settled_although_our_own_tasks_come_quickly() -> None:
    """More came than a page holds while the next one was waited for, and the first one was read a thousand times."""
    events = (Event("process hurried", number=28),)
    verdict = play(History(seed=1092, seeds=6, repeat=3, rate=1.5, page=2, events=events))
    assert (verdict.violation, verdict.paid) == (None, 18)
    assert verdict.story[-1][0] < 250


def test_one_slip_does_not_make_an_empty_list_complete() -> None:
    """The list showed nothing for minutes, and a task that was missing from it was said not to exist, once."""
    events = (Event("run unanswered", number=1), Event("look gone", number=8))
    verdict = play(History(seed=1892, seeds=1, latency_seconds=2.0, cut_seconds=150.0, events=events))
    assert (verdict.violation, verdict.paid) == (None, 1)


def test_equal_requests_may_be_written_in_another_order_than_they_were_intended() -> None:
    """On a slow disk several are intended together: the one that went first was taken for another's."""
    verdict = play(
        History(
            seed=3213,
            seeds=7,
            repeat=3,
            rate=25.0,
            places=25,
            run_seconds=8.0,
            latency_seconds=0.01,
            disk_seconds=0.3,
            earlier=3,
            page=50,
            forecasts=True,
            events=(Event("run throttled", number=3, seconds=45.0),),
        )
    )
    assert (verdict.violation, verdict.paid) == (None, 21)


def test_an_empty_list_is_not_complete_because_the_newest_task_was_deleted() -> None:
    """The list showed nothing for minutes, not even the others of ours: what was in doubt was taken for absent."""
    verdict = play(
        History(
            seed=5591,
            seeds=1,
            repeat=3,
            concurrency=2,
            places=2,
            run_seconds=8.0,
            latency_seconds=0.2,
            earlier=3,
            strangers_seconds=15.0,
            cut_seconds=150.0,
            page=50,
            forecasts=True,
            events=(Event("task vanishes", number=1, seconds=5.0), Event("run claimed", number=3, seconds=20.0)),
        )
    )
    assert (verdict.violation, verdict.paid) == (None, 3)


def test_who_is_told_to_leave_while_a_reply_comes_has_a_doubt_and_no_loss() -> None:
    """The reply was lost with its reader, and counted as one that was read; the slow disk kept the process there."""
    events = (Event("run hurried", number=3, seconds=45.0),)
    history = History(
        seed=10828, seeds=2, repeat=2, delete_remote=True, disk_seconds=0.3, forecasts=False, events=events
    )
    assert play(history).violation is None
