"""What a user sees: the log above a bar, spans of time, rates."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator.commands.run import Result
from orchestrator.display import Terminal, duration, status_text, summary, terminal
from orchestrator.errors import Exit
from orchestrator.lifecycle import Failure, State
from orchestrator.money import FREE
from orchestrator.status import Status

NOTHING = Status(
    state="stopped",
    counts=dict.fromkeys(State, 0),
    cost_usd=FREE,
    reserved_usd=FREE,
    saved_usd=FREE,
    attempts=0,
    calls={},
    uncertain=0,
    adopted=0,
    resubmitted=0,
    started_at=None,
    updated_at=None,
    seconds_left=None,
)


def test_the_log_goes_to_what_stderr_is_just_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar puts a stream of its own in the place of stderr, long after the log was opened."""
    screen = Terminal()
    later = io.StringIO()
    monkeypatch.setattr(sys, "stderr", later)
    screen.write("warning")
    screen.flush()
    assert later.getvalue() == "warning"


def test_nobody_reads_along_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert terminal("live") is None


@pytest.mark.parametrize(
    ("spent", "reserved", "saved", "words"),
    [
        ("0", "0", "0", "$0 spent"),
        ("1.25", "0.5", "0", "$1.25 spent, $0.5 reserved"),
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
    failures = ((Failure("refused", "No."), 3), (Failure("failed", "Out of memory."), 2), (Failure("lost", "Gone."), 1))
    told = summary(Result(Path("out"), replace(NOTHING, counts=counts), Exit.SOME_FAILED, None, 8.0, failures))
    assert told.splitlines()[1:5] == [
        "3 failed (refused, paid for): No.",
        "2 failed: Out of memory.",
        "1 failed (lost, perhaps paid for): Gone.",
        f"3 failed for other reasons; {Path('out', 'manifest.jsonl')} tells each.",
    ]


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_a_span_of_time_is_told_in_two_units_at_most(seconds: float, words: str) -> None:
    assert duration(seconds) == words
