"""When to look next: how long to wait before each look at a running task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

FIRST_SECONDS: Final = 0.8
SHARE: Final = 0.3
EARLY: Final = 0.7
"""The first look comes at this share of the usual time: later ones would never learn that tasks end sooner."""

LONGEST_SECONDS: Final = 15.0
SHORTEST_SECONDS: Final = 0.1


def looks(stated_seconds: float | None, usual_seconds: float | None = None) -> Iterator[float]:
    """Give the seconds to wait before each look at a task that has just been accepted.

    Each wait is a fixed share of what has passed, so the number of looks grows with the logarithm of
    the run time and no answer is late by more than that share.

    Args:
        stated_seconds: The run time that the service states for the model, if it does.
        usual_seconds: How long tasks have taken in this run, once some have ended.
    """
    if usual_seconds is not None:
        passed = EARLY * usual_seconds
    else:
        passed = min(FIRST_SECONDS, (stated_seconds or FIRST_SECONDS) / 4)
    passed = min(max(SHORTEST_SECONDS, passed), LONGEST_SECONDS)
    yield passed
    while True:
        wait = min(max(SHORTEST_SECONDS, passed * SHARE), LONGEST_SECONDS)
        yield wait
        passed += wait


def likely_done(passed_seconds: float, usual_seconds: float | None) -> bool:
    """Return whether a task that was accepted so long ago has probably ended."""
    return usual_seconds is not None and passed_seconds >= usual_seconds
