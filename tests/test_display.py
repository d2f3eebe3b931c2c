"""What a user sees while a run goes on: the log above a bar, lines, objects."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest
from nothing import NOTHING
from rich.console import Console
from rich.progress import TextColumn

from orchestrator.bar import Bar
from orchestrator.display import MODES, Live, Terminal, terminal, watching
from orchestrator.engines.delays import Delay
from orchestrator.lifecycle import State


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


def test_lines_answer_a_signal_at_once_and_objects_with_the_next_one() -> None:
    said = {}
    for mode in MODES:
        stream = io.StringIO()
        with watching(mode, stream) as watcher:
            watcher.stopping(lambda: "Stopping.")
        said[mode] = stream.getvalue()
    assert (said["auto"], said["plain"], said["json"], said["off"]) == ("Stopping.\n", "Stopping.\n", "", "")


def test_a_bar_shows_what_is_waited_for_as_it_is_now() -> None:
    """What the run does is no longer told; how much is at hand is told anew each time."""
    stream, left = io.StringIO(), [3, 2, 1]
    with Bar(TextColumn("{task.fields[words]}"), console=Console(file=stream, force_terminal=True)) as progress:
        bar = Live(progress, lambda: 0.0)
        bar.show(NOTHING)
        assert progress.tasks[0].fields["words"] == "$0"
        bar.stopping(lambda: f"Stopping: {left.pop(0)}")
        assert progress.tasks[0].fields["words"] == "Stopping: 3"
        bar.show(NOTHING)
        assert progress.tasks[0].fields["words"] == "Stopping: 2"


def test_what_is_waited_for_stands_below_the_bar_while_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each reason, cut where the terminal ends."""
    monkeypatch.setenv("COLUMNS", "40")
    stream = io.StringIO()
    waiting = (Delay(4, "The server of the files is asleep, and nobody wakes it."), Delay(1, "It dreams."))
    with Bar(TextColumn("{task.fields[words]}"), console=Console(file=stream, force_terminal=True)) as progress:
        bar = Live(progress, lambda: 0.0)
        bar.show(replace(NOTHING, waiting=waiting))
        progress.refresh()
        first = stream.getvalue()
        bar.show(NOTHING)
        stream.truncate(0)
        progress.refresh()
    assert "4 wait: The server of the files is asle…" in first
    assert "1 waits: It dreams." in first
    assert "wait" not in stream.getvalue()


def test_a_narrow_terminal_shows_how_far_it_is_and_not_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("TERM", "xterm")
    stream = Screen()
    counts = {**NOTHING.counts, State.DONE: 4, State.PENDING: 12, State.RUNNING: 8}
    with watching("live", stream) as watcher:
        watcher.show(replace(NOTHING, state="running", counts=counts, seconds_left=12.0))
    assert "4/24  12 pending" in stream.getvalue()
