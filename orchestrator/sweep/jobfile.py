"""What a job file says, read and not yet fitted to a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.sweep.beside import Beside
from orchestrator.sweep.items import Filled, Given
from orchestrator.sweep.job import Job
from orchestrator.sweep.problems import JobFileError, Mark, Problem, Problems
from orchestrator.sweep.recipe import Sample
from orchestrator.sweep.resolve import resolve
from orchestrator.sweep.schema import Schema
from orchestrator.sweep.selection import RowNode, RuleNode
from orchestrator.sweep.settings import Callback, Limits, Outputs, Retry, Tracking


@dataclass(frozen=True)
class JobFile:
    """What a job file says.

    Attributes:
        path: Where it was read from.
        text: The file, verbatim.
        name: The run's name, dates and set variables filled in.
        dated: Whether the name holds a date or a time, so that each day's run gets a folder of its own.
        model: `owner/model`.
        mark: The place of its beginning.
        model_mark: The place of the model's name.
        parameters: What is sent with every task.
        marks: The place of each parameter's, variable's and axis's name.
        variables: The axes that only templates use.
        sweep: The axes that are sent.
        beside: The local files that it may name.
        problems: What is wrong with it, as far as that is known.
    """

    path: Path
    text: str = field(repr=False)
    name: str
    dated: bool
    model: str
    mark: Mark
    model_mark: Mark
    parameters: Mapping[str, Given]
    marks: Mapping[str, Mark]
    variables: Mapping[str, tuple[Filled, ...]]
    sweep: Mapping[str, tuple[Filled, ...]]
    beside: Beside = field(repr=False)
    zipped: tuple[tuple[tuple[Mark, str], ...], ...] = ()
    exclude: tuple[RuleNode, ...] = ()
    include: tuple[RowNode, ...] = ()
    sample: Sample | None = None
    repeat: int = 1
    shuffled: bool = False
    limits: Limits = field(default_factory=Limits)
    retry: Retry = field(default_factory=Retry)
    tracking: Tracking = "auto"
    callback: Callback | None = None
    outputs: Outputs = field(default_factory=Outputs)
    path_mark: Mark | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    problems: tuple[Problem, ...] = ()

    def check(self) -> None:
        """Raise what is wrong with the file, as far as that can be told without the model's schema.

        Raises:
            JobFileError: Something is wrong.
        """
        Problems(self.secrets, self.problems).raise_any()

    def wrong_model(self, message: str, hint: str | None = None) -> JobFileError:
        """Return the error for a model that cannot be used, beside everything else that is wrong with the file.

        Args:
            message: A sentence: what is wrong with the model.
            hint: What to do, or None.
        """
        problems = Problems(self.secrets, self.problems)
        problems.add(self.model_mark, message, hint)
        return JobFileError(problems.found)

    def resolve(self, schema: Schema) -> Job:
        """Check the file against the model's schema and return the job in its final form.

        Raises:
            JobFileError: A parameter is unknown, misses a value, or has one that the model does not take.
        """
        return resolve(self, schema)
