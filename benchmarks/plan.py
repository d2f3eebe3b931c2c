"""How long a plan of a million tasks takes, how much memory it needs, and how fast its tasks stream.

    python benchmarks/plan.py

Each line is a process of its own, start-up included; the ledger of the last two holds 100,000 tasks.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import anyio
import yaml
from goals import Goal

from orchestrator.clock import SystemClock
from orchestrator.commands.options import Options
from orchestrator.commands.plan import prepared
from orchestrator.commands.prepare import bind, binding
from orchestrator.config import Settings
from orchestrator.ledger import SqliteLedger

PROMPTS = [f"a boat, number {number}" for number in range(10)]
LONG = {"random": 100_000, "from": 1, "to": 2**31 - 1}
SHORT = {"random": 10_000, "from": 1, "to": 2**31 - 1}
GRID = {"prompt": PROMPTS, "seed": LONG}
PRICED = {"prompt": PROMPTS[:5], "samples": [1, 2], "seed": LONG}
TEXTS = ["x", "xy", "xyz", "w", "we", "wet", "r", "ra", "rat", "t"]
JOBS: dict[str, dict[str, Any]] = {
    "no filters": {"sweep": GRID},
    "an axis that sets the price": {"sweep": PRICED},
    "`exclude`": {"sweep": GRID, "exclude": [{"prompt": PROMPTS[0], "seed": {"gt": 1000}}]},
    "`sample`": {"sweep": GRID, "sample": {"count": 1000}},
    "`include`": {"sweep": GRID, "include": [{"prompt": "a lamp", "seed": 1}]},
    "`order: shuffled`": {"sweep": GRID, "order": "shuffled"},
    "all of these, half of the grid sampled": {
        "sweep": GRID,
        "exclude": [{"prompt": PROMPTS[0], "seed": {"gt": 2**30}}],
        "sample": {"count": 500_000},
        "include": [{"prompt": "a lamp", "seed": 1}],
        "order": "shuffled",
    },
    "texts that may be equal": {
        "variables": {"one": TEXTS, "two": ["y", "yz", "z", "q", "qr", "s", "st", "u", "v", "vw"]},
        "sweep": {"prompt": ["a boat, {one}{two}"], "seed": SHORT},
    },
}
HELD = 100_000
CHUNK = 500


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=200_000, help="tasks that are streamed")
    arguments = parser.parse_args()
    spent = list[float]()
    print("| 1,000,000 cells, `plan --json` | s | CPU s | peak MB |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.yaml"
        for name, keys in JOBS.items():
            path.write_text(yaml.safe_dump({"model": "Hevok/Studio-Trigger", **keys}, sort_keys=False), "utf-8")
            spent.append(told(name, ["plan", str(path), "--json"]))
        path.write_text(yaml.safe_dump({"model": "Hevok/Studio-Trigger", "sweep": GRID}, sort_keys=False), "utf-8")
        started = told("", ["plan", str(path), "--tasks", "--json", "--limit", "1"], silent=True)
        streamed = told("", ["plan", str(path), "--tasks", "--json", "--limit", str(arguments.lines)], silent=True)
        out = str(fill(path))
        spent.append(told(f"{HELD:,} of them in a ledger", ["plan", str(path), "--json", "--out", out]))
        path.write_text(yaml.safe_dump({"model": "Hevok/Studio-Trigger", "sweep": PRICED}, sort_keys=False), "utf-8")
        spent.append(told("the same, of two prices", ["plan", str(path), "--json", "--out", out]))
    print(f"\n`plan --tasks --json`: {arguments.lines / (streamed - started):,.0f} tasks a second of CPU time")
    Goal("`plan` of 1,000,000 tasks without filters or ledger, CPU", spent[0], 2, unit=" s").tell()
    Goal("`plan` of 1,000,000 tasks otherwise, CPU", max(spent), 15, unit=" s").tell()


def fill(path: Path) -> Path:
    """Make a run folder whose ledger holds the first tasks of a job, and return it."""
    out = path.parent / "run"
    options, settings = Options(out=out), Settings("a-key", None)
    ready = anyio.run(lambda: prepared(path, options, settings, SystemClock()))
    ready.folder.make()
    with SqliteLedger(ready.folder.ledger) as store:
        edition = bind(ready, binding(ready.file, settings, options), store, options, time.time())
        with store.transaction(durable=False):
            tasks = ready.job.tasks()
            for rank in range(0, HELD, CHUNK):  # a child's peak counts what its parent holds when it begins
                store.enter(list(islice(tasks, CHUNK)), edition, rank)
    return out


def told(name: str, command: list[str], *, silent: bool = False) -> float:
    """Run a command, print its line of the table, and return its CPU seconds."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "orchestrator", *command], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    seconds, cpu_seconds = time.perf_counter() - began, used.ru_utime + used.ru_stime
    if not silent:
        print(f"| {name} | {seconds:.1f} | {cpu_seconds:.1f} | {used.ru_maxrss / 1024:.0f} |", flush=True)
    return cpu_seconds


if __name__ == "__main__":
    main()
