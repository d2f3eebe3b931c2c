"""Axes: the values that a sweep goes through, listed or computed one at a time."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any, TypeAlias

from orchestrator.sweep.scalars import plain, simplest
from orchestrator.sweep.schema import Kind, as_sent
from orchestrator.tasks import Scalar, canonical_json

PRECISION = 12
"""How many significant digits evenly spaced values keep."""
_ROUNDS = 6
_MOST_KEPT = 1 << 20
"""How many draws of an axis are kept: an inner axis is gone along again and again, and a draw is the dearest part."""
BY_VALUE = frozenset({Kind.NUMBER, Kind.DECIMAL})
"""The kinds for which two spellings of a number are the same."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of an axis.

    Attributes:
        value: As the manifest shows it, before substitution: decimals as text.
        text: What stands for it in templates and paths; a template's source where `template` is set.
        sent: As it is sent; None for variables and templates.
        label: The name that the job file gives it, or None.
        template: Whether `text` is a template with names in it.
    """

    value: Scalar
    text: str
    sent: Scalar = None
    label: str | None = None
    template: bool = False


def cell(kind: Kind | None, value: str | Decimal | bool, label: str | None = None) -> Cell:
    """Return the cell of a value; `kind` is None for variables, which are never sent.

    Raises:
        UnfitError: The kind does not take the value.
    """
    sent = None if kind is None else as_sent(kind, value)
    return Cell(shown(kind, value), spelled(value, kind), sent, label)


def shown(kind: Kind | None, value: str | Decimal | bool) -> Scalar:
    """Return a value as the manifest shows it: decimals as text.

    Where a number is sent as text or stands in one, 1 and 1.0 are different, and are shown so.
    """
    if not isinstance(value, Decimal):
        return value
    text = plain(simplest(value) if kind in BY_VALUE else value)
    whole = int(value)
    return whole if text == str(whole) else text


def spelled(value: str | Decimal | bool, kind: Kind | None = None) -> str:
    """Return a value as text; where numbers are sent by value, 3 and 3.0 are one text too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, Decimal):
        return value
    return plain(simplest(value) if kind in BY_VALUE else value)


def as_text(value: Scalar) -> str:
    """Return what is sent as text."""
    return value if isinstance(value, str) else canonical_json(value)


@dataclass(frozen=True, slots=True)
class Listed:
    """Values that stand in the job file one by one."""

    cells: tuple[Cell, ...]

    def __len__(self) -> int:
        return len(self.cells)


@dataclass(frozen=True, slots=True)
class Spaced:
    """Numbers at equal distances, both ends among them, exact; `step` is None where only the count was given."""

    start: Decimal
    end: Decimal
    count: int
    step: Decimal | None = None

    def __len__(self) -> int:
        return self.count

    def number(self, place: int) -> Decimal:
        """Return the value at a place, counted from 0."""
        if self.step is not None:
            return simplest(self.start + self.step * place)
        if place in (0, self.count - 1):
            return simplest(self.end if place else self.start)
        value = self.start + (self.end - self.start) * place / (self.count - 1)
        digits = PRECISION - 1 - max(self.start.adjusted(), self.end.adjusted())
        return simplest(value.quantize(Decimal(1).scaleb(-digits)))


@dataclass(frozen=True)
class Drawn:
    """Distinct whole numbers at random, the same for ever: draw `i` depends on `rng`, the axis, its bounds and `i`.

    A permutation of the whole interval, keyed with SHA-256 (a Feistel network, walked until it ends inside), gives
    draw `i` without knowing the others, so that more draws keep the earlier ones.
    """

    axis: str
    low: int
    high: int
    count: int
    rng: int = 0

    def __len__(self) -> int:
        return self.count

    def number(self, place: int) -> Decimal:
        """Return the draw at a place, counted from 0."""
        kept = self._kept
        if place >= len(kept):
            return Decimal(self.low + self._draw(place))
        if not kept[place]:
            kept[place] = self._draw(place) + 1
        return Decimal(self.low + kept[place] - 1)

    @cached_property
    def _kept(self) -> array[int]:
        """The draws that were made, each one more than it is, and 0 for the others: any thread writes the same."""
        fits = self.high - self.low + 1 < 1 << 64
        return array("Q", bytes(8 * min(self.count, _MOST_KEPT) if fits else 0))

    def _draw(self, place: int) -> int:
        span = self.high - self.low + 1
        half = max(1, ((span - 1).bit_length() + 1) // 2)
        value = self._permuted(place, half)
        while value >= span:
            value = self._permuted(value, half)
        return value

    def _permuted(self, value: int, half: int) -> int:
        mask = (1 << half) - 1
        left, right = value >> half, value & mask
        for begin in _begins(self.rng, self.axis):
            mixed = int.from_bytes(hashlib.sha256(b"%s%d" % (begin, right)).digest())
            left, right = right, left ^ (mixed & mask)
        return left << half | right


@lru_cache(maxsize=64)
def _begins(rng: int, axis: str) -> list[bytes]:
    """Return what is hashed first in each round of an axis's draws."""
    return [f"{rng}\n{axis}\n{turn}\n".encode() for turn in range(_ROUNDS)]


Segment: TypeAlias = Listed | Spaced | Drawn


@dataclass(frozen=True)
class Axis:
    """One axis of the grid, in its final form.

    Attributes:
        name: The parameter, or the variable.
        kind: The form in which it is sent; None for a variable.
        segments: The values in order.
    """

    name: str
    kind: Kind | None
    segments: tuple[Segment, ...]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def distinct(self) -> bool:
        """Whether no two values can be equal, known without looking at them."""
        return len(self) == 1 or (len(self.segments) == 1 and not isinstance(self.segments[0], Listed))

    @property
    def computed(self) -> bool:
        """Whether all values are numbers that are computed."""
        return not any(isinstance(segment, Listed) for segment in self.segments)

    def written(self) -> Iterator[Cell]:
        """Yield the values that stand in the job file one by one: no others have labels or are templates."""
        for segment in self.segments:
            if isinstance(segment, Listed):
                yield from segment.cells

    def cell(self, place: int) -> Cell:
        """Return the value at a place, counted from 0."""
        which = bisect_right(self._ends, place)
        segment = self.segments[which]
        inner = place - (self._ends[which - 1] if which else 0)
        return segment.cells[inner] if isinstance(segment, Listed) else cell(self.kind, segment.number(inner))

    def cells(self) -> Iterator[Cell]:
        """Yield every value in order."""
        return map(self.cell, range(len(self)))

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(map(len, self.segments)))

    def to_json(self) -> dict[str, Any]:
        """Return the axis as plain JSON."""
        return {"name": self.name, "kind": self.kind, "segments": [_segment_to_json(each) for each in self.segments]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Axis:
        """Return the axis that `to_json` gave."""
        kind = None if data["kind"] is None else Kind(data["kind"])
        return cls(data["name"], kind, tuple(_segment_from_json(each) for each in data["segments"]))


def _segment_to_json(segment: Segment) -> dict[str, Any]:
    if isinstance(segment, Listed):
        return {"cells": [[each.value, each.text, each.sent, each.label, each.template] for each in segment.cells]}
    if isinstance(segment, Spaced):
        step = None if segment.step is None else str(segment.step)
        return {"from": str(segment.start), "to": str(segment.end), "count": segment.count, "step": step}
    return {"random": segment.count, "axis": segment.axis, "from": segment.low, "to": segment.high, "rng": segment.rng}


def _segment_from_json(data: Mapping[str, Any]) -> Segment:
    if "cells" in data:
        return Listed(tuple(Cell(*each) for each in data["cells"]))
    if "random" in data:
        return Drawn(data["axis"], data["from"], data["to"], data["random"], data["rng"])
    step = None if data["step"] is None else Decimal(data["step"])
    return Spaced(Decimal(data["from"]), Decimal(data["to"]), data["count"], step)
