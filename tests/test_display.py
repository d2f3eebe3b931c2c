"""What a user sees: the log above a bar, spans of time, rates."""

from __future__ import annotations

import io
import sys

import pytest

from orchestrator.display import Terminal, duration, terminal


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


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_a_span_of_time_is_told_in_two_units_at_most(seconds: float, words: str) -> None:
    assert duration(seconds) == words
