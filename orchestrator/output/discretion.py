"""What may be told of people's files: their place below the job file's folder or their bare name, and no folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.sweep import Job, Schema
from orchestrator.sweep.schema import FILE_TYPES
from orchestrator.tasks import Scalar


class Discretion:
    """Takes the folders of one machine out of what a run tells."""

    def __init__(self, job: Job, schema: Schema, home: Path) -> None:
        """Learn which files there are.

        Args:
            job: The job whose tasks send them.
            schema: The model's: it says which parameters take files.
            home: The job file's folder: files within it are named by their path from there, others by their name.
        """
        self._home = home
        self._takers = {each.name for each in schema.parameters.values() if each.type in FILE_TYPES}
        self._paths = sorted((file.path for file in job.files.files.values()), key=len, reverse=True)

    def path(self, path: str) -> str:
        """Return what is told of a local file's path."""
        found = Path(path)
        if found.is_absolute() and found.is_relative_to(self._home):
            return found.relative_to(self._home).as_posix()
        return found.name if found.is_absolute() or ".." in found.parts else path

    def value(self, name: str, value: Scalar) -> Scalar:
        """Return what is told of an axis's value, which may be the path of a file."""
        return self.path(value) if name in self._takers and isinstance(value, str) else value

    def axes(self, axes: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
        """Return what is told of a task's place in the grid."""
        if self._takers.isdisjoint(axes):
            return axes
        return {name: self.value(name, value) for name, value in axes.items()}

    def message(self, text: str) -> str:
        """Return what is told of an error, which may name a file of the job's."""
        for path in self._paths:
            text = text.replace(path, self.path(path))
        return text.replace(f"{self._home}{os.sep}", "")
