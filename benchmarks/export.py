"""How much memory and time it takes to export a run as tables.

    python benchmarks/export.py

Each line is a process of its own, start-up included; the run folders hold tasks that are done, each with one output.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import yaml

from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import Ending, Output, Record
from orchestrator.runs import RunFolder
from orchestrator.sweep import Schema, load
from orchestrator.wiro.catalogue import seed_model

SIZES = (1_000, 100_000)
KINDS = ("csv", "json", "parquet")
CHUNK = 500


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=SIZES, metavar="N")
    sizes = parser.parse_args().tasks
    print("| tasks | kind | CPU s | peak MB | MB written |\n| --- | --- | --- | --- | --- |")
    for size in sizes:
        with tempfile.TemporaryDirectory() as home:
            folder = made(Path(home), size)
            for kind in KINDS:
                seconds, peak = measured(["export", str(folder.path), "--to", kind])
                written = (folder.path / "exports" / f"job.{kind}").stat().st_size / 1e6
                print(f"| {size:,} | {kind} | {seconds:.1f} | {peak:.0f} | {written:.1f} |", flush=True)


def made(home: Path, size: int) -> RunFolder:
    """Make a run folder of so many tasks that are done."""
    prompts = [f"a boat, number {number}" for number in range(10)]
    sweep = {"prompt": prompts, "seed": {"random": size // 10, "from": 1, "to": 2**31 - 1}}
    (home / "job.yaml").write_text(yaml.safe_dump({"model": "Hevok/Studio-Trigger", "sweep": sweep}), "utf-8")
    tool = seed_model()
    resolved = load(home / "job.yaml", today=datetime.now(UTC)).resolve(Schema.from_tool(tool))
    folder = RunFolder(home / "run")
    folder.path.mkdir()
    facts = {"source": str(home / "job.yaml"), "service": "emulator", "account": "nobody", "edition": "1"}
    facts |= {"job": json.dumps(resolved.to_json()), "tool": json.dumps(tool), "model": resolved.model}
    with SqliteLedger(folder.ledger) as store, store.transaction(durable=False):
        store.state({**facts, "total": str(size), "started_at": "1795000000.0"})
        tasks = resolved.tasks()
        for start in range(0, size, CHUNK):
            chunk = [next(tasks) for _ in range(CHUNK)]
            store.enter(chunk, 1, start)
            for task in chunk:
                finish(store, Record(task), 1_795_000_000.0 + task.index)
    return folder


def finish(store: SqliteLedger, record: Record, at: float) -> None:
    """Take a task to its end."""
    name = f"files/{record.task.path}-{record.task.short_id}-0.png"
    output = Output(name, f"https://cdn.example.com/{record.task.id}.png", "image/png", 202_472, "0" * 64)
    moves = [record, record.intended(at, Decimal("0.01"), None)]
    moves.append(moves[-1].accepted(str(record.task.index), "token", at))
    moves.append(moves[-1].succeeded(Ending("task_postprocess_end", 0, Decimal("0.0035"), 6.0, at + 6)))
    moves.append(moves[-1].delivered((output,), (), at + 7))
    for before, after in pairwise(moves):
        store.save(before, after)


def measured(arguments: list[str]) -> tuple[float, float]:
    """Return the CPU seconds and the peak memory in MB of one command."""
    process = subprocess.Popen([sys.executable, "-m", "orchestrator", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000


if __name__ == "__main__":
    main()
