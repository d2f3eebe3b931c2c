"""Which tasks of a run are exported, and which of their outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.output.discretion import Discretion
from orchestrator.output.gallery import marks
from orchestrator.output.gallery.marks import Mark
from orchestrator.tasks import Task


@dataclass(frozen=True, slots=True)
class Chosen:
    """A task that is exported.

    Attributes:
        record: What is known of it, with those outputs alone that are exported; no folder of anybody's in it.
        numbers: Which of the task's outputs these are, counted from 0.
        marks: What people think of each of them.
    """

    record: Record
    numbers: tuple[int, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a user wants of a run.

    Attributes:
        fits: Whether a task is wanted.
        states: The states in which it may be.
        least_stars: How many stars an output needs; with any at all, rejected ones are left out, and so are tasks
            without an output. 0 for no matter which.
        marks: What people think of outputs, by their names in the file of marks.
        discretion: What is told of people's files.
    """

    fits: Callable[[Task], bool]
    states: frozenset[State]
    least_stars: int
    marks: Mapping[str, Mark]
    discretion: Discretion

    def of(self, ledger: SqliteLedger) -> Iterator[Chosen]:
        """Yield what is exported of a run, in the order of the grid."""
        for record in ledger.everything():
            if record.state not in self.states or not self.fits(record.task):
                continue
            given = [self.marks.get(marks.key(record.task.id, number), Mark()) for number in range(len(record.outputs))]
            kept = [number for number, mark in enumerate(given) if self._likes(mark)]
            if kept or not self.least_stars:
                outputs = tuple(record.outputs[number] for number in kept)
                record = replace(self._discreet(record), outputs=outputs)  # noqa: PLW2901 - the same task from here on
                yield Chosen(record, tuple(kept), tuple(given[number] for number in kept))

    def _likes(self, mark: Mark) -> bool:
        return not self.least_stars or (mark.stars >= self.least_stars and not mark.rejected)

    def _discreet(self, record: Record) -> Record:
        task, told = record.task, self.discretion
        task = replace(task, axes=told.axes(task.axes), cells=tuple(map(told.axes, task.cells)))
        failure = record.failure and replace(record.failure, message=told.message(record.failure.message))
        return replace(record, task=task, failure=failure)
