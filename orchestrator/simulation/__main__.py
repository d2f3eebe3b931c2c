"""Play many histories, and show the smallest one that breaks a promise: `python -m orchestrator.simulation`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from orchestrator.simulation import Verdict, draw, play, shrink

CHUNK = 50
INTERRUPTED = 130
COMMITS = frozenset({"commit begins", "commit ends"})
"""What most of a story says, and seldom what it is about: requests, tasks and misfortunes are."""


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    reader = argparse.ArgumentParser(prog="python -m orchestrator.simulation", description=__doc__)
    reader.add_argument("--histories", type=_count, default=1000, help="how many to play")
    reader.add_argument("--seed", type=int, default=0, help="the first one's seed; the others follow")
    reader.add_argument("--jobs", type=_count, default=2, help="how many processes play them")
    return reader


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it has to be 1 or more")
    return number


def main() -> int:
    """Play what the command line asks for; return how the process is to exit."""
    options = parser().parse_args()
    try:
        return _report_on(options)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return INTERRUPTED


def _report_on(options: argparse.Namespace) -> int:
    began = time.monotonic()
    played = starts = steps = paid = 0
    for verdict in _played(range(options.seed, options.seed + options.histories), options.jobs):
        played += 1
        starts, steps, paid = starts + verdict.starts, steps + verdict.steps, paid + verdict.paid
        if verdict.violation is not None:
            sys.stdout.write(_report(verdict))
            return 1
    seconds = time.monotonic() - began
    sys.stdout.write(
        f"{played:,} histories in {seconds:.0f} s ({played / seconds:.0f} each second): {starts:,} processes,"
        f" {steps:,} steps, {paid:,} paid requests, and every promise kept.\n"
    )
    return 0


def _played(seeds: range, jobs: int) -> Iterator[Verdict]:
    if jobs == 1:
        yield from map(_play_seed, seeds)
        return
    with ProcessPoolExecutor(jobs, initializer=_leave_interrupts_to_the_first) as pool:
        yield from pool.map(_play_seed, seeds, chunksize=CHUNK)


def _leave_interrupts_to_the_first() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _play_seed(seed: int) -> Verdict:
    return play(draw(seed))


def _report(verdict: Verdict) -> str:
    """Return the story of a broken promise, as short as it can be told."""
    smallest = shrink(verdict.history, verdict.violation or "", lambda history: play(history).violation)
    again = play(smallest)
    story = "\n".join(f"{at:10.3f}  {what}" for at, what in _telling(again.story, again.violation or ""))
    said = f"Seed {verdict.history.seed}: {verdict.violation}\nThe smallest history that does it too:\n{smallest}\n"
    return f"{story}\n\n{said}"


def _telling(story: Iterable[tuple[float, str]], violation: str) -> Iterator[tuple[float, str]]:
    """Leave out of a story when each commit begins and ends, unless the violation is about what is committed."""
    of_commits = "ledger" in violation
    return (told for told in story if of_commits or told[1] not in COMMITS)


if __name__ == "__main__":
    sys.exit(main())
