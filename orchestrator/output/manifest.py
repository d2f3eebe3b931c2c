"""What is handed over: one line of JSON for each finished task."""

from __future__ import annotations

import json
import os
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from heapq import merge
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Final

from orchestrator import money
from orchestrator.drafts import replace_for_good
from orchestrator.errors import StoppedError
from orchestrator.lifecycle import FINAL, Attempt, Failure, Output, Record, State
from orchestrator.sense import read_json, sensible
from orchestrator.tasks import Task

FORMAT: Final = 1
_JSON: Final = json.JSONEncoder(ensure_ascii=False)
NAME: Final = "manifest.jsonl"
_HEAD: Final = re.compile(rb'\{"format": 1, "task": "([^"\\]*)", "index": (\d{1,18}), ')
"""How a line of a task begins that has a place in the grid."""

RUN: Final = 1024
"""So many lines are put in order at a time, to be merged then: Python's numbers take many times what an array's do."""

MISSING: Final = "missing"

NEVER_SENT: Final = Attempt(number=0, intent_at=0.0, reserved_usd=money.FREE)


def entry(record: Record, model: str) -> dict[str, Any]:
    """Return the manifest's object for a finished task; tokens never enter it.

    Args:
        record: The task.
        model: The job's, for a task of an older ledger that does not say its own.
    """
    task, attempt = record.task, record.attempt or NEVER_SENT
    return {
        "format": FORMAT,
        "task": task.id,
        "index": None if record.dropped else task.index,
        "state": record.state.value,
        "model": task.model or model,
        "parameters": dict(task.parameters),
        "axes": dict(task.axes),
        "labels": dict(task.labels),
        "cells": [dict(cell) for cell in task.cells],
        "remote": {
            "task_id": attempt.remote_id,
            "status": attempt.status,
            "exit_code": attempt.exit_code,
        },
        "attempts": record.tries,
        "submitted_at": moment(attempt.submitted_at),
        "finished_at": moment(record.finished_at),
        "elapsed_seconds": attempt.elapsed_seconds,
        "cost_usd": None if attempt.cost_usd is None else money.text(attempt.cost_usd),
        "outputs": [_output(output) for output in record.outputs],
        "error": None if record.failure is None else {"kind": record.failure.kind, "message": record.failure.message},
        "warnings": list(record.warnings),
    }


def line(record: Record, model: str) -> str:
    """Return the manifest's line, with its line feed."""
    return _JSON.encode(entry(record, model)) + "\n"


class ManifestError(StoppedError):
    """The manifest cannot be written, or not be read; the ledger holds all that it is to say."""

    def __init__(self, path: Path, error: OSError, done: str = "written") -> None:
        super().__init__(
            f"The manifest {path} cannot be {done}: {error.strerror or error}. Fix the cause and run the same command"
            " again."
        )


def append(path: Path, lines: Iterable[str]) -> None:
    """Add lines at the end.

    Raises:
        ManifestError: They cannot be written; a part of them may be.
    """
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write("".join(lines))
    except OSError as error:
        raise ManifestError(path, error) from error


def sync(path: Path) -> None:
    """Have what was added be on the disk.

    Raises:
        ManifestError: It cannot be.
    """
    try:
        with path.open("ab") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise ManifestError(path, error) from error


def rewrite(path: Path, records: Iterable[Record], model: str) -> None:
    """Write the whole manifest anew from the ledger's records: the old one stands until the new one is on the disk.

    Raises:
        ManifestError: It cannot be written.
    """
    _replace(path, (line(record, model).encode() for record in records if record.state in FINAL))


def put_in_order(path: Path, places: Iterable[tuple[str, int | None]]) -> bool:
    """Put the lines in the order of the tasks as they are, which takes a fraction of writing them anew.

    Args:
        path: The manifest.
        places: The id of each task that is to have a line, and its place in the grid, in this order.

    Returns:
        Whether that could be done; nothing has changed where a task has no line, or several, or one for another place.

    Raises:
        ManifestError: It cannot be written.
    """
    try:
        _replace(path, _in_order(path, places))
    except ValueError:
        return False
    return True


def _in_order(path: Path, places: Iterable[tuple[str, int | None]]) -> Iterator[bytes]:
    """Yield the lines in the order of these places; no more than two numbers a line are held in memory.

    Raises:
        ValueError: These are not the places of the lines.
    """
    with path.open("rb") as file:
        lines = _placed(file)
        held = array("q")  # one block, which the system has back at once
        while run := sorted(islice(lines, RUN)):
            held.extend(chain.from_iterable(run))
        runs = (memoryview(held)[start : start + 2 * RUN] for start in range(0, len(held), 2 * RUN))
        ordered = merge(*(zip(run[::2], run[1::2], strict=True) for run in runs))
        for (_, start), (task, place) in zip(ordered, places, strict=True):
            file.seek(start)
            each = file.readline()
            found = _HEAD.match(each)
            if found is None or (found[1].decode(), int(found[2])) != (task, place):
                raise ValueError("the line of another task")
            yield each


def _placed(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield for each line the place of its task, and where in the file it begins."""
    start = 0
    for each in file:
        found = _HEAD.match(each)
        if found is None or not each.endswith(b"\n"):
            raise ValueError("no line of a task that has a place")
        yield int(found[2]), start
        start += len(each)


def _replace(path: Path, lines: Iterable[bytes]) -> None:
    try:
        replace_for_good(path, lines)
    except OSError as error:
        raise ManifestError(path, error) from error


def stamp(path: Path) -> str:
    """Return what changes when somebody writes the manifest: its size and the moment of the last write."""
    if not path.is_file() or path.is_symlink():
        return MISSING
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def read(path: Path) -> Iterator[Record]:
    """Yield what each line says of a task; what is cut short or no line of ours is passed over.

    Raises:
        OSError: There is a manifest, and it cannot be read.
    """
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            with suppress(ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
                yield sensible(_record(read_json(text)))


def _record(said: Mapping[str, Any]) -> Record:
    """Return the record of a line, all but what no line tells: the token, the path's template and the repetition."""
    outputs = tuple(
        Output(each["path"], each["url"], each["content_type"], each["bytes"], each["sha256"])
        for each in said["outputs"]
    )
    remote, error, cost = said["remote"], said["error"], said["cost_usd"]
    task = Task(
        id=said["task"],
        index=-1 if said["index"] is None else int(said["index"]),
        parameters=dict(said["parameters"]),
        axes=dict(said["axes"]),
        labels=dict(said["labels"]),
        path=stem_of(outputs[0].path) if outputs else said["task"],
        cells=tuple(said["cells"]),
        model=said["model"],
    )
    finished = _seconds(said["finished_at"])
    attempt = Attempt(
        number=int(said["attempts"]),
        intent_at=_seconds(said["submitted_at"]) or 0.0,
        reserved_usd=money.FREE,
        remote_id=remote["task_id"],
        submitted_at=_seconds(said["submitted_at"]),
        ended_at=finished,
        status=remote["status"],
        exit_code=remote["exit_code"],
        elapsed_seconds=said["elapsed_seconds"],
        cost_usd=None if cost is None else Decimal(cost),
    )
    return Record(
        task=task,
        state=State(said["state"]),
        tries=attempt.number,
        attempt=attempt if attempt.remote_id else None,
        outputs=outputs,
        failure=None if error is None else Failure(error["kind"], error["message"]),
        warnings=tuple(said["warnings"]),
        finished_at=finished,
    )


def stem_of(path: str) -> str:
    """Return the task's part of an output's path: without the folder, the id, the number and the ending."""
    return path.partition("/")[2].rpartition("-")[0].rpartition("-")[0]


def _seconds(moment: str | None) -> float | None:
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


def moment(seconds: float | None) -> str | None:
    """Return a time in ISO 8601, UTC, with milliseconds."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _output(output: Output) -> Mapping[str, Any]:
    return {
        "path": output.path,
        "url": output.url,
        "content_type": output.content_type,
        "bytes": output.bytes,
        "sha256": output.sha256,
    }
