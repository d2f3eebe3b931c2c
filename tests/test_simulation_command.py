"""The simulation by command: what it is asked for, and what it says."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from orchestrator.simulation import History, Verdict, __main__ as command


def given(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["simulation", *arguments])
    return command.main()


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """Each history has a loop of its own, and its ledger is written in the one thread there is."""


def test_it_says_how_many_were_played(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert given(monkeypatch, "--histories", "2", "--jobs", "1") == 0
    assert capsys.readouterr().out.startswith("2 histories in ")


@pytest.mark.parametrize("option", ["--histories", "--jobs"])
@pytest.mark.parametrize("number", ["0", "-5", "many"])
def test_nothing_is_not_said_to_keep_every_promise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str, number: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        given(monkeypatch, option, number)
    assert option in capsys.readouterr().err


@pytest.mark.parametrize(("violation", "told"), [("one task is paid for twice", 1), ("the ledger does not hold it", 3)])
def test_the_story_of_a_violation_is_told_without_commits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], violation: str, told: int
) -> None:
    story = ((0.1, "commit begins"), (0.2, "commit ends"), (0.3, "disk commit"))

    def broken(history: History) -> Verdict:
        return Verdict(history, violation, story, starts=1, steps=2, paid=2)

    monkeypatch.setattr(command, "play", broken)
    monkeypatch.setattr(command, "shrink", lambda history, *_: history)
    assert given(monkeypatch, "--histories", "1", "--jobs", "1") == 1
    said = capsys.readouterr().out
    assert len(said.partition("\n\n")[0].splitlines()) == told
    assert "disk commit" in said


def test_it_can_be_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> Iterator[None]:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_played", interrupted)
    assert given(monkeypatch) == command.INTERRUPTED
    assert capsys.readouterr().err == "Interrupted.\n"
