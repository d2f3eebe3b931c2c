"""What the budget keeps aside for a task, by every form in which the service states a price."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from orchestrator.commands.pricing import check_prices, fixed_prices, reserves
from orchestrator.engines.budget import UNKNOWN
from orchestrator.errors import RefusedError
from orchestrator.sweep import Limits
from orchestrator.wiro import Prices

CAPPED = Limits(budget_usd=Decimal(5))
GIVEN = {"samples": 3, "prompt": "a red boat", "width": 2048, "height": 1024}


def listed(method: str, **more: Any) -> dict[str, Any]:
    """A catalogue entry with one price for everything; its estimate is 0.4 USD, its computing time 10 s."""
    entry = {"inputs": {}, "price": "0.1", "priceMethod": method, **more}
    return {"dynamicprice": json.dumps([entry]), "approximatelycost": "0.4", "computingtime": "10 seconds"}


@pytest.mark.parametrize(
    ("tool", "reserve", "fixed"),
    [
        (listed("cpr"), "0.1", "0.1"),
        (listed("cpo"), "0.3", "0.3"),
        (listed("cpr", priceExtra="0.1"), "0.15", None),
        (listed("cps"), "1.5", None),
        (listed("cp-pixel"), "0.9", None),
        (listed("cp-promptlength"), "1.5", None),
        (listed("cpt"), "0.6", None),
        (listed("per-moon"), "0.6", None),
        ({"approximatelycost": "0.4"}, "0.6", None),
        ({"cps": "0.02", "computingtime": "10 seconds"}, "0.3", None),
    ],
)
def test_what_is_kept_aside(tool: dict[str, Any], reserve: str, fixed: str | None) -> None:
    """A fixed price as it is; anything else one and a half times, the dearest task so far included."""
    assert reserves(tool, CAPPED)(GIVEN, Decimal(0)) == Decimal(reserve)
    assert fixed_prices(Prices(tool), CAPPED)(GIVEN) == (None if fixed is None else Decimal(fixed))
    assert reserves(tool, CAPPED)(GIVEN, Decimal(2)) == Decimal(3 if fixed is None else fixed)


def test_without_a_price_the_users_holds() -> None:
    priced = Limits(budget_usd=Decimal(5), price_usd=Decimal("0.02"))
    assert reserves({}, priced)(GIVEN, Decimal(2)) == fixed_prices(Prices({}), priced)(GIVEN) == Decimal("0.02")
    assert reserves(listed("cpr"), priced)(GIVEN, Decimal(0)) == Decimal("0.1")


def test_without_any_price_a_budget_is_refused() -> None:
    """Where only some tasks lack one, no budget holds them until another task has shown what one costs."""
    with pytest.raises(RefusedError, match=r"limits\.price_usd"):
        check_prices({}, CAPPED, GIVEN)
    check_prices({}, Limits(), GIVEN)
    some = {"dynamicprice": json.dumps([{"inputs": {"samples": 1}, "price": "0.1", "priceMethod": "cpr"}])}
    assert reserves(some, CAPPED)({"samples": 1}, Decimal(0)) == Decimal("0.1")
    assert reserves(some, CAPPED)({"samples": 2}, Decimal(0)) == UNKNOWN
    assert reserves(some, CAPPED)({"samples": 2}, Decimal("0.1")) == Decimal("0.15")
    assert reserves(some, Limits())({"samples": 2}, Decimal(0)) == 0
