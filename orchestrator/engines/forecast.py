"""When to look next: how long to wait before each look at a running task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

FIRST_SECONDS: Final = 1.0
SOONEST_FIRST_SECONDS: Final = 0.5
LONGEST_FIRST_SECONDS: Final = 5.0
"""Where only the stated time is known, the first look comes at an eighth of it, within these bounds."""

SHARE: Final = 0.3
EARLY: Final = 0.7
"""The first look comes at this share of the usual time: later ones would never learn that tasks end sooner."""

LONGEST_SECONDS: Final = 15.0
SHORTEST_SECONDS: Final = 0.1


def looks(
    stated_seconds: float | None, usual_seconds: float | None = None, passed_seconds: float = 0.0
) -> Iterator[float]:
    """Give the seconds to wait before each look at a running task.

    Each wait is a fixed share of what has passed, so the number of looks grows with the logarithm of
    the run time and no answer is late by more than that share.

    Args:
        stated_seconds: The run time that the service states for the model, if it does.
        usual_seconds: How long tasks have taken in this run, once some have ended.
        passed_seconds: How long ago the task was accepted.
    """
    if usual_seconds is not None:
        passed = max(SHORTEST_SECONDS, EARLY * usual_seconds)
    else:
        share = FIRST_SECONDS if stated_seconds is None else stated_seconds / 8
        passed = min(max(SOONEST_FIRST_SECONDS, share), LONGEST_FIRST_SECONDS)
    yield max(0.0, passed - passed_seconds)
    passed = max(passed, passed_seconds)
    while True:
        wait = min(max(SHORTEST_SECONDS, passed * SHARE), LONGEST_SECONDS)
        yield wait
        passed += wait


def likely_done(passed_seconds: float, usual_seconds: float | None) -> bool:
    """Return whether a task that was accepted so long ago has probably ended."""
    return usual_seconds is not None and passed_seconds >= usual_seconds
