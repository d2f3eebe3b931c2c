"""What a ledger keeps of its run besides the tasks, and what that has to look like."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, get_args

from orchestrator.engines.delays import Delay
from orchestrator.errors import RefusedError
from orchestrator.ledger import UNREADABLE, Fact
from orchestrator.sense import is_moment
from orchestrator.sweep import Job, Limits
from orchestrator.sweep.settings import Tracking

NEEDED: Final = frozenset({Fact.JOB, Fact.TOOL, Fact.MODEL, Fact.SOURCE, Fact.SERVICE, Fact.ACCOUNT})
"""What only a run could say of itself."""

WRITTEN: Final = NEEDED | {Fact.EDITION, Fact.TOTAL, Fact.STARTED_AT}
"""What a ledger holds from the first moment on; none of it where the run has not begun."""

PASSING: Final = (Fact.SECONDS_LEFT, Fact.DOUBT_SECONDS_LEFT, Fact.PROGRESS, Fact.WAITING)
"""What a run at work keeps of itself and what says nothing once it has ended."""


def check(facts: Mapping[str, str]) -> None:
    """See that the facts are those of a run; the job and the model's entry are read by those who need them.

    Raises:
        ValueError: One is missing, or is not what was written.
    """
    if missing := facts.keys() & WRITTEN and WRITTEN - facts.keys():
        raise ValueError(f"it does not say {' and '.join(sorted(missing))}")
    for name, read in _FORMS.items():
        if name in facts:
            read(facts[name])


def readable(facts: Mapping[str, str]) -> dict[str, str]:
    """Return those of the facts that make sense."""
    found = dict(facts)
    readers: dict[str, Callable[[str], object]] = {**_FORMS, Fact.JOB: _job, Fact.TOOL: _tool}
    for name in facts.keys() & readers.keys():
        try:
            readers[name](facts[name])
        except UNREADABLE:
            del found[name]
    return found


def resolved_job(facts: Mapping[str, str]) -> Job:
    """Return the job that a ledger keeps.

    Raises:
        RefusedError: This version cannot read it.
    """
    try:
        return _job(facts[Fact.JOB])
    except UNREADABLE as error:
        raise RefusedError(f"The job that the run folder keeps cannot be read: {error}. {REMEDY}") from error


def frozen_tool(facts: Mapping[str, str]) -> dict[str, Any]:
    """Return the model's catalogue entry that a ledger keeps.

    Raises:
        RefusedError: It cannot be read.
    """
    try:
        return _tool(facts[Fact.TOOL])
    except UNREADABLE as error:
        raise RefusedError(f"What the run folder keeps of its model cannot be read: {error}. {REMEDY}") from error


def tasks_of(job: str | None) -> object:
    """Return the part of a resolved job that decides which tasks there are and where their files go, if any."""
    with suppress(*UNREADABLE):
        read = json.loads(job or "")
        return read["recipe"], read["outputs"]["path"]
    return None


def forgotten(facts: Mapping[str, str], since: float) -> dict[str, None]:
    """Return the facts that say nothing to a process that has held the folder since a moment (unix seconds).

    An earlier one may have been killed before it could obey a `cancel`. One that was asked for since then is ours to
    obey, however soon it came.
    """
    asked = facts.get(Fact.CANCEL)
    with suppress(ValueError):
        if asked is not None and float(asked) >= since:
            return {}
    return {Fact.CANCEL: None}


REMEDY: Final = "`orchestrator recover` on the run folder makes its ledger anew."


def _job(text: str) -> Job:
    job = Job.from_json(json.loads(text))
    files, callback = job.files, job.callback
    if not (
        _are(str, job.name, job.model, job.outputs.path, *job.warnings)
        and _are(bool, job.outputs.delete_remote, job.outputs.thumbnails, job.recipe.shuffled)
        and _are_counts(job.retry.attempts, job.recipe.repeat)
        and _is_bounded(job.limits)
        and job.tracking in get_args(Tracking)
        and all(_are(str, each.sha256, each.path, each.name) and _are(int, each.bytes) for each in files.files.values())
        and _are(str, *files.places.values())
        and (callback is None or (_are(str, callback.url, callback.host) and _are(int, callback.port)))
    ):
        raise ValueError("it is none that was ever written")
    return job


def _is_bounded(limits: Limits) -> bool:
    """What is no limit any more must not let a run pass it."""
    numbers = (limits.requests_per_second, limits.task_timeout_seconds, limits.settle_after_seconds)
    return (
        all(_is_number(number) and 0 < number < math.inf for number in numbers)
        and all(usd is None or (usd.is_finite() and usd > 0) for usd in (limits.budget_usd, limits.price_usd))
        and (limits.concurrency == "auto" or _are_counts(limits.concurrency))
        and _are_counts(limits.max_tasks)
    )


def _are_counts(*values: object) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) and value > 0 for value in values)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _are(kind: type, *values: object) -> bool:
    return all(isinstance(value, kind) for value in values)


def _tool(text: str) -> dict[str, Any]:
    tool = json.loads(text)
    if not isinstance(tool, dict):
        raise TypeError("it is no JSON object")
    return tool


def _whole(text: str) -> None:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(f"{text[:20]!r} is not a count")


def _moment(text: str) -> None:
    if not is_moment(float(text)):
        raise ValueError(f"{text[:20]!r} is not a time")


def delays_of(held: str | None) -> tuple[Delay, ...]:
    """Return what the fact `waiting` holds.

    Raises:
        ValueError, TypeError, KeyError: It is not what was written.
    """
    found = json.loads(held or "[]")
    if not all(isinstance(wait["tasks"], int) and isinstance(wait["why"], str) for wait in found):
        raise TypeError("these are no tasks that wait")
    return tuple(Delay(wait["tasks"], wait["why"]) for wait in found)


def _share(text: str) -> None:
    if not 0 <= float(text) <= 1:
        raise ValueError(f"{text[:20]!r} is not a share")


_FORMS: Final[Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {
        Fact.EDITION: _whole,
        Fact.ENTERED: _whole,
        Fact.TOTAL: _whole,
        Fact.STARTED_AT: _moment,
        Fact.UPDATED_AT: _moment,
        Fact.SECONDS_LEFT: _moment,
        Fact.PROGRESS: _share,
        Fact.WAITING: delays_of,
        Fact.UNPROVEN: _moment,
        Fact.DOUBT_SECONDS_LEFT: _moment,
    }
)
