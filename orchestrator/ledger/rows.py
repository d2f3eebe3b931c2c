"""Between records and the rows of the ledger: plain functions, one for each direction."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from orchestrator.lifecycle import Attempt, Failure, Output, Record, State
from orchestrator.money import from_pico, to_pico
from orchestrator.sense import read_json, sensible
from orchestrator.tasks import Task

TASK_COLUMNS: Final = "id, place, state, spec, tries, failures, error, warnings, finished_at"
ATTEMPT_COLUMNS: Final = (
    "number, intent_at, reserved, newest_known, gave_up_at, remote_id, token,"
    " submitted_at, ended_at, status, exit_code, elapsed, cost"
)
OUTPUT_COLUMNS: Final = "path, url, content_type, bytes, sha256"
PLACES: Final = (
    "SELECT id, place FROM tasks INDEXED BY tasks_by_place"
    " WHERE state IN ('done', 'failed', 'cancelled') ORDER BY place, id"
)
"""Which tasks have ended, and where in the grid they stand; to put them in order otherwise would take megabytes."""

Row = tuple[Any, ...]
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def spec(task: Task) -> str:
    """Return what the job file says of a task as JSON; its id and index have columns of their own."""
    held = {
        "parameters": dict(task.parameters),
        "axes": dict(task.axes),
        "labels": dict(task.labels),
        "path": task.path,
        "repeat": task.repeat,
        "cells": [dict(cell) for cell in task.cells],
        "model": task.model,
    }
    return _JSON.encode(held)


def record(row: Row, attempt: Row, outputs: Iterable[Row]) -> Record:
    """Return the record that a row of `TASK_COLUMNS`, one of `ATTEMPT_COLUMNS` and some of `OUTPUT_COLUMNS` hold.

    Without an attempt its columns are None.

    Raises:
        ValueError, TypeError, KeyError, ArithmeticError, AttributeError, RecursionError: They are not what we wrote.
    """
    identity, place, state, held, tries, failures, error, warnings, finished_at = row
    said = read_json(held)
    task = Task(
        id=identity,
        index=-1 if place is None else place,
        parameters=said["parameters"],
        axes=said["axes"],
        labels=said["labels"],
        path=said["path"],
        repeat=said["repeat"],
        cells=tuple(said["cells"]),
        model=said.get("model", ""),
    )
    return sensible(
        Record(
            task=task,
            state=State(state),
            tries=tries,
            failures=failures,
            attempt=None if attempt[0] is None else read_attempt(attempt),
            outputs=tuple(Output(*output) for output in outputs),
            failure=None if error is None else failure(error),
            warnings=() if warnings is None else tuple(read_json(warnings)),
            finished_at=finished_at,
            dropped=place is None,
        )
    )


def failure(error: str) -> Failure:
    """Return the failure that the column `error` holds."""
    held = read_json(error)
    return Failure(held["kind"], held["message"])


def task_values(record: Record) -> Row:
    """Return state, tries, failures, error, warnings and finished_at, as the ledger keeps them."""
    error, warnings = record.failure, record.warnings
    return (
        record.state.value,
        record.tries,
        record.failures,
        None if error is None else json.dumps({"kind": error.kind, "message": error.message}, ensure_ascii=False),
        json.dumps(warnings, ensure_ascii=False) if warnings else None,
        record.finished_at,
    )


def attempt_values(attempt: Attempt) -> Row:
    """Return the values of `ATTEMPT_COLUMNS`."""
    return (
        attempt.number,
        attempt.intent_at,
        to_pico(attempt.reserved_usd),
        None if attempt.newest_known is None else str(attempt.newest_known),
        attempt.gave_up_at,
        attempt.remote_id,
        attempt.token,
        attempt.submitted_at,
        attempt.ended_at,
        attempt.status,
        attempt.exit_code,
        attempt.elapsed_seconds,
        None if attempt.cost_usd is None else to_pico(attempt.cost_usd),
    )


def output_values(output: Output) -> Row:
    """Return the values of `OUTPUT_COLUMNS`."""
    return output.path, output.url, output.content_type, output.bytes, output.sha256


def read_attempt(row: Row) -> Attempt:
    """Return the attempt that a row of `ATTEMPT_COLUMNS` holds."""
    number, intent_at, reserved, newest, *others, cost = row
    attempt = Attempt(number, intent_at, from_pico(count(reserved)), None if newest is None else int(newest), *others)
    return replace(attempt, cost_usd=_money(cost))


def _money(pico: object) -> Decimal | None:
    """Return an amount as the ledger keeps it in dollars."""
    return None if pico is None else from_pico(count(pico))


def text(value: object) -> str:
    """Return a column's text.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def count(value: object) -> int:
    """Return a column's count or amount: below nothing it would let a budget be passed.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, int) or value < 0:
        raise ValueError("no count")
    return value
