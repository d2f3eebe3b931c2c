"""The round of looks: one timer for all tasks, no more looks than the limit on calls has room for, and their price."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from orchestrator.clock import Clock
from orchestrator.steps.calls import Calls
from orchestrator.waiting import Turn

PRICE_SECONDS: Final = 0.65
"""What a look costs where calls are not scarce, in seconds of lag: enough not to be rude."""

SCARCE: Final = 8.0
"""By how much of the time that calls wait for their turn a look gets dearer."""

SOUGHT, LEAST_SOUGHT = 0.2, 0.05
"""How much of its price a look costs while others wait for the places of tasks that may have ended: at first, and at
least, for where calls stand idle it costs less and less."""

CHEAPER: Final = 0.98
"""By this factor it does with each look that came when it was due, and dearer with each that came late."""

SHARE: Final = 0.8
"""The share of the allowed calls that looks may take; the rest is left to submits."""

JITTER: Final = 0.02
"""By this share of the wait at most a look comes later, so that tasks accepted together part."""

BURST_SECONDS: Final = 1.0
"""For how long looks that were not taken can be made up for."""

DEAR: Final = 2.0
"""When a look costs so many times less than it did, those that were planned while it was dear are to be sooner."""

NAP_SECONDS: Final = 5.0
DEAR_NAP_SECONDS: Final = 1.0
"""How often it is considered at least whether somebody is due: the second one where looks were planned while dear."""

LEAP_SECONDS: Final = 2.0
"""When the wall clock has gone so much further than the time that passed, the machine has slept."""


@dataclass(eq=False, slots=True)
class _Turn:
    """One task's wait: over when it is set, and granted where it was waited for to its end."""

    over: Turn = field(default_factory=Turn)
    granted: bool = False


class Rounds:
    """Wakes each task when its look is due."""

    def __init__(self, calls_per_second: float, calls: Calls, clock: Clock, random: Callable[[], float]) -> None:
        self._gap = 1 / (SHARE * calls_per_second)
        self._calls = calls
        self._clock = clock
        self._random = random
        self._order = itertools.count()
        self._due: list[tuple[float, int, _Turn]] = []
        self._turns: dict[str, _Turn] = {}
        self._sooner = Turn()
        self._next_at = -math.inf
        self._sought = SOUGHT
        self._dearest = PRICE_SECONDS
        self._ahead = clock.now() - clock.monotonic()

    def price(self, *, sought: bool = False, patience: float = 1.0) -> float:
        """Return what a look costs just now, in seconds of lag: it grows with the time that calls wait for their turn.

        Args:
            sought: Whether others wait for the places of tasks that may have ended: then calls are not to stand idle.
            patience: How many times dearer a look is since the task's end is likely to be told, 1 or more. The likelier
                that is, the less does it count that places are sought: looks find none that are not told of anyway.
        """
        price = PRICE_SECONDS + SCARCE * self._calls.wait_seconds
        self._dearest = max(self._dearest, price)
        return price * patience * (self._sought ** (1 / patience) if sought else 1)

    async def wait(self, seconds: float, task: str = "") -> bool:
        """Wait until a look that is due in so many seconds may be taken.

        Args:
            seconds: From now on.
            task: Who waits, see `hurry`.

        Returns:
            Whether it may; if not, it is to be considered anew when it is due.
        """
        seconds = max(0.0, seconds) * (1 + JITTER * self._random())
        turn = self._turns[task] = _Turn()
        heapq.heappush(self._due, (self._clock.monotonic() + seconds, next(self._order), turn))
        if self._due[0][2] is turn:
            self._sooner.set()
        try:
            await turn.over.wait()
        finally:
            turn.over.set()  # one that is given up must not take a look from the others when its moment comes
            if self._turns.get(task) is turn:
                del self._turns[task]
        return turn.granted

    def reconsider(self) -> None:
        """Let all who wait consider anew when their look is due."""
        for _, _, turn in self._due:
            turn.over.set()
        self._due.clear()
        self._dearest = PRICE_SECONDS

    def let_go(self) -> None:
        """Let all who wait look at once."""
        for _, _, turn in self._due:
            turn.granted = True
        self.reconsider()

    def hurry(self, task: str) -> None:
        """Let a task that waits consider anew when its look is due: there is news of it."""
        if task in self._turns:
            self._turns[task].over.set()

    async def run(self) -> None:
        """Wake whoever is due; runs until cancelled."""
        while True:
            self._sooner = Turn()
            wait = self._wake(self._clock.monotonic())
            if wait is None:
                await self._sooner.wait()
            else:
                nap = DEAR_NAP_SECONDS if self._dearest > DEAR * PRICE_SECONDS else NAP_SECONDS
                await self._clock.wait(self._sooner, min(wait, nap))

    def _wake(self, now: float) -> float | None:
        """Wake those whose turn has come, and return the seconds until the next one; None where nobody waits."""
        ahead = self._clock.now() - self._clock.monotonic()
        if ahead - self._ahead > LEAP_SECONDS:  # much may have ended while the machine slept
            self._due = [(now, order, turn) for _, order, turn in sorted(self._due)]
        self._ahead = ahead
        if self._dearest > DEAR * self.price():
            self.reconsider()
        while self._due:
            moment = max(self._due[0][0], self._next_at)
            if moment > now:
                return moment - now
            due, _, turn = heapq.heappop(self._due)
            if not turn.over.is_set():
                changed = self._sought * CHEAPER if now - due < self._gap else self._sought / CHEAPER
                self._sought = min(1.0, max(LEAST_SOUGHT, changed))
                turn.granted = True
                turn.over.set()
                self._next_at = max(self._next_at, now - BURST_SECONDS) + self._gap
        return None
