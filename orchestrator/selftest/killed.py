"""A real run on the emulated service, killed again and again, and gone on with until it is done."""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import Process

from orchestrator.clock import Clock
from orchestrator.commands import profiles
from orchestrator.emulator import Emulator, Profile
from orchestrator.errors import Exit
from orchestrator.selftest.books import Count, Expected, compare
from orchestrator.selftest.verdict import Finding
from orchestrator.threads import in_thread

SERVICES: Final = ("flaky", "storm", "hostile")
"""The profiles that rounds go through, in turn by their seeds."""

TASKS: Final = 40
KILLS: Final = 4
CONCURRENCY: Final = 8
PICTURE_BYTES: Final = 20_000
PRICE_USD: Final = Decimal("0.0035")
"""What the emulated model costs for one output."""

MOST_STARTS: Final = 12
"""A run that has stopped early this often, each time to be gone on with, never comes to an end."""

LONGEST_SECONDS: Final = 180.0
LOOK_SECONDS: Final = 0.02
DONE: Final = f"exit code {Exit.DONE:d}"
ENDS: Final = (DONE, f"exit code {Exit.SOME_FAILED:d}")
"""How a process ends that has left nothing to do."""

JOB: Final = {
    "name": "selftest",
    "model": "Hevok/Studio-Trigger",
    "parameters": {"prompt": "a lighthouse at dusk", "samples": 1},
    "sweep": {"seed": {"from": 1, "to": TASKS, "step": 1}},
    "limits": {
        "requests_per_second": 40,
        "concurrency": CONCURRENCY,
        "budget_usd": float(TASKS * PRICE_USD),
        "settle_after": "5s",  # the profiles' lists lag for three
    },
    "retry": {"attempts": 9},
}


@dataclass(frozen=True, slots=True)
class Sweep:
    """How it went.

    Attributes:
        service: The name of the profile.
        killed: How many tasks the service had accepted at each kill.
        ended: How the last process ended.
        said: The last line that it printed.
        counts: What was compared afterwards; nothing where it had not come to its end.
    """

    service: str
    killed: tuple[int, ...]
    ended: str
    said: str
    counts: tuple[Count, ...]

    def findings(self) -> Iterator[Finding]:
        """Say how it went: in short where all of it held, else all that did not."""
        after = f" (after {', '.join(map(str, self.killed))} were accepted)" if self.killed else ""
        said = f"{TASKS} tasks on a service like `{self.service}`, killed {len(self.killed)} times{after}"
        words = f", and it said: {self.said}" if self.said else ""
        yield Finding(said if self.ended == DONE else f"{said}: {self.ended}{words}", self.ended == DONE)
        wrong = [count for count in self.counts if not count.held]
        for count in wrong:
            yield Finding(f"{count.what}: {count.found}, and not {count.wanted}", held=False)
        if self.counts and not wrong:
            said = (
                f"{len(self.counts)} comparisons of the service's books, the ledger, the manifest and the files agree"
            )
            yield Finding(said, held=True)


async def sweep(seed: int, folder: Path, environment: Mapping[str, str], clock: Clock) -> Sweep:
    """Run, kill, run to the end, compare.

    Args:
        seed: Chooses the profile, what goes wrong, and the moments of the kills.
        folder: An empty folder; nothing is written outside it.
        environment: What processes are started with, except for settings of ours.
        clock: Time.
    """
    dice = random.Random(seed)  # noqa: S311 - chooses moments
    name = SERVICES[seed % len(SERVICES)]
    profile = replace(
        await in_thread(partial(profiles.load, name)),
        api_key=secrets.token_hex(16),
        api_secret=secrets.token_hex(16),
        balance_usd=Decimal(10**6),
        run_seconds_median=0.3,
        plain_bytes=PICTURE_BYTES,
        seed=seed,
    )
    async with Emulator(profile) as service:
        led = await in_thread(partial(_environment, environment, folder, profile, service.base_url))
        runner = Runner(folder, led, clock)
        await in_thread(partial(runner.job.write_text, json.dumps(JOB), encoding="utf-8"))
        killed: list[int] = []
        for number in range(KILLS):
            enough = int(TASKS * (number + dice.random()) / KILLS)
            if await runner.kill(service, enough, dice.uniform(0.0, 0.5)):
                killed.append(len(service.stats.accepted))
        ended = await runner.finish()
        counts: tuple[Count, ...] = ()
        if ended in ENDS:
            keys = (profile.api_key, profile.api_secret or "")
            wanted = Expected(TASKS, TASKS * PRICE_USD, CONCURRENCY, PICTURE_BYTES, keys)
            stats, active = service.stats, service.active
            counts = await in_thread(lambda: tuple(compare(runner.out, stats, active, wanted)))
        said = await in_thread(runner.last_words)
    return Sweep(name, tuple(killed), ended, said, counts)


class Runner:
    """Starts the command line in processes of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str], clock: Clock) -> None:
        self.job, self.out = folder / "job.yaml", folder / "run"
        self._said = folder / "said.txt"
        self._environment = environment
        self._clock = clock

    async def kill(self, service: Emulator, accepted: int, seconds: float) -> bool:
        """Start a process, and kill it so long after so many tasks were accepted; return whether it was alive then."""
        async with self._started() as process:
            await self._wait(process, lambda: len(service.stats.accepted) >= accepted)
            await self._clock.sleep(seconds)
            return process.returncode is None

    async def finish(self) -> str:
        """Start processes until one has done all there is to do; return how the last one ended."""
        ended = ""
        for _ in range(MOST_STARTS):
            async with self._started() as process:
                await self._wait(process, lambda: False)
                code = process.returncode
            ended = f"a process went on for {LONGEST_SECONDS:.0f} s" if code is None else f"exit code {code}"
            if code != Exit.STOPPED:
                break
        return ended

    def last_words(self) -> str:
        """Return the last line that a process has printed, empty where none has; it blocks."""
        lines = self._said.read_text("utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    async def _wait(self, process: Process, moment: Callable[[], bool]) -> None:
        """Wait for a moment, or for the end of a process, but not for ever."""
        until = self._clock.monotonic() + LONGEST_SECONDS
        while process.returncode is None and not moment() and self._clock.monotonic() < until:
            await self._clock.sleep(LOOK_SECONDS)

    @asynccontextmanager
    async def _started(self) -> AsyncIterator[Process]:
        """Give a process, which is killed (SIGKILL; on Windows TerminateProcess) when the block ends."""
        command = [sys.executable, "-m", "orchestrator", "run", str(self.job), "--out", str(self.out)]
        said = await in_thread(partial(self._said.open, "ab"))
        try:
            process = await anyio.open_process(
                [*command, "--progress", "off"],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=self._environment,
            )
            try:
                yield process
            finally:
                with anyio.CancelScope(shield=True):
                    if process.returncode is None:
                        process.kill()
                    await process.wait()
        finally:
            said.close()


def _environment(given: Mapping[str, str], folder: Path, profile: Profile, base_url: str) -> dict[str, str]:
    """Return an environment that leads to the emulator, and to no folder but this one."""
    return {
        **{name: value for name, value in given.items() if not name.startswith("WIRO_")},
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP", "ORCHESTRATOR_HOME"), str(folder)),
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),  # where this process has its modules from
        "WIRO_API_KEY": profile.api_key,
        "WIRO_API_SECRET": profile.api_secret or "",
        "WIRO_BASE_URL": base_url,
    }
