"""What goes on beside a run: where it stands is shown and written down, and whether it is to be cancelled is heard."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Final

from orchestrator.commands.status import concerns
from orchestrator.commands.workshop import Workshop
from orchestrator.ledger import Fact, SqliteLedger
from orchestrator.lifecycle import FINAL, State
from orchestrator.money import FREE
from orchestrator.output.manifest import moment
from orchestrator.status import Status, status

MOST_UNSURE: Final = 3
"""How many tasks have to end before the time that is left is guessed from them."""


@dataclass(slots=True)
class Estimate:
    """How long what is left will take, by how quickly tasks have ended so far.

    After the latest end it runs down with the time that passes: a run in which nothing ends any more does not come to
    take longer and longer, it comes to take nobody knows how long.

    Attributes:
        began_at: Monotonic seconds.
        ended: How many tasks had ended when it was last looked.
        ended_at: When the latest of them did, monotonic seconds.
    """

    began_at: float
    ended: int = 0
    ended_at: float = 0.0

    def seconds(self, ended: int, left: int, now: float) -> float | None:
        """Return the seconds that `left` tasks will take after `ended` have ended, None where there is no telling."""
        if ended != self.ended:
            self.ended, self.ended_at = ended, now
        if ended < MOST_UNSURE:
            return None
        seconds = (self.ended_at - self.began_at) / ended * left - (now - self.ended_at)
        return round(seconds, 1) if seconds > 0 else None if left > 0 else 0.0


@dataclass(slots=True)
class Countdown:
    """How long what is in doubt is still looked for, before it is sent again.

    Attributes:
        settle_after_seconds: How long each is.
        in_doubt: How many there were when it was last looked.
        until: When the latest of them is due, monotonic seconds.
    """

    settle_after_seconds: float
    in_doubt: int = 0
    until: float = 0.0

    def seconds(self, in_doubt: int, now: float) -> float | None:
        """Return the seconds until the latest is due, None where nothing is in doubt."""
        if in_doubt > self.in_doubt:
            self.until = now + self.settle_after_seconds
        self.in_doubt = in_doubt
        return round(max(0.0, self.until - now), 1) if in_doubt else None


@dataclass(slots=True)
class Heartbeat:
    """Beats while a run goes on.

    Attributes:
        show: Shown where the run stands.
        seconds: How often.
    """

    shop: Workshop
    show: Callable[[Status], None]
    seconds: float
    _estimate: Estimate = field(init=False)
    _countdown: Countdown = field(init=False)
    _ended_before: int = field(init=False)
    _unmade: int = 0
    _paid_in_vain: tuple[int, Decimal] = (0, FREE)
    _concerns: tuple[bool, int] = (False, 0)

    def __post_init__(self) -> None:
        self._estimate = Estimate(self.shop.around.clock.monotonic())
        self._countdown = Countdown(self.shop.commission.limits.settle_after_seconds)
        self._ended_before = self._ended()

    async def run(self) -> None:
        """Beat until cancelled."""
        shop, clock, tasks = self.shop, self.shop.around.clock, self.shop.commission.job.total()
        written = 0.0
        while True:
            now = clock.monotonic()
            left = self._estimate.seconds(self._ended() - self._ended_before, tasks - self._ended(), now)
            doubts = self._countdown.seconds(shop.ledger.totals.in_doubt, now)
            told = self._tell(left, doubts, running=True)
            if now - written >= 2 * self.seconds:
                written = now
                await shop.ledger.state(
                    {
                        Fact.UPDATED_AT: repr(clock.now()),
                        Fact.SECONDS_LEFT: _held(told.seconds_left),
                        Fact.DOUBT_SECONDS_LEFT: _held(told.doubt_seconds_left),
                        Fact.PROGRESS: _held(told.progress),
                        Fact.WAITING: json.dumps([asdict(wait) for wait in told.waiting]) if told.waiting else None,
                    }
                )
                await self.hear()
                await self._look()
            await clock.sleep(self.seconds)

    async def hear(self) -> None:
        """Cancel the run if somebody has asked for that."""
        asked = await self.shop.ledger.read(lambda store: store.fact(Fact.CANCEL))
        if asked is not None and not self.shop.around.control.cancelling:
            self.shop.around.control.cancel()

    async def last(self) -> Status:
        """Show where the run stands at its end, and return it."""
        self._paid_in_vain = await self.shop.ledger.read(SqliteLedger.paid_in_vain)
        self._concerns = await self.shop.ledger.read(concerns)
        return self._tell(None, None, running=False)

    async def _look(self) -> None:
        """Take note of what concerns the user; what was paid in vain is added up where more tasks were not made."""
        self._concerns = await self.shop.ledger.read(concerns)
        counts = self.shop.ledger.totals.counts
        unmade = counts[State.FAILED] + counts[State.CANCELLED]
        if unmade != self._unmade:
            self._unmade = unmade
            self._paid_in_vain = await self.shop.ledger.read(SqliteLedger.paid_in_vain)

    def _tell(self, left: float | None, doubts: float | None, *, running: bool) -> Status:
        shop, around = self.shop, self.shop.around
        alone, undeleted = self._concerns
        found = status(
            shop.ledger.totals,
            tasks=shop.commission.job.total(),
            running=running,
            started_at=shop.started_at,
            updated_at=moment(around.clock.now()),
            seconds_left=left,
            progress=shop.listener.progress,
            doubt_seconds_left=doubts,
            paid_in_vain=self._paid_in_vain,
            waiting=around.control.delays.told(around.clock.monotonic()),
            undeleted=undeleted,
            alone=alone,
        )
        shop.page.show(found)
        self.show(found)
        return found

    def _ended(self) -> int:
        return self.shop.ledger.totals.kept(*FINAL)


def _held(number: float | None) -> str | None:
    """Return how a ledger keeps a number."""
    return None if number is None else repr(number)
