"""The grid that a recipe spans: any cell can be had, and walking along it costs only what changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final

from orchestrator.names import join_parts, safe_part
from orchestrator.sweep.axes import Axis, Cell, as_text
from orchestrator.sweep.recipe import Recipe
from orchestrator.sweep.schema import Kind, as_sent
from orchestrator.sweep.templates import Parts, Ref, names, parse, render
from orchestrator.tasks import ID_VERSION, Scalar, Task, canonical_json

KEPT = 10_000
"""Axes of up to this many values are prepared once; what belongs to those of longer ones is made when it is needed."""

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS: Final = [first + second for first in _LETTERS for second in _LETTERS]
_SHIFTS: Final = range(110, -1, -10)


@dataclass(frozen=True, slots=True)
class Ready:
    """A cell with all that can be worked out before its neighbours are known."""

    cell: Cell
    fragment: str
    """`"name":value` as it stands in the canonical JSON; empty for variables and templates."""
    parts: Parts | None
    clean: str
    """How it stands in a path; empty where it does not or where it is a template without a label."""


@dataclass(frozen=True, slots=True)
class Derived:
    """Something that templates make of several axes: a parameter (`slot`), or a part of the path."""

    place: int
    name: str
    kind: Kind
    parts: Parts | None
    """The template; None where the axis `name` itself says it, value by value."""
    wheels: frozenset[int]


class Grid:
    """A recipe's product of axes, in the order of the job file."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.axes = recipe.axes
        self.position = {axis.name: place for place, axis in enumerate(self.axes)}
        self.wheels = self._wheels()
        self.sizes = [len(self.axes[wheel[0]]) for wheel in self.wheels]
        self.size = prod(self.sizes)
        sent = [axis.name for axis in self.axes if axis.kind is not None]
        self.keys = sorted({*recipe.parameters, *recipe.templates, *sent})
        self.slot = {name: place for place, name in enumerate(self.keys)}
        self.slots = [None if axis.kind is None else self.slot[axis.name] for axis in self.axes]
        self.path = [parse(part) for part in recipe.path.split("/")]
        self.in_path = frozenset[str]().union(*map(names, self.path))
        self.labelled = [
            place for place, axis in enumerate(self.axes) if any(cell.label is not None for cell in axis.written())
        ]
        self.heads = {key: f"{canonical_json(key)}:" for key in self.keys}
        self.prefix = f"[{ID_VERSION},{canonical_json(recipe.model)},{{"

    def _wheels(self) -> list[tuple[int, ...]]:
        grouped = {name: group for group in self.recipe.zipped for name in group}
        wheels = (tuple(self.position[each] for each in grouped.get(name, (name,))) for name in self.position)
        return list(dict.fromkeys(tuple(sorted(wheel)) for wheel in wheels))

    @cached_property
    def wheel_of(self) -> dict[str, int]:
        """Which wheel turns an axis, by the axis's name."""
        return {self.axes[place].name: level for level, wheel in enumerate(self.wheels) for place in wheel}

    @cached_property
    def referenced(self) -> frozenset[str]:
        """The axes and variables that the text of some sent template depends on."""
        used = frozenset[str]()
        for template in self.recipe.templates.values():
            used |= names(parse(template))
        return used.union(*(self._references(axis) for axis in self.axes if axis.kind is not None))

    def _references(self, axis: Axis) -> frozenset[str]:
        return frozenset[str]().union(*(names(parse(cell.text)) for cell in axis.written() if cell.template))

    @cached_property
    def derived(self) -> list[Derived]:
        """The parameters that templates make, those that axes hold and those that are fixed."""
        found = []
        for axis in self.axes:
            if axis.kind is not None and any(cell.template for cell in axis.written()):
                wheels = self._turned_by({axis.name})
                found.append(Derived(self.slot[axis.name], axis.name, axis.kind, None, wheels))
        for name, template in self.recipe.templates.items():
            parts = parse(template)
            found.append(Derived(self.slot[name], name, self.recipe.kinds[name], parts, self._turned_by(names(parts))))
        return found

    @cached_property
    def derived_path(self) -> list[Derived]:
        """The parts of the path that depend on an axis."""
        fixed_templates = self.recipe.templates
        found = []
        for place, parts in enumerate(self.path):
            used = set(names(parts))
            for name in used & fixed_templates.keys():
                used |= names(parse(fixed_templates[name]))
            found.append(Derived(place, "", Kind.TEXT, parts, self._turned_by(used & self.position.keys())))
        return found

    def _turned_by(self, used: set[str] | frozenset[str]) -> frozenset[int]:
        known: set[str] = set()
        waiting = set(used)
        while waiting:
            known |= waiting
            waiting = set().union(*(self._references(self.axes[self.position[name]]) for name in waiting)) - known
        return frozenset(self.wheel_of[name] for name in known)

    @cached_property
    def _kept(self) -> list[list[Ready] | None]:
        return [[self._ready(axis, cell) for cell in axis.cells()] if len(axis) <= KEPT else None for axis in self.axes]

    def ready(self, position: int, place: int) -> Ready:
        """Return the prepared cell at a place of an axis."""
        kept = self._kept[position]
        return kept[place] if kept is not None else self._ready(self.axes[position], self.axes[position].cell(place))

    def _ready(self, axis: Axis, cell: Cell) -> Ready:
        parts = parse(cell.text) if cell.template else None
        sent = axis.kind is not None and parts is None
        clean = ""
        if axis.name in self.in_path and (cell.label is not None or parts is None):
            clean = safe_part(cell.text if cell.label is None else cell.label)
        return Ready(cell, f"{self.heads[axis.name]}{canonical_json(cell.sent)}" if sent else "", parts, clean)

    def digits(self, ordinal: int, sizes: Sequence[int]) -> list[int]:
        """Return the place on each wheel of the cell number `ordinal` of a grid with these sizes."""
        found = []
        for size in reversed(sizes):
            ordinal, digit = divmod(ordinal, size)
            found.append(digit)
        return found[::-1]

    def coordinates(self, digits: Sequence[int]) -> dict[str, Scalar]:
        """Return the value of every axis at a place on each wheel."""
        shown: dict[str, Scalar] = dict.fromkeys(self.position)
        for wheel, digit in zip(self.wheels, digits, strict=True):
            for position in wheel:
                shown[self.axes[position].name] = self.ready(position, digit).cell.value
        return shown

    def walk(self, choices: Sequence[Sequence[int]], start: int = 0) -> Iterator[Here]:
        """Go along the cells whose place on each wheel is among the choices.

        Args:
            choices: For each wheel the places to stop at, in order.
            start: How many cells to skip, which costs nothing.

        Yields:
            The same object each time, standing at the next cell.
        """
        sizes = [len(choice) for choice in choices]
        if start >= prod(sizes):
            return
        turns = self.digits(start, sizes)
        here = Here(self)
        here.move([choice[turn] for choice, turn in zip(choices, turns, strict=True)])
        yield here
        while True:
            level = len(sizes) - 1
            while level >= 0 and turns[level] + 1 == sizes[level]:
                turns[level] = 0
                level -= 1
            if level < 0:
                return
            turns[level] += 1
            for each in range(level, len(sizes)):
                here.turn(each, choices[each][turns[each]])
            here.settle(level)
            yield here


class Here:
    """A place in the grid: what is sent there, and all that belongs to the task."""

    def __init__(self, grid: Grid) -> None:
        recipe = grid.recipe
        self.grid = grid
        self.digits = [-1] * len(grid.wheels)
        self.ready: list[Ready] = [grid.ready(place, 0) for place in range(len(grid.axes))]
        self.axes: dict[str, Scalar] = dict.fromkeys(grid.position)
        self.parameters: dict[str, Scalar] = {key: recipe.parameters.get(key) for key in grid.keys}
        self.fragments = [f"{grid.heads[key]}{canonical_json(value)}" for key, value in self.parameters.items()]
        self.path = [""] * len(grid.path)
        self._plan = [[(place, grid.axes[place].name, grid.slots[place]) for place in wheel] for wheel in grid.wheels]
        levels = range(len(grid.wheels) + 1)
        self._derived = [[each for each in grid.derived if _turns(each, level)] for level in levels]
        self._path = [[each for each in grid.derived_path if _turns(each, level)] for level in levels]

    def move(self, digits: Sequence[int]) -> None:
        """Go to the cell at these places of the wheels."""
        first = len(digits)
        for level in range(len(digits) - 1, -1, -1):
            if digits[level] != self.digits[level]:
                self.turn(level, digits[level])
                first = level
        self.settle(first)

    def turn(self, level: int, digit: int) -> None:
        """Turn one wheel; `settle` must follow."""
        self.digits[level] = digit
        for place, name, slot in self._plan[level]:
            ready = self.grid.ready(place, digit)
            self.ready[place] = ready
            self.axes[name] = ready.cell.value
            if slot is not None and ready.parts is None:
                self.fragments[slot] = ready.fragment
                self.parameters[name] = ready.cell.sent

    def settle(self, level: int) -> None:
        """Work out what templates make of the wheels from `level` on; 0 works out everything."""
        self.fill(level)
        for derived in self._path[level]:
            pieces = [each if isinstance(each, str) else self._clean(each) for each in derived.parts or ()]
            self.path[derived.place] = join_parts(pieces)

    def fill(self, level: int) -> None:
        """Do the part of `settle` that the id depends on."""
        for derived in self._derived[level]:
            text = self.rendered(derived)
            if text is not None:
                value = as_sent(derived.kind, text)
                self.parameters[derived.name] = value
                self.fragments[derived.place] = f"{self.grid.heads[derived.name]}{canonical_json(value)}"

    def rendered(self, derived: Derived) -> str | None:
        """Return the text that a template makes here, or None where the axis holds a plain value here."""
        parts = derived.parts or self.ready[self.grid.position[derived.name]].parts
        return None if parts is None else render(parts, self.text)

    def text(self, name: str) -> str:
        """Return the text that stands for a variable or an axis here."""
        ready = self.ready[self.grid.position[name]]
        return ready.cell.text if ready.parts is None else render(ready.parts, self.text)

    def _clean(self, ref: Ref) -> str:
        place = self.grid.position.get(ref.name)
        if place is None:
            return safe_part(as_text(self.parameters.get(ref.name)))
        return self.ready[place].clean or safe_part(self.text(ref.name))

    def digest(self, repeat: int = 1) -> bytes:
        """Return the SHA-256 from which the task's id is made (see `tasks.task_id`)."""
        text = f"{self.grid.prefix}{','.join(self.fragments)}}},{repeat}]"
        return hashlib.sha256(text.encode()).digest()

    def around(self, slot: int) -> tuple[bytes, bytes]:
        """Return what is hashed for a first repetition before and after the parameter in a slot."""
        before, after = ",".join(self.fragments[:slot]), ",".join(self.fragments[slot + 1 :])
        head, tail = f"{before}," if before else "", f",{after}" if after else ""
        return f"{self.grid.prefix}{head}".encode(), f"{tail}}},1]".encode()

    def task(self, index: int, repeat: int, cells: tuple[Mapping[str, Scalar], ...] = ()) -> Task:
        """Return the task that stands here."""
        labels = {}
        for place in self.grid.labelled:
            cell = self.ready[place].cell
            if cell.label is not None:
                labels[self.grid.axes[place].name] = cell.label
        return Task(
            spelled_id(self.digest(repeat)),
            index,
            self.parameters.copy(),
            self.axes.copy(),
            labels,
            "/".join(self.path),
            repeat,
            cells,
            self.grid.recipe.model,
        )


def spelled_id(digest: bytes) -> str:
    """Return the id that a SHA-256 stands for: lowercase base32 of its first 15 bytes, ten bits at a time."""
    number = int.from_bytes(digest[:15])
    pairs = _PAIRS
    return "".join([pairs[number >> shift & 1023] for shift in _SHIFTS])


def _turns(derived: Derived, level: int) -> bool:
    return level == 0 or any(wheel >= level for wheel in derived.wheels)
