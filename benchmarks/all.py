"""Every benchmark: each prints its table, and at the end all goals stand in one.

    python benchmarks/all.py

Takes a quarter of an hour on two cores that have nothing else to do. Those whose figures are seconds, or ratios of
seconds, have the machine to themselves, one after the other. Those that count, or measure within virtual time or their
own CPU time, then go side by side. `--only` names some of them, `--quick` does less of each, which tells whether all of
it works and not much more, `--thorough` does more. `--docs` puts all tables and the pictures into docs/.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import goals
from goals import Goal

DOCS = Path(__file__).parents[1] / "docs"
PAGE, PICTURE, POLLING = DOCS / "benchmarks.md", DOCS / "goals.svg", DOCS / "polling.svg"
LANES = 3
"""So many go side by side: two that compute, and one of those that mostly wait."""


@dataclass(frozen=True)
class Part:
    """A script.

    Attributes:
        title: Its heading in the page.
        usually: What it is asked for.
        quickly: What it is asked for to see whether it works.
        thoroughly: What it is asked for where time does not matter; as usual where empty.
        alone: Whether nothing else may run meanwhile.
        elsewhere: Whether it can be run against another service.
    """

    title: str
    usually: str = ""
    quickly: str = ""
    thoroughly: str = ""
    alone: bool = False
    elsewhere: bool = False


PARTS = {
    "sweep": Part(
        "A whole sweep", "--tasks 2000 --rounds 5", "--tasks 500 --rounds 1", "--tasks 5000 --rounds 9", True, True
    ),
    "downloads": Part("Big files", "--rounds 5", "--rounds 1", "--rounds 15", alone=True),
    "start": Part("The first submit", "", "--tasks 20000 --held 2000 --rounds 1", "--rounds 9", True, True),
    "memory": Part("Memory", "", "--tasks 200 400", "--tasks 1000 10000 100000", elsewhere=True),
    "polling": Part("Looking at tasks", "", "--tasks 200 --runs 1", "--runs 20"),
    "hints": Part("Told by the service", "--tasks 200", "--tasks 50 --only socket", "--tasks 1000"),
    "kills": Part("Kills", "", "--tasks 100 --kills 3", "--tasks 5000 --kills 100"),
    "export": Part("A table of 100,000 tasks", "", "--tasks 1000 2000"),
    "plan": Part("A plan of a million tasks", "", "--lines 20000"),
    "limits": Part("Limits", "--tasks 600", "--tasks 150", "--tasks 3000"),
}
"""By the names of the scripts; those that go side by side in the order in which they begin, the longest first."""


@dataclass
class Report:
    """What a script has printed.

    Attributes:
        lines: All lines, without their ends.
        seconds: How long it took.
        well: Whether it came to its end.
    """

    lines: list[str] = field(default_factory=list)
    seconds: float = 0.0
    well: bool = False

    @property
    def goals(self) -> list[Goal]:
        """The goals that it tells of."""
        return [goal for line in self.lines if (goal := goals.read(line)) is not None]

    @property
    def table(self) -> str:
        """Its table: all rows, with the head of each part."""
        return "\n".join(line for line in self.lines if line.startswith("|"))


class Scripts:
    """Runs scripts, and sees to it that none goes on when this one ends; of a quick look no verdict is taken."""

    def __init__(self, *, quick: bool) -> None:
        self._quick = quick
        self._running: set[subprocess.Popen[str]] = set()

    def run(self, name: str, arguments: Sequence[str], report: Report, *, aloud: bool) -> None:
        """Run a script to its end and keep what it prints; where it may speak aloud, show it at once."""
        began = time.perf_counter()
        command = [sys.executable, str(Path(__file__).with_name(f"{name}.py")), *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as process:
            self._running.add(process)
            assert process.stdout is not None
            for line in process.stdout:
                told = line.rstrip("\n")
                report.lines.append(goals.unjudged(told) if self._quick else told)
                if aloud:
                    print(report.lines[-1], flush=True)
        self._running.discard(process)
        report.seconds, report.well = time.perf_counter() - began, process.returncode == 0

    def stop(self) -> None:
        """Interrupt those that run, so that they tidy up."""
        for process in list(self._running):
            process.send_signal(signal.SIGINT)


def main() -> None:
    """Run them."""
    arguments = asked()
    machine, reports = described(), {name: Report() for name in PARTS if name in arguments.only}
    print(machine, flush=True)
    with stoppable(quick=arguments.quick) as scripts:
        alone = [name for name in reports if PARTS[name].alone]
        together = [name for name in reports if not PARTS[name].alone]
        if alone:
            print(f"\n# One after the other: {', '.join(alone)}", flush=True)
        for name in alone:
            print(f"\n## {PARTS[name].title}", flush=True)
            scripts.run(name, command_line(name, arguments), reports[name], aloud=True)
            print(f"\n({ended(name, reports[name])})", flush=True)
        if together:
            print(f"\n# Side by side, each shown when it has ended: {', '.join(together)}", flush=True)
            side_by_side(scripts, together, arguments, reports)
    found = [goal for report in reports.values() for goal in report.goals]
    table = goals.table(found)
    print("\n# Goals", *(map(goals.unjudged, table.splitlines()) if arguments.quick else [table]), sep="\n")
    if arguments.docs:
        write(reports, machine)
    if failed := [name for name, report in reports.items() if not report.well]:
        sys.exit(f"These did not come to their end: {', '.join(failed)}")


def asked() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="NAME", help=", ".join(PARTS))
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="do less of each")
    extent.add_argument("--thorough", action="store_true", help="do more of each, which takes hours")
    parser.add_argument("--docs", action="store_true", help="put tables and pictures into docs/")
    elsewhere = ", ".join(name for name, part in PARTS.items() if part.elsewhere)
    parser.add_argument("--url", help=f"another service for {elsewhere}, see `sweep.py -h`")
    arguments = parser.parse_args()
    if arguments.docs and (arguments.quick or arguments.url):
        parser.error("the figures in docs/ are those of a whole run here: --docs goes without --quick and --url")
    if arguments.docs:
        for name in ("goals", *PARTS):  # rather now than when all of it has been measured
            marked(name, PAGE.read_text(encoding="utf-8"))
    return arguments


def command_line(name: str, arguments: argparse.Namespace) -> list[str]:
    """Return what a script is asked for."""
    part = PARTS[name]
    extent = part.quickly if arguments.quick else (arguments.thorough and part.thoroughly) or part.usually
    more = ["--url", arguments.url] if arguments.url and part.elsewhere else []
    more += ["--plot", str(POLLING)] if arguments.docs and name == "polling" else []
    return [*extent.split(), *more]


def side_by_side(
    scripts: Scripts, names: Sequence[str], arguments: argparse.Namespace, reports: dict[str, Report]
) -> None:
    """Run scripts at the same time, and show what each has printed when it has ended."""
    with ThreadPoolExecutor(LANES) as lanes:
        running = {
            lanes.submit(scripts.run, name, command_line(name, arguments), reports[name], aloud=False): name
            for name in names
        }
        try:
            for done in as_completed(running):
                name = running[done]
                print(f"\n## {PARTS[name].title}", *reports[name].lines, "", sep="\n")
                print(f"({ended(name, reports[name])})", flush=True)
                done.result()
        except BaseException:
            lanes.shutdown(wait=False, cancel_futures=True)
            scripts.stop()
            raise


def ended(name: str, report: Report) -> str:
    """Say how a script ended."""
    return f"{name}.py {'took' if report.well else 'failed after'} {report.seconds:.0f} s"


@contextmanager
def stoppable(*, quick: bool) -> Iterator[Scripts]:
    """Give what runs scripts; a signal that ends this one ends them too."""
    scripts = Scripts(quick=quick)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    try:
        yield scripts
    finally:
        scripts.stop()


def described() -> str:
    """Describe the machine, the versions and the day."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [
        f"{os.cpu_count()} cores ({processor()})",
        f"{memory:.0f} GB of memory",
        f"{platform.system()} {platform.release().partition('-')[0]}",
        f"Python {platform.python_version()}",
        f"aiohttp {version('aiohttp')}",
    ]
    return f"{', '.join(parts)}, on {datetime.now(UTC):%Y-%m-%d}"


def processor() -> str:
    """Return the name of the processor, as Linux has it."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    named = re.search(r"(?m)^model name\s*:\s*(.+)$", told)
    return named[1] if named else platform.machine()


def write(reports: dict[str, Report], machine: str) -> None:
    """Put the tables of what came to its end into the page, and the goals into their picture too; the others stay."""
    page = PAGE.read_text(encoding="utf-8")
    well = {name: report for name, report in reports.items() if report.well}
    latest = {goal.what: goal for report in well.values() for goal in report.goals}
    if len(well) < len(PARTS):
        latest = {goal.what: goal for goal in map(goals.read, marked("goals", page)[0].splitlines()) if goal} | latest
    tables = {name: report.table for name, report in well.items()}
    tables["goals"] = f"{machine}.\n\n{goals.table(list(latest.values()))}"
    for name, table in tables.items():
        before, after = marked(name, page)[1:]
        page = f"{before}{table}\n{after}"
    PAGE.write_text(page, encoding="utf-8")
    PICTURE.write_text(goals.picture(list(latest.values()), machine), encoding="utf-8")


def marked(name: str, page: str) -> tuple[str, str, str]:
    """Return the part of the page that holds a script's table, and what stands before and behind it."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = page.partition(start)
    table, found, after = rest.partition(end)
    assert found, f"{PAGE} has no place for the table of {name}"
    return table, before + start, end + after


if __name__ == "__main__":
    main()
