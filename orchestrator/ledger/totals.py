"""What a run folder adds up to: kept up to date in memory while the ledger is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from orchestrator.lifecycle import Record, State, reserved_usd, spent_usd


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
    """

    counts: dict[State, int]
    dropped: dict[State, int]
    spent_usd: Decimal
    reserved_usd: Decimal
    dearest_usd: Decimal
    counters: dict[str, int]

    def apply(self, before: Record, after: Record) -> None:
        """Follow one move of one task."""
        self.counts[before.state] -= 1
        self.counts[after.state] += 1
        if after.dropped:
            self.dropped[before.state] -= 1
            self.dropped[after.state] += 1
        replaced = before.attempt
        if replaced is not None and after.attempt is not None and replaced.number != after.attempt.number:
            replaced = None
        self.spent_usd += spent_usd(after.attempt) - spent_usd(replaced)
        self.reserved_usd += reserved_usd(after.attempt) - reserved_usd(replaced)
        self.dearest_usd = max(self.dearest_usd, spent_usd(after.attempt))

    def count(self, counts: Counter[str]) -> None:
        """Add to the counters."""
        for name, number in counts.items():
            self.counters[name] = self.counters.get(name, 0) + number
