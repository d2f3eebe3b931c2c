"""How much memory a run takes at its peak, for 1,000 tasks and for 100,000.

    python benchmarks/memory.py

Each run is a process of its own, start-up included; 64 tasks are under way at a time, no thumbnails. The service is
another one and answers at once: see `instant.py`. The run folder lies in memory where the system has a folder for that,
which is not the memory of the process that is measured.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from contextlib import nullcontext
from pathlib import Path

import instant
import sweep
from goals import Goal

from orchestrator.simulation.play import MEMORY

SIZES = (1_000, 100_000)
CALLS_PER_SECOND = 2_000
"""More than it takes: what is remembered of a second's calls, a number for each, is full after a second in any run."""


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
            command = [*sweep.our_command(tasks, Path(folder)), "--rate", str(CALLS_PER_SECOND)]
            peak, cpu_seconds = measured(command, environment)
        peaks.append(peak)
        print(f"| {tasks:,} | {peak:.0f} | {1000 * cpu_seconds / tasks:.2f} |", flush=True)
    most, least = arguments.tasks[-1], arguments.tasks[0]
    Goal(f"peak memory, {most:,} tasks against {least:,}", peaks[-1] / peaks[0], 1.2, unit=" times").tell()
    Goal(f"peak memory, {most:,} tasks", peaks[-1], 150, unit=" MB").tell()


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
