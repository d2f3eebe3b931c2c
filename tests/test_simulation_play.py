"""Hundreds of runs under misfortune in virtual time: what is promised is kept, and each can be played again."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from orchestrator.simulation import Event, History, draw, play
from orchestrator.simulation.service import Service

HISTORIES = 60
CHUNK = 10
HURRIES = {"hurried", "hurry"}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The ledger writes in the one thread there is, so that time stands still meanwhile."""


@pytest.mark.parametrize("first", range(0, HISTORIES, CHUNK))
def test_every_promise_is_kept(first: int) -> None:
    broken = {seed: said for seed in range(first, first + CHUNK) if (said := play(draw(seed)).violation)}
    assert broken == {}


def test_a_history_without_misfortune_takes_as_long_as_its_tasks() -> None:
    verdict = play(History(seed=1, seeds=6, places=3))
    assert (verdict.violation, verdict.starts, verdict.paid) == (None, 1, 6)
    assert 16 < verdict.story[-1][0] < 40


def test_a_killed_run_goes_on() -> None:
    verdict = play(History(seed=1, seeds=6, events=(Event("process killed", number=60),)))
    assert (verdict.violation, verdict.starts, verdict.paid) == (None, 2, 6)


def test_a_request_whose_reply_is_lost_is_found() -> None:
    verdict = play(History(seed=1, events=(Event("run unanswered", number=2),)))
    assert (verdict.violation, verdict.paid) == (None, 3)


def test_what_is_accepted_too_late_may_be_paid_for_twice() -> None:
    """That is what the design allows, and nothing else."""
    late = Event("run late", number=2, seconds=100.0)
    verdict = play(History(seed=1, events=(late,)))
    assert (verdict.violation, verdict.paid) == (None, 4)
    in_time = play(History(seed=1, events=(replace(late, seconds=20.0),)))
    assert (in_time.violation, in_time.paid) == (None, 3)


def test_a_seed_tells_the_same_story_each_time() -> None:
    """In another process, with other hashes and addresses, too; who is hurried ends in the order of addresses."""
    seeds = [seed for seed in range(12) if all(event.kind not in HURRIES for event in draw(seed).events)][:8]
    program = (
        f"seeds = {seeds}; import hashlib; from orchestrator.simulation import draw, play;"
        "print(*(hashlib.sha256(repr(play(draw(seed)).story).encode()).hexdigest() for seed in seeds))"
    )
    others = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    ours = [hashlib.sha256(repr(play(draw(seed)).story).encode()).hexdigest() for seed in seeds]
    assert others == [ours, ours]


class Complaining:
    """Dead only for whoever looks for garbage, and with a complaint, as a coroutine is that nobody carries on."""

    def __init__(self) -> None:
        self._itself = self

    def __del__(self) -> None:
        raise RuntimeError("no running event loop")


def test_nothing_of_a_history_dies_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it complains of then would be on the screen of whoever played it, at the latest when the process ends."""
    complaints: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: complaints.append(str(told.exc_value)))

    class Haunted(Service):
        def __init__(self, history: History, at: float) -> None:
            super().__init__(history, at)
            self.held = Complaining()

    verdict = play(History(seed=1, seeds=6, events=(Event("process killed", number=60),)), Haunted)
    gc.collect()
    assert (verdict.violation, verdict.starts, complaints) == (None, 2, [])
