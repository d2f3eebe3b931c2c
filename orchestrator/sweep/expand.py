"""From the grid to the stream of tasks: equal ones folded, some left out, some added, numbered."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice, product
from math import prod
from typing import Final, TypeAlias

from orchestrator.sweep.digests import Fitting, digests, kept_places
from orchestrator.sweep.grid import Grid, Here, spelled_id
from orchestrator.sweep.injective import tells_apart
from orchestrator.sweep.listing import Listing, Notes, in_order
from orchestrator.sweep.lookup import Lookup
from orchestrator.sweep.recipe import Recipe
from orchestrator.sweep.tally import Tally, of_cells, of_wheels, sent
from orchestrator.tasks import Scalar, Task

SMALL: Final = 10_000
"""Grids of up to this many cells are gone along only to know how many cells fold."""

DENSE: Final = 4
"""Where one cell in so many is listed, going along the whole grid is quicker than going to each."""

Coordinates: TypeAlias = tuple[Mapping[str, Scalar], ...]


@dataclass(frozen=True, slots=True)
class _Classes:
    """The values of one wheel that lead to different tasks, and which others are equal to them."""

    firsts: Sequence[int]
    twins: Mapping[int, Sequence[int]]


class Expansion:
    """The tasks of a recipe.

    A grid whose equal cells can be told wheel by wheel is counted and entered anywhere without being built. Only where
    something is filtered, added or shuffled, or where templates make equal texts of different cells, one pass over the
    grid notes the cells that count.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._grid = Grid(recipe)
        self._rows = [Grid(row) for row in recipe.include]

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """The names of the axes, those that move together in one group."""
        axes = self._grid.axes
        return [tuple(axes[place].name for place in wheel) for wheel in self._grid.wheels]

    @cached_property
    def total(self) -> int:
        """How many tasks there are."""
        listing = self._listing
        cells = prod(len(each.firsts) for each in self._classes) if listing is None else len(listing.ordinals)
        return cells * self._recipe.repeat

    @cached_property
    def cells(self) -> int | None:
        """How many cells there are before equal ones are folded; None where only going along a large grid tells."""
        recipe = self._recipe
        if not recipe.exclude and recipe.sample is None:
            return (self._grid.size + len(self._rows)) * recipe.repeat
        if self._grid.size > SMALL or self._listing is None:
            return None
        return (len(self._listing.ordinals) + len(self._listing.others)) * recipe.repeat

    @property
    def folded(self) -> int | None:
        """How many cells make a task that another one makes; None where only going along a large grid tells."""
        is_cheap = self._grid.size <= SMALL or (not self._is_chosen and self._is_told_apart)
        return self.cells - self.total if is_cheap and self.cells is not None else None

    def tasks(self, start: int = 0) -> Iterator[Task]:
        """Yield the tasks from number `start` of the stream on, each id once."""
        return self._from_wheels(start) if self._listing is None else self._from_listing(self._listing, start)

    def ids(self) -> Iterator[str]:
        """Yield the id of each task, in no stated order."""
        listing = self._listing
        found = self._digests_of_wheels() if listing is None else self._digests(listing)
        return map(spelled_id, found)

    def tally(self, names: Collection[str]) -> Tally:
        """Yield the values that tasks send for some parameters, and how many tasks send them."""
        repeat, listing = self._recipe.repeat, self._listing
        if listing is None:
            found = of_wheels(self._grid, [each.firsts for each in self._classes], names)
        else:
            rows = bisect_left(listing.ordinals, self._grid.size)
            added = (self._rows[ordinal - self._grid.size] for ordinal in listing.ordinals[rows:])
            cells = of_cells(self._grid, listing.ordinals[:rows], names)
            found = chain(cells, ((sent(_only(row), names), 1) for row in added))
        return ((values, count * repeat) for values, count in found)

    @cached_property
    def _classes(self) -> list[_Classes]:
        return [self._classes_of(wheel) for wheel in self._grid.wheels]

    def _classes_of(self, wheel: tuple[int, ...]) -> _Classes:
        grid = self._grid
        axes = [grid.axes[place] for place in wheel]
        size = len(axes[0])
        matters = [axis.kind is not None or axis.name in grid.referenced for axis in axes]
        if not any(matters):
            return _Classes(range(1), {0: range(1, size)} if size > 1 else {})
        if any(axis.distinct for axis, counts in zip(axes, matters, strict=True) if counts):
            return _Classes(range(size), {})
        firsts: dict[object, int] = {}
        twins: dict[int, list[int]] = defaultdict(list)
        for digit in range(size):
            effects = [self._effect(place, digit) for place in wheel]
            first = firsts.setdefault(effects[0] if len(effects) == 1 else tuple(effects), digit)
            if first != digit:
                twins[first].append(digit)
        return _Classes(list(firsts.values()), dict(twins))

    def _effect(self, place: int, digit: int) -> object:
        """Return all of a value that can tell in what is sent: mostly the value itself, of which there may be many."""
        grid = self._grid
        axis = grid.axes[place]
        if axis.name not in grid.referenced and isinstance(sent := axis.cell(digit).sent, str):
            return sent
        ready = grid.ready(place, digit)
        templated = ready.parts is not None
        text = ready.cell.text if axis.name in grid.referenced or templated else ""
        return ready.fragment, text, templated

    @cached_property
    def _is_told_apart(self) -> bool:
        """Whether it is proven that the cells which differ on a wheel make different tasks."""
        return tells_apart(self._grid, [each.firsts for each in self._classes])

    @cached_property
    def _collides(self) -> bool:
        """Whether templates make equal texts of cells that differ on more than one wheel."""
        grid = self._grid
        if self._is_told_apart:
            return False
        choices = [each.firsts for each in self._classes]
        for block in self._blocks():
            slots = [each.place for each in grid.derived if each.wheels <= block]
            wheels = (grid.wheel_of[axis.name] for axis in grid.axes)
            slots += [
                slot for slot, wheel in zip(grid.slots, wheels, strict=True) if slot is not None and wheel in block
            ]
            seen: set[int] = set()
            within = [choice if level in block else choice[:1] for level, choice in enumerate(choices)]
            for count, here in enumerate(grid.walk(within), 1):
                seen.add(hash(tuple([here.fragments[slot] for slot in slots])))
                if len(seen) < count:
                    return True
        return False

    def _blocks(self) -> list[frozenset[int]]:
        """Return the sets of wheels that templates tie together."""
        blocks: list[frozenset[int]] = []
        for derived in self._grid.derived:
            apart = [block for block in blocks if not block & derived.wheels]
            tied = [block for block in blocks if block & derived.wheels]
            blocks = [*apart, derived.wheels.union(*tied)]
        return blocks

    def _from_wheels(self, start: int) -> Iterator[Task]:
        classes = self._classes
        repeat = self._recipe.repeat
        first, skipped = divmod(start, repeat)
        index = start
        folded = any(each.twins for each in classes)
        for here in self._grid.walk([each.firsts for each in classes], first):
            cells = self._further_cells(here) if folded else ()
            for again in range(skipped + 1, repeat + 1):
                yield here.task(index, again, cells)
                index += 1
            skipped = 0

    def _digests_of_wheels(self) -> Iterator[bytes]:
        """Yield the SHA-256 of each task where none has to be noted."""
        repeat, classes = self._recipe.repeat, self._classes
        if repeat == 1 and not any(each.twins for each in classes):
            return (digest for _, digest in self._kept_digests())
        cells = self._grid.walk([each.firsts for each in classes])
        return (here.digest(again) for here in cells for again in range(1, repeat + 1))

    def _further_cells(self, here: Here) -> Coordinates:
        """Return the coordinates of the cells that were folded into the one here."""
        same = [(digit, *each.twins.get(digit, ())) for digit, each in zip(here.digits, self._classes, strict=True)]
        return tuple(map(self._grid.coordinates, islice(product(*same), 1, None)))

    @cached_property
    def _listing(self) -> Listing | None:
        return self._list() if self._is_chosen or self._collides else None

    @property
    def _is_chosen(self) -> bool:
        """Whether there is more, less or another order than the grid's."""
        recipe = self._recipe
        return bool(recipe.exclude or recipe.sample or recipe.include or recipe.shuffled)

    def _list(self) -> Listing:
        """Go once over all cells and note those that make the tasks."""
        sample = self._recipe.sample
        different = not self._collides and not any(each.twins for each in self._classes)
        if different and not self._rows and sample is None:
            return Listing(array("Q", self._kept_ordinals()))
        notes = Notes()
        for ordinal, digest in self._kept_digests():
            notes.ordinals.append(ordinal)
            notes.keys.append(_key(digest))
            if sample is not None:
                notes.draws.append(_draw(sample.rng, spelled_id(digest)))
        rows = [(number, _key(_only(row).digest())) for number, row in enumerate(self._rows, self._grid.size)]
        return notes.listing(different=different, count=None if sample is None else sample.count, rows=rows)

    def _kept_ordinals(self) -> Iterator[int]:
        """Yield the numbers of the cells that `exclude` leaves."""
        if not self._grid.sizes:
            return iter(range(1))
        *outer, last = self._grid.sizes
        kept = kept_places(self._exclude, self._grid.sizes)
        rows = enumerate(product(*map(range, outer)))
        return (number * last + place for number, digits in rows for place in kept(digits))

    def _kept_digests(self) -> Iterator[tuple[int, bytes]]:
        """Yield the same cells, and the SHA-256 of each one's first repetition."""
        if not self._grid.sizes:
            return iter([(0, _only(self._grid).digest())])
        return digests(self._grid, kept_places(self._exclude, self._grid.sizes))

    @cached_property
    def _exclude(self) -> list[Fitting]:
        wheel_of = self._grid.wheel_of
        found = {axis.name: Lookup(axis) for axis in self._grid.axes}
        return [
            [(wheel_of[name], found[name].fitting(matcher)) for name, matcher in rule] for rule in self._recipe.exclude
        ]

    def _at(self, ordinal: int, here: Here) -> Here:
        """Return the place of a listed cell, `here` moved or that of an `include` row."""
        if ordinal >= self._grid.size:
            return _only(self._rows[ordinal - self._grid.size])
        here.move(self._grid.digits(ordinal, self._grid.sizes))
        return here

    def _coordinates(self, ordinal: int) -> Mapping[str, Scalar]:
        if ordinal >= self._grid.size:
            return dict(self._at(ordinal, Here(self._grid)).axes)
        return self._grid.coordinates(self._grid.digits(ordinal, self._grid.sizes))

    def _from_listing(self, listing: Listing, start: int) -> Iterator[Task]:
        repeat = self._recipe.repeat
        here = Here(self._grid)
        for index in islice(self._stream, start, None):
            position, again = divmod(index, repeat)
            ordinal = listing.ordinals[position]
            at = self._at(ordinal, here)
            cells = tuple(map(self._coordinates, listing.twins(ordinal)))
            yield at.task(index, again + 1, cells)

    @cached_property
    def _stream(self) -> Sequence[int]:
        """The indexes in the order in which the tasks come."""
        indexes = range(self.total)
        listing = self._listing
        if listing is None or not self._recipe.shuffled:
            return indexes
        keys = array("Q", (_draw(0, spelled_id(digest)) for digest in self._digests(listing)))
        return in_order(keys)

    def _digests(self, listing: Listing) -> Iterator[bytes]:
        """Yield the SHA-256 of each task of the listing."""
        if self._recipe.repeat == 1 and len(listing.ordinals) * DENSE > self._grid.size:
            listed = iter(listing.ordinals)
            wanted = next(listed, None)
            rows = ((self._grid.size + number, _only(row).digest()) for number, row in enumerate(self._rows))
            for ordinal, digest in chain(self._kept_digests(), rows):
                if ordinal == wanted:
                    yield digest
                    wanted = next(listed, None)
            return
        here = Here(self._grid)
        for ordinal in listing.ordinals:
            at = self._at(ordinal, here)
            yield from map(at.digest, range(1, self._recipe.repeat + 1))


def _only(row: Grid) -> Here:
    """Return the one place of an `include` row."""
    return next(row.walk([range(1)] * len(row.wheels)))


def _key(digest: bytes) -> int:
    return int.from_bytes(digest[:8])


def _draw(rng: int, task: str) -> int:
    """Return the number by which tasks are sampled and shuffled: the same for ever."""
    return int.from_bytes(hashlib.sha256(f"{rng}:{task}".encode()).digest()[:8])
