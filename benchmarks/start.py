"""How soon a run of a million tasks sends its first one: a new run, and one that goes on after 100,000 are done.

    python benchmarks/start.py

The emulated service runs in a process of its own. The moment of the first intent is read from the ledger, that of the
start is taken right before the process is started; so what is told is all that a user waits for. Beside it stand the
processor's seconds of `python -c pass` and of `orchestrator --help`.
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import anyio
import sweep
from goals import Goal

from orchestrator.clock import SystemClock
from orchestrator.commands.options import Options
from orchestrator.commands.plan import prepared
from orchestrator.commands.prepare import bind, binding
from orchestrator.config import Settings
from orchestrator.ledger import SqliteLedger
from orchestrator.output import manifest

HELD = 100_000
DONE = (
    "UPDATE tasks SET state = 'done', tries = 1, finished_at = 1.0",
    """INSERT INTO attempts
        (task, number, intent_at, reserved, remote_id, token, submitted_at, ended_at, status, exit_code, elapsed, cost)
        SELECT id, 1, 1.0, 0, 'held ' || place, id, 1.0, 2.0, 'task_postprocess_end', 0, 6.0, 1 FROM tasks""",
    "INSERT INTO outputs SELECT id, 0, 'files/' || id || '-0.png', NULL, 'image/png', 20000, id FROM tasks",
)
JOB = """
name: start
model: Hevok/Studio-Trigger
parameters: {{steps: 20, samples: 1}}
sweep:
  prompt: [a lighthouse at dusk, a harbour in fog]
  seed: {{from: 1, to: {seeds}, step: 1}}
outputs: {{thumbnails: false}}
limits: {{requests_per_second: 1000, concurrency: 64, max_tasks: 1000000}}
"""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--held", type=int, default=HELD, help="tasks that are done before the second start")
    parser.add_argument("--url", help=sweep.URL_HELP)
    arguments = parser.parse_args()
    print("| least of the rounds | s | CPU s |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder, sweep.service(arguments.url) as environment:
        job = Path(folder) / "job.yaml"
        job.write_text(JOB.format(seeds=arguments.tasks // 2), encoding="utf-8")
        new = [first_submit(job, Path(folder) / f"new-{n}", environment) for n in range(arguments.rounds)]
        told(f"first submit of {arguments.tasks:,} tasks", new)
        Goal(f"first submit of {arguments.tasks:,} tasks", min(wall for wall, _ in new), 1, unit=" s").tell()
        held = Path(folder) / "held"
        fill(job, held, environment["WIRO_BASE_URL"], arguments.held)
        again = [first_submit(job, held, environment) for _ in range(arguments.rounds)]
        told(f"the same with {arguments.held:,} of them done, after `kill -9`", again)
        Goal(
            f"the same with {arguments.held:,} done, after a kill", min(wall for wall, _ in again), 1, unit=" s"
        ).tell()
    python = [sys.executable, "-c", "pass"]
    shown = [sys.executable, "-m", "orchestrator", "--help"]
    ratio = min(cpu_seconds(shown) for _ in range(9)) / min(cpu_seconds(python) for _ in range(9))
    print(f"\n`orchestrator --help` takes {ratio:.1f} times the CPU time of `python -c pass`.")
    Goal("CPU of `--help` over that of `python -c pass`", ratio, 10).tell()


def told(what: str, rounds: list[tuple[float, float]]) -> None:
    """Print a line of the table."""
    print(f"| {what} | {min(wall for wall, _ in rounds):.2f} | {min(cpu for _, cpu in rounds):.2f} |", flush=True)


def fill(job: Path, out: Path, base_url: str, tasks: int) -> None:
    """Make a run folder as a killed run leaves it: the first tasks are done, and nothing says that the manifest is."""
    options, settings = Options(out=out), Settings(sweep.KEY, sweep.SECRET, base_url)
    ready = anyio.run(lambda: prepared(job, options, settings, SystemClock()))
    ready.folder.make()
    with SqliteLedger(ready.folder.ledger) as store:
        edition = bind(ready, binding(ready.file, settings, options), store, options, time.time())
        with store.transaction(durable=False):
            store.enter(list(islice(ready.job.tasks(), tasks)), edition, 0)
            store.state({"entered": str(tasks)})
    with sqlite3.connect(out / "ledger.sqlite") as db:
        for statement in DONE:
            db.execute(statement)
    with SqliteLedger(ready.folder.ledger, read_only=True) as store:
        manifest.rewrite(ready.folder.manifest, store.finished(), ready.file.model)


def first_submit(job: Path, out: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Start a run, kill it once it has sent something, and return after how many seconds, and CPU seconds, it did.

    It is the first one there: another that was killed with the same key would keep its share of the limits for a while.
    """
    before = children_seconds()
    started = time.time()
    command = [sys.executable, "-m", "orchestrator", "run", str(job), "--out", str(out), "--progress", "off"]
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen(command, env=environment | {"ORCHESTRATOR_HOME": home}, stdout=subprocess.DEVNULL) as process,
    ):
        try:
            while (first := first_intent(out / "ledger.sqlite", started)) is None:
                if process.poll() is not None:
                    sys.exit(f"The run ended with {process.returncode} before it sent anything.")
                time.sleep(0.05)
        finally:
            process.kill()
    return first - started, children_seconds() - before


def first_intent(ledger: Path, since: float) -> float | None:
    """Return when the first request since a moment was about to be sent, unix seconds."""
    try:
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as db:
            (found,) = db.execute("SELECT min(intent_at) FROM attempts WHERE intent_at > ?", (since,)).fetchone()
    except sqlite3.Error:
        return None
    return None if found is None else float(found)


def cpu_seconds(command: list[str]) -> float:
    """Run a command and return the processor's seconds."""
    before = children_seconds()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""})
    return children_seconds() - before


def children_seconds() -> float:
    """Return the processor's seconds of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
