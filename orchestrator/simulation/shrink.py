"""The smallest history that still breaks the same promise."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, Final

from orchestrator.simulation.history import History

PLAIN: Final = History(seed=0)
MOST_TRIES: Final = 400


def shrink(history: History, violation: str, broken: Callable[[History], str | None]) -> History:
    """Leave out of a history what is not needed.

    Args:
        history: One that breaks a promise.
        violation: Which one.
        broken: Plays a history, and returns the promise that it breaks.

    Returns:
        One with fewer misfortunes and tasks, and as plain as can be, that breaks the same one.
    """
    tries = 0
    simpler = True
    while simpler:
        simpler = False
        for candidate in _simpler(history):
            tries += 1
            if tries > MOST_TRIES:
                return history
            said = broken(candidate)
            if said is not None and _alike(said, violation):
                history, simpler = candidate, True
                break
    return history


def _simpler(history: History) -> Iterator[History]:
    events = history.events
    for half in (events[len(events) // 2 :], events[: len(events) // 2]) if len(events) > 3 else ():
        yield replace(history, events=half)
    for place in range(len(events)):
        yield replace(history, events=events[:place] + events[place + 1 :])
    for seeds in {1, history.seeds - 1} if history.seeds > 1 else ():
        yield replace(history, seeds=seeds)
    if history.repeat > 1:
        yield replace(history, repeat=history.repeat - 1)
    for field in fields(History):
        plain = getattr(PLAIN, field.name)
        if field.name not in {"seed", "seeds", "repeat", "events"} and getattr(history, field.name) != plain:
            changed: dict[str, Any] = {field.name: plain}
            yield replace(history, **changed)


def _alike(one: str, other: str) -> bool:
    """Return whether two violations are the same but for their numbers."""
    return _words(one) == _words(other)


def _words(text: str) -> str:
    return re.sub(r"[\d.,\[\]]+", "", text)
