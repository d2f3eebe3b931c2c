"""The axes of a contact sheet: the values that the chosen tasks have, in the job's order, and how they are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from orchestrator.lifecycle import Output, State
from orchestrator.output.discretion import Discretion
from orchestrator.output.export.choice import Chosen
from orchestrator.sweep import Job
from orchestrator.sweep.axes import Axis as Swept
from orchestrator.tasks import Scalar

REPEAT: Final = "repeat"
OUTPUT: Final = "output"
_BARE: Final = re.compile(r"[\d.,+-]+", re.ASCII)

Key: TypeAlias = tuple[tuple[type, Scalar], ...]
"""The values of an axis's members; their types too, since to Python 1 and true are equal."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A task at one of its places in the grid.

    Attributes:
        at: Its value on each axis but the last, which is that of outputs.
        state: How far it is.
        failure: Why it has failed, None if it has not.
        outputs: Its files, by their numbers.
    """

    at: tuple[Key, ...]
    state: State
    failure: str | None
    outputs: Mapping[int, Output]


@dataclass(slots=True, eq=False)
class Axis:
    """One axis.

    Attributes:
        name: What it is called; that of members which move together stands with `x` between theirs.
        members: The names in the job file.
        words: What each value is called, in their order.
    """

    name: str
    members: tuple[str, ...]
    words: dict[Key, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.words)


def axes_of(job: Job, discretion: Discretion, chosen: Iterable[Chosen]) -> tuple[list[Axis], list[Shot]]:
    """Return the axes of a job, those of repetitions and of outputs last, and where the chosen tasks stand on them."""
    swept = {axis.name: axis for axis in job.recipe.axes}
    axes = [Axis(" x ".join(names), tuple(names)) for names in job.axes_groups()]
    axes += [Axis(REPEAT, (REPEAT,)), Axis(OUTPUT, (OUTPUT,))]
    shots: list[Shot] = []
    labels: dict[tuple[str, Scalar], str] = {}
    for each in chosen:
        task = each.record.task
        why = each.record.failure.message if each.record.failure else None
        labels.update({(name, task.axes.get(name)): label for name, label in task.labels.items()})
        outputs = dict(zip(each.numbers, each.record.outputs, strict=True))
        for place in (task.axes, *task.cells):
            at = tuple(_key([{**place, REPEAT: task.repeat}.get(name) for name in axis.members]) for axis in axes[:-1])
            shots.append(Shot(at, each.record.state, why, outputs))
    for number, axis in enumerate(axes[:-1]):
        members = [swept[name] for name in axis.members if name in swept]
        found = dict.fromkeys(shot.at[number] for shot in shots)
        listed = _listed(members, discretion, labels)
        for key in _in_order(found, listed if members else {}):
            axis.words[key] = _word(axis.members, key, labels)
    numbers = sorted({number for shot in shots for number in shot.outputs})
    axes[-1].words = {_key([number]): f"{OUTPUT} {number + 1}" for number in numbers}
    return axes, shots


def _key(values: Sequence[Scalar]) -> Key:
    return tuple((type(value), value) for value in values)


def _listed(members: Sequence[Swept], discretion: Discretion, labels: dict[tuple[str, Scalar], str]) -> Iterable[Key]:
    """Yield the values of an axis in the order of the job file, and note their labels."""
    for cells in zip(*(axis.cells() for axis in members), strict=True):
        values = [discretion.value(axis.name, cell.value) for axis, cell in zip(members, cells, strict=True)]
        named = zip(members, cells, values, strict=True)
        labels.update({(axis.name, value): cell.label for axis, cell, value in named if cell.label is not None})
        yield _key(values)


def _in_order(found: Iterable[Key], listed: Iterable[Key]) -> list[Key]:
    """Return what was found in the order of a list, and then what the list does not hold."""
    left = dict.fromkeys(found)
    order = []
    for key in listed:
        if not left:
            break
        if key in left:
            del left[key]
            order.append(key)
    return [*order, *left]


def _word(names: Sequence[str], key: Key, labels: Mapping[tuple[str, Scalar], str]) -> str:
    """Return what a value is called: its labels where it has them; a bare number says what it is a number of."""
    spelled = [_spelled(value) for _, value in key]
    called = [labels.get((name, value), text) for name, (_, value), text in zip(names, key, spelled, strict=True)]
    word = " x ".join(called)
    return f"{' x '.join(names)} {word}" if called == spelled and _BARE.fullmatch(word.replace(" x ", "")) else word


def _spelled(value: Scalar) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
