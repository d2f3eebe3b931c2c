"""How long tasks wait in the service's queue before they run."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import deque
from typing import Final

REMEMBERED: Final = 64
POINTS: Final = 6
"""By how many moments the end of the wait is stood for."""


class QueueTimes:
    """The latest waits, each as far as it is known: of most of them only bounds are."""

    def __init__(self) -> None:
        self._waits: deque[float] = deque(maxlen=REMEMBERED)
        self._sorted: list[float] = []

    @property
    def usual_seconds(self) -> float:
        """The median wait; 0 as long as none is known."""
        return self._sorted[len(self._sorted) // 2] if self._sorted else 0.0

    def saw(self, low: float, high: float) -> None:
        """Learn of a wait between these seconds: where the usual one would do, it is taken for that."""
        self._waits.append(min(max(self.usual_seconds, low), max(low, high)))
        self._sorted = sorted(self._waits)

    def points(self, low: float, high: float = math.inf) -> tuple[float, ...]:
        """Return a few waits that stand for all that may be, of those longer than `low` and no longer than `high`."""
        fitting = self._sorted[bisect_left(self._sorted, low) : bisect_right(self._sorted, high)]
        if fitting:
            count = min(POINTS, len(fitting))
            return tuple(fitting[len(fitting) * (2 * place + 1) // (2 * count)] for place in range(count))
        if high < math.inf or not low:
            return (min(max(self.usual_seconds, low), high),)
        return (low * 1.1 + 0.2, low * 1.5 + 0.5, low * 2.5 + 1.0)  # longer than all known ones: who knows
