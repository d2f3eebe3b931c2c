"""Play many histories, and show the smallest one that breaks a promise: `python -m orchestrator.simulation`."""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing.synchronize import Event

from orchestrator.simulation import Played, draw, play, shrink

CHUNK = 50
INTERRUPTED = 130
TOLD_EVERY_SECONDS = 30.0
SLOW_SECONDS = 60.0
"""After how long a history that is still being played is named: most take less than a second."""

COMMITS = frozenset({"commit begins", "commit ends"})
"""What most of a story says, and seldom what it is about: requests, tasks and misfortunes are."""

_over: Event | None = None
"""Says, in a process that plays, that no further history is wanted."""


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
        _tell("Interrupted.")
        return INTERRUPTED


def _report_on(options: argparse.Namespace) -> int:
    began = told_at = time.monotonic()
    played = starts = steps = paid = 0
    with closing(_played(range(options.seed, options.seed + options.histories), options.jobs)) as verdicts:
        for verdict in verdicts:
            played += 1
            starts, steps, paid = starts + verdict.starts, steps + verdict.steps, paid + verdict.paid
            if verdict.violation is not None:
                sys.stdout.write(_report(verdict))
                return 1
            if time.monotonic() - told_at >= TOLD_EVERY_SECONDS:
                told_at = time.monotonic()
                _tell(f"{played:,} of {options.histories:,} histories are played.")
    seconds = time.monotonic() - began
    sys.stdout.write(
        f"{played:,} histories in {seconds:.0f} s ({played / seconds:.0f} each second): {starts:,} processes,"
        f" {steps:,} steps, {paid:,} paid requests, and every promise kept.\n"
    )
    return 0


def _played(seeds: range, jobs: int) -> Generator[Played]:
    """Play them; whoever closes this waits for the histories at hand, and for no others."""
    if jobs == 1:
        yield from map(_play_seed, seeds)
        return
    over = multiprocessing.Event()
    with ProcessPoolExecutor(jobs, initializer=_begin, initargs=(over,)) as pool:
        try:
            yield from pool.map(_play_if_wanted, seeds, chunksize=CHUNK)
        finally:
            over.set()


def _begin(over: Event) -> None:
    """Begin a process that plays: interrupts are for the first one, which says when it is over."""
    global _over  # noqa: PLW0603 - a process of a pool is told no other way
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _over = over


def _play_if_wanted(seed: int) -> Played:
    if _over is not None and _over.is_set():
        raise InterruptedError
    return _play_seed(seed)


def _play_seed(seed: int) -> Played:
    slow = threading.Timer(SLOW_SECONDS, _tell, [f"Seed {seed} has been at work for {SLOW_SECONDS:.0f} s."])
    slow.daemon = True
    slow.start()
    try:
        return play(draw(seed))
    finally:
        slow.cancel()


def _tell(what: str) -> None:
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()


def _report(verdict: Played) -> str:
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
