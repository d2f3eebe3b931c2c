"""What stands where on contact sheets: which axes run across and down, and the pages that the others make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, prod, sqrt
from typing import Final

from orchestrator.errors import RefusedError
from orchestrator.lifecycle import Output, State
from orchestrator.output.sheet.axes import OUTPUT, Axis, Key, Shot
from orchestrator.sweep import did_you_mean

MOST_ACROSS: Final = 12
WIDE: Final = 6
MOST_GROUPED: Final = 8
"""How many columns there are at most with another axis over them."""
MOST_DOWN: Final = 400
MOST_PAGES: Final = 100


@dataclass(frozen=True, slots=True)
class Sides:
    """Which axes run where, the outer one first.

    Attributes:
        x: Across.
        y: Down.
        pages: The others, of whose values each makes a sheet of its own.
        flows: Whether there is one axis alone, whose pictures follow each other line by line.
    """

    x: tuple[Axis, ...]
    y: tuple[Axis, ...]
    pages: tuple[Axis, ...]
    flows: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one place.

    Attributes:
        outputs: The files.
        state: How far the task is that has none.
        failure: Why it has failed.
        word: What is written below, where columns and rows do not tell it.
    """

    outputs: tuple[Output, ...]
    state: State
    failure: str | None = None
    word: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet.

    Attributes:
        words: Which page it is: the values of those axes that do not run on it.
        columns, rows: The words of each column and row, one for each axis, the outer one first.
        cells: What stands where, by row and column.
        sides: Which axes run where.
    """

    words: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    rows: tuple[tuple[str, ...], ...]
    cells: Mapping[tuple[int, int], Cell]
    sides: Sides

    @property
    def most(self) -> int:
        """How many pictures a cell holds at most."""
        return max((len(cell.outputs) for cell in self.cells.values()), default=1) or 1


def arranged(axes: Sequence[Axis], x: Sequence[str] | None, y: Sequence[str] | None) -> Sides:
    """Decide which axes run across and down.

    Args:
        axes: All of them, that of outputs last.
        x: The names of those that are to run across, the outer one first; None for what suits.
        y: Likewise down.

    Raises:
        RefusedError: There is no such axis, or it is named twice.
    """
    named = [_named(axes, name) for name in (*(x or ()), *(y or ()))]
    twice = next((axis.name for place, axis in enumerate(named) if axis in named[:place]), None)
    if twice:
        raise RefusedError(f"The axis {twice} cannot run in two places: name it once, with --x or with --y.")
    free = [axis for axis in axes if len(axis) > 1 and axis not in named and axis.name != OUTPUT]
    if x is None and y is None:
        return _suiting(free)
    across = [_named(axes, name) for name in x or ()]
    down = [_named(axes, name) for name in y or ()]
    if x is None and (best := _across(free)):
        across = [best]
    if y is None:
        down = _down([axis for axis in free if axis not in across])
    return Sides(tuple(across), tuple(down), tuple(axis for axis in free if axis not in (*across, *down)))


def sheets(axes: Sequence[Axis], shots: Sequence[Shot], sides: Sides) -> Iterator[Sheet]:
    """Yield the sheets, each with its words, in the order of the grid.

    Raises:
        RefusedError: There are too many of them.
    """
    if prod(map(len, sides.pages)) > MOST_PAGES:
        names = ", ".join(axis.name for axis in sides.pages)
        raise RefusedError(
            f"The axes {names} would make {prod(map(len, sides.pages)):,} sheets, and {MOST_PAGES} are the most:"
            " choose among their values with --only, or let them run across or down with --x or --y."
        )
    pages: dict[tuple[Key, ...], list[tuple[Shot, Mapping[int, Output]]]] = {}
    placed = [OUTPUT in (axis.name for axis in side) for side in (sides.x, sides.y)]
    for shot in shots:
        key = tuple(_value(axes, axis, shot, 0) for axis in sides.pages)
        split = [{number: output} for number, output in shot.outputs.items()] if any(placed) else [shot.outputs]
        pages.setdefault(key, []).extend((shot, held) for held in split or [{}])
    for key in product(*(axis.words for axis in sides.pages)):
        if key in pages:
            words = tuple(axis.words[value] for axis, value in zip(sides.pages, key, strict=True))
            yield _sheet(words, axes, sides, pages[key])


def _sheet(
    words: tuple[str, ...], axes: Sequence[Axis], sides: Sides, shots: Sequence[tuple[Shot, Mapping[int, Output]]]
) -> Sheet:
    cells: dict[tuple[int, int], Cell] = {}
    columns, rows = _lines(sides.x), _lines(sides.y)
    first = next((int(str(value)) for ((_, value),) in axes[-1].words), 0)  # where a task without outputs stands
    for shot, outputs in shots:
        number = next(iter(outputs), first)
        row, column = (
            lines[tuple(_value(axes, axis, shot, number) for axis in side)]
            for side, lines in ((sides.y, rows), (sides.x, columns))
        )
        before = cells[row, column].outputs if (row, column) in cells else ()
        cells[row, column] = Cell((*before, *outputs.values()), shot.state, shot.failure)
    sheet = Sheet(words, _heads(sides.x), _heads(sides.y), cells, sides)
    return _flowing(sheet) if sides.flows else sheet


def _flowing(sheet: Sheet) -> Sheet:
    """Turn a sheet of one column into lines of pictures, each with its word below."""
    across = ceil(sqrt(len(sheet.rows) * 4 / 3))
    cells = {divmod(row, across): replace(cell, word=sheet.rows[row][0]) for (row, _), cell in sheet.cells.items()}
    lines = ceil(len(sheet.rows) / across)
    return Sheet(sheet.words, ((),) * min(across, len(sheet.rows)), ((),) * lines, cells, sheet.sides)


def _lines(side: Sequence[Axis]) -> dict[tuple[Key, ...], int]:
    """Return the columns or rows that axes make, numbered from 0."""
    return {line: number for number, line in enumerate(product(*(axis.words for axis in side)))}


def _heads(side: Sequence[Axis]) -> tuple[tuple[str, ...], ...]:
    """Return the words of the columns or rows that axes make."""
    return tuple(product(*(axis.words.values() for axis in side)))


def _value(axes: Sequence[Axis], axis: Axis, shot: Shot, number: int) -> Key:
    if axis.name == OUTPUT:
        return ((int, number),)
    return shot.at[next(place for place, each in enumerate(axes) if each is axis)]


def _named(axes: Sequence[Axis], name: str) -> Axis:
    found = next((axis for axis in axes if name in (axis.name, *axis.members) and len(axis)), None)
    if found is None:
        known = [axis.name for axis in axes if len(axis)]
        hint = did_you_mean(name, known) or f"There are {', '.join(known)}."
        raise RefusedError(f"There is no axis {name}. {hint}")
    return found


def _suiting(axes: Sequence[Axis]) -> Sides:
    """Put as many axes on the sides as they bear, as the page does; the others make pages."""
    if len(axes) == 1 and len(axes[0]) > MOST_ACROSS:
        return Sides((), tuple(axes), (), flows=True)
    x = _across(axes)
    rest = [axis for axis in axes if axis is not x]
    y = _down(rest)
    left = [axis for axis in rest if axis not in y and x is not None and len(axis) * len(x) <= MOST_GROUPED]
    across = [*left[:1], *([] if x is None else [x])]
    return Sides(tuple(across), tuple(y), tuple(axis for axis in rest if axis not in (*across, *y)))


def _down(axes: Sequence[Axis]) -> list[Axis]:
    """Return the axes that run down: the first two, where their rows are not too many, else the first."""
    rest = [axis for axis in axes if len(axis) <= MOST_DOWN]
    return rest[:2] if len(rest) > 1 and len(rest[0]) * len(rest[1]) <= MOST_DOWN else rest[:1]


def _across(axes: Sequence[Axis]) -> Axis | None:
    """Return the axis that runs across: one of a handful of values, the innermost of the job file among equals."""
    inmost = list(reversed(axes))
    few = [axis for axis in inmost if len(axis) <= MOST_ACROSS]
    if few or len(axes) < 2:
        return max(few, key=lambda axis: min(len(axis), WIDE), default=None)
    return min(inmost, key=len)
