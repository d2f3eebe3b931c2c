"""How much memory a run takes at its peak, for 1,000 tasks and for 100,000.

    python benchmarks/memory.py

Each run is a process of its own, start-up included: ten prompts and as many seeds as it takes, 64 tasks under way at a
time, no thumbnails. The service is another one and answers at once: see `instant.py`. The run folder lies in memory
where the system has a folder for that, which is not the memory of the process that is measured.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import instant
import sweep
from goals import Goal

from orchestrator.simulation.play import MEMORY

SIZES = (1_000, 100_000)
JOB = """
name: memory
model: Hevok/Studio-Trigger
parameters: {{samples: 1}}
sweep:
  prompt: [{prompts}]
  seed: {{from: 1, to: {seeds}, step: 1}}
outputs: {{thumbnails: false}}
limits: {{requests_per_second: 2000, concurrency: 64, max_tasks: 1000000}}
"""
PROMPTS = [f"a boat with {number} sails" for number in range(10)]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--url", help=sweep.URL_HELP)
    place = MEMORY if MEMORY.is_dir() else None
    parser.add_argument("--folder", type=Path, default=place, help="where the runs lie")
    arguments = parser.parse_args()
    print("| tasks | peak MB | CPU ms per task |\n| --- | --- | --- |")
    peaks = []
    for tasks in arguments.tasks:
        with (
            tempfile.TemporaryDirectory(dir=arguments.folder) as folder,
            nullcontext(arguments.url) if arguments.url else instant.serving() as base_url,
            sweep.service(base_url) as environment,
        ):
            peak, cpu_seconds = measured(command(tasks, Path(folder)), environment)
        peaks.append(peak)
        print(f"| {tasks:,} | {peak:.0f} | {1000 * cpu_seconds / tasks:.2f} |", flush=True)
    most, least = arguments.tasks[-1], arguments.tasks[0]
    Goal(f"peak memory, {most:,} tasks against {least:,}", peaks[-1] / peaks[0], 1.2, unit=" times").tell()
    Goal(f"peak memory, {most:,} tasks", peaks[-1], 150, unit=" MB").tell()


def command(tasks: int, folder: Path) -> list[str]:
    """Return the command that runs a sweep of so many tasks."""
    job = folder / "job.yaml"
    job.write_text(JOB.format(prompts=", ".join(PROMPTS), seeds=tasks // len(PROMPTS)), encoding="utf-8")
    return [sys.executable, "-m", "orchestrator", "run", str(job), "--out", str(folder / "run"), "--progress", "off"]


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command to its end; return its peak in megabytes, and its seconds of CPU."""
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            process.kill()
    assert process.returncode == 0
    return used.ru_maxrss / 1024, used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
