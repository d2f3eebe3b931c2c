"""Which remote task is which uncertain one: pure comparisons, in favour of doubt."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from itertools import islice
from typing import Final

from orchestrator.lifecycle import Attempt
from orchestrator.sweep.uploads import PREFIX
from orchestrator.tasks import Parameters, canonical_json
from orchestrator.wiro import RemoteTask, id_number

CLOCK_SLACK_SECONDS: Final = 120.0
"""How far the service's clock may be behind ours, where only its clock tells old tasks from new ones."""

_NUMBER: Final = re.compile(r"-?(0|[1-9]\d{0,30})(\.\d{1,30})?", re.ASCII)
"""What may be spelt otherwise; `042` is a text that its author wants so."""

_LOCAL_FILE: Final = re.compile(rf"{PREFIX}[0-9a-f]{{64}}")
"""A local file whose address nobody knows any more."""

Spelling = Mapping[str, str]
"""Parameters in the form in which other spellings of a name or a number make no difference."""


class Likeness(IntEnum):
    """How well a remote task fits one of ours."""

    DIFFERENT = 0
    UNCLEAR = 1  # nothing contradicts, but not all is shown
    LIKELY = 2  # what is not shown is empty or the model's default: adopted only where nothing else is possible
    SAME = 3


@dataclass(frozen=True, slots=True, eq=False)
class Intent:
    """A request that may have been accepted, and of which nobody knows what became of it.

    Attributes:
        task: Our task's id.
        sent: Its parameters.
        attempt: What is known of the request; None for one that may not have been written yet.
        ours: Whether it is to be settled here; what may be another's is only to be left to it.
        due: Whether it was given up so long ago that the list has to show what became of it.
        out: Whether somebody still waits for its reply.
    """

    task: str
    sent: Spelling
    attempt: Attempt | None
    ours: bool = True
    due: bool = False
    out: bool = False


@dataclass(frozen=True, slots=True)
class Matching:
    """What a listing says of our intents, by task id.

    Attributes:
        adopted: The remote task that one found is.
        absent: Those that the service does not show.
        waiting: Those that may be told apart once others like them are certain, or due.
        blocked: Those that may be one that the service does not show clearly enough.
    """

    adopted: Mapping[str, RemoteTask]
    absent: frozenset[str]
    waiting: frozenset[str]
    blocked: frozenset[str]


@dataclass(slots=True, eq=False)
class _Find:
    """A remote task that belongs to nobody, and the requests that may have made it."""

    task: RemoteTask
    makers: dict[Intent, Likeness]

    @property
    def has_failed(self) -> bool:
        """Whether it ended without making anything: it may have been tried again."""
        return self.task.has_failed

    def likely(self) -> list[Intent]:
        """Return those that sent just what it shows."""
        return [intent for intent, how in self.makers.items() if how is Likeness.SAME]


def spelt(parameters: Parameters) -> Spelling:
    """Return parameters with names in lower case and one spelling for `4`, `"4"` and `4.0`.

    A text that looks like a number is spelt like one, since services hand numbers back as texts: two tasks that differ
    in such a text alone are alike here, and wait for each other.
    """
    return {name.casefold(): _text(value) for name, value in parameters.items()}


def likeness(sent: Spelling, shown: Spelling, defaults: Spelling) -> Likeness:
    """Compare what we sent with what the service shows; it may show more, of its own.

    Args:
        sent: Ours.
        shown: The remote task's, empty where it shows none.
        defaults: The model's, for what the service leaves out.
    """
    if not shown:
        return Likeness.UNCLEAR if sent else Likeness.SAME
    result = Likeness.SAME
    for name, text in sent.items():
        if _LOCAL_FILE.fullmatch(text):
            result = Likeness.UNCLEAR  # whatever is shown in its place may be the address that it was given
        elif name in shown:
            if shown[name] != text:
                return Likeness.DIFFERENT
        elif text in {"", defaults.get(name, "")}:
            result = min(result, Likeness.LIKELY)
        else:
            result = Likeness.UNCLEAR
    return result


def is_older(task: RemoteTask, attempt: Attempt | None) -> bool | None:
    """Return whether a remote task was there before the request was sent; None where nothing tells.

    Ids grow; clocks differ, so the service's is asked only where there are no ids to compare.
    """
    if attempt is None:
        return None
    if task.number is not None and attempt.newest_known is not None:
        return task.number <= attempt.newest_known
    if task.created_at is not None:
        return task.created_at < attempt.intent_at - CLOCK_SLACK_SECONDS
    return None if attempt.intent_at else False  # where all is lost, it may have been sent at any time


def newest_before(attempt: Attempt | None, known: int | None) -> int | None:
    """Return the largest remote id that is older than what a task's next request has made.

    Args:
        attempt: Its last one that is known, if any.
        known: A remote id that is older than any of its requests; None where none is known.
    """
    ids = [known]
    if attempt is not None:
        ids += [attempt.newest_known, None if attempt.remote_id is None else id_number(attempt.remote_id)]
    return max((number for number in ids if number is not None), default=None)


def match(intents: Sequence[Intent], remote: Sequence[RemoteTask], model: str, defaults: Spelling) -> Matching:
    """Say which of our requests made which remote task.

    Where only one can have made it, that is certain. Where several sent the same, any of them may have made it, and
    what another made may not be shown yet: they are paired only when each has one, or when all that were accepted have
    to be shown; who is given which makes no difference then.

    Args:
        intents: All requests, here and elsewhere, that may have made a remote task that nobody has.
        remote: Remote tasks that nobody has.
        model: `owner/model`.
        defaults: The model's default parameters.
    """
    finds = _finds(intents, remote, model, defaults)
    adopted: dict[str, RemoteTask] = {}
    left = set(intents)
    while pairs := _pairs(finds):
        for intent, found in pairs:
            finds.remove(found)
            left.remove(intent)
            for other in finds:
                other.makers.pop(intent, None)
            if intent.ours:
                adopted[intent.task] = found.task
    ours = [intent for intent in left if intent.ours]
    out = [intent.sent for intent in left if intent.out]
    open_to = [found.likely() for found in finds]
    held = {intent for makers in open_to if not _may_be_paired(makers) for intent in makers}
    waiting = {intent.task for intent in ours if intent in held or intent.sent in out}
    blocked = {intent.task for intent in ours if any(intent in found.makers for found in finds)} - waiting
    absent = {intent.task for intent in ours} - waiting - blocked
    return Matching(adopted, frozenset(absent), frozenset(waiting), frozenset(blocked))


def needs_detail(
    intents: Sequence[Intent], remote: Sequence[RemoteTask], model: str, defaults: Spelling, most: int
) -> set[str]:
    """Return the ids of those remote tasks that might be ours if only all of their parameters were shown.

    Args:
        intents: See `match`.
        remote: See `match`.
        model: See `match`.
        defaults: See `match`.
        most: How many are returned at most.
    """
    hidden = (
        found.task.task_id
        for found in reversed(_finds(intents, remote, model, defaults))
        if any(how is not Likeness.SAME for how in found.makers.values())
    )
    return set(islice(hidden, most))


def _finds(intents: Sequence[Intent], remote: Sequence[RemoteTask], model: str, defaults: Spelling) -> list[_Find]:
    """Return the remote tasks that some request may have made, the oldest first, likewise their makers."""
    in_order = sorted(intents, key=_sent_at)
    found = []
    for task in sorted(remote, key=_age):
        if task.model is None or task.model.casefold() == model.casefold():  # services spell names their own way
            shown = spelt(task.parameters or {})
            makers: dict[Intent, Likeness] = {
                intent: how
                for intent in in_order
                if (how := likeness(intent.sent, shown, defaults)) is not Likeness.DIFFERENT
                and not is_older(task, intent.attempt)
            }
            if makers:
                found.append(_Find(task, makers))
    return found


def _pairs(finds: Sequence[_Find]) -> list[tuple[Intent, _Find]]:
    """Return the next requests and remote tasks that certainly belong together."""
    likely = [(found, makers) for found in finds if (makers := found.likely())]
    # Of several tries the last one counts that has not failed, and the last one of all where all have.
    ends_first = sorted(likely, key=lambda each: not each[0].has_failed)
    alone = {makers[0]: found for found, makers in ends_first if len(makers) == 1 and _is_made(found, makers[0])}
    if alone:
        return list(alone.items())
    for _, makers in likely:
        pairs = [] if any(intent.out for intent in makers) else _pairs_among(makers, likely)
        if pairs:
            return pairs
    for found in finds:
        if len(found.makers) == 1:
            [(intent, how)] = found.makers.items()
            if how is Likeness.LIKELY and _is_made(found, intent):
                return [(intent, found)]
    return []


def _pairs_among(
    makers: Sequence[Intent], likely: Sequence[tuple[_Find, Sequence[Intent]]]
) -> list[tuple[Intent, _Find]]:
    """Pair requests with all that none but they can have made, if each has one or all that they made is shown."""
    rest = list(makers)
    pairs = []
    for found, possible in sorted(likely, key=lambda each: each[0].has_failed):
        if set(makers).issuperset(possible):
            maker = next((intent for intent in rest if intent in possible and _is_made(found, intent)), None)
            if maker is not None:
                rest.remove(maker)
                pairs.append((maker, found))
    return pairs if not rest or _may_be_paired(makers) else []


def _is_made(found: _Find, intent: Intent) -> bool:
    """Return whether a remote task is certainly newer than a request that nobody waits for any more."""
    return not intent.out and is_older(found.task, intent.attempt) is False


def _may_be_paired(makers: Sequence[Intent]) -> bool:
    """Return whether all that these requests made has to be shown by now."""
    return all(intent.due and not intent.out for intent in makers)


def _sent_at(intent: Intent) -> tuple[float, float]:
    attempt = intent.attempt
    return (math.inf, math.inf) if attempt is None else (attempt.newest_known or 0, attempt.intent_at)


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
