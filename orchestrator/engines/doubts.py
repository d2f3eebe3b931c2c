"""Tasks in doubt: gathered, looked up together, and let go on once it is certain what became of them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from orchestrator.clock import Clock
from orchestrator.engines.control import Control, Signal
from orchestrator.ledger import Ledger
from orchestrator.lifecycle import Record, State
from orchestrator.logs import Log
from orchestrator.steps.matching import newest_before
from orchestrator.steps.outcomes import Outcome, Stop, delays
from orchestrator.steps.settle import Doubt, Settler
from orchestrator.steps.submit import Frontier
from orchestrator.tasks import Parameters
from orchestrator.wording import many

FIRST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 15.0
LONGEST_REQUEST_SECONDS: Final = 80.0
"""From the intent to the end of the request: waiting for its turn, connecting, and the client's time-out."""

INSISTENCE_SECONDS: Final = 60.0
"""How long the list may fail before what is due is sent again without it, where the user wants that."""

PATIENCE_SECONDS: Final = 600.0
"""How long the run goes on for nothing but tasks in doubt that the service's list does not settle."""


class Doubts:
    """Every task whose request may have been accepted without our knowing."""

    def __init__(
        self,
        settler: Settler,
        *,
        frontier: Frontier,
        control: Control,
        ledger: Ledger,
        clock: Clock,
        random: Callable[[], float],
        log: Log,
        unproven_until: float = -math.inf,
    ) -> None:
        """Settle what is in doubt.

        Args:
            settler: Looks it up.
            frontier: The newest remote task known.
            control: Stops it.
            ledger: Where it is written down.
            clock: Time.
            random: Gives a number from 0 up to 1.
            log: Where it is told that nothing can be settled.
            unproven_until: Up to which moment (unix seconds) requests may have been sent that the ledger lacks.
        """
        self._settler = settler
        self._frontier = frontier
        self._control = control
        self._ledger = ledger
        self._clock = clock
        self._random = random
        self._log = log
        self._unproven_until = unproven_until
        self._told = False
        self._open: dict[str, Doubt] = {}
        self._posting: dict[str, Record] = {}
        self._added = Signal()
        self._unlisted_since: float | None = None

    def __len__(self) -> int:
        """Return how many are in doubt."""
        return len(self._open)

    @contextmanager
    def posting(self, record: Record) -> Iterator[None]:
        """A request is out while the block runs: nothing like it is adopted meanwhile."""
        self._posting[record.task.id] = record
        try:
            yield
        finally:
            del self._posting[record.task.id]

    def add(self, record: Record) -> None:
        """A task is in doubt.

        It counts from now, also where an earlier process gave its request up: only the wall clock could tell how long
        ago that was, and one that was set forward meanwhile would have it paid for twice.
        """
        self._open[record.task.id] = Doubt(record, self._clock.monotonic())
        self._added.notify()

    async def recovered(self, record: Record) -> Record:
        """Return a record that an earlier process left; a request it was about to send is in doubt from now on.

        That process is gone, and with it the connection: the request was given up at the latest when its
        time-out would have ended it.
        """
        if record.state is not State.SUBMITTING or record.sent.gave_up_at is not None:
            return record
        after = record.given_up(min(self._clock.now(), record.sent.intent_at + LONGEST_REQUEST_SECONDS))
        await self._ledger.save(record, after, durable=True)
        return after

    def may_have_been_sent(self, record: Record) -> bool:
        """Return whether a pending task may have been sent after the last request of it that the ledger knows."""
        return record.attempt is not None and record.attempt.intent_at <= self._unproven_until

    async def reopened(self, record: Record) -> Record:
        """Return a pending task that may have been sent as one in doubt, from now on."""
        last = record.sent
        newest = newest_before(last, None)
        after = record.intended(last.intent_at, last.reserved_usd, newest).given_up(self._unproven_until)
        await self._ledger.save(record, after, durable=True)
        return after

    async def run(self, settled: Callable[[Record], Awaitable[None]]) -> None:
        """Settle what is in doubt, until cancelled.

        Args:
            settled: Told of each task that is certain again: running, pending or failed.
        """
        while True:
            if not self._open:
                await self._added.wait()
            waits = delays(self._random, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
            alone_since = None
            while self._open:
                with self._control.until_left() as settling:
                    await self._clock.sleep(next(waits))
                    said = await self._settle()
                if settling.cancelled_caught:
                    return
                for record in [] if isinstance(said, Outcome) else said:
                    await settled(record)
                alone_since = self._alone_since(alone_since, said)
                if alone_since is not None and self._clock.monotonic() - alone_since > PATIENCE_SECONDS:
                    self._give_up(said)

    async def _settle(self) -> list[Record] | Outcome:
        doubts = list(self._open.values())
        known = {id(doubt) for doubt in doubts}

        def beside() -> list[Parameters]:
            later = [doubt.record for doubt in self._open.values() if id(doubt) not in known]
            return [record.task.parameters for record in (*self._posting.values(), *later)]

        frontier = self._frontier
        said = await self._settler.settle(doubts, beside=beside, newest=frontier.newest, ordered=frontier.ordered)
        if not isinstance(said, Outcome):
            self._unlisted_since = None
        elif said.stop is not None:
            self._control.close(said.stop, said.message)
            return said
        elif said.stuck and not self._told:
            self._told = True
            self._log.warning("tasks in doubt cannot be settled yet", tasks=len(doubts), why=said.message)
            return said
        elif self._unlisted_seconds() < INSISTENCE_SECONDS or not self._settler.insists:
            return said
        else:
            said = await self._settler.resend(doubts)
        return [self._closed(doubt, record) for doubt, record in said]

    def _unlisted_seconds(self) -> float:
        """Return for how long the list has settled nothing."""
        now = self._clock.monotonic()
        self._unlisted_since = now if self._unlisted_since is None else self._unlisted_since
        return now - self._unlisted_since

    def _closed(self, doubt: Doubt, record: Record) -> Record:
        del self._open[doubt.record.task.id]
        return record

    def _alone_since(self, since: float | None, said: list[Record] | Outcome) -> float | None:
        """Return since when nothing is left but doubts that the list does not settle although it is time."""
        now = self._clock.monotonic()
        due = all(now - doubt.since > self._settler.settle_after_seconds for doubt in self._open.values())
        if self._control.live or not (isinstance(said, Outcome) or due):
            return None
        return now if since is None else since

    def _give_up(self, said: list[Record] | Outcome) -> None:
        why = said.message if isinstance(said, Outcome) else "The service's list does not show what became of them."
        self._control.leave(
            Stop.UNSETTLED,
            f"{many(len(self._open), 'task')} may have been accepted without our knowing. {why} Run the same command"
            " later, or add --resubmit-uncertain to send again what is in doubt, which may pay for it twice.",
        )
