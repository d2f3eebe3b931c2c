"""Every benchmark, one after the other: each prints its table, and at the end all goals stand in one.

    python benchmarks/all.py

Takes about an hour on two cores that have nothing else to do. `--only` names some of them, `--quick` does less of each,
which tells whether all of it works and not much more. `--docs` puts the goals' table and the pictures into docs/.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import goals
from goals import Goal

DOCS = Path(__file__).parents[1] / "docs"
PAGE, PICTURE, POLLING = DOCS / "benchmarks.md", DOCS / "goals.svg", DOCS / "polling.svg"
SCRIPTS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "sweep": ("A whole sweep", ("--tasks", "2000", "--rounds", "5"), ("--tasks", "200", "--rounds", "1")),
    "polling": ("Looking at tasks", (), ("--tasks", "200", "--runs", "1")),
    "hints": ("Told by the service", ("--tasks", "200"), ("--tasks", "50", "--only", "the socket")),
    "limits": ("Limits", ("--tasks", "600"), ("--tasks", "150")),
    "memory": ("Memory", (), ("--tasks", "200", "400")),
    "start": ("The first submit", (), ("--tasks", "100000", "--rounds", "1")),
    "plan": ("A plan of a million tasks", (), ("--lines", "20000")),
    "downloads": ("Big files", (), ("--rounds", "1")),
    "export": ("A table of 100,000 tasks", (), ()),
    "kills": ("Kills", (), ("--tasks", "100", "--kills", "3")),
}
"""Their titles, what they are asked for, and what for a quick look."""

ELSEWHERE = {"sweep", "memory", "start"}
"""Those that can be run against another service."""

MARKED = re.compile(r"(?<=<!-- goals -->\n).*?(?=<!-- /goals -->)", re.DOTALL)
"""The part of the page that `--docs` writes anew."""


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS), metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="do less of each")
    parser.add_argument("--docs", action="store_true", help="write goals and pictures into docs/")
    parser.add_argument("--url", help=f"another service for {', '.join(sorted(ELSEWHERE))}, see `sweep.py -h`")
    arguments = parser.parse_args()
    machine, found, failed = described(), list[Goal](), list[str]()
    print(machine, flush=True)
    for name in arguments.only:
        title, asked, quickly = SCRIPTS[name]
        print(f"\n## {title}", flush=True)
        more = ["--url", arguments.url] if arguments.url and name in ELSEWHERE else []
        more += ["--plot", str(POLLING)] if arguments.docs and name == "polling" else []
        if not run([f"{name}.py", *(quickly if arguments.quick else asked), *more], found):
            failed.append(name)
    print(f"\n## Goals\n{goals.table(found)}")
    if arguments.docs:
        write(found, machine, keeps=len(arguments.only) < len(SCRIPTS))
    if failed:
        sys.exit(f"These did not come to their end: {', '.join(failed)}")


def run(command: Sequence[str], found: list[Goal]) -> bool:
    """Run a script, show what it prints, add its goals to those that were found; return whether it came to its end."""
    script, *arguments = command
    path = Path(__file__).with_name(script)
    with subprocess.Popen([sys.executable, str(path), *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            goal = goals.read(line)
            if goal is not None:
                found.append(goal)
    return process.returncode == 0


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


def write(found: Sequence[Goal], machine: str, *, keeps: bool) -> None:
    """Put goals into the page and the picture; `keeps` says whether what was not measured now stays as it stands."""
    page = PAGE.read_text(encoding="utf-8")
    standing = [goals.read(line) for line in MARKED.findall(page)[0].splitlines()]
    by_name = {goal.what: goal for goal in (*(standing if keeps else ()), *found) if goal is not None}
    latest = list(by_name.values())
    PAGE.write_text(MARKED.sub(lambda _: f"{machine}.\n\n{goals.table(latest)}\n", page), encoding="utf-8")
    PICTURE.write_text(goals.picture(latest, machine), encoding="utf-8")


if __name__ == "__main__":
    main()
