"""How many at once: the places on the service that tasks of ours hold, and how many there seem to be."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import anyio.lowlevel

from orchestrator.clock import Clock
from orchestrator.waiting import Turn

PROBE_SECONDS: Final = 30.0
LONGEST_PROBE_SECONDS: Final = 240.0
QUICKEST_PROBE_SECONDS: Final = 1.0
"""How long the bound holds before one more is tried beyond it: as a rule, at most and at least."""

DUE_PROBE_SECONDS: Final = 2.0
"""The same while the service names more than the bound: whoever has the rest may leave it at any moment."""

FIRST_PAUSE_SECONDS: Final = 1.0
FIRST_EMPTY_PAUSE_SECONDS: Final = 5.0
LONGEST_PAUSE_SECONDS: Final = 60.0
"""How long nothing is tried after others were found to have taken places, and with none of ours running."""

SAME: Final = 0.1
"""By which share a bound may differ from the one before and still prove it: what was active is not known exactly."""


class Capacity:
    """How many tasks may be active, from what the user says and what the service answers. Pure.

    Without a word from either there is no bound. A refusal sets the bound to what was active when it
    came. After `PROBE_SECONDS` without one the bound grows by one, and where that is accepted by two, four … more, a
    second apart: a place or two are found without many refusals, and many that became free soon after the first.
    Where trying one more is refused the next try is put off twice as long as this one was, for as long as the bound
    proves right. While the service names more than the bound others have the rest: that is tried for after
    `DUE_PROBE_SECONDS`, and with each task that is accepted the bound doubles. What other runs give up for this one is
    there at once. Where fewer are refused than the bound lets in, others take what ours leave: then nothing is
    tried for a while, longer each time until a task is accepted.

    Attributes:
        allowed: How many of those that several runs have together are this run's.
    """

    def __init__(self, most: int | None) -> None:
        self.allowed = math.inf
        self._until = math.inf
        self._most = math.inf if most is None else most
        self._learned = math.inf
        self._stated = math.inf
        self._stated_at = -math.inf
        self._shared = math.inf
        self._changed_at = -math.inf
        self._caution = self._patience = 1.0
        self._proved = self._found = 0.0
        self._step = 1
        self._not_before = -math.inf
        self._pause = 0.0

    @property
    def told(self) -> int | None:
        """How many tasks of the account may be active by the latest refusal that named it; None where none has."""
        return None if math.isinf(self._stated) else int(self._stated)

    def expect(self, units: int) -> None:
        """Begin with what an earlier run was told; as soon as so many are active one more is tried."""
        self._learned = self._found = units

    def allow(self, units: float, until: float) -> None:
        """So many of those that several runs have together are this run's from now on; at `until` that lapses.

        Where they are more than at any time since the latest refusal, and no more than it named, others have given
        them up: the bound, which was learned while these had them, grows by as many.
        """
        self._until = until
        if units == self.allowed:
            return
        self.allowed = units
        if math.isinf(self._stated):
            return
        share = min(units, self._stated)
        if math.isinf(self._shared):
            self._shared = share
        elif share > self._shared:
            self._learned += share - self._shared
            self._shared = share
            self._caution, self._patience = min(self._caution, 1.0), 1.0

    def room(self, active: int, now: float) -> bool:
        """Return whether one more may be submitted now, with `active` holding places."""
        if active >= self.allowed or now >= self._until:
            return False
        if active == 0 or now < self._not_before:
            return now >= self._not_before
        if active >= self._learned and now - self._changed_at >= self._probe_seconds:
            self._learned += self._step
            self._changed_at = now
            self._caution = min(self._caution, 1.0) / 2
        return active < min(self._most, self._learned)

    def fits(self, active: int, now: float) -> bool:
        """Return whether one more may be sent by what is known by now, whenever it was let in."""
        return active < min(self.allowed, self._most, self._learned) and self._not_before <= now < self._until

    def next_chance(self, active: int, now: float) -> float:
        """Return how many seconds later `room` may answer otherwise although no task has ended."""
        if active >= self.allowed or now >= self._until:
            return math.inf
        wait = self._not_before - now
        if wait > 0:
            return wait
        if active < self._most and self._learned < math.inf:
            return max(0.0, self._changed_at + self._probe_seconds - now) + 0.001
        return math.inf

    def of_all(self, now: float) -> float:
        """Return how many tasks of the whole account may be active as far as is known; infinite for any number.

        It is what the latest refusal that named a number said, and grows with the time that passed since, as the bound
        does, or with what was accepted beyond it: the account may allow more by now, and somebody has to try.
        """
        if math.isinf(self._stated):
            return self._most
        passed, grown, wait = now - self._stated_at, 0, PROBE_SECONDS
        while passed >= wait > QUICKEST_PROBE_SECONDS:
            passed, grown, wait = passed - wait, grown + 1, max(QUICKEST_PROBE_SECONDS, wait / 2)
        beyond = self._found + self._step if self._found > self._stated else 0.0
        return min(self._most, max(self._stated + grown + passed // wait, beyond))

    def accepted(self, active: int, now: float) -> None:
        """A task was accepted: whoever held the places before has left one.

        Args:
            active: Ours that hold places, this one counted.
            now: Monotonic seconds.
        """
        if self._pause > FIRST_PAUSE_SECONDS:  # nothing was tried for a while
            self._caution = self._patience = 1.0
        self._pause = 0.0
        if active < self._learned or active <= self._found or active == self._stated:
            return
        self._found = active
        if active < self._due < math.inf:
            self._learned = min(2 * self._learned, self._due)
        else:
            self._step *= 2
            self._caution = 0.0
        self._changed_at = now

    def refused(self, others_active: int, stated: int | None, now: float) -> None:
        """A submit was refused for want of a place, while `others_active` tasks of ours were active.

        Args:
            others_active: Ours that hold places, the refused one not counted.
            stated: The limit that the refusal names, if it does.
            now: Monotonic seconds.
        """
        bound = others_active if stated is None else min(others_active, stated)
        self._put_off(others_active, bound, now)
        if stated is not None:
            self._stated, self._stated_at = stated, now
        self._shared = self.allowed
        tried, self._learned = self._learned, max(1, bound)
        self._changed_at, self._step = now, 1
        more = self._learned - self._proved
        if abs(more) > SAME * self._proved and (more > 0 or not self._is_due):
            self._patience = 1.0
        elif tried > self._learned:
            self._patience = min(2 * self._patience, LONGEST_PROBE_SECONDS / DUE_PROBE_SECONDS)
        self._proved = self._found = self._learned
        self._caution = self._patience

    def _put_off(self, others_active: int, bound: int, now: float) -> None:
        """Ask for no place for a while, less and less often, if others take those that ours leave, or hold them all."""
        if others_active == 0:
            pause, longest = max(self._pause, FIRST_EMPTY_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS
        elif others_active == bound < self._proved and now >= self._not_before:
            pause, longest = self._pause, FIRST_EMPTY_PAUSE_SECONDS
        else:
            return
        self._not_before = now + pause
        self._pause = min(max(2 * pause, FIRST_PAUSE_SECONDS), longest)

    @property
    def _due(self) -> float:
        """How many the service names for the account, or this run's share of them; infinite where it names none."""
        return min(self.allowed, self._stated) if self._stated < math.inf else math.inf

    @property
    def _is_due(self) -> bool:
        """Whether clearly more than the bound was named for this run: others had the rest when it was learned."""
        return self._learned < (1 - SAME) * self._due < math.inf

    @property
    def _probe_seconds(self) -> float:
        """How long one more is not tried after the bound has changed."""
        first, longest = (
            (DUE_PROBE_SECONDS, LONGEST_PAUSE_SECONDS) if self._is_due else (PROBE_SECONDS, LONGEST_PROBE_SECONDS)
        )
        return min(max(QUICKEST_PROBE_SECONDS, first * self._caution), longest)


class Slots:
    """Hands out the places; those who wait are served in the order in which they came.

    Attributes:
        active: How many places are held.
        unsent: By how many of them for a request that is not on its way yet.
    """

    def __init__(self, capacity: Capacity, clock: Clock, active: int = 0) -> None:
        """Hand out places.

        Args:
            capacity: How many there are.
            clock: Time.
            active: How many are held from the start, by what an earlier process left: whoever shares them has to know.
        """
        self.capacity = capacity
        self.active = active
        self.unsent = 0
        self._clock = clock
        self._waiting: deque[Turn] = deque()
        self._changed = Turn()

    @property
    def sought(self) -> bool:
        """Whether somebody waits for a place."""
        return bool(self._waiting)

    def allow(self, units: float, until: float) -> None:
        """So many places are this run's until a moment; what is active beyond them stays until it has ended."""
        self.capacity.allow(units, until)
        self._changed.set()

    def take(self) -> None:
        """Count a task that is active already, whether there is room or not."""
        self.active += 1

    async def acquire(self) -> None:
        """Wait for a place."""
        if self.acquire_now():
            return
        turn = Turn()
        self._waiting.append(turn)
        try:
            if self._waiting[0] is not turn:
                await turn.wait()
                await anyio.lowlevel.checkpoint_if_cancelled()  # one who gives up takes no place
            while not self._room():
                self._changed = Turn() if self._changed.is_set() else self._changed
                await self._clock.wait(self._changed, self._until_next_chance())
            self.active += 1
        finally:
            self._waiting.remove(turn)
            if self._waiting:
                self._waiting[0].set()

    def acquire_now(self) -> bool:
        """Take a place where there is one and nobody waits for it; return whether that is so."""
        if self._waiting or not self._room():
            return False
        self.active += 1
        return True

    @contextmanager
    def sending(self) -> Iterator[Callable[[], bool]]:
        """Give what says, right before the request of one who holds a place leaves, whether it may still be used.

        Since the place was given out, the bound may have fallen, or others may have been found to hold every place.
        """
        sent = False

        def usable() -> bool:
            nonlocal sent
            active, now = self.active - self.unsent, self._clock.monotonic()
            if not sent and self.capacity.fits(active, now):
                sent = True
                self.unsent -= 1
            return sent

        self.unsent += 1
        try:
            yield usable
        finally:
            self.unsent -= not sent

    def release(self) -> None:
        """Give a place back."""
        self.active -= 1
        self._changed.set()

    def accepted(self) -> None:
        """The service has accepted the task of one who holds a place, and goes on holding it."""
        self.capacity.accepted(self.active - self.unsent, self._clock.monotonic())
        self._changed.set()

    def refused(self, stated: int | None) -> None:
        """The service has no place for the one who calls, who gives its own back hereby."""
        self.capacity.refused(self.active - self.unsent - 1, stated, self._clock.monotonic())
        self.release()

    def _room(self) -> bool:
        return self.capacity.room(self.active, self._clock.monotonic())

    def _until_next_chance(self) -> float:
        chance = self.capacity.next_chance(self.active, self._clock.monotonic())
        return chance if math.isinf(chance) else min(chance, LONGEST_PAUSE_SECONDS)
