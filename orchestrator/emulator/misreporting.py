"""What `/Task/Detail` and `/Task/List` say of a task's files that is not so."""

from __future__ import annotations

from typing import Any

from orchestrator.emulator.fates import Fates, Subject
from orchestrator.emulator.task import Task

TOLD = ("resized", "retyped", "renamed", "expired")
"""Faults of files that meet what is told of them."""


def file_of(task: Task, number: int) -> Subject:
    """Return an output as faults know it."""
    return Subject(f"{task.identity} {number}", task.parameters)


def retell(entry: dict[str, Any], task: Task, fates: Fates) -> None:
    """Change what an entry of `tasklist` tells of the task's files, as faults will."""
    for number, output in enumerate(entry["outputs"]):
        for fault in fates.met_by("file", file_of(task, number), *TOLD):
            match fault.kind:
                case "resized":
                    output["size"] = str(int(output.get("size", 0)) + (fault.number or 0))
                case "retyped":
                    output["contenttype"] = fault.text
                case "renamed":
                    output["name"] = fault.text
                case "expired":
                    output["url"] = f"{output.get('url', '')}?look={task.looks}"
