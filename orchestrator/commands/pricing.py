"""What a task costs, as far as the service or the user says so beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from orchestrator.engines.budget import UNKNOWN, reserve_usd
from orchestrator.errors import RefusedError
from orchestrator.sweep import Limits
from orchestrator.tasks import Parameters
from orchestrator.wiro import Price, Prices


def reserves(tool: Mapping[str, Any], limits: Limits) -> Callable[[Parameters, Decimal], Decimal]:
    """Return what the budget keeps aside for a task with given parameters, when a given cost is the highest seen."""
    prices = Prices(tool)

    def reserve(parameters: Parameters, dearest_usd: Decimal) -> Decimal:
        price = prices.of(parameters)
        if price is None and limits.price_usd is None and limits.budget_usd is not None and not dearest_usd:
            return UNKNOWN
        return reserve_usd(_fixed(price, limits), None if price is None else price.usd, dearest_usd)

    return reserve


def fixed_prices(prices: Prices, limits: Limits) -> Callable[[Parameters], Decimal | None]:
    """Return what a task with given parameters costs, where the service or else the user fixes that beforehand."""
    return lambda parameters: _fixed(prices.of(parameters), limits)


def _fixed(price: Price | None, limits: Limits) -> Decimal | None:
    if price is None:
        return limits.price_usd
    return price.usd if price.exact else None


def check_prices(tool: Mapping[str, Any], limits: Limits, parameters: Parameters) -> None:
    """Refuse a budget that cannot be kept because nobody states a price.

    Raises:
        RefusedError: There is a cap and no price.
    """
    if limits.budget_usd is not None and limits.price_usd is None and Prices(tool).of(parameters) is None:
        raise RefusedError(
            "The service states no price for this model, so the budget cannot be kept."
            " Set limits.price_usd to what a task costs at most."
        )
