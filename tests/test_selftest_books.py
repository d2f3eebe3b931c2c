"""The reader that judges a run that was killed: it finds whatever is not as it should be."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest
from hurry import HurriedClock

from orchestrator.commands.options import Options
from orchestrator.commands.run import run
from orchestrator.config import Settings
from orchestrator.emulator import Emulator, Profile, Stats
from orchestrator.emulator.pictures import plain
from orchestrator.engines.control import Control
from orchestrator.errors import Exit
from orchestrator.selftest.books import Expected, compare
from orchestrator.status import Status

TASKS = 3
PROFILE = Profile(run_seconds_median=0, queue_seconds=(0, 0), plain_bytes=2000)
WANTED = Expected(TASKS, Decimal("0.0105"), 8, 2000, ("emulated-secret",))
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
        clock = HurriedClock(20)
        async with Emulator(PROFILE, now=clock.now, sleep=clock.sleep) as service:
            settings = Settings("emulated-key", "emulated-secret", service.base_url)
            options = Options(out=folder / "out")
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


def wrong(out: Path, stats: Stats, active: int = 0, wanted: Expected = WANTED) -> Iterator[str]:
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


def ledger(*statements: str) -> Callable[[Path], None]:
    def change(out: Path) -> None:
        with closing(sqlite3.connect(out / "ledger.sqlite")) as db:
            for statement in statements:
                db.execute(statement)
            db.commit()

    return change


def told(change: Callable[[list[Any]], object]) -> Callable[[Path], None]:
    """Let the manifest tell something else."""

    def retell(out: Path) -> None:
        lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text("utf-8").splitlines()]
        change(lines)
        (out / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")

    return retell


def swapped(*keys: str) -> Callable[[Path], None]:
    """Let the first two tasks have each other's, all else being as it should."""

    def swap(lines: list[Any]) -> None:
        for key in keys:
            lines[0][key], lines[1][key] = lines[1][key], lines[0][key]

    return told(swap)


def spoil(out: Path) -> None:
    """Put another picture in a file's place, and have the manifest tell of that one."""
    data = plain("another", 2000)
    picture(out).write_bytes(data)
    name, digest = picture(out).relative_to(out).as_posix(), hashlib.sha256(data).hexdigest()

    def retell(lines: list[Any]) -> None:
        for output in (each for line in lines for each in line["outputs"] if each["path"] == name):
            output["sha256"] = digest

    told(retell)(out)


def rename(out: Path) -> None:
    old = picture(out)
    new = old.rename(old.with_name(old.name.replace("-0.", "-7.")))
    manifest = out / "manifest.jsonl"
    manifest.write_text(manifest.read_text("utf-8").replace(old.name, new.name), "utf-8")


FILES = "files that differ from what is written of them"
MADE = "tasks whose files are not what the service has made"
SENT = "tasks that are told otherwise than they were sent"
COST = "tasks that cost another sum, says the manifest"
SPENT = "requests that cost another sum, says the ledger"
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
    (ledger("UPDATE attempts SET cost = cost + 1"), {SPENT, "dollars spent, says the ledger"}),
    (
        ledger(
            "UPDATE attempts SET cost = cost + 1 WHERE remote_id = (SELECT min(remote_id) FROM attempts)",
            "UPDATE attempts SET cost = cost - 1 WHERE remote_id = (SELECT max(remote_id) FROM attempts)",
        ),
        {SPENT},
    ),
    (spoil, {MADE}),
    (rename, {MADE}),
    (swapped("outputs"), {MADE}),
    (swapped("remote"), {MADE, SENT}),
    (swapped("remote", "outputs"), {MADE, SENT}),
    (swapped("task", "outputs"), {MADE, SENT}),
    (swapped("parameters"), {SENT}),
    (told(lambda lines: lines[0].update(model="Hevok/Studio")), {SENT}),
    (told(lambda lines: lines[0].update(cost_usd="0.0034")), {COST}),
    (
        told(lambda lines: lines[0]["remote"].update(task_id="1")),
        {"lines of the manifest about a task that the service does not know"},
    ),
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


def test_a_task_that_was_charged_and_should_not_have_been_is_found(out: Path, stats: Stats) -> None:
    stats.billed = stats.billed[1:]
    assert set(wrong(out, stats)) == {COST, SPENT, "tasks paid for", "dollars spent, says the ledger"}


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
