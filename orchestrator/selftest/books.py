"""What a run folder says against what the service has in its books, compared by a reader of its own.

It knows JSON, SQLite and SHA-256, and none of the program's own readers: a mistake that one of these shares with a
writer would not be seen.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from orchestrator.emulator import Stats

PICO: Final = 10**12
"""Money stands in the ledger in whole trillionths of a dollar."""


@dataclass(frozen=True, slots=True)
class Count:
    """Something that was counted, and what it should be."""

    what: str
    found: object
    wanted: object

    @property
    def held(self) -> bool:
        """Whether it is what it should be."""
        return self.found == self.wanted


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run was to do and to keep to.

    Attributes:
        tasks: How many tasks it has.
        budget_usd: What it may cost.
        concurrency: How many tasks may run at a time.
        secrets: What must stand in no file.
    """

    tasks: int
    budget_usd: Decimal
    concurrency: int
    secrets: Sequence[str]


def compare(out: Path, stats: Stats, active: int, wanted: Wanted) -> Iterator[Count]:
    """Compare a run folder that is done with the service's books.

    Args:
        out: The run folder.
        stats: What the service has seen, this run alone.
        active: How many tasks the service still has under way.
        wanted: What the run was to do.
    """
    ledger = _ledger(out)
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text("utf-8").splitlines()]
    outputs = {output["path"]: output for line in lines for output in line["outputs"]}
    files = {path.relative_to(out).as_posix() for path in (out / "files").rglob("*") if path.is_file()}
    kept = {path for path in files if "/.suspect/" in path}  # what came broken, beside what came whole in the end
    paid = stats.billed_by_parameters()

    yield Count("tasks done, says the ledger", ledger.done, wanted.tasks)
    yield Count("tasks done, says the manifest", sum(line["state"] == "done" for line in lines), wanted.tasks)
    yield Count("tasks with a file", sum(bool(line["outputs"]) for line in lines), wanted.tasks)
    yield Count(
        "files that differ from what is written of them", sum(not _fits(out, *each) for each in outputs.items()), 0
    )
    yield Count("files that nothing is written of", len(files - kept - outputs.keys()), 0)
    yield Count("tasks paid for", len(paid), wanted.tasks)
    yield Count("payments for a task that was paid for", sum(paid.values()) - len(paid), 0)
    yield Count("accepted requests that the ledger does not know", len(_ids(stats) - ledger.remote_ids), 0)
    yield Count("tasks still under way", active, 0)
    yield Count("dollars spent, says the ledger", ledger.spent_usd, stats.billed_usd)
    yield Count("dollars beyond the budget", max(stats.billed_usd - wanted.budget_usd, Decimal(0)), Decimal(0))
    yield Count("tasks at a time beyond what is allowed", max(stats.peak_concurrency - wanted.concurrency, 0), 0)
    yield Count("downloads that carried the key", stats.leaks, 0)
    yield Count("files that hold the key", _leaking(out, wanted.secrets), 0)


@dataclass(frozen=True, slots=True)
class _Ledger:
    done: int
    remote_ids: frozenset[str]
    spent_usd: Decimal


def _ledger(out: Path) -> _Ledger:
    with closing(sqlite3.connect(out / "ledger.sqlite")) as db:
        states: Mapping[str, int] = dict(db.execute("SELECT state, count(*) FROM tasks GROUP BY state"))
        # the service may leave out what a task has cost: then what was kept aside for it counts
        attempts = db.execute(
            "SELECT remote_id, coalesce(cost, reserved) FROM attempts WHERE remote_id > ''"
        ).fetchall()
    spent = sum(cost for _, cost in attempts)
    return _Ledger(states.get("done", 0), frozenset(each for each, _ in attempts), Decimal(spent) / PICO)


def _ids(stats: Stats) -> set[str]:
    return {str(task.id) for task in stats.accepted}


def _fits(out: Path, path: str, output: Mapping[str, Any]) -> bool:
    try:
        data = (out / path).read_bytes()
    except FileNotFoundError:
        return False
    return (len(data), hashlib.sha256(data).hexdigest()) == (output["bytes"], output["sha256"])


def _leaking(out: Path, secrets: Sequence[str]) -> int:
    paths = (path for path in out.rglob("*") if path.is_file())
    return sum(any(secret.encode() in data for secret in secrets) for data in (path.read_bytes() for path in paths))
