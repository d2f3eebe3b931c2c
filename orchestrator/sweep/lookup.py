"""Finds the values of an axis that fit conditions: where equal ones are asked for, without trying each value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Final

from orchestrator.sweep.axes import Axis, Cell
from orchestrator.sweep.recipe import Matcher, as_number
from orchestrator.tasks import Scalar

INDEXED: Final = 100_000
"""Longer axes are gone along for each condition: an index would take more memory than all that is known of them."""


class Lookup:
    """Knows the places of one axis by its values and their labels."""

    def __init__(self, axis: Axis) -> None:
        self._axis = axis

    def cell(self, place: int) -> Cell:
        """Return the value at a place."""
        return self._axis.cell(place)

    def fitting(self, matcher: Matcher) -> frozenset[int]:
        """Return the places whose values fit a condition."""
        return frozenset(place for place in self.candidates(matcher) if matcher.matches(self.cell(place)))

    def candidates(self, matcher: Matcher) -> Sequence[int]:
        """Return places among which are all whose values fit a condition."""
        if not matcher.any_of or len(self._axis) > INDEXED:
            return range(len(self._axis))
        keys = {key for wanted in matcher.any_of for key in _asked(wanted)}
        return list(dict.fromkeys(place for key in keys for place in self._places.get(key, ())))

    @cached_property
    def _places(self) -> dict[Scalar | Decimal, list[int]]:
        places: dict[Scalar | Decimal, list[int]] = {}
        for place, cell in enumerate(self._axis.cells()):
            for key in {*_answered(cell)}:
                places.setdefault(key, []).append(place)
        return places


def _asked(wanted: Scalar | Decimal) -> Iterator[Scalar | Decimal]:
    """Yield by what the values are found that may be equal to one: also by their labels, which are texts."""
    yield wanted
    if isinstance(wanted, Decimal):
        yield format(wanted, "f")


def _answered(cell: Cell) -> Iterator[Scalar | Decimal]:
    """Yield by what a value is found: as it is, as text, as a number, by its label."""
    yield from (cell.value, str(cell.value))
    if (number := as_number(cell.value)) is not None:
        yield number
    if cell.label is not None:
        yield cell.label
