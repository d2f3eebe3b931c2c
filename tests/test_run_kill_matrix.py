"""The process is killed at every point that matters, and nothing is lost or paid for twice.

What the service has in its books, the files, the manifest, the page and the ledger are compared by a reader that knows
none of the program's own: see `orchestrator.selftest.books`.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from killed import NEXT, POINTS, Order
from served import served, settings_of

from orchestrator.emulator import Emulator, Fault, Profile
from orchestrator.emulator.task import Task
from orchestrator.errors import Exit
from orchestrator.ledger.versions import STEPS
from orchestrator.selftest.books import Expected, compare

KILLED = Path(__file__).with_name("killed.py")
TASKS = 24
CONCURRENCY = 8
PICTURE_BYTES = 70_000
PRICE_USD = Decimal("0.0035")
MOST_RETRIES = 9
FRESH_SWEEPS = 10
"""In how many sweeps in a row a point may not come before it counts as one that never does."""

SLOWLY = "a dusk that takes long"
"""What a sweep shows some of whose tasks run long enough to be cancelled."""

NEED_COPIES = {"repair", "recover"}
"""What can make up for all that is lost only as long as the service has its copies."""

KILL = -signal.SIGKILL
PARTS = 4
"""Into how many tests the points are divided, so that several processes share in them to the end."""

EVERY = [(command, point) for command, points in POINTS.items() for point in points]

SERVICE = Profile(
    balance_usd=Decimal(10**6),
    queue_seconds=(0, 0.05),
    run_seconds_median=0.1,
    plain_bytes=PICTURE_BYTES,
    faults=(
        Fault(place="task", kind="fails", share=0.25),
        Fault(place="task", kind="late", seconds=3.0, share=0.3, where={"prompt": f"*{SLOWLY}*"}),
        Fault(place="file", kind="cut", share=0.15, times=1),
        Fault(
            place="reply",
            kind="refused",
            at=frozenset({"Run"}),
            text="Request parameter [seed] invalid",
            status=200,
            share=0.1,
            times=1,
        ),
    ),
)


def lost(endpoint: str, nth: int) -> Literal["before", "after"] | None:
    """Lose one reply of ten."""
    share = hashlib.sha256(f"{endpoint} {nth}".encode()).digest()[0] / 256
    return "after" if share < 0.07 else "before" if share < 0.1 else None


class Processes:
    """The command line on a service, see `killed.py`."""

    def __init__(self, service: Emulator, starter: subprocess.Popen[str]) -> None:
        self.service = service
        self.kills = 0
        self._starter = starter

    def carry_out(self, order: Order) -> int:
        """Carry out an order in a process of its own; return the exit code."""
        assert self._starter.stdin
        assert self._starter.stdout
        self._starter.stdin.write(json.dumps(asdict(order)) + "\n")
        self._starter.stdin.flush()
        code = int(self._starter.stdout.readline())
        self.kills += code == KILL
        return code


@contextmanager
def processes() -> Iterator[Processes]:
    with served(SERVICE) as service:
        service.lose_replies = lost
        environment = {**os.environ, **settings_of(service), "WIRO_SOCKET_URL": service.socket_url}
        with subprocess.Popen(
            [sys.executable, KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as starter:
            yield Processes(service, starter)
            assert starter.stdin
            starter.stdin.close()
            assert starter.wait(20) == 0


class Sweep:
    """One job and its run folder, gone on with until it is done."""

    def __init__(self, folder: Path, on: Processes, number: int, dice: random.Random, goal: tuple[str, str]) -> None:
        command, point = goal
        self.on = on
        self.dice = dice
        self.folder = folder
        self.is_slow = "cancelled" in point
        self.prompt = f"a lighthouse at {SLOWLY if self.is_slow else 'dusk'}, number {number}"
        self.out = folder / f"out-{number}"
        self.ledger = self.out / "ledger.sqlite"
        self.job = folder / f"job-{number}.yaml"
        self.home = folder / f"home-{number}"
        self.deletes = "deleted" in point or (number % 2 == 1 and command not in NEED_COPIES)
        self.is_new = True
        self.is_begun = self.is_later = self.is_damaged = self.was_damaged = self.lacks_a_file = False
        job = {
            "model": "Hevok/Studio-Trigger",
            "parameters": {"samples": 1, "prompt": self.prompt},
            "sweep": {"seed": {"from": 1, "to": TASKS, "step": 1}},
            "retry": {"attempts": 2},
            "limits": {
                "requests_per_second": 200,
                "concurrency": CONCURRENCY,
                "budget_usd": float(TASKS * PRICE_USD),
                "settle_after": "0.3s",
            },
            "outputs": {"delete_remote": self.deletes},
        }
        self.job.write_text(json.dumps(job), encoding="utf-8")

    def is_killed(self, command: str, point: str, nth: int) -> bool:
        """Have a command killed at the n-th time that it comes to a point; return whether it came there."""
        if not self._suits(command, point):
            return False
        self._lead_to(command, point)
        return self._start("run" if command == "upgrade" else command, point, nth) == KILL

    def finish(self) -> None:
        """Go on until all is done, and compare what the service, the folder and the ledger say."""
        self._mend()
        code = self._start("run")
        for _ in range(MOST_RETRIES):
            if code != Exit.DONE:
                code = self._start("retry")
        assert code == Exit.DONE
        if self.deletes and not self.was_damaged:
            self._see_copies_go()
        assert self._wrong() == []
        self._check_page()
        self._check_ledger()
        assert [path.name for path in self.out.rglob("*.new*")] == []

    def _suits(self, command: str, point: str) -> bool:
        """Return whether it may come to a point at all."""
        if point.startswith(("tasks entered", "the first version")):
            return self.is_new
        if "cancelled" in point:
            return self.is_slow
        if "deleted" in point:
            return self.deletes
        return not (self.is_later if command == "upgrade" else command in NEED_COPIES and self.deletes)

    def _lead_to(self, command: str, point: str) -> None:
        """Bring it to where a command has something to do."""
        self._mend()
        if command != "run" and not self.is_begun:
            self._start("run", "submitting>running after", 6)
            self.is_begun = True
        match command:
            case "upgrade":
                self.is_later = True
            case "retry":
                self._start("cancel" if "cancelled" in point else "run")
            case "repair":
                if not self._files():
                    self._start("run")
                self.dice.choice(self._files()).unlink()
                self.lacks_a_file = True
            case "recover":
                self.dice.choice(DAMAGES)(self.ledger)
                self.is_damaged = self.was_damaged = True
                # on another machine: here the places of what was left on the service are kept free for a minute
                self.home = self.home.with_name(f"{self.home.name}-on")

    def _start(self, command: str, point: str = "", nth: int = 0) -> int:
        arguments: dict[str, Sequence[object]] = {
            "run": ("run", self.job, "--out", self.out, "--progress", "off"),
            "repair": ("verify", self.out, "--repair"),
        }
        self.is_new = False
        given = [*map(str, arguments.get(command, (command, self.out)))]
        said = self.folder / "said.txt"
        code = self.on.carry_out(Order(given, str(self.folder), str(self.home), str(said), point, nth, self.is_later))
        told = said.read_text("utf-8")
        if command == "recover" and "is not damaged" in told:
            return Exit.DONE  # one that was killed had come so far
        is_well = code in {Exit.DONE, Exit.SOME_FAILED, KILL} and "Traceback" not in told
        assert is_well, f"{given} ({point}): {code}\n{told}"
        return code

    def _mend(self) -> None:
        """Let what was harmed be made up for, of which the command that was killed may have done a part."""
        if self.is_damaged:
            assert self._start("recover") == Exit.DONE
        if self.lacks_a_file:
            self._start("repair")
        self.is_damaged = self.lacks_a_file = False

    def _files(self) -> list[Path]:
        return [path for path in (self.out / "files").rglob("*.png") if ".suspect" not in path.parts]

    def _wrong(self) -> list[str]:
        stats = self.on.service.stats
        accepted, billed = ([task for task in tasks if self._is_ours(task)] for tasks in (stats.accepted, stats.billed))
        if self.was_damaged:  # what has failed and was not billed may be forgotten
            accepted = billed
        books = replace(stats, accepted=accepted, billed=billed)
        profile = self.on.service.profile
        keys = (profile.api_key, profile.api_secret or "")
        wanted = Expected(TASKS, TASKS * PRICE_USD, CONCURRENCY, PICTURE_BYTES, keys)
        return [f"{each}" for each in compare(self.out, books, self.on.service.active, wanted) if not each.held]

    def _see_copies_go(self) -> None:
        """What is owed is made up for by the next run, or the one after that where its reply is lost."""
        for _ in range(MOST_RETRIES):
            if all(task.deleted for task in self.on.service.stats.billed if self._is_ours(task)):
                return
            assert self._start("run") == Exit.DONE
        raise AssertionError("the service still has copies")

    def _is_ours(self, task: Task) -> bool:
        return bool(task.parameters["prompt"] == self.prompt)

    def _check_page(self) -> None:
        """Every task has its row, done, and where the run stands is told."""
        data = self.out / "page" / "data"
        head = script(data / "head.js")
        assert (head["status"]["counts"]["done"], head["active"]) == (TASKS, [])
        rows = {row[0]: row for path in sorted(data.glob("tasks-*.js")) for row in script(path)}
        lines = [json.loads(line) for line in (self.out / "manifest.jsonl").read_text("utf-8").splitlines()]
        assert [line["index"] for line in lines] == list(range(TASKS))
        assert {name: row[2] for name, row in rows.items()} == {line["task"]: "done" for line in lines}
        for line in lines:
            assert all(
                each["path"].removeprefix("files/") in json.dumps(rows[line["task"]]) for each in line["outputs"]
            )

    def _check_ledger(self) -> None:
        with closing(sqlite3.connect(self.ledger)) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            assert version == len(STEPS) + self.is_later
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            if self.is_later and not self.was_damaged:
                assert db.execute("SELECT DISTINCT touched FROM tasks").fetchall() == [(1,)]


def script(path: Path) -> Any:
    """Return the JSON that a script of the page holds."""
    text = path.read_text("utf-8").partition("','")[2].removesuffix("')\n")
    return json.loads(text.replace("\\'", "'").replace("\\\\", "\\"))


def overwrite(ledger: Path) -> None:
    data = bytearray(ledger.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    ledger.write_bytes(data)
    ledger.with_name(f"{ledger.name}-wal").unlink(missing_ok=True)  # which may hold all of it


def behead(ledger: Path) -> None:
    ledger.write_bytes(b"no ledger at all" + ledger.read_bytes()[16:])


def remove(ledger: Path) -> None:
    ledger.unlink()


DAMAGES: Sequence[Callable[[Path], None]] = (overwrite, behead, remove)


def kill_at(chosen: Sequence[tuple[str, str]], folder: Path, dice: random.Random) -> int:
    """Kill one sweep after the other at the chosen points, in this order; return how many kills there were."""
    sweeps = 0
    with processes() as on:
        sweep = Sweep(folder, on, sweeps, dice, chosen[0])
        for command, point in chosen:
            nth = dice.choice((1, 1, 2, 5)) if command == "run" else 1
            nth = dice.randint(2, len(NEXT)) if point.endswith("a statement") else nth
            idle = 0
            while not sweep.is_killed(command, point, nth):
                sweep.finish()
                sweeps, idle, nth = sweeps + 1, idle + 1, 1
                assert idle < FRESH_SWEEPS, f"{point}: never came"
                sweep = Sweep(folder, on, sweeps, dice, (command, point))
        sweep.finish()
        return on.kills


@pytest.mark.timeout(240)
def test_killed_at_a_few_points(tmp_path: Path) -> None:
    """A sample of what the long test does at every point."""
    dice = random.Random(1)  # noqa: S311 - chooses points
    assert kill_at([("run", point) for point in dice.sample(POINTS["run"], 3)], tmp_path, dice) >= 3


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_every_point(tmp_path: Path, seed: int, part: int) -> None:
    """Every task is done and paid for once, every file is as the manifest says, and the ledger agrees."""
    dice = random.Random(seed)  # noqa: S311 - the order of the points
    chosen = dice.sample(EVERY, len(EVERY))[part::PARTS]
    assert kill_at(chosen, tmp_path, dice) >= len(chosen)
