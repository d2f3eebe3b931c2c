"""How much: what may still be spent over the whole life of a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from orchestrator.ledger import Totals
from orchestrator.money import FREE, MOST_USD

SAFETY: Final = Decimal("1.5")
"""A price that is only estimated is reserved this many times over."""

UNKNOWN: Final = Decimal("Infinity")
"""What to keep aside for a task that may cost anything: no budget holds it."""


@dataclass(slots=True)
class Budget:
    """The cap, and what has been set aside for tasks on their way to the ledger.

    Attributes:
        cap_usd: None for no cap.
        held_usd: Set aside for tasks that are about to be submitted.
    """

    cap_usd: Decimal | None
    held_usd: Decimal = FREE

    def fits(self, price_usd: Decimal, totals: Totals) -> bool:
        """Return whether a task of this price may be submitted."""
        if self.cap_usd is None:
            return True
        return totals.spent_usd + totals.reserved_usd + self.held_usd + price_usd <= self.cap_usd


def reserve_usd(exact_usd: Decimal | None, estimate_usd: Decimal | None, dearest_usd: Decimal) -> Decimal:
    """Return what to keep aside for a task.

    Args:
        exact_usd: Its price, where the service or the user states one.
        estimate_usd: What the service thinks it may cost.
        dearest_usd: The highest cost seen so far.
    """
    found = SAFETY * max(estimate_usd or FREE, dearest_usd) if exact_usd is None else exact_usd
    return min(found, MOST_USD)
