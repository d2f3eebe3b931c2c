"""Rounds: how long they go on, what is said of what did not hold, and what is left of them."""

from __future__ import annotations

import errno
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from orchestrator.clock import SystemClock
from orchestrator.errors import RefusedError
from orchestrator.selftest import prove, rounds
from orchestrator.selftest.books import Count
from orchestrator.selftest.killed import DONE, Sweep
from orchestrator.selftest.verdict import COUNTED, Finding, Verdict
from orchestrator.simulation import History, Played

AGREEING = (Count("tasks paid for", 40, 40),)
TWICE = (*AGREEING, Count("payments for a task that was paid for", 1, 0))


class Ticking(SystemClock):
    """A clock on which ten seconds pass whenever somebody looks."""

    def __init__(self) -> None:
        self._ticks = itertools.count(0.0, 10.0)

    def monotonic(self) -> float:
        return next(self._ticks)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is really played or killed, and temporary folders are made in a folder of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(rounds, "HISTORIES", 3)
    monkeypatch.setattr(rounds, "machine", lambda *_: iter([Finding("a disk", held=True)]))
    kept_by_all(monkeypatch)
    swept(monkeypatch, AGREEING)


def kept_by_all(monkeypatch: pytest.MonkeyPatch, *broken: int) -> None:
    def play(history: History) -> Played:
        violation = "one task is paid for twice" if history.seed in broken else None
        return Played(history, violation, (), starts=2, steps=9, paid=5)

    monkeypatch.setattr(rounds, "play", play)


def swept(monkeypatch: pytest.MonkeyPatch, counts: tuple[Count, ...], ended: str = DONE) -> None:
    async def sweep(*_: object) -> Sweep:
        return Sweep("flaky", (3, 17), ended, "orchestrator: Something broke.", counts)

    monkeypatch.setattr(rounds, "sweep", sweep)


def proved(seconds: float, seed: int | None, say: Callable[[str], None], **environment: str) -> Verdict:
    return anyio.run(lambda: prove(seconds, seed, environment, clock=Ticking(), say=say))


def test_one_round_where_all_holds(tmp_path: Path) -> None:
    said: list[str] = []
    verdict = proved(0, None, say=said.append)
    assert verdict.held
    assert (verdict.seed, [verdict.counts[name] for name in COUNTED]) == (0, [1, 3, 6, 15, 40, 2])
    assert said[:3] == [f"This machine, and the disk of {tmp_path}", "  holds  a disk", "Seed 0"]
    assert "killed 2 times (after 3, 17 were accepted)" in " ".join("".join(said).split())
    assert all(len(line) <= 80 for text in said[1:] for line in text.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_as_many_rounds_as_there_is_time_for_and_the_same_ones_again() -> None:
    said: list[list[str]] = [[], []]
    for lines in said:
        verdict = proved(180, 7, say=lines.append)
        assert (verdict.seed, verdict.counts["rounds"]) == (7, 4)
        assert verdict.counts["histories"] == 3 * 3 + 1  # nobody waits for the rest of them once the time is over
    seeds = [line for line in said[0] if line.startswith("Seed")]
    assert (seeds[0], len(set(seeds))) == ("Seed 7", 4)
    assert said[0] == said[1]


def test_it_is_not_silent_while_it_plays() -> None:
    said: list[str] = []
    proved(0, 7, say=said.append)
    assert [line.split()[0] for line in said if line.endswith("/3 runs in virtual time")] == ["0/3", "1/3", "2/3"]


def test_a_history_that_breaks_a_promise_is_told_with_how_to_play_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept_by_all(monkeypatch, 8)
    said: list[str] = []
    verdict = proved(0, 7, say=said.append)
    (violation,) = verdict.violations
    assert not verdict.held
    assert violation.to_json() == {
        "said": "history 8: one task is paid for twice",
        "replay": "python -m orchestrator.simulation --histories 1 --seed 8",
        "folder": None,
    }
    at = said.index(f"  FAILS  {violation.said}")
    assert said[at : at + 2] == [f"  FAILS  {violation.said}", f"         Again: {violation.replay}"]


def test_what_a_run_that_was_killed_did_wrong_is_told_and_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    swept(monkeypatch, TWICE)
    verdict = proved(0, 7, say=lambda _: None)
    (violation,) = verdict.violations
    assert violation.said == "payments for a task that was paid for: 1, and not 0"
    assert violation.replay == "orchestrator selftest --seed 7"
    assert [str(path) for path in tmp_path.iterdir()] == [violation.folder]


def test_a_run_that_never_comes_to_its_end_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    swept(monkeypatch, (), "exit code 70")
    verdict = proved(0, 7, say=lambda _: None)
    (violation,) = verdict.violations
    assert violation.said.endswith(": exit code 70, and it said: orchestrator: Something broke.")


def test_it_is_tried_on_the_disk_that_was_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And whoever tries it again does so there, too."""
    swept(monkeypatch, TWICE)
    chosen = tmp_path / "a disk"
    chosen.mkdir()
    said: list[str] = []
    verdict = proved(0, 7, say=said.append, TMPDIR=str(chosen))
    (violation,) = verdict.violations
    assert said[0] == f"This machine, and the disk of {chosen}"
    assert violation.replay == f"TMPDIR='{chosen}' orchestrator selftest --seed 7"
    assert [str(path) for path in chosen.iterdir()] == [violation.folder]


def test_a_disk_that_is_not_there_is_not_passed_over_for_another_one(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(RefusedError, match=f"cannot make a folder in TMPDIR={missing}: No such file or directory"):
        proved(0, 7, say=lambda _: None, TMPDIR=str(missing))
    assert list(tmp_path.iterdir()) == []


def test_no_run_is_tried_where_the_machine_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk each of its processes would have to be waited for."""
    monkeypatch.setattr(
        rounds, "machine", lambda *_: iter([Finding("a disk", held=True), Finding("a lock", held=False)])
    )
    said: list[str] = []
    verdict = proved(0, 7, say=said.append)
    assert ([each.said for each in verdict.violations], verdict.counts["rounds"]) == (["a lock"], 0)
    assert said[1:] == ["  holds  a disk", "  FAILS  a lock", said[-1]]
    assert "mend this first" in said[-1]


def test_a_disk_that_is_full_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def full(*_: object) -> Sweep:
        raise ExceptionGroup("", [OSError(errno.ENOSPC, "No space left on device")])

    monkeypatch.setattr(rounds, "sweep", full)
    verdict = proved(0, 7, say=lambda _: None)
    (violation,) = verdict.violations
    assert violation.said.endswith("cannot hold a run: No space left on device")
    assert list(tmp_path.iterdir()) == []
