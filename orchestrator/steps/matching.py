"""Which remote task is which uncertain one: pure comparisons, in favour of doubt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Final

from orchestrator.lifecycle import Record
from orchestrator.tasks import Parameters, canonical_json
from orchestrator.wiro import RemoteTask

CLOCK_SLACK_SECONDS: Final = 120.0
"""How far the service's clock may be behind ours, where only its clock tells old tasks from new ones."""

_NUMBER: Final = re.compile(r"-?(0|[1-9]\d{0,30})(\.\d{1,30})?", re.ASCII)
"""What may be spelt otherwise; `042` is a text that its author wants so."""

Spelling = Mapping[str, str]
"""Parameters in the form in which other spellings of a name or a number make no difference."""


class Likeness(IntEnum):
    """How well a remote task fits one of ours."""

    DIFFERENT = 0
    UNCLEAR = 1  # nothing contradicts, but not all is shown
    LIKELY = 2  # what is not shown is empty or the model's default: adopted only where nothing else is possible
    SAME = 3


@dataclass(frozen=True, slots=True)
class Matching:
    """What a listing says of uncertain tasks, by task id.

    Attributes:
        adopted: The remote task that one found is.
        absent: Those that the service does not show.
        blocked: Those that may be one that the service does not show clearly enough.
    """

    adopted: Mapping[str, RemoteTask]
    absent: frozenset[str]
    blocked: frozenset[str]


def spelt(parameters: Parameters) -> Spelling:
    """Return parameters with names in lower case and one spelling for `4`, `"4"` and `4.0`."""
    return {name.casefold(): _text(value) for name, value in parameters.items()}


def likeness(sent: Spelling, shown: Parameters | None, defaults: Spelling) -> Likeness:
    """Compare what we sent with what the service shows; it may show more, of its own.

    Args:
        sent: Ours.
        shown: The remote task's, None where it shows none.
        defaults: The model's, for what the service leaves out.
    """
    if not shown:
        return Likeness.UNCLEAR if sent else Likeness.SAME
    theirs = spelt(shown)
    result = Likeness.SAME
    for name, text in sent.items():
        if name in theirs:
            if theirs[name] != text:
                return Likeness.DIFFERENT
        elif text in {"", defaults.get(name, "")}:
            result = min(result, Likeness.LIKELY)
        else:
            result = Likeness.UNCLEAR
    return result


def is_older(task: RemoteTask, record: Record) -> bool | None:
    """Return whether a remote task was there before the request was sent; None where nothing tells.

    Ids grow; clocks differ, so the service's is asked only where there are no ids to compare.
    """
    attempt = record.sent
    if task.number is not None and attempt.newest_known is not None:
        return task.number <= attempt.newest_known
    if task.created_at is not None:
        return task.created_at < attempt.intent_at - CLOCK_SLACK_SECONDS
    return None


def is_older_than_all(task: RemoteTask, uncertain: Sequence[Record]) -> bool:
    """Return whether a remote task was certainly there before every one of the requests."""
    return all(is_older(task, record) for record in uncertain)


def is_of_model(task: RemoteTask, model: str) -> bool:
    """Return whether a remote task can be one of a model; the service spells names its own way."""
    return task.model is None or task.model.casefold() == model.casefold()


def match(
    uncertain: Sequence[Record],
    posting: Sequence[Parameters],
    remote: Sequence[RemoteTask],
    model: str,
    defaults: Spelling,
) -> Matching:
    """Say which uncertain task is which remote one.

    Args:
        uncertain: Tasks of ours that may have been accepted.
        posting: Parameters of requests that are still out: what fits one of them is left to it.
        remote: Remote tasks that belong to none of ours.
        model: `owner/model`.
        defaults: The model's default parameters.
    """
    free = sorted((task for task in remote if is_of_model(task, model)), key=_age)
    out = [spelt(parameters) for parameters in posting]
    left = {
        record.task.id: (record, spelt(record.task.parameters))
        for record in sorted(uncertain, key=lambda record: record.sent.intent_at)
    }
    adopted: dict[str, RemoteTask] = {}
    for level in (Likeness.SAME, Likeness.LIKELY):
        for task in tuple(free):
            found = _owner(task, level, left, out, defaults)
            if found is not None:
                adopted[found] = task
                del left[found]
                free.remove(task)
    blocked = {
        identity
        for identity, (record, sent) in left.items()
        if sent in out or any(_is_possible(task, record, sent, defaults) for task in free)
    }
    return Matching(adopted, frozenset(left.keys() - blocked), frozenset(blocked))


def _owner(
    task: RemoteTask,
    level: Likeness,
    left: Mapping[str, tuple[Record, Spelling]],
    out: Sequence[Spelling],
    defaults: Spelling,
) -> str | None:
    """Return whose a remote task is: of equal ones the earliest, of likely ones the only possible one."""
    rival = Likeness.SAME if level is Likeness.SAME else Likeness.UNCLEAR
    if any(likeness(sent, task.parameters, defaults) >= rival for sent in out):
        return None
    possible = [
        (identity, record, how)
        for identity, (record, sent) in left.items()
        if (how := likeness(sent, task.parameters, defaults)) >= rival and is_older(task, record) is not True
    ]
    if level is Likeness.LIKELY and len(possible) > 1:
        return None
    return next(
        (identity for identity, record, how in possible if how >= level and is_older(task, record) is False), None
    )


def _is_possible(task: RemoteTask, record: Record, sent: Spelling, defaults: Spelling) -> bool:
    return not is_older(task, record) and likeness(sent, task.parameters, defaults) is not Likeness.DIFFERENT


def _age(task: RemoteTask) -> tuple[int, str]:
    return (task.number or 0, task.task_id)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return canonical_json(value)
    text = str(value).strip()
    return f"{Decimal(text).normalize():f}" if _NUMBER.fullmatch(text) else text
