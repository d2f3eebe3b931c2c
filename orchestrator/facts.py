"""What a ledger keeps of its run besides the tasks, and what that has to look like."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

from orchestrator.errors import RefusedError
from orchestrator.ledger import UNREADABLE
from orchestrator.sense import is_moment
from orchestrator.sweep import Job

ANEW: Final = "anew"
"""The fact that says, until its run is at work again, that a ledger was made anew after it had been damaged."""

UNPROVEN: Final = "unproven_until"
"""The fact that says up to which moment (unix seconds) requests may have been sent that a ledger made anew lacks."""

NEEDED: Final = frozenset({"job", "tool", "model", "source", "service", "account"})
"""What only a run could say of itself."""

WRITTEN: Final = NEEDED | {"edition", "total", "started_at"}
"""What a ledger holds from the first moment on; none of it where the run has not begun."""


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
    readers: dict[str, Callable[[str], object]] = {**_FORMS, "job": _job, "tool": _tool}
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
        return _job(facts["job"])
    except UNREADABLE as error:
        raise RefusedError(f"The job that the run folder keeps cannot be read: {error}. {REMEDY}") from error


def frozen_tool(facts: Mapping[str, str]) -> dict[str, Any]:
    """Return the model's catalogue entry that a ledger keeps.

    Raises:
        RefusedError: It cannot be read.
    """
    try:
        return _tool(facts["tool"])
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
    asked = facts.get("cancel")
    with suppress(ValueError):
        if asked is not None and float(asked) >= since:
            return {}
    return {"cancel": None}


REMEDY: Final = "`orchestrator recover` on the run folder makes its ledger anew."


def _job(text: str) -> Job:
    return Job.from_json(json.loads(text))


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


def _share(text: str) -> None:
    if not 0 <= float(text) <= 1:
        raise ValueError(f"{text[:20]!r} is not a share")


_FORMS: Final[Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {
        "edition": _whole,
        "entered": _whole,
        "total": _whole,
        "started_at": _moment,
        "updated_at": _moment,
        "seconds_left": _moment,
        "progress": _share,
        UNPROVEN: _moment,
        "doubt_seconds_left": _moment,
    }
)
