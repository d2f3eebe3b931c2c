"""What a run folder adds up to: kept up to date in memory while the ledger is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from orchestrator.lifecycle import Attempt, Failure, Record, State, reserved_usd, spent_usd
from orchestrator.money import FREE


@dataclass(frozen=True, slots=True)
class Entered:
    """What became of tasks that were written down.

    Attributes:
        new: How many of them the ledger did not know.
        returned: How many of the others had been dropped from the job file, by state.
    """

    new: int
    returned: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why tasks have failed.

    Attributes:
        tasks: How many have failed for it.
        paid: How many of these were paid for all the same, as far as the service has said.
        paid_usd: What all requests of them have cost.
    """

    failure: Failure
    tasks: int
    paid: int = 0
    paid_usd: Decimal = FREE


@dataclass(slots=True)
class Totals:
    """Sums over the whole life of a run folder.

    Attributes:
        counts: Tasks that the ledger holds, by state, dropped ones too.
        dropped: Those of them that the job file no longer holds, by state.
        spent_usd: What the service says was spent.
        reserved_usd: What is kept aside for attempts whose cost is not known.
        dearest_usd: The highest cost of a single attempt.
        counters: Calls and other counts by name.
        attempts: Requests that the service accepted.
        in_doubt: Requests that nobody waits for any more and that may have been accepted.
    """

    counts: dict[State, int]
    dropped: dict[State, int]
    spent_usd: Decimal
    reserved_usd: Decimal
    dearest_usd: Decimal
    counters: dict[str, int]
    attempts: int = 0
    in_doubt: int = 0

    def kept(self, *states: State) -> int:
        """Return how many tasks in these states the job file still holds."""
        return sum(self.counts[state] - self.dropped[state] for state in states)

    def apply(self, before: Record, after: Record, *, dropped: bool) -> None:
        """Follow one move of one task; `dropped` says whether the job file no longer holds it."""
        self.counts[before.state] -= 1
        self.counts[after.state] += 1
        if dropped:
            self.dropped[before.state] -= 1
            self.dropped[after.state] += 1
        if after.attempt is not before.attempt:
            self._replace(before.attempt, after.attempt)

    def _replace(self, replaced: Attempt | None, attempt: Attempt | None) -> None:
        """Follow what a move changes of a request."""
        if replaced is not None and attempt is not None and replaced.number != attempt.number:
            replaced = None
        self.spent_usd += spent_usd(attempt) - spent_usd(replaced)
        self.reserved_usd += reserved_usd(attempt) - reserved_usd(replaced)
        self.attempts += _accepted(attempt) - _accepted(replaced)
        self.in_doubt += _uncertain(attempt) - _uncertain(replaced)
        self.dearest_usd = max(self.dearest_usd, spent_usd(attempt))

    def enter(self, entered: Entered) -> None:
        """Follow tasks that were written down."""
        self.counts[State.PENDING] += entered.new
        for state, number in entered.returned.items():
            self.dropped[state] -= number

    def recount(self, counted: Totals) -> None:
        """Take over how many tasks there are."""
        self.counts, self.dropped = counted.counts, counted.dropped


def _accepted(attempt: Attempt | None) -> bool:
    return attempt is not None and attempt.remote_id is not None


def _uncertain(attempt: Attempt | None) -> bool:
    return attempt is not None and attempt.uncertain
