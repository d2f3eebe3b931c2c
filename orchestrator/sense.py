"""Whether a record that was read back can be one that was written: files on a disk may have been changed there."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final

from orchestrator.lifecycle import Attempt, Output, Record
from orchestrator.money import MOST_USD
from orchestrator.tasks import Task

LAST_MOMENT: Final = 253_402_300_799.0
"""The end of the year 9999, the last one that a date can have, in unix seconds."""

MOST: Final = 10**15
"""No count comes near it, a file's bytes included, and a ledger still holds the sum of thousands of it."""

_OUTPUT: Final = re.compile(r"files/.*-\d{1,5}\.\w+", re.ASCII | re.DOTALL)
"""Where outputs lie: the name of each ends with its number and what kind of file it is.

Each number below the largest is looked for, so that one of more digits would hold a run for hours.
"""


def read_json(text: str) -> Any:
    """Return what a JSON text holds.

    Raises:
        ValueError: It is none, or half a character stands in it as an escape: no file and no ledger can hold that.
        RecursionError: It is nested too deeply.
    """
    said = json.loads(text)
    if "\\u" in text:
        json.dumps(said, ensure_ascii=False).encode()
    return said


def sensible(record: Record) -> Record:
    """Return the record.

    Raises:
        ValueError: Something in it has another type or is too large, is no time, or would lead out of the run folder.
    """
    failure, attempt = record.failure, record.attempt
    if not (
        _task(record.task)
        and _counts(record.tries, record.failures)
        and _are(str, *record.warnings)
        and _moments(record.finished_at)
        and (failure is None or _are(str, failure.kind, failure.message))
        and (attempt is None or _attempt(attempt))
        and all(map(_output, record.outputs))
    ):
        raise ValueError("no record that was ever written")
    return record


def stays_inside(path: str) -> bool:
    """Return whether a path with `/` between its parts leads nowhere but down from where it begins."""
    return not {"", ".", ".."} & set(path.split("/")) and not {"\\", "\0"} & set(path)


def is_moment(seconds: object) -> bool:
    """Return whether something is a time in unix seconds that can be shown as a date."""
    return isinstance(seconds, (int, float)) and 0 <= seconds <= LAST_MOMENT


def _task(task: Task) -> bool:
    return (
        _are(str, task.id, task.path, task.model)
        and stays_inside(task.id)
        and stays_inside(task.path)
        and _are(int, task.index)
        and _counts(task.index + 1, task.repeat)
        and _are(dict, task.parameters, task.axes, task.labels, *task.cells)
        and _are(str, *task.labels.values())
        and not any(
            _are(dict, value) or _are(list, value) for cell in (task.axes, *task.cells) for value in cell.values()
        )
    )


def _attempt(attempt: Attempt) -> bool:
    return (
        _counts(attempt.number)
        and _are((int, type(None)), attempt.exit_code)
        and all(number is None or _fits(number) for number in (attempt.exit_code, attempt.elapsed_seconds))
        and _are((str, type(None)), attempt.remote_id, attempt.token, attempt.status)
        and _moments(attempt.intent_at, attempt.gave_up_at, attempt.submitted_at, attempt.ended_at)
        and _amounts(attempt.reserved_usd, attempt.cost_usd)
    )


def _amounts(*found: Decimal | None) -> bool:
    """What stands for less than nothing would let a budget be passed."""
    return all(usd is None or (usd.is_finite() and 0 <= usd <= MOST_USD) for usd in found)


def _output(output: Output) -> bool:
    return (
        _are(str, output.path, output.content_type, output.sha256)
        and _counts(output.bytes)
        and _are((str, type(None)), output.url)
        and stays_inside(output.path)
        and _OUTPUT.fullmatch(output.path) is not None
    )


def _moments(*found: object) -> bool:
    return all(seconds is None or is_moment(seconds) for seconds in found)


def _counts(*found: object) -> bool:
    return all(isinstance(count, int) and 0 <= count <= MOST for count in found)


def _fits(number: object) -> bool:
    return isinstance(number, (int, float)) and -MOST <= number <= MOST


def _are(kind: type | tuple[type, ...], *values: object) -> bool:
    return all(isinstance(value, kind) for value in values)
