from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from orchestrator.money import FREE, PICO, from_pico, shown, text, to_pico

amounts = st.decimals(min_value=0, max_value=10**9, places=12)


@pytest.mark.parametrize(
    ("usd", "plain"),
    [
        ("0.014", "0.014"),
        ("0.0140", "0.014"),
        ("0", "0"),
        ("0.000", "0"),
        ("12", "12"),
        ("100", "100"),
        ("1E+2", "100"),
        ("1E-7", "0.0000001"),
        ("5.00", "5"),
    ],
)
def test_an_amount_reads_plainly(usd: str, plain: str) -> None:
    """No exponent, no idle zeros, and the zeros of whole numbers stay."""
    assert text(Decimal(usd)) == plain


@given(amounts)
def test_text_holds_the_exact_amount(usd: Decimal) -> None:
    """What is written is the amount itself."""
    assert Decimal(text(usd)) == usd


@given(amounts)
def test_trillionths_hold_what_the_service_writes(usd: Decimal) -> None:
    """An amount of up to twelve decimals comes back as it went in."""
    assert from_pico(to_pico(usd)) == usd


@given(st.decimals(min_value=0, max_value=1000, places=16))
def test_what_is_finer_counts_as_one_more(usd: Decimal) -> None:
    """An amount is never kept as less than it is, nor as a whole trillionth more."""
    kept = from_pico(to_pico(usd))
    assert usd <= kept < usd + 1 / PICO


@given(st.lists(amounts, max_size=20))
def test_sums_are_exact(costs: list[Decimal]) -> None:
    """Adding trillionths up is adding dollars up."""
    assert from_pico(sum(map(to_pico, costs))) == sum(costs, FREE)


@pytest.mark.parametrize(("usd", "read"), [("14000", "14,000"), ("1234567.80", "1,234,567.8"), ("0.014", "0.014")])
def test_thousands_are_set_apart_for_people(usd: str, read: str) -> None:
    assert shown(Decimal(usd)) == read
