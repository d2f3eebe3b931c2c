"""The ids of all cells of a grid, one after the other: quick, since most of what is hashed stays the same."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from math import prod
from typing import Final, TypeAlias

from orchestrator.sweep.grid import Grid, Here

Fitting: TypeAlias = Sequence[tuple[int, frozenset[int]]]
"""A rule of `exclude`: wheels, and the places on them that fit it."""

NARROW: Final = 16
"""A rule that fits so few places of a wheel is looked at only where one of them is reached."""

_Parted: TypeAlias = tuple[Sequence[tuple[int, frozenset[int]]], frozenset[int] | None]
"""A rule: what it asks of the other wheels, and the places of the last one that it leaves out, None for all."""

Kept: TypeAlias = Callable[[Sequence[int]], Sequence[int]]
"""Gives the places of the last wheel that count, for a place on each of the others."""


def kept_places(rules: Sequence[Fitting], sizes: Sequence[int]) -> Kept:
    """Return what tells the cells that no rule fits.

    Args:
        rules: What is left out.
        sizes: The number of places on each wheel, at least one wheel.
    """
    last = len(sizes) - 1
    never: set[int] = set()
    anywhere: list[_Parted] = []
    narrow: dict[tuple[int, int], list[_Parted]] = defaultdict(list)
    for rule in rules:
        others = [(level, fitting) for level, fitting in rule if level != last]
        own = [fitting for level, fitting in rule if level == last]
        parted = others, frozenset.intersection(*own) if own else None
        if not others:
            never |= frozenset.intersection(*own)
            continue
        level, least = min(others, key=lambda each: len(each[1]))
        if len(least) <= NARROW:
            for place in least:
                narrow[level, place].append(parted)
        else:
            anywhere.append(parted)
    places = range(sizes[last])
    everything = [place for place in places if place not in never] if never else places

    def kept(digits: Sequence[int]) -> Sequence[int]:
        out: set[int] = set()
        here = (narrow[each] for each in enumerate(digits) if each in narrow)
        for others, own in chain(anywhere, *here):
            if all(digits[level] in fitting for level, fitting in others):
                out.update(everything if own is None else own)
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
