"""A proof that different cells of a grid send different parameters, found in its templates without building a cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import Final

from orchestrator.sweep.grid import Derived, Grid
from orchestrator.sweep.schema import Kind
from orchestrator.sweep.templates import Parts, Ref

MOST: Final = 100_000
"""How many values an axis may have for its texts to be looked at."""


def tells_apart(grid: Grid, choices: Sequence[Sequence[int]]) -> bool:
    """Return whether what is sent surely tells every cell from all others; False means that this is not known.

    The proof reads what is sent as somebody would who wants to know the cell. Values that are sent as they stand tell
    their wheel. Of a text that a template made, the template is known where all of them begin (or end) differently, and
    then the values in it one by one, as long as none can be taken for the beginning (or the end) of another.

    Args:
        grid: The grid.
        choices: For each wheel the places to tell apart.
    """
    return _Proof(grid, choices).holds()


class _Proof:
    """What is known of the wheels so far; it only grows.

    `seen` holds the axes whose part in what is sent can be read, `known` the wheels whose place follows from them.
    """

    def __init__(self, grid: Grid, choices: Sequence[Sequence[int]]) -> None:
        self._grid = grid
        self._choices = choices
        self._templated = {axis.name for axis in grid.axes if _has_templates(grid, axis.name)}
        self._seen = {axis.name for axis in grid.axes if axis.kind is not None} - self._templated
        self._known: set[int] = set()
        self._is_free = cache(self._are_free)

    def holds(self) -> bool:
        everything = set(range(len(self._choices)))
        before = None
        while before != (len(self._seen), len(self._known)):
            before = len(self._seen), len(self._known)
            self._known |= {level for level in everything - self._known if self._is_told(level)}
            for derived in self._grid.derived:
                if derived.kind is Kind.TEXT:
                    self._read(derived)
        return self._known == everything

    def _is_told(self, level: int) -> bool:
        """Return whether the axes that can be read tell every place of a wheel from the others."""
        axes = [
            self._grid.axes[place] for place in self._grid.wheels[level] if self._grid.axes[place].name in self._seen
        ]
        places = self._choices[level]
        if len(places) == 1 or any(axis.distinct for axis in axes):
            return True
        positions = [self._grid.position[axis.name] for axis in axes]
        if len(positions) == 1:
            return len({self._sign(positions[0], place) for place in places}) == len(places)
        told = {tuple(self._sign(position, place) for position in positions) for place in places}
        return len(told) == len(places)

    def _sign(self, position: int, place: int) -> str:
        """Return by what a value is known: what is sent of it (as it stands, where that is text), or its own text."""
        if isinstance(sent := self._grid.axes[position].cell(place).sent, str):
            return sent
        ready = self._grid.ready(position, place)
        return ready.fragment or ready.cell.text

    def _read(self, derived: Derived) -> None:
        """Learn what the texts of one parameter tell."""
        templates = [derived.parts] if derived.parts is not None else self._templates(derived.name)
        if derived.parts is None:
            level = self._grid.wheel_of[derived.name]
            if level not in self._known and not (
                _free(map(_head, templates)) or _free(_reversed(map(_tail, templates)))
            ):
                return
            self._known.add(level)
        self._seen |= frozenset[str].intersection(*(self._told_by(parts) for parts in templates))

    def _templates(self, name: str) -> list[Parts]:
        position = self._grid.position[name]
        cells = [self._grid.ready(position, place) for place in self._choices[self._grid.wheel_of[name]]]
        return [(ready.cell.text,) if ready.parts is None else ready.parts for ready in cells]

    def _told_by(self, parts: Parts) -> frozenset[str]:
        """Return the names whose texts can be read off what one template makes."""
        rest = list(parts)
        told: set[str] = set()
        for flip in (False, True):
            while rest and (isinstance(rest[0], str) or rest[0].name in told or self._ends_clearly(rest, flip=flip)):
                part = rest.pop(0)
                told |= {part.name} if isinstance(part, Ref) else set()
            rest.reverse()
        left = {part.name for part in rest if isinstance(part, Ref)} - told
        unread = {name for name in left if self._grid.wheel_of[name] not in self._known or name in self._templated}
        if len(unread) == 1:  # where only one is unknown, the length of the whole gives its length
            told |= unread - self._templated
        return frozenset(told - self._templated)

    def _ends_clearly(self, rest: Sequence[str | Ref], *, flip: bool) -> bool:
        """Return whether the first name of the rest can be read: it is known, or no text of it begins another."""
        name = rest[0].name if isinstance(rest[0], Ref) else ""
        if name in self._templated:
            return False
        if self._grid.wheel_of[name] in self._known:
            return True
        after = rest[1] if len(rest) > 1 and isinstance(rest[1], str) else ""
        return self._is_free(name, "", flip) or (after != "" and self._is_free(name, after, flip))

    def _are_free(self, name: str, after: str, flip: bool) -> bool:
        """Return whether no text of a name, with what stands behind it, begins another; `flip` looks from the end."""
        texts = self._all_texts(name)
        if flip:
            return bool(texts) and _free(_reversed(after + text for text in texts))
        return bool(texts) and _free(text + after for text in texts)

    def _all_texts(self, name: str) -> frozenset[str]:
        """Return the texts of an axis, or none of too many."""
        places = self._choices[self._grid.wheel_of[name]]
        if len(places) > MOST:
            return frozenset()
        position = self._grid.position[name]
        return frozenset(self._grid.ready(position, place).cell.text for place in places)


def _has_templates(grid: Grid, name: str) -> bool:
    axis = grid.axes[grid.position[name]]
    return any(cell.template for cell in axis.written())


def _head(parts: Parts) -> str:
    return parts[0] if parts and isinstance(parts[0], str) else ""


def _tail(parts: Parts) -> str:
    return parts[-1] if parts and isinstance(parts[-1], str) else ""


def _reversed(texts: Iterable[str]) -> Iterable[str]:
    return (text[::-1] for text in texts)


def _free(texts: Iterable[str]) -> bool:
    """Return whether no text is the beginning of another, or equal to it."""
    ordered = sorted(texts)
    return not any(after.startswith(before) for before, after in pairwise(ordered))
