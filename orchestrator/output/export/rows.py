"""A task as other programs read it: as an object of JSON, and as rows of a table, one for each output."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from orchestrator.output import manifest
from orchestrator.output.export.choice import Chosen
from orchestrator.output.gallery.marks import Mark

OWN: Final = (
    "task",
    "index",
    "state",
    "repeat",
    "output",
    "path",
    "content_type",
    "bytes",
    "sha256",
    "stars",
    "rejected",
    "tags",
    "note",
    "cost_usd",
    "elapsed_seconds",
    "submitted_at",
    "finished_at",
    "attempts",
    "error.kind",
    "error.message",
    "warnings",
)
"""The columns that every table has, in their order."""

GROUPS: Final = ("axes", "labels", "parameters")
"""What the names of all other columns begin with."""

_OF_OUTPUT: Final = ("path", "content_type", "bytes", "sha256")
_OF_TASK: Final = ("task", "index", "state", "repeat", "elapsed_seconds", "submitted_at", "finished_at", "attempts")

Row = dict[str, Any]


def entry(chosen: Chosen, model: str) -> dict[str, Any]:
    """Return all that is told of a task: the manifest's object, and what people think of each output.

    What holds for every task (format, model) and the service's own addresses are left out.
    """
    told = manifest.entry(chosen.record, model)
    outputs = zip(chosen.numbers, told["outputs"], chosen.marks, strict=True)
    told["outputs"] = [
        {"output": number, **{name: output[name] for name in _OF_OUTPUT}, **_thought(mark)}
        for number, output, mark in outputs
    ]
    del told["format"], told["model"], told["remote"]
    return {"task": told.pop("task"), "index": told.pop("index"), "repeat": chosen.record.task.repeat, **told}


def rows(chosen: Chosen, model: str) -> Iterator[Row]:
    """Yield a task's rows: one for each output, and one alone where there is none.

    A task's cost stands in its first row, so that the column adds up to what was paid.
    """
    told = entry(chosen, model)
    error = told["error"] or {}
    common = {name: told[name] for name in _OF_TASK}
    common |= {f"error.{name}": value for name, value in error.items()}
    common["warnings"] = "; ".join(told["warnings"]) or None
    for group in GROUPS:
        common |= {f"{group}.{name}": _flat(value) for name, value in told[group].items()}
    cost = told["cost_usd"]
    for output in told["outputs"] or [{}]:
        yield {**common, **output, "tags": ", ".join(output.get("tags", ())) or None, "cost_usd": cost}
        cost = None


def columns(chosen: Iterable[Chosen]) -> list[str]:
    """Return the columns of a table of tasks, in their order."""
    found: dict[str, None] = {}
    for each in chosen:
        task = each.record.task
        for group, held in zip(GROUPS, (task.axes, task.labels, task.parameters), strict=True):
            found.update((f"{group}.{name}", None) for name in held)
    return in_order(found)


def in_order(names: Collection[str]) -> list[str]:
    """Return a table's columns: its own first, then axes and labels as they were met, and parameters by name."""
    axes, labels, parameters = ([name for name in names if name.startswith(f"{group}.")] for group in GROUPS)
    return [*OWN, *axes, *labels, *sorted(parameters)]


def _thought(mark: Mark) -> Row:
    return {
        "stars": mark.stars or None,
        "rejected": mark.rejected,
        "tags": list(mark.tags),
        "note": mark.note or None,
    }


def _flat(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if isinstance(value, list | dict) else value
