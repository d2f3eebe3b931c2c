"""A run that is left under way, and what can happen to its ledger then."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from bench import INSTANT, Bench

from orchestrator.commands.carrying import Result
from orchestrator.commands.options import Options
from orchestrator.commands.rebuilding import Recovery
from orchestrator.commands.recover import recover
from orchestrator.emulator.faults import Fault
from orchestrator.engines.control import Control
from orchestrator.engines.forecast import Forecast
from orchestrator.runs import RunFolder
from orchestrator.steps.outcomes import Stop

TASKS = 16
SOME_FAIL = Fault(place="task", kind="fails", first=6)
BRISK = replace(INSTANT, run_seconds_median=1, concurrency=2)


class Left(Bench):
    """A bench whose run can be left when so many tasks have been accepted, and a file has been asked for."""

    async def run(self, *, leave_at: int | None = None, attempts: int = 3, repeat: int = 1) -> Result:
        control = Control()

        def leave(*_: object) -> None:
            stats = self.service.stats
            if leave_at is not None and len(stats.accepted) >= leave_at and stats.downloads:
                control.leave(Stop.INTERRUPTED, "Enough.")

        self.service.lose_replies = leave
        job = {
            "parameters": {"samples": 1, "prompt": "a lighthouse"},
            "limits": {"requests_per_second": 1000, "settle_after": 2},
            "retry": {"attempts": attempts},
            "sweep": {"seed": list(range(TASKS // repeat))},
            "repeat": repeat,
        }
        return await self.carry_out(job, control=control)

    async def recover(self, job: Path | None = None) -> Recovery:
        return await recover(self.out, job, Options(), self.settings, **self.go)


def overwritten(folder: RunFolder) -> None:
    """Spoil every second page."""
    size = folder.ledger.stat().st_size
    with folder.ledger.open("r+b") as file:
        for start in range(4096, size, 8192):
            file.seek(start)
            file.write(b"\xa5" * min(4096, size - start))


def beheaded(folder: RunFolder) -> None:
    with folder.ledger.open("r+b") as file:
        file.write(b"\0" * 4096)


def truncated(folder: RunFolder) -> None:
    with folder.ledger.open("r+b") as file:
        file.truncate(folder.ledger.stat().st_size * 2 // 3)


def emptied(folder: RunFolder) -> None:
    folder.ledger.write_bytes(b"")


def replaced(folder: RunFolder) -> None:
    folder.ledger.write_text("This is no database.\n" * 500)


def removed(folder: RunFolder) -> None:
    folder.ledger.unlink()


def without_manifest(folder: RunFolder) -> None:
    replaced(folder)
    folder.manifest.unlink()


def without_requests(folder: RunFolder) -> None:
    """Nothing says any more which remote task is whose, and one picture has gone as well."""
    changed(folder, "DELETE FROM attempts")
    next(folder.files.glob("*.png")).unlink()


def without_sense(folder: RunFolder) -> None:
    changed(folder, "UPDATE counters SET value = 'many'", "UPDATE facts SET value = 'nan' WHERE name = 'total'")


def of_no_version(folder: RunFolder) -> None:
    changed(folder, "PRAGMA user_version = -1")


def overpriced(folder: RunFolder) -> None:
    """No sum can hold what the tasks cost."""
    changed(folder, "UPDATE attempts SET cost = 9223372036854775807 WHERE cost > 0")


def owing(folder: RunFolder) -> None:
    """It is said to have cost less than nothing."""
    changed(folder, "UPDATE attempts SET cost = -1000000000000", "UPDATE counters SET value = -5")


def changed(folder: RunFolder, *statements: str) -> None:
    with closing(sqlite3.connect(folder.ledger, isolation_level=None)) as ledger:
        for statement in statements:
            ledger.execute(statement)


def all_but_the_job(folder: RunFolder) -> None:
    for path in (folder.ledger, folder.manifest, folder.log):
        path.unlink()


def look_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an instant service looked at soon, and what is at hand given all the time it needs on a busy machine."""
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 0.4)
    monkeypatch.setattr("orchestrator.commands.carrying.GRACE_SECONDS", 400.0)
