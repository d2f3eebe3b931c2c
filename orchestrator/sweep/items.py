"""What a job file gives as the values of an axis, in the words of its author."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from orchestrator.sweep.axes import Drawn, Spaced
from orchestrator.sweep.problems import Mark


@dataclass(frozen=True, slots=True)
class Given:
    """One value as it stands; in a `raw` one braces mean nothing, and a `file` one can only be a file to send.

    `word` is how a truth value is written (`no`, `On`, …), where that is known.
    """

    mark: Mark
    value: str | Decimal | bool
    label: str | None = None
    raw: bool = False
    file: bool = False
    word: str = ""


@dataclass(frozen=True, slots=True)
class Computed:
    """Values that are computed."""

    mark: Mark
    segment: Spaced | Drawn


@dataclass(frozen=True, slots=True)
class Every:
    """Every option of the parameter's schema; `alone` where it is the whole axis and can mean nothing else."""

    mark: Mark
    alone: bool


@dataclass(frozen=True, slots=True)
class FromFile:
    """The values in a file; `column` and `label` name columns of a table."""

    mark: Mark
    file: str
    column: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Matching:
    """The files that fit a pattern, to be sent themselves."""

    mark: Mark
    pattern: str


@dataclass(frozen=True, slots=True)
class Variants:
    """All texts that a template with variants and wildcards stands for."""

    mark: Mark
    template: str


Filled: TypeAlias = Given | Computed | Every
"""Values that need no other file."""

Item: TypeAlias = Filled | FromFile | Matching | Variants
