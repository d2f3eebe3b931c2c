"""Money as the service counts it: exact decimals, whole trillionths of a dollar where it is added up."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

PICO = Decimal(1_000_000_000_000)
"""The service writes prices with twelve decimals; whole trillionths hold them and add up exactly."""

FREE = Decimal(0)

MOST_USD = Decimal(1_000_000)
"""More than any task costs; the ledger cannot add up much higher amounts."""


def text(usd: Decimal) -> str:
    """Return an amount in plain notation without idle zeros: `0.014`, `0`, `12`."""
    plain = f"{usd:f}"
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain) or "0"


def shown(usd: Decimal) -> str:
    """Return an amount as people read it, its thousands apart: `14,000`, `0.014`."""
    whole, point, rest = text(usd).partition(".")
    return f"{int(whole):,}{point}{rest}"


def to_pico(usd: Decimal) -> int:
    """Return whole trillionths of a dollar; what is finer counts as one more, so that no cap is ever passed."""
    return int((usd * PICO).to_integral_value(ROUND_CEILING))


def from_pico(pico: int) -> Decimal:
    """Return dollars from whole trillionths."""
    return Decimal(pico) / PICO
