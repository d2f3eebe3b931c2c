"""A job in its final form: checked, with nothing left to read; what a run folder keeps."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from orchestrator.names import safe_part
from orchestrator.sweep.expand import Expansion
from orchestrator.sweep.recipe import Recipe
from orchestrator.sweep.settings import LIMITS, OUTPUTS, RETRY, Callback, Limits, Outputs, Retry, Tracking, chosen
from orchestrator.sweep.uploads import LocalFile, Uploads
from orchestrator.tasks import Parameters, Task

FORMAT = 1


@dataclass(frozen=True)
class Job:
    """What is to be done, and how.

    Attributes:
        name: The run's name, dates filled in.
        recipe: Everything that decides which tasks there are.
        limits: What a run may not exceed.
        retry: How often a failed task is tried.
        tracking: How the end of a task is found out.
        callback: Where the service calls, where it is to tell of an end.
        outputs: Where outputs go; the path is never None here.
        warnings: Sentences for the user about what is likely not meant.
        files: The local files that its tasks send.
    """

    name: str
    recipe: Recipe
    limits: Limits = field(default_factory=Limits)
    retry: Retry = field(default_factory=Retry)
    tracking: Tracking = "auto"
    outputs: Outputs = field(default_factory=Outputs)
    warnings: tuple[str, ...] = ()
    files: Uploads = field(default_factory=Uploads)
    callback: Callback | None = None

    @property
    def model(self) -> str:
        """`owner/model`, spelt as in the job file."""
        return self.recipe.model

    @property
    def folder(self) -> str:
        """The name as one part of a path."""
        return safe_part(self.name)

    def total(self) -> int:
        """Return how many tasks there are; nothing is built for it where nothing filters, adds or collides."""
        return self._expansion.total

    def cells(self) -> int | None:
        """Return how many cells the tasks are made of: what `exclude` and `sample` leave, and the rows of `include`.

        Each counts `repeat` times; where there are more of them than tasks, equal ones were folded into one.

        Returns:
            Their number, or None where only going along a large grid tells it.
        """
        return self._expansion.cells

    def tasks(self, start: int = 0) -> Iterator[Task]:
        """Yield the tasks lazily, each id once.

        Args:
            start: How many to skip at the front of the stream. The stream is in the order of `Task.index`, and so
                `start` is an index, unless the job file says `order: shuffled`.
        """
        return self._expansion.tasks(start)

    def tally(self, names: Collection[str]) -> Iterator[tuple[Parameters, int]]:
        """Count the tasks by the values that they send for some parameters, building as few of them as can be.

        Args:
            names: The parameters; those that no task sends are left out.

        Yields:
            Values of these parameters, and how many tasks send them; equal values may come more than once.
        """
        return self._expansion.tally(names)

    def ids(self) -> Iterator[str]:
        """Yield the id of each task, in no stated order; no task is built."""
        return self._expansion.ids()

    def uploads(self, parameters: Parameters) -> list[LocalFile]:
        """Return the local files that a task sends, each once.

        Args:
            parameters: The task's parameters, in which a local file stands as `"sha256:…"`; `with_uploads` replaces
                them by the addresses that the service gives.
        """
        return self.files.of(parameters)

    def axes_sizes(self) -> dict[str, int]:
        """Return the number of values of each axis and variable."""
        return {axis.name: len(axis) for axis in self.recipe.axes}

    def axes_groups(self) -> list[tuple[str, ...]]:
        """Return the names of the axes and variables, outermost first; those that move together stand together."""
        return self._expansion.groups

    def settings(self) -> dict[str, Any]:
        """Return how it is run, in the words of a job file, where somebody has chosen it.

        Where the service calls holds for one machine: neither that nor `tracking: webhook` is told.
        """
        groups = {
            "limits": chosen(self.limits, LIMITS),
            "retry": chosen(self.retry, RETRY),
            "outputs": chosen(self.outputs, OUTPUTS),
        }
        tracking = {} if self.tracking in {"auto", "webhook"} else {"tracking": self.tracking}
        return {name: group for name, group in groups.items() if group} | tracking

    @cached_property
    def _expansion(self) -> Expansion:
        return Expansion(self.recipe)

    def to_json(self) -> dict[str, Any]:
        """Return the job as plain JSON."""
        return {
            "format": FORMAT,
            "name": self.name,
            "recipe": self.recipe.to_json(),
            "limits": self.limits.to_json(),
            "retry": asdict(self.retry),
            "tracking": self.tracking,
            "callback": None if self.callback is None else asdict(self.callback),
            "outputs": asdict(self.outputs),
            "warnings": list(self.warnings),
            "files": self.files.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """Return the job that `to_json` gave.

        Raises:
            ValueError: Another version of the program wrote it in a format that this one does not know.
        """
        if data.get("format") != FORMAT:
            raise ValueError(
                f"a resolved job of format {data.get('format')} cannot be read; this program writes {FORMAT}"
            )
        return cls(
            name=data["name"],
            recipe=Recipe.from_json(data["recipe"]),
            limits=Limits.from_json(data["limits"]),
            retry=Retry(**data["retry"]),
            tracking=data["tracking"],
            outputs=Outputs(**data["outputs"]),
            warnings=tuple(data["warnings"]),
            files=Uploads.from_json(data["files"]),
            callback=Callback(**kept) if (kept := data.get("callback")) else None,
        )
