"""Numbers that an axis computes: whether what a job file asks for can be had."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from orchestrator.sweep.axes import PRECISION, Drawn, Spaced
from orchestrator.sweep.nodes import MapNode
from orchestrator.sweep.problems import Problems
from orchestrator.sweep.scalars import plain

MOST = 10**9
"""How many values an axis has at most."""

_DIGITS = 28


def stepped(node: MapNode, found: Mapping[str, Any], problems: Problems) -> Spaced | None:
    """Return the numbers of `{from, to, step}`, or None after noting why there are none."""
    low, high, step = found["from"], found["to"], found["step"]
    mark = node.entries["step"].mark
    if step == 0:
        problems.add(mark, "A range needs a `step` other than 0.")
        return None
    if (high - low) * step < 0:
        message = f"With a step of {step} the range from {low} never gets to {high}: it has no values."
        problems.add(mark, message, "Turn the sign.")
        return None
    finest = min(int(number.as_tuple().exponent) for number in (low, high, step))
    if max(low.adjusted(), high.adjusted(), step.adjusted()) - finest >= _DIGITS or abs(high - low) / abs(step) >= MOST:
        problems.add(node.mark, f"The range has more than {MOST:,} values, or numbers of more than {_DIGITS} digits.")
        return None
    return Spaced(low, high, int((high - low) // step) + 1, step)


def counted(node: MapNode, found: Mapping[str, Any], problems: Problems) -> Spaced | None:
    """Return the numbers of `{from, to, count}`, or None after noting why there are none."""
    low, high, count = found["from"], found["to"], found["count"]
    mark = node.entries["count"].mark
    if (count == 1) != (low == high):
        values = "1 value cannot stand" if count == 1 else f"{count} values cannot stand"
        ends = f"from {plain(low)} to {plain(high)}"
        problems.add(mark, f"{values} at equal distances {ends}.", "Change `count`.")
        return None
    biggest = max(low.adjusted(), high.adjusted())
    if count > 1 and abs(high - low) / (count - 1) < Decimal(1).scaleb(biggest - PRECISION + 2):
        problems.add(mark, f"The values lie closer together than {PRECISION} digits can tell.", "Ask for fewer.")
        return None
    return Spaced(low, high, count)


def drawn(node: MapNode, found: Mapping[str, Any], problems: Problems) -> Drawn | None:
    """Return the numbers of `{random, from, to, rng}`, or None after noting why there are none."""
    count, low, high = found["random"], found["from"], found["to"]
    there = max(0, high - low + 1)
    if count > there:
        message = f"{count} distinct whole numbers are wanted, and from {low} to {high} there are {there}."
        problems.add(node.entries["random"].mark, message, "Ask for fewer, or widen `from` and `to`.")
        return None
    return Drawn("", low, high, count, found.get("rng", 0))
