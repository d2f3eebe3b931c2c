"""Everything that decides which tasks there are: pure data, and JSON when it rests in a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

from orchestrator.sweep.axes import Axis, Cell
from orchestrator.sweep.schema import Kind
from orchestrator.tasks import Scalar


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one axis.

    Attributes:
        any_of: Values or labels of which one must fit; empty where only bounds count.
        bounds: `lt`, `le`, `gt`, `ge` with their numbers; all must hold.
        excluded: Values or labels of which none may fit (`not`).
    """

    any_of: tuple[Scalar | Decimal, ...] = ()
    bounds: tuple[tuple[str, Decimal], ...] = ()
    excluded: tuple[Scalar | Decimal, ...] = ()

    def matches(self, cell: Cell) -> bool:
        """Return whether a value of the axis fits."""
        return self.fits(cell.value, cell.label)

    def fits(self, value: Scalar, label: str | None) -> bool:
        """Return whether a value or its label fits."""
        if self.any_of and not any(_equal(each, value, label) for each in self.any_of):
            return False
        if any(_equal(each, value, label) for each in self.excluded):
            return False
        if not self.bounds:
            return True
        number = as_number(value)
        return number is not None and all(_within(number, word, bound) for word, bound in self.bounds)


Rule: TypeAlias = tuple[tuple[str, Matcher], ...]
"""Conditions on several axes, all of which must hold."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A part of the grid that stays the same for ever: `count` tasks, picked by a hash of `rng` and their ids."""

    count: int
    rng: int = 0


@dataclass(frozen=True, slots=True)
class Recipe:
    """The grid and what is done to it, in the order of the attributes.

    Attributes:
        model: `owner/model`, spelt as in the job file.
        parameters: What is sent with every task, as sent, defaults filled in; without axes and templates.
        templates: Fixed parameters with names in them, by name.
        kinds: The form in which each of `templates` is sent.
        axes: Variables first, then what is swept, the first one outermost.
        path: The template of the output path.
        zipped: Groups of axes that move together.
        exclude: Cells that fit one of these rules are left out.
        sample: How much of the grid is kept, or None for all.
        include: Extra tasks: recipes of one cell each.
        repeat: How many times each task is done.
        shuffled: Whether tasks come in the order of a hash instead of the grid's.
    """

    model: str
    parameters: Mapping[str, Scalar]
    templates: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    axes: tuple[Axis, ...] = ()
    path: str = "{prompt}"
    zipped: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[Rule, ...] = ()
    sample: Sample | None = None
    include: tuple[Recipe, ...] = ()
    repeat: int = 1
    shuffled: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain JSON."""
        return {
            "model": self.model,
            "parameters": dict(self.parameters),
            "templates": dict(self.templates),
            "kinds": dict(self.kinds),
            "axes": [axis.to_json() for axis in self.axes],
            "path": self.path,
            "zip": [list(group) for group in self.zipped],
            "exclude": [[[name, _matcher_to_json(matcher)] for name, matcher in rule] for rule in self.exclude],
            "sample": None if self.sample is None else {"count": self.sample.count, "rng": self.sample.rng},
            "include": [row.to_json() for row in self.include],
            "repeat": self.repeat,
            "shuffled": self.shuffled,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Return the recipe that `to_json` gave."""
        return cls(
            model=data["model"],
            parameters=data["parameters"],
            templates=data["templates"],
            kinds={name: Kind(kind) for name, kind in data["kinds"].items()},
            axes=tuple(Axis.from_json(axis) for axis in data["axes"]),
            path=data["path"],
            zipped=tuple(tuple(group) for group in data["zip"]),
            exclude=tuple(tuple((name, _matcher_from_json(each)) for name, each in rule) for rule in data["exclude"]),
            sample=None if data["sample"] is None else Sample(**data["sample"]),
            include=tuple(cls.from_json(row) for row in data["include"]),
            repeat=data["repeat"],
            shuffled=data["shuffled"],
        )


def _equal(wanted: Scalar | Decimal, value: Scalar, label: str | None) -> bool:
    if label is not None and label == (format(wanted, "f") if isinstance(wanted, Decimal) else wanted):
        return True
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    if isinstance(wanted, Decimal):
        return as_number(value) == wanted
    return wanted == str(value)


def as_number(value: Scalar) -> Decimal | None:
    """Return the number that a value is or spells, None where it is none."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def _within(number: Decimal, word: str, bound: Decimal) -> bool:
    return {"lt": number < bound, "le": number <= bound, "gt": number > bound, "ge": number >= bound}[word]


def _matcher_to_json(matcher: Matcher) -> dict[str, Any]:
    return {
        "any_of": [_wanted_to_json(each) for each in matcher.any_of],
        "bounds": {word: str(bound) for word, bound in matcher.bounds},
        "excluded": [_wanted_to_json(each) for each in matcher.excluded],
    }


def _matcher_from_json(data: Mapping[str, Any]) -> Matcher:
    return Matcher(
        tuple(_wanted_from_json(each) for each in data["any_of"]),
        tuple((word, Decimal(bound)) for word, bound in data["bounds"].items()),
        tuple(_wanted_from_json(each) for each in data["excluded"]),
    )


def _wanted_to_json(wanted: Scalar | Decimal) -> Any:
    return {"number": str(wanted)} if isinstance(wanted, Decimal) else wanted


def _wanted_from_json(data: Any) -> Scalar | Decimal:
    return Decimal(data["number"]) if isinstance(data, dict) else data
