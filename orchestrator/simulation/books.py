"""What a run says of itself at its end, against what has happened on the service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.simulation.service import PRICE_USD
from orchestrator.simulation.world import World
from orchestrator.status import Status, status

SUMS: Final = ("cost_usd", "reserved_usd", "saved_usd", "attempts", "uncertain", "adopted", "resubmitted")


class Books:
    """Keeps count from the outside, over the life of one run folder."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._calls: Counter[str] = Counter()
        self._doubts = self._resubmitted = self._processes = 0

    def begun(self) -> None:
        """A process begins."""
        self._processes += 1

    def called(self, endpoint: str) -> None:
        """A call is written."""
        self._calls[endpoint.removeprefix("/")] += 1

    def moved(self, before: Record, after: Record) -> None:
        """A move is committed."""
        was = before.attempt is not None and before.attempt.uncertain
        self._doubts += not was and after.attempt is not None and after.attempt.uncertain
        self._resubmitted += was and after.state is State.PENDING

    def told(self, said: Status, store: SqliteLedger) -> None:
        """A process has ended in peace: the sums that it kept are those of its ledger."""
        held = _summed(store)
        for name in SUMS:
            if getattr(said, name) != getattr(held, name):
                self._world.violate(f"the run says {getattr(said, name)} {name}, and the ledger {getattr(held, name)}")

    def ended(self, store: SqliteLedger) -> None:
        """All is over: what the run says is what happened."""
        for what, told, happened in self._compared(_summed(store)):
            if told != happened:
                self._world.violate(f"the run says {told} {what}, and it was {happened}")

    def _compared(self, said: Status) -> Iterator[tuple[str, object, object]]:
        service, samples = self._world.service, self._world.history.samples
        owned = [remote for remote in service.tasks.values() if remote.owner]
        adopted = sum(remote.request is None or remote.request.given_up_at is not None for remote in owned)
        now = self._world.now()
        due = sum((remote.price_usd for remote in owned if not remote.is_free(now)), Decimal(0))
        yield "uncertain", said.uncertain, self._doubts
        yield "adopted", said.adopted, adopted
        yield "resubmitted", said.resubmitted, self._resubmitted
        yield "USD saved", said.saved_usd, adopted * samples * PRICE_USD
        yield "attempts", said.attempts, len(owned)
        yield "USD spent and kept aside", said.cost_usd + said.reserved_usd, due
        if self._processes == 1:  # one that is killed takes with it what it counted within its last moment
            yield "calls", dict(said.calls), dict(sorted(self._calls.items()))


def _summed(store: SqliteLedger) -> Status:
    return status(store.totals(), tasks=0, running=False, started_at=None, updated_at=None)
