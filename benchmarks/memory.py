"""How much memory a run takes at its peak, for 1,000, 10,000 and 100,000 tasks.

    python benchmarks/memory.py --tasks 1000 10000

Each run is a process of its own, start-up included, and so is the emulated service, which answers at once: one output
of 20 kB a task, 64 tasks under way, no thumbnails. 100,000 tasks take a quarter of an hour.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import sweep
from goals import Goal

SIZES = (1_000, 10_000, 100_000)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--url", help=sweep.URL_HELP)
    parser.add_argument("--folder", type=Path, help="where the runs lie, a folder for temporary files by default")
    arguments = parser.parse_args()
    print("| tasks | peak MB | CPU ms per task |\n| --- | --- | --- |")
    peaks = []
    for tasks in arguments.tasks:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder, sweep.service(arguments.url) as environment:
            peak, cpu_seconds = measured(sweep.our_command(tasks, Path(folder)), environment)
        peaks.append(peak)
        print(f"| {tasks:,} | {peak:.0f} | {1000 * cpu_seconds / tasks:.2f} |", flush=True)
    most, least = arguments.tasks[-1], arguments.tasks[0]
    Goal(f"peak memory, {most:,} tasks against {least:,}", peaks[-1] / peaks[0], 1.2, unit=" times").tell()
    Goal(f"peak memory, {most:,} tasks", peaks[-1], 150, unit=" MB").tell()


def measured(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command to its end; return its peak in megabytes, and its seconds of CPU."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_maxrss / 1024, used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
