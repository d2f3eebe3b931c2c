"""Keeping a share for as long as a run goes on, and keeping to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio

from orchestrator.clock import Clock
from orchestrator.engines.schedule import Schedule
from orchestrator.engines.slots import Slots
from orchestrator.errors import StoppedError
from orchestrator.lane.file import LaneError
from orchestrator.lane.pool import LEASE_SECONDS, Pool, Share
from orchestrator.threads import Hop

RENEW_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 30.0
"""How long the lane's file may not be writable before the run stops."""

PLENTY: Final = 1_000_000


@dataclass(slots=True)
class Lease:
    """A run's share of something that all runs of its lane have together.

    Attributes:
        holder: Whose it is; a process that goes on in the place of one that was killed takes over what that one had.
        cap: Gives the limit for all together as far as this run knows one by now.
        wanted: How much the run could use.
        least: How much it cannot give back just now, and leaves in use for a while where it ends.
        keep_to: Told of each share, and of the monotonic moment until which it holds: the run uses no more from then
            on.
    """

    pool: Pool
    holder: str
    cap: Callable[[], float | None]
    wanted: Callable[[], int]
    least: Callable[[], int]
    keep_to: Callable[[Share, float], None]
    clock: Clock
    hop: Hop
    _units: int | None = None

    async def renew(self) -> None:
        """Take what is due to the run, and give back what is not.

        Raises:
            LaneError: The lane's file cannot be written.
        """
        while True:
            until = self.clock.monotonic() + LEASE_SECONDS
            share = await self._ask()
            self.keep_to(share, until)
            before, after = self._units, _whole(share, self.least())
            self._units = after
            if before is not None and after >= before:
                return

    async def _ask(self) -> Share:
        ask = partial(
            self.pool.renew, self.holder, self.cap(), using=self._units, wanted=self.wanted(), active=self.least()
        )
        return await self.hop(lambda: ask(now=self.clock.now()))  # not sooner: a run that stood still tells no old time

    async def keep(self) -> None:
        """Renew it again and again.

        Raises:
            StoppedError: The lane's file cannot be written for long.
        """
        fine_at = self.clock.monotonic()
        while True:
            await self.clock.sleep(RENEW_SECONDS)
            try:
                await self.renew()
                fine_at = self.clock.monotonic()
            except LaneError as error:
                if self.clock.monotonic() - fine_at > PATIENCE_SECONDS:
                    raise StoppedError(
                        f"Limits cannot be shared with other runs that use the same key ({error})."
                        " Fix the cause and run the same command again."
                    ) from error

    async def give_back(self) -> None:
        """Give all of it back that is not in use, if that can be written down; otherwise it lapses."""
        with anyio.CancelScope(shield=True):
            try:
                await self.hop(partial(self.pool.leave, self.holder, self.clock.now(), self.least()))
            except LaneError:
                return


def calls_lease(
    pool: Pool, holder: str, schedule: Schedule, calls_per_second: float, *, clock: Clock, hop: Hop
) -> Lease:
    """Return the lease of a run's share of the calls in a second; it is kept to by the schedule."""

    def keep_to(share: Share, until: float) -> None:
        schedule.change(share.cap if share.is_all else share.units, until)

    return Lease(pool, holder, lambda: calls_per_second, lambda: PLENTY, lambda: 0, keep_to, clock, hop)


def places_lease(pool: Pool, holder: str, slots: Slots, *, clock: Clock, hop: Hop) -> Lease:
    """Return the lease of a run's share of the tasks that may be active at once."""

    def cap() -> float | None:
        known = slots.capacity.of_all(clock.monotonic())
        return None if math.isinf(known) else known

    def wanted() -> int:
        return PLENTY if slots.sought else slots.active

    def keep_to(share: Share, until: float) -> None:
        slots.allow(share.units, until)

    return Lease(pool, holder, cap, wanted, lambda: slots.active, keep_to, clock, hop)


def _whole(share: Share, least: int) -> int:
    return least if math.isinf(share.units) else max(int(share.units), least)
