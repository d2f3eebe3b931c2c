"""How many tasks share the values of some parameters, counted without building the tasks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from math import prod
from typing import TypeAlias

from orchestrator.sweep.grid import Grid, Here
from orchestrator.tasks import Parameters

Tally: TypeAlias = Iterator[tuple[Parameters, int]]
"""Combinations of values, and how many cells have each; one may come more than once."""


def of_wheels(grid: Grid, choices: Sequence[Sequence[int]], names: Collection[str]) -> Tally:
    """Count the cells of a grid by the values that they send for some parameters.

    Args:
        grid: The grid.
        choices: For each wheel the places that count.
        names: The parameters.
    """
    turned = _turned(grid, names)
    alike = prod(len(choice) for level, choice in enumerate(choices) if level not in turned)
    for here in grid.walk([choice if level in turned else choice[:1] for level, choice in enumerate(choices)]):
        yield sent(here, names), alike


def of_cells(grid: Grid, ordinals: Sequence[int], names: Collection[str]) -> Tally:
    """Count listed cells of a grid by the values that they send for some parameters.

    Args:
        grid: The grid.
        ordinals: The numbers of the cells in the whole grid.
        names: The parameters.
    """
    wheels = [(prod(grid.sizes[level + 1 :]), grid.sizes[level]) for level in _turned(grid, names)]

    def alike(ordinal: int) -> int:
        """Return the first cell of the grid that sends the same."""
        return sum([ordinal // stride % size * stride for stride, size in wheels])

    here = Here(grid)
    for first, same in groupby(sorted(map(alike, ordinals))):
        here.move(grid.digits(first, grid.sizes))
        yield sent(here, names), sum(1 for _ in same)


def sent(here: Here, names: Collection[str]) -> Parameters:
    """Return what a cell sends for some parameters."""
    return {name: here.parameters[name] for name in names if name in here.parameters}


def _turned(grid: Grid, names: Collection[str]) -> frozenset[int]:
    """Return the wheels that the values of some parameters depend on."""
    own = frozenset(grid.wheel_of[axis.name] for axis in grid.axes if axis.kind is not None and axis.name in names)
    return own.union(*(derived.wheels for derived in grid.derived if derived.name in names))
