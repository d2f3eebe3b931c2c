"""Which cells of a grid make the tasks, where that has to be noted: some flat bytes for each cell, no objects."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, islice
from typing import Final

_PARTS: Final = 256
_TOP: Final = 56
"""How far the highest byte of a key is to the right."""
_PACKED: Final = 64


@dataclass(frozen=True, slots=True)
class Listing:
    """Which cells make the tasks; numbers past the grid's size are `include` rows.

    Attributes:
        ordinals: The cells, in the grid's order.
        firsts: For each cell that is folded the one that makes its task, in rising order.
        others: The cells that are folded, in the order of `firsts`.
    """

    ordinals: array[int]
    firsts: array[int] = field(default_factory=lambda: array("Q"))
    others: array[int] = field(default_factory=lambda: array("Q"))

    def twins(self, ordinal: int) -> Sequence[int]:
        """Return the cells that are folded into one."""
        return self.others[bisect_left(self.firsts, ordinal) : bisect_right(self.firsts, ordinal)]


class Notes:
    """What is noted of cells on one way along a grid: which ones, the key of each one's id, and its draw.

    Attributes:
        ordinals: The numbers of the cells in the whole grid.
        keys: The first eight bytes of the SHA-256 that the ids are made from.
        draws: By which cells are sampled; empty where all are kept.
    """

    def __init__(self) -> None:
        self.ordinals = array("Q")
        self.keys = array("Q")
        self.draws = array("Q")

    def listing(self, *, different: bool, count: int | None, rows: Sequence[tuple[int, int]]) -> Listing:
        """Fold equal cells into the first of them, keep a sample of these, and add rows.

        Args:
            different: Whether the cells are known to be different.
            count: How many of them are kept, those with the smallest draws; None keeps all.
            rows: The number and the key of each row of `include`.
        """
        first = range(len(self.keys)) if different else _first_equals(self.keys)
        kept = self._kept(first, count)
        listed = array("Q", compress(self.ordinals, kept))
        wanted = {key for _, key in rows}
        makers = {key: each for each, key in zip(listed, compress(self.keys, kept), strict=True) if key in wanted}
        pairs = [] if different else list(self._pairs(first, kept))
        for number, key in rows:
            maker = makers.setdefault(key, number)
            if maker == number:
                listed.append(number)
            else:
                pairs.append(maker << _PACKED | number)
        pairs.sort()
        return Listing(
            listed,
            array("Q", (pair >> _PACKED for pair in pairs)),
            array("Q", (pair & (1 << _PACKED) - 1 for pair in pairs)),
        )

    def _kept(self, first: Sequence[int], count: int | None) -> bytearray:
        """Return for each place whether its cell makes a task."""
        kept = bytearray(place == each for place, each in enumerate(first))
        if count is not None:
            left_out = islice((place for place in in_order(self.draws) if kept[place]), count, None)
            for place in left_out:
                kept[place] = False
        return kept

    def _pairs(self, first: Sequence[int], kept: Sequence[int]) -> Iterator[int]:
        """Yield each cell that is folded into a kept one, behind that one in one number."""
        for place, each in enumerate(first):
            if place != each and kept[each]:
                yield self.ordinals[each] << _PACKED | self.ordinals[place]


def in_order(keys: array[int]) -> array[int]:
    """Return the places of keys of eight bytes, that of the smallest one first; of equal ones the first one first."""
    parts = [array("Q") for _ in range(_PARTS)]
    for place, key in enumerate(keys):
        parts[key >> _TOP].append(place)
    return array("Q", chain.from_iterable(sorted(part, key=keys.__getitem__) for part in parts))


def _first_equals(keys: array[int]) -> array[int]:
    """Return for each place the first one with the same key."""
    first = array("Q", range(len(keys)))
    before = 0
    for place in in_order(keys):
        if keys[place] == keys[before]:
            first[place] = first[before]
        before = place
    return first
