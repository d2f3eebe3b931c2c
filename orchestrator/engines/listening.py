"""Hints that a task has ended, from the socket or a callback: who listens, and what a hint is worth.

A hint only moves a look forward, and only a look tells what is so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from typing import Final, Protocol

import anyio
import anyio.abc

from orchestrator.clock import Clock
from orchestrator.engines.trust import Trust
from orchestrator.lifecycle import Record
from orchestrator.logs import Log
from orchestrator.steps.outcomes import delays
from orchestrator.tasks import Parameters
from orchestrator.wiro import Event

CONNECTIONS: Final = 100
"""How many tasks are listened for at once; the others are looked at as if there were no socket."""

LONGEST_PAUSE_SECONDS: Final = 60.0
SILENCE_SECONDS: Final = 3.0
"""A connection that has said nothing of a task for so long, until its end, says nothing."""

STEADY_SECONDS: Final = 30.0
"""A connection that has told something and lasted so long has done its part: servers close old ones now and then."""

HINTS: Final = 2
"""So many hints of one task are heeded at most."""

LOOKS: Final = (0.0, 1.0)
"""Seconds before each look that a hint brings forward: what the socket knows the API may learn a moment later."""


class Listen(Protocol):
    """Listens for one task, see `orchestrator.wiro.Socket.listen`."""

    def __call__(self, token: str, *, opened: Callable[[], None], tell: Callable[[Event], None]) -> Awaitable[str]:
        """See there."""


@dataclass(slots=True, eq=False)
class Ear:
    """What is heard of one task.

    Attributes:
        changed: Called where its next look belongs elsewhere than before.
        expecting: Whether its end may be expected to be told.
        progress: The share of it that is done, 0 to 1, where that is known.
        silent_since: Since when a connection stands that has said nothing, in monotonic seconds.
        heard_at: When it was last said to be under way, in monotonic seconds.
        told_at: When a hint has said that it has ended, which no look has refuted, in monotonic seconds.
    """

    changed: Callable[[], None]
    expecting: bool = False
    progress: float | None = None
    silent_since: float | None = None
    heard_at: float | None = None
    told_at: float | None = None
    _looks: tuple[float, ...] = ()
    _hints: int = HINTS

    @property
    def wait_seconds(self) -> float | None:
        """How long to wait before the look that a hint asks for; None without one."""
        return self._looks[0] if self._looks else None

    def hint(self, now: float) -> None:
        """It is said to have ended."""
        if self._hints and self.told_at is None:
            self.told_at, self._looks = now, LOOKS
            self._hints -= 1
            self.changed()

    def runs_on(self) -> bool:
        """A look has shown that it has not ended; return whether a hint is refuted by that."""
        self._looks = self._looks[1:]
        is_refuted = self.told_at is not None and not self._looks
        self.told_at = self.told_at if self._looks else None
        return is_refuted

    def heard(self, event: Event, now: float) -> None:
        """Something is said of it."""
        self.silent_since = None
        self.progress = self.progress if event.progress is None else event.progress
        self.expect(True)
        if event.ended:
            self.hint(now)
        else:
            self.heard_at = now

    def expect(self, expecting: bool) -> None:
        """Its end may be expected to be told, or may not any more."""
        if self.expecting is not expecting:
            self.expecting = expecting
            self.changed()


@dataclass(slots=True)
class Listener:
    """Listens for running tasks.

    Attributes:
        listen: Listens at the socket; None where there is none.
        address: Gives by a task's id what is sent along with it, so that the service calls back; None where nobody
            could take the call.
        insists: Whether the user is to be warned where the socket cannot be had.
    """

    clock: Clock
    random: Callable[[], float]
    log: Log
    listen: Listen | None = None
    address: Callable[[str], Parameters] | None = None
    insists: bool = False
    trust: Trust = field(default_factory=Trust)
    _ears: dict[str, Ear] = field(default_factory=dict)
    _room: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(CONNECTIONS))
    _group: anyio.abc.TaskGroup | None = None
    _lines: set[anyio.CancelScope] = field(default_factory=set)

    @property
    def progress(self) -> float | None:
        """The share that is done of the running tasks of which it is known, on average, 0 to 1; None without any."""
        known = [ear.progress for ear in self._ears.values() if ear.progress is not None]
        return fmean(known) if known else None

    def sent_along(self, task: str) -> Parameters:
        """Return what is sent along with a task so that the service tells of its end."""
        return {} if self.address is None else self.address(task)

    def called_back(self, task: str) -> None:
        """A call has come that says that a task has ended."""
        now = self.clock.monotonic()
        if task in self._ears and not self.trust.rests(now):
            self._ears[task].hint(now)

    def patience(self, ear: Ear) -> float:
        """Return how many times dearer a look at a task is than if nobody listened for it."""
        return self.trust.patience if ear.expecting else 1.0

    async def run(self) -> None:
        """Keep the connections; runs until cancelled."""
        async with anyio.create_task_group() as self._group:
            await anyio.sleep_forever()

    @contextmanager
    def following(self, record: Record, changed: Callable[[], None]) -> Iterator[Ear]:
        """Listen for a running task while the block runs.

        Args:
            record: The task.
            changed: Called where its next look belongs elsewhere than before.
        """
        ear, scope = Ear(changed, expecting=self.address is not None), None
        self._ears[record.task.id] = ear
        if self.listen is not None and self._group is not None and record.sent.token is not None:
            scope = anyio.CancelScope()
            self._group.start_soon(self._follow, scope, self.listen, record.sent.token, ear)
        try:
            yield ear
        finally:
            del self._ears[record.task.id]
            if scope is not None:
                scope.cancel()

    def runs_on(self, ear: Ear, progress: float | None) -> None:
        """A look has shown that a task runs on, and how much of it is done where it tells."""
        ear.progress = ear.progress if progress is None else progress
        if ear.runs_on():
            self._struck("it reported tasks as ended that were still running")

    def ended(self, ear: Ear) -> None:
        """A look has shown that a task has ended."""
        if ear.told_at is not None:
            self.trust.kept()
        elif ear.expecting:
            before = self.trust.patience
            self.trust.missed()
            if self.trust.patience < before:  # what was put off for the hints' sake is to be considered anew
                for other in self._ears.values():
                    if other.expecting:
                        other.changed()
        elif ear.silent_since is not None and self.clock.monotonic() - ear.silent_since > SILENCE_SECONDS:
            self._struck("it says nothing")

    async def _follow(self, scope: anyio.CancelScope, listen: Listen, token: str, ear: Ear) -> None:
        now = self.clock.monotonic

        def opened() -> None:
            ear.silent_since = now()

        def heard(event: Event) -> None:
            ear.heard(event, now())

        with scope:
            async with self._room:
                for pause in delays(self.random, first=1.0, most=LONGEST_PAUSE_SECONDS):
                    await self.clock.sleep(self.trust.rests_until - now())
                    began_at = now()
                    why = await self._until_cut(listen(token, opened=opened, tell=heard))
                    if not (ear.expecting and now() - began_at > STEADY_SECONDS):
                        self._struck(why)
                    ear.silent_since = None
                    ear.expect(False)
                    await self.clock.sleep(pause)

    async def _until_cut(self, listening: Awaitable[str]) -> str:
        """Listen until that is over or nobody is to listen any more; return in plain words why."""
        with anyio.CancelScope() as line:
            self._lines.add(line)
            try:
                return await listening
            finally:
                self._lines.remove(line)
        return "it was left alone"

    def _struck(self, why: str) -> None:
        """Hints have disappointed; where that was once too often, hang up on all and say so."""
        if self.trust.struck(self.clock.monotonic()) and self.listen is not None:
            for line in self._lines:
                line.cancel()
            tell = self.log.warning if self.insists else self.log.info
            tell("the socket is not used for a while, and tasks are polled without it", why=why)
