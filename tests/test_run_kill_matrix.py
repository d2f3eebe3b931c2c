"""The process is killed at every point that matters, and nothing is lost or paid for twice.

What the service says, the files, the manifest and the ledger are compared by a reader that knows nothing of the
product: JSON lines, SHA-256 and an SQLite query.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import runpy
import signal
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from served import served, settings_of

from orchestrator.emulator import Emulator, Profile

KILLED = Path(__file__).with_name("killed.py")
TASKS = 24
LONGEST_RUN_SECONDS = 60.0
FRESH_SWEEPS = 10
"""In how many sweeps in a row a point may not come before it counts as one that never does."""

SERVICE = Profile(
    balance_usd=Decimal(10**6),
    queue_seconds=(0, 0.05),
    run_seconds_median=0.1,
    plain_bytes=70_000,
    failure_share=0.1,
)


def points() -> tuple[str, ...]:
    """Return the points that `killed.py` lays; it is a script in no package."""
    found: tuple[str, ...] = runpy.run_path(str(KILLED))["POINTS"]
    return found


def lost(endpoint: str, nth: int) -> Literal["before", "after"] | None:
    """Lose one reply of seven."""
    share = hashlib.sha256(f"{endpoint} {nth}".encode()).digest()[0] / 256
    return "after" if share < 0.1 else "before" if share < 0.15 else None


class Sweep:
    """One job and its run folder, gone on with until it is done."""

    def __init__(self, folder: Path, service: Emulator, number: int) -> None:
        self.service = service
        self.prompt = f"a lighthouse at dusk, number {number}"
        self.out = folder / f"out-{number}"
        self.job = folder / f"job-{number}.yaml"
        limits = {"requests_per_second": 200, "concurrency": 8, "settle_after": "0.3s"}
        job = {
            "model": "Hevok/Studio-Trigger",
            "parameters": {"samples": 1, "prompt": self.prompt},
            "sweep": {"seed": {"from": 1, "to": TASKS, "step": 1}},
            "retry": {"attempts": 9},
            "limits": limits,
        }
        self.job.write_text(json.dumps(job), encoding="utf-8")

    def run(self, point: str = "", nth: int = 0) -> int:
        """Run it, killed at the n-th time that it comes to a point; return the exit code."""
        command = [sys.executable, KILLED, point, str(nth), "run", self.job, "--out", self.out, "--progress", "off"]
        ended = subprocess.run(
            list(map(str, command)),
            env={**os.environ, **settings_of(self.service)},
            cwd=self.job.parent,
            capture_output=True,
            timeout=LONGEST_RUN_SECONDS,
            text=True,
            check=False,
        )
        assert ended.returncode in {0, -signal.SIGKILL}, f"{point}: {ended.stdout}{ended.stderr}"
        return ended.returncode

    def check(self) -> None:
        """Compare what the service, the folder and the ledger say."""
        paid = {what: count for what, count in self.service.stats.billed_by_parameters().items() if self.prompt in what}
        assert sorted(paid.values()) == [1] * TASKS
        lines = [json.loads(line) for line in (self.out / "manifest.jsonl").read_text("utf-8").splitlines()]
        assert [line["index"] for line in lines] == list(range(TASKS))
        assert {line["state"] for line in lines} == {"done"}
        outputs = {output["path"]: output for line in lines for output in line["outputs"]}
        files = {path for path in (self.out / "files").rglob("*") if path.is_file()}
        assert {path.relative_to(self.out).as_posix() for path in files} == set(outputs)
        assert len(outputs) == TASKS
        for path in files:
            told = outputs[path.relative_to(self.out).as_posix()]
            data = path.read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (told["bytes"], told["sha256"])
        self._check_ledger({line["remote"]["task_id"] for line in lines})

    def _check_ledger(self, remote_ids: set[str]) -> None:
        with sqlite3.connect(self.out / "ledger.sqlite") as ledger:
            states = ledger.execute("SELECT state, count(*) FROM tasks GROUP BY state").fetchall()
            done = ledger.execute("SELECT remote_id FROM attempts WHERE cost > 0").fetchall()
        ledger.close()
        assert states == [("done", TASKS)]
        assert {row[0] for row in done} == remote_ids


def kill_at(chosen: list[str], folder: Path, dice: random.Random) -> int:
    """Kill one sweep after the other at the chosen points, in this order; return how many kills there were."""
    kills = sweeps = idle = 0
    with served(SERVICE) as service:
        service.lose_replies = lost
        sweep = Sweep(folder, service, sweeps)
        for point in chosen:
            nth = dice.choice((1, 1, 2, 5))
            while sweep.run(point, nth) == 0:
                sweep.check()
                sweeps, idle, nth = sweeps + 1, idle + 1, 1
                assert idle < FRESH_SWEEPS, f"{point}: never came"
                sweep = Sweep(folder, service, sweeps)
            kills, idle = kills + 1, 0
        assert sweep.run() == 0
        sweep.check()
    return kills


@pytest.mark.timeout(240)
def test_killed_at_a_few_points(tmp_path: Path) -> None:
    """A sample of what the long test does at every point."""
    dice = random.Random(1)  # noqa: S311 - chooses points
    assert kill_at(dice.sample(points(), 3), tmp_path, dice) == 3


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(8))
def test_killed_at_every_point(tmp_path: Path, seed: int) -> None:
    """Every task is done and paid for once, every file is as the manifest says, and the ledger agrees."""
    dice = random.Random(seed)  # noqa: S311 - the order of the points
    every = list(points())
    assert kill_at(dice.sample(every, len(every)), tmp_path, dice) == len(every)
