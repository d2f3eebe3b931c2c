"""What outlives a process: time, the service, the disk, the list of misfortunes, and the story so far."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import anyio.lowlevel

from orchestrator.clock import VirtualClock
from orchestrator.runs import RunFolder
from orchestrator.simulation.disk import Disk
from orchestrator.simulation.history import Event, History, chance
from orchestrator.simulation.service import Service

BEGAN_AT: Final = 1_800_000_000.0
TIMEOUT_SECONDS: Final = 60.0
"""How long the client waits for a reply, as the real one does."""

TIMED: Final = frozenset({"hour interrupt", "hour hurry", "hour cancel", "hour kill", "clock jumps"})
"""What befalls a process, or the clock, at a moment; other hours are weather, and the service knows them."""

SKEW_SECONDS: Final = 3600.0
ECHO_SECONDS: Final = 60.0
"""For how long after a misfortune whoever has met it may wait before trying again."""

HOURS_SECONDS: Final = {"outage": ECHO_SECONDS, "storm": 400.0}
"""The same for hours; after many 429s the next call may come five minutes later, and the others slowly."""

MOST_TURNS: Final = 8
"""How many turns others may get until a process that is hurried goes on: its end then meets it here or there."""


class World:
    """One history on its way.

    Attributes:
        clock: Of the process that is alive; its monotonic face tells the true time.
        dead: Whether the process has been killed: nothing that it still does leaves a trace.
        unplugged: Whether the machine went down with it: what the ledger had not promised to be on the disk is lost.
        violation: The first promise that was broken, in words.
        hurry: Asks the process to end at once, as a user does who presses Ctrl-C twice.
        steps: How many steps processes have taken: commits, requests, replies, files.
        coming: What comes at a moment, the next first.
        disk: What outlasts a power cut; None where none comes.
        story: What has happened, for people to read, each with its time.
    """

    def __init__(
        self, history: History, folder: RunFolder, service: Callable[[History, float], Service] = Service
    ) -> None:
        self.history = history
        self.folder = folder
        self.clock = VirtualClock(BEGAN_AT)
        self.service = service(history, BEGAN_AT)
        self.dead = self.unplugged = False
        self.violation: str | None = None
        self.steps = 0
        self.story: list[tuple[float, str]] = []
        self.hurry: Callable[[], None] = lambda: None
        self.coming = sorted((event for event in history.events if event.what in TIMED), key=lambda event: event.at)
        self.disk = Disk(folder.path) if any(event.kind == "unplugged" for event in history.events) else None
        self._calm_from = 0.0
        self._died_at: float | None = None
        self._jumped = 0.0
        self._counts: Counter[str] = Counter()
        self._by_number: Mapping[tuple[str, int], Event] = {
            (_place(event), event.number): event for event in history.events if event.number
        }

    def now(self) -> float:
        """Return the true time."""
        return self.clock.monotonic() if self._died_at is None else self._died_at

    def passed(self) -> float:
        """Return the seconds since the beginning."""
        return self.now() - BEGAN_AT

    def tell(self, what: str) -> None:
        """Go on with the story."""
        self.story.append((self.passed(), what))

    def rest(self, seconds: float) -> None:
        """Let time pass without a process, and get a clock for the next one."""
        self.clock = VirtualClock(self.now() + seconds)
        self.clock.jump(self._jumped)
        self.dead = self.unplugged = False
        self._died_at = None

    def jump(self, seconds: float) -> None:
        """Set the wall clock."""
        self._jumped += seconds
        self.clock.jump(seconds)

    def befalls(self, victim: str) -> Event | None:
        """Count one more of these, and return what befalls it."""
        self._counts[victim] += 1
        event = self._by_number.get((victim, self._counts[victim]))
        if event is not None:
            self.tell(event.what)
            self._calm_from = max(self._calm_from, self.now() + ECHO_SECONDS + _held_seconds(event))
        return event

    def held(self, seconds: float) -> None:
        """Nobody may call for so long."""
        self._calm_from = max(self._calm_from, self.now() + seconds + ECHO_SECONDS)

    def calm_from(self) -> float:
        """Return the moment from which on no misfortune that has come, nor a wait for it to pass, is in the way."""
        hours = (event for event in self.history.events if event.victim == "hour" and event.at <= self.passed())
        ends = (BEGAN_AT + event.at + event.seconds + HOURS_SECONDS.get(event.kind, 0.0) for event in hours)
        return max(self._calm_from, *ends, 0.0)

    def weather(self, kind: str) -> bool:
        """Return whether it is such an hour."""
        passed = self.passed()
        return any(
            event.what == f"hour {kind}" and event.at <= passed < event.at + event.seconds
            for event in self.history.events
        )

    def chance(self, *key: object) -> float:
        """Return a number from 0 up to 1 for the next of these."""
        self._counts[f"chance {key}"] += 1
        return chance(self.history.seed, key, self._counts[f"chance {key}"])

    async def step(self, what: str) -> None:
        """Take a step, if the process lives to take it."""
        if not self.dead:
            self.steps += 1
            self.tell(what)
            event = self._by_number.get(("process", self.steps))
            if event is None:
                return
            if event.kind == "hurried":
                self.tell(event.what)
                await self.hurried()
                return
            self.die(event)
        await asyncio.get_running_loop().create_future()

    async def hurried(self) -> None:
        """Ask the process to end at once, and go on for some turns."""
        self.hurry()
        for _ in range(int(MOST_TURNS * self.chance("turns"))):
            await anyio.lowlevel.checkpoint()

    def die(self, event: Event) -> None:
        """Kill the process."""
        self.tell(event.what)
        self.unplugged = event.kind == "unplugged"
        self._jumped += SKEW_SECONDS if event.kind == "skewed" else 0.0
        self._stop()

    def violate(self, what: str) -> None:
        """A promise is broken: nothing more is to happen."""
        if self.violation is None:
            self.violation = what
            self.tell(f"VIOLATION: {what}")
        self._stop()

    def _stop(self) -> None:
        self.dead = True
        self._died_at = self.now()
        try:
            asyncio.get_running_loop().stop()
        except RuntimeError:
            return  # between two processes there is nothing to stop


def _place(event: Event) -> str:
    """Return what is counted until it befalls."""
    return event.what if event.victim == "disk" else event.victim


def _held_seconds(event: Event) -> float:
    """Return for how long a call of ours is held up."""
    if event.what == "run late":
        return TIMEOUT_SECONDS + event.seconds
    return event.seconds if event.what in {"run slow", "list slow"} else 0.0
