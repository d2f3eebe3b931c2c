"""When to look at something that ends at a random moment, where each look has a price and so has each second of lag."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Final

BEYOND: Final = 1.25
"""By this factor the moments of looks grow once all experience is passed."""

BEYOND_LOOKS: Final = 4
"""About how many more looks are then needed."""


class Inspections:
    """The best moments to look, by dynamic programming over a grid of moments.

    From a look at `t` that found the thing still under way, the next one belongs where the sum of its own price, of
    the lag of an end between the two looks and of what follows is least: the inspection problem of Barlow and
    Proschan. Seen from `t`, each later moment is a line in the share that has ended by then, so the best one lies on
    the lower envelope of these lines, and a plan of n moments takes n steps.
    """

    def __init__(self, moments: Sequence[float], masses: Sequence[float], price: float) -> None:
        """Find the plan.

        Args:
            moments: Where looks may be, growing; nothing ends before the first one.
            masses: How likely it is to end between each moment and the one before; the first is 0, and what the sum
                lacks to 1 ends later than the last moment.
            price: What a look costs, in seconds of lag.
        """
        ended, weighted, middle = [0.0], [0.0], moments[0]
        for before, moment, mass in zip(moments[:-1], moments[1:], masses[1:], strict=True):
            middle = (before + moment) / 2
            ended.append(ended[-1] + mass)
            weighted.append(weighted[-1] + mass * middle)
        last = len(moments) - 1
        left = max(0.0, 1 - ended[last])
        self._moments = moments
        self._next = [last] * len(moments)
        cost = left * (price * BEYOND_LOOKS + (BEYOND - 1) * moments[last])
        lines: deque[tuple[float, float, int]] = deque()
        for here in range(last, 0, -1):
            _add(lines, moments[here], moments[here] * ended[here] - weighted[here] + cost, here)
            share = ended[here - 1]
            while len(lines) > 1 and _value(lines[1], share) <= _value(lines[0], share):
                lines.popleft()
            self._next[here - 1] = lines[0][2]
            cost = price * (1 - share) + weighted[here - 1] + _value(lines[0], share)

    def after(self, moment: float) -> float:
        """Return when to look next, where a look at `moment` (or none yet, then 0) has not shown the end."""
        moments = self._moments
        place = bisect_right(moments, moment) - 1
        if place < 0:
            return moments[self._next[0]]
        if place >= len(moments) - 1:
            return moment * BEYOND
        low, high = moments[self._next[place]], moments[self._next[place + 1]]
        share = (moment - moments[place]) / (moments[place + 1] - moments[place])
        return low + (high - low) * share


def _add(lines: deque[tuple[float, float, int]], moment: float, start: float, place: int) -> None:
    """Put a line behind the others; those that are nowhere the lowest any more go."""
    while len(lines) > 1:
        (first, first_start, _), (second, second_start, _) = lines[-2], lines[-1]
        # The last line is needless where the new one crosses the one before it no later than the last one does.
        if (start - first_start) * (second - first) < (second_start - first_start) * (moment - first):
            break
        lines.pop()
    lines.append((moment, start, place))


def _value(line: tuple[float, float, int], share: float) -> float:
    return line[1] - line[0] * share
