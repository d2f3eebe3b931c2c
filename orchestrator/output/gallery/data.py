"""What the page is told, as plain JSON: a job once, a row for each task, and where the run stands.

Long values stand once in the job's axes; a row points to them by their number. Nothing of it names a folder outside the
run folder, and tokens never enter it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from orchestrator import money
from orchestrator.lifecycle import Attempt, Output, Record
from orchestrator.output.discretion import Discretion
from orchestrator.sweep import Job, Schema
from orchestrator.sweep.axes import Axis, Cell, Listed, as_text
from orchestrator.sweep.uploads import PREFIX
from orchestrator.tasks import Scalar, Task

FORMAT: Final = 2
COLUMNS: Final = (
    "task",  # the id
    "index",  # the place in the grid, null once the job file no longer holds the task
    "state",
    "at",  # for each axis the number of its value, or the list of its members' values where it has no number
    "cells",  # further places that are this same task, each like `at`
    "repeat",
    "parameters",  # as sent, where they are neither fixed nor the axis's own value; null for one that is not sent
    "outputs",  # see OUTPUT_COLUMNS
    "attempts",
    "submitted_at",  # unix seconds
    "finished_at",
    "elapsed_seconds",
    "cost_usd",  # text
    "error",  # null, or kind and message
    "warnings",
)
OUTPUT_COLUMNS: Final = ("path", "content_type", "bytes", "thumbnail", "width", "height", "text", "number", "sha256")
MOST_EXACT: Final = 2**53 - 1
"""The largest whole number that the page's language holds exactly; larger ones stand as text."""

Place = list[Any]


@dataclass(frozen=True, slots=True)
class Preview:
    """What the page shows of an output before the file itself.

    Attributes:
        thumbnail: The small picture's path from the page's folder; None where the file itself is small, or no picture.
        width, height: Of the file's picture in pixels; None where it is none.
        text: The beginning of a text.
    """

    thumbnail: str | None = None
    width: int | None = None
    height: int | None = None
    text: str | None = None


NOTHING: Final = Preview()


class Coder:
    """Says in the page's words what a job is and what became of its tasks."""

    def __init__(self, job: Job, tool: Mapping[str, Any], home: Path, tasks: Iterable[Task] | None = None) -> None:
        """Learn a job.

        Args:
            job: The job.
            tool: The model's catalogue entry.
            home: The job file's folder: local files within it are named by their path from there, others by their name.
            tasks: Those that are told of, where it is a part of them: nothing is said of what they have not.
        """
        self._job, self._tool, self._home = job, tool, home
        schema = Schema.from_tool(tool)
        self._discretion = Discretion(job, schema, home)
        self._parameters = schema.parameters
        held = {axis.name: axis for axis in job.recipe.axes}
        self._groups = [tuple(held[name] for name in names) for names in job.axes_groups()]
        self._sent = {file.sha256: file.path for file in job.files.files.values()}
        self._settings = job.settings()
        self._used: list[set[str]] | None = None
        if tasks is not None:
            self._narrow(tasks)
        self._numbers = [
            _numbered(self._cells(place)) if _is_listed(group) else None for place, group in enumerate(self._groups)
        ]
        self._fixed = job.recipe.parameters

    def narrowed(self, tasks: Iterable[Task]) -> Coder:
        """Return one that tells of a part of the job alone."""
        return Coder(self._job, self._tool, self._home, tasks)

    def _narrow(self, tasks: Iterable[Task]) -> None:
        """Keep the values and the files that these tasks have; what the whole run was allowed is not theirs."""
        self._used = [set() for _ in self._groups]
        sent = set()
        for task in tasks:
            sent |= {str(value).removeprefix(PREFIX) for value in task.parameters.values()}
            for axes in (task.axes, *task.cells):
                for used, group in zip(self._used, self._groups, strict=True):
                    used.add(encoded(self._told(axes, group)))
        self._sent = {sha256: path for sha256, path in self._sent.items() if sha256 in sent}
        self._settings.pop("limits", None)

    def job(self, name: str, started_at: str | None) -> dict[str, Any]:
        """Return what does not change while a run goes on.

        Args:
            name: The run's name.
            started_at: When it began, ISO 8601.
        """
        recipe = self._job.recipe
        told = f"{name}\n{recipe.model}\n{started_at}"
        return {
            "format": FORMAT,
            "key": hashlib.sha256(told.encode()).hexdigest()[:16],
            "name": name,
            "model": recipe.model,
            "parameters": _exact(self._fixed),
            "kinds": {name: parameter.kind.value for name, parameter in self._parameters.items()},
            "files": {sha256: self._discretion.path(path) for sha256, path in self._sent.items()},
            "axes": [self._axis(place) for place in range(len(self._groups))],
            "repeat": recipe.repeat,
            "settings": self._settings,
            "is_whole": self.is_whole,
            "columns": COLUMNS,
            "output_columns": OUTPUT_COLUMNS,
        }

    @property
    def is_whole(self) -> bool:
        """Whether every cell of the grid is a task, so that those not heard of are pending."""
        recipe = self._job.recipe
        return not (recipe.exclude or recipe.sample or recipe.include)

    def row(self, record: Record, previews: Sequence[Preview] = (), numbers: Sequence[int] | None = None) -> list[Any]:
        """Return a task's row, in the order of `COLUMNS`.

        Args:
            record: The task.
            previews: What is shown of its outputs.
            numbers: Which of the task's outputs the record holds, counted from 0; all of them if not given.
        """
        task, attempt = record.task, record.attempt
        outputs = [
            _output(output, previews[place] if place < len(previews) else NOTHING, numbers[place] if numbers else place)
            for place, output in enumerate(record.outputs)
        ]
        return [
            *self._identity(task, dropped=record.dropped, state=record.state.value),
            outputs,
            record.tries,
            *_measures(attempt, record.finished_at),
            None if record.failure is None else [record.failure.kind, self._discretion.message(record.failure.message)],
            record.warnings,
        ]

    def hidden(self) -> Iterator[Task]:
        """Yield the job's tasks where the grid alone does not tell which there are."""
        yield from () if self.is_whole else self._job.tasks()

    def planned(self, task: Task) -> list[Any]:
        """Return the row of a task of which nothing is known yet."""
        return [*self._identity(task, dropped=False, state="pending"), [], 0, None, None, None, None, None, []]

    def active(self, record: Record) -> list[Any]:
        """Return where a task that is under way stands in the grid, its state, and which of its repeats it is."""
        return [self._at(record.task.axes), record.state.value, record.task.repeat]

    def _identity(self, task: Task, *, dropped: bool, state: str) -> list[Any]:
        return [
            task.id,
            None if dropped else task.index,
            state,
            self._at(task.axes),
            [self._at(cell) for cell in task.cells],
            task.repeat,
            self._own_parameters(task),
        ]

    def _at(self, axes: Mapping[str, Scalar]) -> Place:
        return [self._value(axes, group, numbers) for group, numbers in zip(self._groups, self._numbers, strict=True)]

    def _value(self, axes: Mapping[str, Scalar], group: tuple[Axis, ...], numbers: dict[Any, int] | None) -> Any:
        values = [axes.get(axis.name) for axis in group]
        if all(value is None for value in values):
            return None
        if numbers is not None:
            number = numbers.get(tuple(map(_key, values)))
            if number is not None:
                return number
        return self._told(axes, group)

    def _told(self, axes: Mapping[str, Scalar], group: tuple[Axis, ...]) -> list[Any]:
        return [_exact(self._discretion.value(axis.name, axes.get(axis.name))) for axis in group]

    def _own_parameters(self, task: Task) -> dict[str, Any]:
        """Return the parameters that neither the job's fixed ones nor the values of the axes tell."""
        own: dict[str, Any] = {name: None for name in self._fixed if name not in task.parameters}
        for name, sent in task.parameters.items():
            if name in self._fixed:
                if self._fixed[name] != sent:
                    own[name] = _exact(sent)
            elif name not in task.axes or as_text(task.axes[name]) != as_text(sent):
                own[name] = _exact(sent)
        return own

    def _cells(self, place: int) -> Iterator[tuple[Cell, ...]]:
        """Yield the values of an axis that are told of, each with that of every member."""
        for cells in zip(*(axis.cells() for axis in self._groups[place]), strict=True):
            if self._used is None or encoded([self._cell(cell) for cell in cells]) in self._used[place]:
                yield cells

    def _axis(self, place: int) -> dict[str, Any]:
        group = self._groups[place]
        values, labels = [], {}
        for number, cells in enumerate(self._cells(place)):
            values.append(tuple([self._cell(cell) for cell in cells]))
            if any(cell.label is not None for cell in cells):
                labels[number] = [cell.label for cell in cells]
        return {
            "names": [axis.name for axis in group],
            "sent": [axis.kind is not None for axis in group],
            "values": values,
            "labels": labels,
        }

    def _cell(self, cell: Cell) -> Any:
        is_file = isinstance(cell.sent, str) and cell.sent.startswith(PREFIX) and isinstance(cell.value, str)
        return self._discretion.path(str(cell.value)) if is_file else _exact(cell.value)


def encoded(value: object) -> str:
    """Return a value as JSON in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _is_listed(group: tuple[Axis, ...]) -> bool:
    return all(isinstance(segment, Listed) for axis in group for segment in axis.segments)


def _numbered(values: Iterable[tuple[Cell, ...]]) -> dict[Any, int]:
    """Return the number of each value of an axis; equal ones have that of the first."""
    numbers: dict[Any, int] = {}
    for number, cells in enumerate(values):
        numbers.setdefault(tuple(_key(cell.value) for cell in cells), number)
    return numbers


def _key(value: Scalar) -> tuple[type, Scalar]:
    """Return what tells values apart: to Python 1 and true are equal."""
    return type(value), value


def _exact(value: Any) -> Any:
    """Return a value in which no number is too large for the page."""
    if isinstance(value, Mapping):
        return {name: _exact(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(held) for held in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MOST_EXACT:
        return str(value)
    return value


def _output(output: Output, preview: Preview, number: int) -> list[Any]:
    kind, size = output.content_type, output.bytes
    shown = preview.thumbnail, preview.width, preview.height, preview.text
    return [output.path, kind, size, *shown, number, output.sha256]


def _measures(attempt: Attempt | None, finished_at: float | None) -> Iterator[Any]:
    """Yield when the latest attempt was accepted, when the task ended, how long it ran and what it cost."""
    yield _moment(attempt.submitted_at) if attempt else None
    yield _moment(finished_at)
    yield attempt.elapsed_seconds if attempt else None
    yield money.text(attempt.cost_usd) if attempt and attempt.cost_usd is not None else None


def _moment(seconds: float | None) -> float | None:
    """Return a time to the millisecond, cut and not rounded: as the manifest tells it."""
    if seconds is None:
        return None
    at = datetime.fromtimestamp(seconds, UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000).timestamp()
