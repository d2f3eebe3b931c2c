"""The reader that judges a run that was killed: it finds whatever is not as it should be."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from orchestrator.clock import SystemClock
from orchestrator.commands.options import Options
from orchestrator.commands.run import run
from orchestrator.config import Settings
from orchestrator.emulator import Emulator, Profile, Stats
from orchestrator.engines.control import Control
from orchestrator.errors import Exit
from orchestrator.selftest.books import Wanted, compare
from orchestrator.status import Status

TASKS = 3
PROFILE = Profile(run_seconds_median=0, queue_seconds=(0, 0), plain_bytes=2000)
WANTED = Wanted(TASKS, Decimal("0.0105"), 8, ("emulated-secret",))
JOB = {
    "model": "Hevok/Studio-Trigger",
    "parameters": {"samples": 1, "prompt": "a pier"},
    "sweep": {"seed": list(range(TASKS))},
    "limits": {"requests_per_second": 200},
}


class Watcher:
    def show(self, status: Status) -> None:
        pass


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The one run here is made in a loop of its own."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Stats]:
    """A run that is done, and what the service has in its books."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "job.yaml").write_text(json.dumps(JOB), "utf-8")

    async def make() -> Stats:
        async with Emulator(PROFILE) as service:
            settings = Settings("emulated-key", "emulated-secret", service.base_url)
            options = Options(out=folder / "out")
            clock = SystemClock()
            done = await run(folder / "job.yaml", options, settings, control=Control(), clock=clock, watcher=Watcher())
            assert done.exit_code is Exit.DONE
            return service.stats

    return folder / "out", anyio.run(make)


@pytest.fixture
def out(made: tuple[Path, Stats], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "out"))


@pytest.fixture
def stats(made: tuple[Path, Stats]) -> Stats:
    return replace(made[1])


def wrong(out: Path, stats: Stats, active: int = 0, wanted: Wanted = WANTED) -> Iterator[str]:
    return (count.what for count in compare(out, stats, active, wanted) if not count.held)


def test_a_run_that_is_done_is_as_it_should_be(out: Path, stats: Stats) -> None:
    assert list(wrong(out, stats)) == []


def picture(out: Path) -> Path:
    return next((out / "files").rglob("*-0.*"))


def flip(out: Path) -> None:
    data = bytearray(picture(out).read_bytes())
    data[100] ^= 1
    picture(out).write_bytes(data)


def leave_out(out: Path) -> None:
    lines = (out / "manifest.jsonl").read_text("utf-8").splitlines(keepends=True)
    (out / "manifest.jsonl").write_text("".join(lines[1:]), "utf-8")


def ledger(statement: str) -> Callable[[Path], None]:
    def change(out: Path) -> None:
        with closing(sqlite3.connect(out / "ledger.sqlite")) as db:
            db.execute(statement)
            db.commit()

    return change


FILES = "files that differ from what is written of them"
FOLDERS: list[tuple[Callable[[Path], object], set[str]]] = [
    (flip, {FILES}),
    (lambda out: picture(out).unlink(), {FILES}),
    (lambda out: (out / "files" / "other.png").write_bytes(b"a"), {"files that nothing is written of"}),
    (
        leave_out,
        {"tasks done, says the manifest", "tasks with a file", "files that nothing is written of"},
    ),
    (
        ledger("UPDATE tasks SET state = 'running' WHERE place = 1"),
        {"tasks done, says the ledger"},
    ),
    (
        ledger("UPDATE attempts SET remote_id = NULL WHERE remote_id = (SELECT min(remote_id) FROM attempts)"),
        {"accepted requests that the ledger does not know", "dollars spent, says the ledger"},
    ),
    (ledger("UPDATE attempts SET cost = cost + 1"), {"dollars spent, says the ledger"}),
    (lambda out: (out / "run.log").write_text("it is emulated-secret"), {"files that hold the key"}),
]


@pytest.mark.parametrize(("change", "found"), FOLDERS)
def test_what_is_wrong_in_the_folder_is_found(
    out: Path, stats: Stats, change: Callable[[Path], object], found: set[str]
) -> None:
    change(out)
    assert set(wrong(out, stats)) == found


def test_a_second_payment_is_found(out: Path, stats: Stats) -> None:
    again = replace(stats.billed[0], id=1)
    stats.billed, stats.accepted = [*stats.billed, again], [*stats.accepted, again]
    assert set(wrong(out, stats)) == {
        "payments for a task that was paid for",
        "accepted requests that the ledger does not know",
        "dollars spent, says the ledger",
        "dollars beyond the budget",
    }


def test_a_limit_that_was_passed_and_a_key_that_leaked_are_found(out: Path, stats: Stats) -> None:
    stats.peak_concurrency, stats.leaks = 9, 1
    assert set(wrong(out, stats, active=1)) == {
        "tasks still under way",
        "tasks at a time beyond what is allowed",
        "downloads that carried the key",
    }


def test_a_cost_that_the_service_did_not_tell_counts_as_what_was_kept_aside(out: Path, stats: Stats) -> None:
    ledger("UPDATE attempts SET cost = NULL")(out)
    assert list(wrong(out, stats)) == []
