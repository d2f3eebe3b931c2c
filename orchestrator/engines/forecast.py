"""When to look next: how long to wait before each look at a running task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

FIRST_SECONDS: Final = 0.8
SHARE: Final = 0.3
LONGEST_SECONDS: Final = 15.0
SHORTEST_SECONDS: Final = 0.4


def looks(stated_seconds: float | None) -> Iterator[float]:
    """Give the seconds to wait before each look at a task that has just been accepted.

    Each wait is a fixed share of what has passed, so the number of looks grows with the logarithm of
    the run time and no answer is late by more than that share.

    Args:
        stated_seconds: The run time that the service states for the model, if it does.
    """
    passed = min(FIRST_SECONDS, (stated_seconds or FIRST_SECONDS) / 4)
    passed = max(SHORTEST_SECONDS, passed)
    yield passed
    while True:
        wait = min(max(SHORTEST_SECONDS, passed * SHARE), LONGEST_SECONDS)
        yield wait
        passed += wait


def likely_done(passed_seconds: float, usual_seconds: float | None) -> bool:
    """Return whether a task that was accepted so long ago has probably ended."""
    return usual_seconds is not None and passed_seconds >= usual_seconds
