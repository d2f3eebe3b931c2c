"""What the catalogue says of a model: its prices and how long it computes; and the built-in seed model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from typing import Any, Final, TypeAlias

from orchestrator.wiro import wire

PIXELS: Final = 1_048_576
COUNTS: Final = ("samples", "num_outputs", "numOutputs", "num_images", "numImages", "outputs", "batch_size", "n")
"""How models name the number of outputs of one task; the seed model says `samples`."""

MATTERS: Final[Mapping[str, tuple[str, ...]]] = {
    "cpo": COUNTS,
    "cp-promptlength": ("prompt",),
    "cp-pixel": (*COUNTS, "width", "height"),
}
"""Which parameters a price method looks at; the others look at none."""

_MOST_KNOWN: Final = 4096
_SECONDS: Final = {"ms": 0.001, "milli": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(
    r"(\d{1,9}(?:\.\d{1,9})?)(?:\s*(?:-|\u2013|to)\s*(\d{1,9}(?:\.\d{1,9})?))?"
    r"\s*(?:(milli|ms|s|m|h)(?:econds?|seconds?|ecs?|inutes?|ins?|ours?|rs?)?)?(?![a-z])",
    re.IGNORECASE,
)


def parse_model(name: str) -> tuple[str, str]:
    """Return owner and model of `owner/model`.

    Raises:
        ValueError: The name has another form, or a part is `.` or `..`.
    """
    found = re.fullmatch(r"([\w.-]+)/([\w.-]+)", name)
    if found is None or {found[1], found[2]} & {".", ".."}:
        raise ValueError(f"A model is named owner/model, such as Hevok/Studio-Trigger; {name[:100]!r} is not.")
    return found[1], found[2]


def seed_model() -> wire.Json:
    """Return the catalogue entry of `Hevok/Studio-Trigger` as built in, in the form of `Client.tool`."""
    return wire.parse(resources.files("orchestrator.wiro").joinpath("studio_trigger.json").read_bytes())


@dataclass(frozen=True, slots=True)
class Price:
    """What one task costs, in USD; `exact` where the price is fixed before the task runs."""

    usd: Decimal
    exact: bool


_PerOutput: TypeAlias = tuple[Decimal | None, int | None]
"""What an output costs, and how many were ordered, each as far as it is said."""


class Prices:
    """A model's prices, read once for many tasks.

    Attributes:
        depends_on: The parameters that can change the price; equal values of these give equal prices.
    """

    def __init__(self, tool: Mapping[str, Any]) -> None:
        self._entries = _entries(tool.get("dynamicprice"))
        self._defaults = dict(_defaults(tool))
        self._seconds = computing_seconds(tool)
        self._estimate = _estimate(tool, self._seconds)
        self.depends_on = frozenset(
            name for entry in self._entries for name in (*entry["inputs"], *MATTERS.get(_method(entry), ()))
        )
        self._names = tuple(self.depends_on)
        self._known: dict[tuple[str, ...], tuple[Price | None, _PerOutput | None]] = {}

    def of(self, parameters: Mapping[str, Any]) -> Price | None:
        """Return the price of a task with these parameters (the schema's defaults fill what is left out).

        Per run (`cpr`) and per output (`cpo`) are exact. What hangs on the run itself, and forms that the API page
        only names, are computed as far as the inputs allow and are not exact; so is the service's own estimate, which
        stands where no entry fits. None where the catalogue says nothing.
        """
        return self._told(parameters)[0]

    def ordered(self, parameters: Mapping[str, Any], cost_usd: Decimal | None) -> int | None:
        """Return how many outputs were ordered and billed, None where that is not certain.

        It is certain where the price is one per output, and the task has cost so many times that price, as many times
        as the parameter for it says. A parameter that is only named as if it counted outputs is thus found out. Where
        the task says no cost, as in the older form of replies, price and parameter are believed.
        """
        per_output = self._told(parameters)[1]
        return None if per_output is None else _billed(*per_output, cost_usd)

    def _told(self, parameters: Mapping[str, Any]) -> tuple[Price | None, _PerOutput | None]:
        """Return the price of a task, and of each output where that is what is paid for, reckoned once for many."""
        values = tuple(map(repr, map(parameters.get, self._names)))
        if values not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[values] = self._reckoned({**self._defaults, **parameters})
        return self._known[values]

    def _reckoned(self, given: Mapping[str, Any]) -> tuple[Price | None, _PerOutput | None]:
        entry = self._entry(given)
        if entry is None:
            return self._estimate, None
        usd = wire.money(entry.get("price"))
        found = None if usd is None else self._apply(usd, entry, given)
        per_output = (usd, _count(given)) if _method(entry) == "cpo" and _is_plain(entry) else None
        return found or self._estimate, per_output

    def _entry(self, given: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the entry of the price list that applies, None where none does."""
        fitting = [entry for entry in self._entries if _fits(entry["inputs"], given)]
        return max(fitting, key=lambda entry: len(entry["inputs"]), default=None)

    def _apply(self, usd: Decimal, entry: Mapping[str, Any], given: Mapping[str, Any]) -> Price | None:
        method = _method(entry)
        plain = _is_plain(entry)
        count = _count(given)
        if method == "cpr":
            return Price(usd, plain)
        if method == "cpo":
            return Price(usd * (count or 1), plain and count is not None)
        if method == "cps" and self._seconds is not None:
            return Price(usd * Decimal(str(self._seconds)), False)
        if method == "cp-promptlength":
            return Price(usd * len(str(given.get("prompt", ""))), False)
        width, height = wire.whole(given.get("width")), wire.whole(given.get("height"))
        if method == "cp-pixel" and width is not None and height is not None and min(width, height) > 0:
            further = max(0, math.ceil(width * height / PIXELS) - 1)
            extra = wire.money(entry.get("priceExtra"))
            return Price((usd + further * (usd if extra is None else extra)) * (count or 1), False)
        return None


def price(tool: Mapping[str, Any], parameters: Mapping[str, Any]) -> Price | None:
    """Return the price of one task; see `Prices.of`, which is quicker for many."""
    return Prices(tool).of(parameters)


def computing_seconds(tool: Mapping[str, Any]) -> float | None:
    """Return the stated computing time in seconds, the middle of a range; None where there is none.

    Reads `10 seconds`, `1-2 minutes`, `1 minute 30 seconds`, `500ms`; a bare number counts as seconds.
    """
    total = 0.0
    for low, high, unit in _DURATION.findall(wire.text(tool.get("computingtime"))[:200]):
        total += (float(low) + float(high or low)) / 2 * _SECONDS[unit.lower() or "s"]
    return total or None


def _estimate(tool: Mapping[str, Any], seconds: float | None) -> Price | None:
    usd, per_second = wire.money(tool.get("approximatelycost")), wire.money(tool.get("cps"))
    if not usd and per_second is not None and seconds is not None:
        usd = per_second * Decimal(str(seconds))
    return Price(usd, False) if usd else None


def _method(entry: Mapping[str, Any]) -> str:
    return wire.text(entry.get("priceMethod")).lower()


def _is_plain(entry: Mapping[str, Any]) -> bool:
    """Return whether nothing comes on top of the price."""
    return not (entry.get("priceExtra") or entry.get("priceInput"))


def _entries(value: object) -> list[dict[str, Any]]:
    """Return the price list's readable entries; it arrives as JSON text, or as a list."""
    if isinstance(value, str):
        try:
            value = wire.parse(f'{{"list":{value}}}'.encode()).get("list")
        except ValueError:
            return []
    entries = value if isinstance(value, list) else []
    return [
        {**entry, "inputs": entry.get("inputs") or {}}
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("inputs") or {}, dict)
    ]


def _defaults(tool: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    groups = tool.get("parameters")
    for group in groups if isinstance(groups, list) else ():
        items = group.get("items") if isinstance(group, dict) else None
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict) and isinstance(item.get("id"), str) and "default" in item:
                yield item["id"], item["default"]


def _fits(inputs: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    return all(_matches(wanted, given.get(name)) for name, wanted in inputs.items())


def _matches(wanted: object, value: object) -> bool:
    options = wanted if isinstance(wanted, list) else [wanted]
    return any(_spelt(option) == _spelt(value) for option in options)


def _spelt(value: object) -> str:
    """Return a value as the text by which it is compared: 4, 4.0 and "4" are one."""
    found = wire.number(value)
    if found is not None:
        return f"{found.normalize():f}"
    return str(value).lower() if isinstance(value, bool) else wire.text(value)


@lru_cache(maxsize=64)
def _billed(usd: Decimal | None, count: int | None, cost_usd: Decimal | None) -> int | None:
    """Return how many outputs of this price were billed, None where that is not certain; see `Prices.ordered`."""
    billed = count if cost_usd is None else wire.whole(cost_usd / usd) if usd else None
    return billed if billed and billed == (count or billed) else None


def _count(given: Mapping[str, Any]) -> int | None:
    """Return how many outputs the task makes, None where no parameter says so that is known by its name."""
    for name in COUNTS:
        if name in given:
            count = wire.whole(given[name])
            return count if count is not None and count >= 1 else None
    return None
