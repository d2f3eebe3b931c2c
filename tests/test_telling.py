"""What people are told of a run in words."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from nothing import NOTHING

from orchestrator.commands.carrying import Result
from orchestrator.engines.control import Halt
from orchestrator.engines.delays import Delay
from orchestrator.errors import Exit
from orchestrator.ledger import Reason
from orchestrator.lifecycle import Failure, State
from orchestrator.steps.outcomes import Stop
from orchestrator.telling import describe, line, standing, status_text, summary


@pytest.mark.parametrize(
    ("spent", "reserved", "saved", "words"),
    [
        ("0", "0", "0", "$0 spent"),
        ("1.25", "0.5", "0", "$1.25 spent, $0.5 reserved"),
        ("14000.5", "0", "0", "$14,000.5 spent"),
        ("1", "0", "0.014", "$1 spent, $0.014 saved by finding tasks whose reply was lost"),
    ],
)
def test_what_became_of_the_money_is_told_by_status_and_summary(
    spent: str, reserved: str, saved: str, words: str
) -> None:
    found = replace(NOTHING, cost_usd=Decimal(spent), reserved_usd=Decimal(reserved), saved_usd=Decimal(saved))
    assert status_text(found).splitlines()[-1] == words
    told = summary(Result(Path("out"), found, Exit.STOPPED, None, 8.0))
    assert told.splitlines()[0] == f"0 of 0 tasks done, {words}, 8 s."


def test_failures_tell_whether_they_were_paid_for_and_none_goes_without_mention() -> None:
    counts = dict.fromkeys(State, 0) | {State.FAILED: 9}
    failures = (
        Reason(Failure("refused", "No."), 3),
        Reason(Failure("failed", "Out of memory."), 2),
        Reason(Failure("lost", "Gone."), 1),
    )
    told = summary(Result(Path("out"), replace(NOTHING, counts=counts), Exit.SOME_FAILED, None, 8.0, failures))
    assert told.splitlines()[1:5] == [
        "3 failed (refused, paid for): No.",
        "2 failed: Out of memory.",
        "1 failed (lost, perhaps paid for): Gone.",
        f"3 failed for other reasons; {Path('out', 'manifest.jsonl')} tells each.",
    ]
    assert "--pay-again makes it anew" in told


def test_what_concerns_the_user_is_told_by_status_and_summary() -> None:
    found = replace(NOTHING, undeleted=3, alone=True)
    copies = "The service still has its copies of 3 tasks: the next run with outputs.delete_remote deletes them."
    limits = (
        "Limits could not be shared with other runs that use the same key (run.log says why):"
        " do not start others meanwhile, or set ORCHESTRATOR_HOME to a folder that can be written."
    )
    told = [copies, limits]
    assert status_text(found).splitlines()[-2:] == told
    assert summary(Result(Path("out"), found, Exit.DONE, None, 8.0)).splitlines()[1:3] == told


def test_what_tasks_wait_for_stands_at_the_end_of_a_line() -> None:
    """One reason of them, and no more of it than a line holds; `status` tells all."""
    found = replace(NOTHING, state="running", waiting=(Delay(4, "x" * 200), Delay(1, "The server sleeps.")))
    assert line(found, 0.0) == f"0/0  $0 · 0.0 calls/s · 4 wait: {'x' * 91}…"
    assert status_text(found).splitlines()[1:3] == [f"4 wait: {'x' * 200}", "1 waits: The server sleeps."]
    assert line(NOTHING, 0.0) == "0/0  $0"


def test_what_was_not_paid_for_is_not_paid_for_again() -> None:
    counts = dict.fromkeys(State, 0) | {State.FAILED: 2}
    failures = (Reason(Failure("failed", "Out of memory."), 2),)
    told = summary(Result(Path("out"), replace(NOTHING, counts=counts), Exit.SOME_FAILED, None, 8.0, failures))
    assert "retry out" in told
    assert "--pay-again" not in told


def test_what_was_paid_for_and_failed_all_the_same_is_told_with_its_sum() -> None:
    """The service says that failed tasks are not billed; where one is, it is not passed over."""
    counts = dict.fromkeys(State, 0) | {State.FAILED: 7, State.CANCELLED: 1}
    failures = (
        Reason(Failure("failed", "Out of memory."), 3, 1, Decimal("0.014")),
        Reason(Failure("timeout", "Too long."), 2, 2, Decimal("0.028")),
        Reason(Failure("no_outputs", "Nothing."), 1, 1, Decimal("0.014")),
        Reason(Failure("lost", "Gone."), 1, 1, Decimal("0.014")),
    )
    found = replace(NOTHING, counts=counts, paid_in_vain=6, paid_in_vain_usd=Decimal("0.084"))
    told = summary(Result(Path("out"), found, Exit.SOME_FAILED, None, 8.0, failures)).splitlines()
    assert told[1:5] == [
        "3 failed (1 of them paid for): Out of memory.",
        "2 failed (timeout, paid for): Too long.",
        "1 failed (no_outputs, paid for): Nothing.",
        "1 failed (lost, paid for): Gone.",
    ]
    sentence = "Paid for, but failed or cancelled: 6 tasks, $0.084 (manifest.jsonl tells which)"
    assert sentence in told
    assert any("--pay-again makes it anew" in line for line in told)
    assert status_text(found).splitlines()[-1] == sentence


def test_tasks_that_the_job_file_has_dropped_are_named() -> None:
    found = replace(NOTHING, counts=dict.fromkeys(State, 0) | {State.DONE: 12}, dropped=4)
    told = summary(Result(Path("out"), found, Exit.DONE, None, 8.0)).splitlines()
    assert told[:2] == ["12 of 12 tasks done, $0 spent, 8 s.", "No longer in the job file: 4 tasks of these"]
    assert "No longer in the job file: 4 tasks of these" in status_text(found).splitlines()


def test_the_page_is_the_last_that_is_named(tmp_path: Path) -> None:
    result = Result(tmp_path, NOTHING, Exit.DONE, None, 8.0)
    assert "Page:" not in summary(result)
    page = tmp_path / "index.html"
    page.touch()
    assert summary(result).splitlines()[-1] == f"Page:   {page} (open it in a browser)"
    assert summary(result, lambda path: f"<{path.name}>").splitlines()[-1].startswith("Page:   <index.html> ")


def test_what_the_service_has_is_told_where_a_run_stops() -> None:
    """Also where an error has ended it: what goes on there, what waits to be fetched, what is in doubt."""
    sent = {State.RUNNING: 12, State.FETCHING: 3, State.SUBMITTING: 1}
    found = replace(NOTHING, counts=dict.fromkeys(State, 0) | sent | {State.PENDING: 4, State.DONE: 5})
    left = (
        "20 tasks left; run the same command again to continue."
        " On the service: 12 still running, 3 made (to be fetched), 1 in doubt."
    )
    assert left in summary(Result(Path("out"), found, Exit.STOPPED, Halt(Stop.DISK, "Full."), 8.0)).splitlines()
    assert standing(found).splitlines() == ["5 of 25 tasks done, $0 spent.", left]


@pytest.mark.parametrize(("progress", "words"), [(None, "3 running · $0"), (0.426, "3 running (43%) · $0")])
def test_how_far_running_tasks_are_is_told_where_it_is_known(progress: float | None, words: str) -> None:
    found = replace(NOTHING, counts={**NOTHING.counts, State.RUNNING: 3}, progress=progress)
    assert words.partition(" ·")[0] in status_text(found).splitlines()[1]
    assert describe(found, 0.0) == words


def test_what_is_in_doubt_is_told_and_how_long_it_is_looked_for() -> None:
    """While it is, nothing else may move for a minute."""
    counts = {**NOTHING.counts, State.PENDING: 4, State.SUBMITTING: 8}
    found = replace(NOTHING, state="running", counts=counts, in_doubt=6, doubt_seconds_left=47.6)
    sentence = "6 in doubt, looked for up to 48 s in the service's list"
    assert describe(found, 0.0) == f"4 pending · 2 submitting · {sentence} · $0 · 0.0 calls/s"
    assert sentence in status_text(found).splitlines()
    found = replace(found, in_doubt=8, doubt_seconds_left=0.0)
    assert describe(found, 0.0) == "4 pending · 8 in doubt, looked for in the service's list · $0 · 0.0 calls/s"
    sentence = "8 in doubt: the next run looks for them in the service's list"
    assert sentence in status_text(replace(found, state="stopped", doubt_seconds_left=None)).splitlines()
