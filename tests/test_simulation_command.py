"""The simulation by command: what it is asked for, and what it says."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from typing import NoReturn

import pytest

from orchestrator.simulation import History, Played, __main__ as command


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

    def broken(history: History) -> Played:
        return Played(history, violation, story, starts=1, steps=2, paid=2)

    monkeypatch.setattr(command, "play", broken)
    monkeypatch.setattr(command, "shrink", lambda history, *_: history)
    assert given(monkeypatch, "--histories", "1", "--jobs", "1") == 1
    said = capsys.readouterr().out
    assert len(said.partition("\n\n")[0].splitlines()) == told
    assert "disk commit" in said


def test_how_far_it_is_is_told_beside(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "TOLD_EVERY_SECONDS", 0.0)
    assert given(monkeypatch, "--histories", "2", "--jobs", "1") == 0
    assert capsys.readouterr().err.splitlines() == [f"{played} of 2 histories are played." for played in (1, 2)]


def test_the_seed_of_a_history_without_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    said = threading.Event()

    def tell(what: str) -> None:
        told.append(what)
        said.set()

    def endless(history: History) -> Played:
        assert said.wait(10)
        return Played(history, None, (), starts=1, steps=2, paid=2)

    monkeypatch.setattr(command, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(command, "_tell", tell)
    monkeypatch.setattr(command, "play", endless)
    assert given(monkeypatch, "--histories", "1", "--seed", "7", "--jobs", "1") == 0
    assert told == ["Seed 7 has been at work for 0 s."]


def test_whoever_leaves_waits_for_the_histories_at_hand_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    over = multiprocessing.Event()
    monkeypatch.setattr(multiprocessing, "Event", lambda: over)
    verdicts = command._played(range(4), 2)
    assert next(verdicts).violation is None
    verdicts.close()
    monkeypatch.setattr(command, "_over", over)
    with pytest.raises(InterruptedError):
        command._play_if_wanted(0)


def test_it_can_be_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_played", interrupted)
    assert given(monkeypatch) == command.INTERRUPTED
    assert capsys.readouterr().err == "Interrupted.\n"
