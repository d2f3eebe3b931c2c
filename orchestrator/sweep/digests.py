"""The ids of all cells of a grid, one after the other: quick, since most of what is hashed stays the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import TypeAlias

from orchestrator.sweep.grid import Grid, Here

Fitting: TypeAlias = Sequence[tuple[int, frozenset[int]]]
"""A rule of `exclude`: wheels, and the places on them that fit it."""

Kept: TypeAlias = Callable[[Sequence[int]], Sequence[int]]
"""Gives the places of the last wheel that count, for a place on each of the others."""


def kept_places(rules: Sequence[Fitting], sizes: Sequence[int]) -> Kept:
    """Return what tells the cells that no rule fits.

    Args:
        rules: What is left out.
        sizes: The number of places on each wheel, at least one wheel.
    """
    last = len(sizes) - 1
    everything = range(sizes[last])
    parted = [
        (
            [(level, fitting) for level, fitting in rule if level != last],
            [fitting for level, fitting in rule if level == last],
        )
        for rule in rules
    ]

    def kept(digits: Sequence[int]) -> Sequence[int]:
        out: set[int] = set()
        for others, own in parted:
            if all(digits[level] in fitting for level, fitting in others):
                out.update(frozenset(everything).intersection(*own))
        return [place for place in everything if place not in out] if out else everything

    return kept


def digests(grid: Grid, kept: Kept) -> Iterator[tuple[int, bytes]]:
    """Yield the number of each cell that counts in the whole grid, and the SHA-256 from which its task's id is made."""
    last = grid.sizes[-1]
    outer = [range(size) for size in grid.sizes[:-1]]
    changed = _changed(grid)
    of_place = _by_turning if changed is None else _in_slot(grid, changed, again=prod(grid.sizes[:-1]) > 1)
    for number, here in enumerate(grid.walk([*outer, range(1)])):
        first = number * last
        for place, digest in of_place(here, kept(here.digits[:-1])):
            yield first + place, digest


def _by_turning(here: Here, places: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    level = len(here.digits) - 1
    for place in places:
        here.turn(level, place)
        here.fill(level)
        yield place, here.digest()


def _in_slot(grid: Grid, axis: int, *, again: bool) -> Callable[[Here, Sequence[int]], Iterator[tuple[int, bytes]]]:
    """Return what hashes the cells along the last wheel, which changes one parameter alone.

    Args:
        grid: The grid.
        axis: Whose parameter that is.
        again: Whether the wheel is gone along more than once, so that it pays to keep its values.
    """
    slot = grid.slot[grid.axes[axis].name]

    def made(place: int) -> bytes:
        return grid.ready(axis, place).fragment.encode()

    fragment = list(map(made, range(grid.sizes[-1]))).__getitem__ if again else made
    sha256 = hashlib.sha256

    def hashed(here: Here, places: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        head, tail = here.around(slot)
        for place in places:
            yield place, sha256(head + fragment(place) + tail).digest()

    return hashed


def _changed(grid: Grid) -> int | None:
    """Return the axis whose parameter is all that the last wheel changes, None where it is not so."""
    level = len(grid.wheels) - 1
    sent = [place for place in grid.wheels[level] if grid.slots[place] is not None]
    is_free = all(level not in derived.wheels for derived in grid.derived)
    return sent[0] if is_free and len(sent) == 1 else None
