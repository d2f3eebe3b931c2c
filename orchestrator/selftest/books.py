"""What a run folder says against what the service has in its books, compared by a reader of its own.

It knows JSON, SQLite and SHA-256, and none of the program's own readers: a mistake that one of these shares with a
writer would not be seen.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

from orchestrator.emulator import Stats
from orchestrator.emulator.outputs import plain_output
from orchestrator.emulator.task import Task

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
class Expected:
    """What a run was to do and to keep to.

    Attributes:
        tasks: How many tasks it has.
        budget_usd: What it may cost.
        concurrency: How many tasks may run at a time.
        picture_bytes: How many bytes each picture has, see `Profile.plain_bytes`.
        secrets: What must stand in no file.
    """

    tasks: int
    budget_usd: Decimal
    concurrency: int
    picture_bytes: int
    secrets: Sequence[str]


def compare(out: Path, stats: Stats, active: int, wanted: Expected) -> Iterator[Count]:
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
    accepted = {str(task.id): task for task in stats.accepted}
    charged = {str(task.id): task.price_usd for task in stats.billed}
    told = [(line, task) for line in lines if (task := accepted.get(line["remote"]["task_id"])) is not None]

    yield Count("tasks done, says the ledger", ledger.done, wanted.tasks)
    yield Count("tasks done, says the manifest", sum(line["state"] == "done" for line in lines), wanted.tasks)
    yield Count("tasks with a file", sum(bool(line["outputs"]) for line in lines), wanted.tasks)
    yield Count(
        "files that differ from what is written of them", sum(not _fits(out, *each) for each in outputs.items()), 0
    )
    yield Count("files that nothing is written of", len(files - kept - outputs.keys()), 0)
    yield Count("lines of the manifest about a task that the service does not know", len(lines) - len(told), 0)
    for what, holds in (
        ("tasks that are told otherwise than they were sent", _as_sent),
        ("tasks whose files are not what the service has made", partial(_as_made, size=wanted.picture_bytes)),
        ("tasks that cost another sum, says the manifest", partial(_as_charged, charged=charged)),
    ):
        yield Count(what, sum(not holds(*each) for each in told), 0)
    yield Count(
        "requests that cost another sum, says the ledger",
        sum(spent != charged.get(each, 0) for each, spent in ledger.spent_usd.items()),
        0,
    )
    yield Count("tasks paid for", len(paid), wanted.tasks)
    yield Count("payments for a task that was paid for", sum(paid.values()) - len(paid), 0)
    yield Count("accepted requests that the ledger does not know", len(accepted.keys() - ledger.spent_usd.keys()), 0)
    yield Count("tasks still under way", active, 0)
    yield Count("dollars spent, says the ledger", sum(ledger.spent_usd.values()), stats.billed_usd)
    yield Count("dollars beyond the budget", max(stats.billed_usd - wanted.budget_usd, Decimal(0)), Decimal(0))
    yield Count("tasks at a time beyond what is allowed", max(stats.peak_concurrency - wanted.concurrency, 0), 0)
    yield Count("downloads that carried the key", stats.leaks, 0)
    yield Count("files that hold the key", _leaking(out, wanted.secrets), 0)


@dataclass(frozen=True, slots=True)
class _Ledger:
    done: int
    spent_usd: Mapping[str, Decimal]


def _ledger(out: Path) -> _Ledger:
    with closing(sqlite3.connect(out / "ledger.sqlite")) as db:
        states: Mapping[str, int] = dict(db.execute("SELECT state, count(*) FROM tasks GROUP BY state"))
        # the service may leave out what a task has cost: then what was kept aside for it counts
        attempts = db.execute(
            "SELECT remote_id, coalesce(cost, reserved) FROM attempts WHERE remote_id > ''"
        ).fetchall()
    return _Ledger(states.get("done", 0), {remote_id: Decimal(cost) / PICO for remote_id, cost in attempts})


def _as_sent(line: Mapping[str, Any], task: Task) -> bool:
    """Return whether a line tells of a task what the service was sent for it, under the id that follows from that."""
    spelt = json.dumps(
        [1, task.model.name, task.parameters, 1], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    identity = base64.b32encode(hashlib.sha256(spelt.encode()).digest()[:15]).decode().lower()
    told = (line["task"], line["model"], line["parameters"])
    return told == (identity, task.model.name, task.parameters)


def _as_made(line: Mapping[str, Any], task: Task, size: int) -> bool:
    """Return whether a line names every file that the service has made for a task, and no other."""
    made = [plain_output(task, number, size) for number in range(task.model.count_outputs(task.parameters))]
    ends = [f"-{line['task'][:8]}-{number}.png" for number in range(len(made))]
    wanted = [(len(data), hashlib.sha256(data).hexdigest(), "image/png") for data in made]
    outputs = line["outputs"]
    return [(each["bytes"], each["sha256"], each["content_type"]) for each in outputs] == wanted and all(
        each["path"].endswith(end) for each, end in zip(outputs, ends, strict=True)
    )


def _as_charged(line: Mapping[str, Any], task: Task, charged: Mapping[str, Decimal]) -> bool:
    """Return whether a line tells what a task has cost; the service may leave that out."""
    return line["cost_usd"] is None or Decimal(line["cost_usd"]) == charged.get(str(task.id))


def _fits(out: Path, path: str, output: Mapping[str, Any]) -> bool:
    try:
        data = (out / path).read_bytes()
    except FileNotFoundError:
        return False
    return (len(data), hashlib.sha256(data).hexdigest()) == (output["bytes"], output["sha256"])


def _leaking(out: Path, secrets: Sequence[str]) -> int:
    paths = (path for path in out.rglob("*") if path.is_file())
    return sum(any(secret.encode() in data for secret in secrets) for data in (path.read_bytes() for path in paths))
