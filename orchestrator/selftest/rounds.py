"""Rounds of runs in virtual time and of one that is killed, as many as there is time for."""

from __future__ import annotations

import math
import random
import shlex
import shutil
import tempfile
import textwrap
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from orchestrator.clock import Clock
from orchestrator.errors import RefusedError
from orchestrator.places import state_folder
from orchestrator.reporting import root
from orchestrator.selftest.killed import TASKS, sweep
from orchestrator.selftest.machine import machine
from orchestrator.selftest.verdict import Finding, Verdict, Violation
from orchestrator.simulation import Played, draw, play
from orchestrator.threads import in_thread

HISTORIES: Final = 200
"""How many there are in a round."""

CHOICE: Final = "TMPDIR"
"""The variable that says on which disk to try."""

COUNT_SECONDS: Final = 5.0
"""How often it is said how far a round has come."""

SEEDS: Final = 10**9
WIDTH: Final = 80
MARGIN: Final = " " * 9

Say = Callable[[str], None]


async def prove(
    seconds: float, seed: int | None, environment: Mapping[str, str], *, clock: Clock, say: Say | None = None
) -> Verdict:
    """Look at the machine, and go through rounds if it can be relied on.

    Args:
        seconds: For how long, 0 for one whole round; when they are over, no more histories of a round are played.
        seed: The first round's, from which all others follow; None draws it where there is time for several.
        environment: The variables of this process. No credentials of it are used.
        clock: Time.
        say: Is told what was found, line by line; None tells nobody.

    Raises:
        RefusedError: No folder can be made where temporary ones belong.
    """
    first = seed if seed is not None else random.SystemRandom().randrange(SEEDS) if seconds else 0
    began = clock.monotonic()
    rounds = Rounds(environment, clock, say or _to_nobody, began + seconds if seconds else math.inf)
    await rounds.look_at_machine()
    for each in _seeds(first) if not rounds.violations else ():
        await rounds.go_through(each)
        if clock.monotonic() - began >= seconds:
            break
    return Verdict(first, clock.monotonic() - began, rounds.counts, tuple(rounds.violations))


def _to_nobody(_: str) -> None:
    """Say nothing."""


def _seeds(first: int) -> Iterator[int]:
    """Yield the seeds of the rounds."""
    yield first
    dice = random.Random(first)  # noqa: S311 - chooses misfortunes
    while True:
        yield dice.randrange(SEEDS)


class Rounds:
    """What is gone through, and what was seen on the way.

    Attributes:
        counts: How much was tried, see `Verdict`.
        violations: What did not hold.
    """

    def __init__(self, environment: Mapping[str, str], clock: Clock, say: Say, until: float) -> None:
        self.counts: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self._environment = environment
        self._clock = clock
        self._say = say
        self._until = until

    async def look_at_machine(self) -> None:
        """See `machine`."""
        async with self._folder() as folder:
            self._say(f"This machine, and the disk of {folder.parent}")
            self._found(await in_thread(lambda: list(machine(folder, state_folder(self._environment)))))
        if self.violations:
            self._say("No run is tried on a machine that cannot be relied on: mend this first.")

    async def go_through(self, seed: int) -> None:
        """Play histories, then kill a run."""
        self._say(f"Seed {seed}")
        await self._play(range(seed, seed + HISTORIES))
        again = f"{_chosen(self._environment)}orchestrator selftest --seed {seed}"
        async with self._folder() as folder:
            try:
                went = await sweep(seed, folder, self._environment, self._clock)
            except (OSError, ExceptionGroup) as error:
                if not isinstance(cause := root(error), OSError):
                    raise
                self._found([Finding(f"{folder} cannot hold a run: {cause.strerror or cause}", held=False)], again)
            else:
                self._found(went.findings(), again, folder)
                self.counts.update(tasks=TASKS, kills=len(went.killed))
        self.counts.update(rounds=1)

    async def _play(self, seeds: range) -> None:
        seen: Counter[str] = Counter()
        broken = len(self.violations)
        told_at = self._clock.monotonic()
        for seed in seeds:
            now = self._clock.monotonic()
            if seen and now >= self._until:
                break
            if now - told_at >= COUNT_SECONDS:
                told_at = now
                self._say(f"{MARGIN}{seen['histories']}/{len(seeds)} runs in virtual time")
            verdict = await in_thread(partial(_played, seed))
            seen.update(histories=1, starts=verdict.starts, payments=verdict.paid)
            if verdict.violation is not None:
                replay = f"python -m orchestrator.simulation --histories 1 --seed {seed}"
                self._found([Finding(f"history {seed}: {verdict.violation}", held=False)], replay)
        self.counts += seen
        if len(self.violations) == broken:
            said = (
                f"{seen['histories']} runs in virtual time, {seen['starts']:,} processes, {seen['payments']:,} payments"
            )
            self._found([Finding(said, held=True)])

    def _found(self, findings: Iterable[Finding], replay: str | None = None, kept: Path | None = None) -> None:
        """Say what was found, and of what did not hold how it can be tried again and what it left."""
        before = len(self.violations)
        for finding in findings:
            self._say(_line(finding))
            if not finding.held:
                self.violations.append(Violation(finding.said, replay, str(kept) if kept else None))
        if len(self.violations) > before:
            for said in (replay and f"Again: {replay}", kept and f"What it left: {kept}"):
                if said:
                    self._say(f"{MARGIN}{said}")

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[Path]:
        """Give an empty folder, which goes again unless it shows how something failed."""
        folder = await in_thread(lambda: _made(self._environment))
        try:
            yield folder
        finally:
            if str(folder) not in {violation.folder for violation in self.violations}:
                with anyio.CancelScope(shield=True):
                    await in_thread(partial(shutil.rmtree, folder, ignore_errors=True))


def _made(environment: Mapping[str, str]) -> Path:
    """Make an empty folder where `TMPDIR` says, and nowhere else: to try another disk would prove nothing.

    Raises:
        RefusedError: It cannot be made.
    """
    chosen = environment.get(CHOICE)
    try:
        return Path(tempfile.mkdtemp(prefix="orchestrator-selftest-", dir=Path(chosen).resolve() if chosen else None))
    except OSError as error:
        place = f"{CHOICE}={chosen}" if chosen else "the folder of temporary files"
        raise RefusedError(
            f"selftest cannot make a folder in {place}: {error.strerror or error}. Let {CHOICE} name a folder that is"
            " there and can be written, on the disk to be tried."
        ) from error


def _chosen(environment: Mapping[str, str]) -> str:
    """Return what has to stand before a command for it to try the same disk."""
    chosen = environment.get(CHOICE)
    return f"{CHOICE}={shlex.quote(chosen)} " if chosen else ""


def _played(seed: int) -> Played:
    return play(draw(seed))


def _line(finding: Finding) -> str:
    return textwrap.fill(
        finding.said,
        WIDTH,
        initial_indent="  holds  " if finding.held else "  FAILS  ",
        subsequent_indent=MARGIN,
        break_long_words=False,
        break_on_hyphens=False,
    )
