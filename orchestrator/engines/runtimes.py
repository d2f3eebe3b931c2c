"""How long tasks of a model run: what was seen so far, as a distribution that follows a service that changes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import add, mul
from typing import Any, Final

STEP: Final = 0.05
"""All grids are of logarithms of seconds; a step is one twentieth."""

LEVELS: Final = 80
"""How many steps the level may be off to either side: a factor of 55."""

SHAPE: Final = 60
"""How many steps a run may be off the level to either side: a factor of 20."""

SHORTEST_SECONDS: Final = 0.02
LARGEST_LOG: Final = 25.0
"""A level beyond this (or below its negative) is no run time: it would be two thousand years."""

UNSTATED_SECONDS: Final = 8.0
STATED_SIGMA, UNSTATED_SIGMA, KEPT_SIGMA = 0.6, 1.2, 0.15
"""How far a level that the service states, one that nobody does, and one of an earlier run may be off."""

CHANGE: Final = 0.005
"""How likely the level is to change from one task to the next."""

SPREAD: Final = 0.4
"""The spread of run times that is assumed before any was seen."""

TRUST: Final = 4.0
"""How many tasks that assumption counts for."""

MEMORY: Final = 300.0
"""Over about how many tasks the shape is averaged."""

UNSEEN: Final = 1.0
"""How many tasks it counts for that there may be others of a kind that was never seen, such as a second hump."""

CLEAR: Final = 0.25
"""How much has to be counted somewhere to say that a task of an earlier run was seen there."""

STRAY: Final = 0.01
"""The share of runs of which nothing that was seen says anything."""

MIDDLE: Final = LEVELS + SHAPE
"""Where the base stands in an outlook."""

MOST_RECENT: Final = 48
SLACK: Final = 16
"""So many more may gather before the oldest ones become part of the level, which is work."""

SLIGHT: Final = 1e-4
UNLIKELY: Final = 1e-6
LEAST_LOG: Final = -700.0


def bell(reach: int, sigma_steps: float, middle: float = 0.0) -> list[float]:
    """Return a normal distribution over the whole numbers from -reach to reach."""
    weights = [math.exp(-(((place - middle) / sigma_steps) ** 2) / 2) for place in range(-reach, reach + 1)]
    total = sum(weights)
    return [weight / total for weight in weights]


BLURS: Final = 4
"""How often neighbours are added up to smooth: as if with a normal distribution whose sigma is half the root of it."""

_HALVING: Final = [2.0 ** (-abs(place) * STEP) for place in range(-SHAPE, SHAPE + 1)]
STRAYS: Final = [STRAY * weight / sum(_HALVING) for weight in _HALVING]
ANYWHERE: Final = [1.0 / (2 * LEVELS + 1)] * (2 * LEVELS + 1)


@dataclass(slots=True)
class Runtimes:
    """The run times of one model, after what the parameters explain is taken off.

    The logarithm of a run time is a level that all tasks share, which may change under way, plus what is
    the task's own, whose distribution is learned as it is, with one hump or two. What was seen is never exact: a task
    ended between two looks.

    Attributes:
        base: The logarithm of the seconds at the level's middle.
        level: How likely each level is.
        counts: How many tasks were seen at each distance from the level.
        seen: How many tasks were seen in this run.
        longest: The seconds of the longest run, what parameters explain taken off; infinite where none is known.
    """

    base: float
    level: list[float]
    counts: list[float] = field(default_factory=lambda: [TRUST * share for share in bell(SHAPE, SPREAD / STEP)])
    seen: int = 0
    longest: float = math.inf
    _recent: list[tuple[float, list[float]]] = field(default_factory=list)
    _shape: list[float] = field(default_factory=list)
    _ended: list[float] = field(default_factory=list)
    _level_now: list[float] = field(default_factory=list)

    @classmethod
    def expecting(cls, stated_seconds: float | None) -> Runtimes:
        """Return what is known before any task was seen, from the seconds that the service states, if it does."""
        sigma = UNSTATED_SIGMA if stated_seconds is None else STATED_SIGMA
        seconds = UNSTATED_SECONDS if stated_seconds is None else stated_seconds
        return cls(math.log(max(SHORTEST_SECONDS, seconds)), bell(LEVELS, sigma / STEP))

    @classmethod
    def remembered(cls, kept: dict[str, Any]) -> Runtimes:
        """Return what `kept` gave.

        Raises:
            ValueError, TypeError, KeyError: It is damaged.
        """
        base, counts = float(kept["base"]), [float(count) for count in kept["counts"]]
        total = sum(counts)
        if (
            not abs(base) < LARGEST_LOG
            or len(counts) != 2 * SHAPE + 1
            or min(counts) < 0
            or not 0 < total <= 2 * MEMORY
        ):
            raise ValueError("not run times")
        last = max((place - SHAPE for place, count in enumerate(counts) if count >= CLEAR), default=SHAPE)
        return cls(base, bell(LEVELS, KEPT_SIGMA / STEP), counts, longest=math.exp(base + last * STEP))

    def kept(self) -> dict[str, Any]:
        """Return what is worth keeping between runs, as plain JSON."""
        middle = sum((place - LEVELS) * share for place, share in enumerate(self._now()))
        return {"base": round(self.base + middle * STEP, 4), "counts": [round(count, 4) for count in self.counts]}

    def saw(self, started: float, low: float, high: float, work: float) -> None:
        """Learn from a task that has ended.

        Args:
            started: When it was accepted, on any clock in seconds.
            low: Its run time in seconds was more than this.
            high: And no more than this.
            work: The logarithm of what its parameters explain.
        """
        first, last = self._place(low, work), max(self._place(high, work), self._place(low, work) + 1.0)
        likely = [
            max(UNLIKELY**2, by_last - by_first)
            for by_first, by_last in zip(self._ended_by(first), self._ended_by(last), strict=True)
        ]
        self._level_now = _product(self._now(), likely)
        self._recent.append((started, likely))
        if len(self._recent) > MOST_RECENT + SLACK:
            self._settle(self._recent[len(self._recent) - MOST_RECENT][0])
        self._count(first, last)
        seconds = (low + high) / 2 * math.exp(-work)
        self.longest = seconds if math.isinf(self.longest) else max(self.longest, seconds)
        self.seen += 1
        self._shape = []

    def outlook(self, running: Sequence[tuple[float, float, float]]) -> list[float]:
        """Return how likely each run time is, over the steps from -(LEVELS + SHAPE) to LEVELS + SHAPE around the base.

        Args:
            running: Tasks that still run: when they were accepted, for how many seconds they ran at least, and the
                logarithm of what their parameters explain. They belong to the shape as those do that have ended;
                where more of them run past their time than that can explain, the level has changed.
        """
        self._settle(min((started for started, _, _ in running), default=math.inf))
        shape = self._shaped() if math.isinf(self.longest) else _smoothed(self._expected(running))
        level = _product(self._now(), self._outlasting(running, shape))
        found = [0.0] * (len(level) + len(shape) - 1)
        for place, share in enumerate(level):
            if share > SLIGHT:
                for distance, part in enumerate(shape, place):
                    found[distance] += share * part
        return found

    def _expected(self, running: Sequence[tuple[float, float, float]]) -> list[float]:
        """Return what was counted together with what these tasks will add, by Kaplan and Meier's estimate.

        Each adds itself beyond where it is, as those do that ended there: where half of all have ended and the others
        still run, there is a second hump, and it is not between the two.
        """
        middle = sum((place - LEVELS) * share for place, share in enumerate(self._now()))
        places = (math.ceil(self._place(seconds, work) - middle) for _, seconds, work in running)
        lasting = Counter(min(SHAPE, max(-SHAPE, place)) for place in places)
        total = left = sum(self.counts) + len(running)
        ahead, found = 1.0, []
        for place, count in enumerate(self.counts, -SHAPE):
            ended = ahead * min(1.0, count / left) if left > 0 else 0.0
            found.append(total * ended)
            ahead -= ended
            left -= count + lasting[place]
        found[-1] += total * ahead
        return found

    def _outlasting(self, running: Sequence[tuple[float, float, float]], shape: Sequence[float]) -> list[float]:
        """Return how likely it is for each level that these tasks still run, the likeliest as 1.

        Once others were seen, each may also be of a kind that was not; then it says nothing of the level.
        """
        strange = UNLIKELY if math.isinf(self.longest) else UNSEEN / (UNSEEN + sum(self.counts))
        ages = Counter(round(self._place(seconds, work)) for _, seconds, work in running)
        lasting = [math.log(strange + (1 - strange) * max(0.0, 1 - ended)) for ended in accumulate(shape, initial=0.0)]
        logs = [0.0] * (2 * LEVELS + 1)
        for place, number in ages.items():
            logs = [log + number * more for log, more in zip(logs, _by_level(lasting, place), strict=True)]
        most = max(logs)
        return [math.exp(max(LEAST_LOG, log - most)) for log in logs]

    def _settle(self, since: float) -> None:
        """Let what was seen of tasks that were accepted before a moment become part of the level.

        What was seen of later ones is kept apart: whether the level has changed since is decided by those that have
        ended and those that still run together, else the slow ones, which are left over, would speak for all.
        """
        for started, likely in self._recent:
            if started < since:
                self.level = _product(self._loosened(), likely)
                self._level_now = []
        self._recent = [(started, likely) for started, likely in self._recent if started >= since]

    def _now(self) -> list[float]:
        """Return how likely each level is by what has ended."""
        if not self._level_now:
            self._level_now = self._loosened()
            for _, likely in self._recent:
                self._level_now = _product(self._level_now, likely)
        return self._level_now

    def _loosened(self) -> list[float]:
        return [(1 - CHANGE) * share + CHANGE * wide for share, wide in zip(self.level, ANYWHERE, strict=True)]

    def _count(self, first: float, last: float) -> None:
        """Add a task to the shape, spread over where it may be."""
        shape, ended = self._shaped(), self._ended
        steps = [0.0] * (len(shape) + 1)  # by how much the weight of a place differs from the one before it
        for level, share in enumerate(self._now(), -LEVELS):
            if share < 10 * SLIGHT:
                continue
            low = min(SHAPE, max(-SHAPE, math.floor(first - level + 0.5))) + SHAPE
            high = min(2 * SHAPE, max(low, math.floor(last - level - 0.5) + SHAPE)) + 1
            weight = share / (ended[high] - ended[low])
            steps[low] += weight
            steps[high] -= weight
        fading = 1 - 1 / MEMORY
        weights = accumulate(steps)
        self.counts = [
            count * fading + part * max(0.0, weight)
            for count, part, weight in zip(self.counts, shape, weights, strict=False)
        ]

    def _shaped(self) -> list[float]:
        """Return the distribution around the level: what was counted, smoothed, and a few strays."""
        if not self._shape:
            self._shape = _smoothed(self.counts)
            self._ended = [0.0]
            for share in self._shape:
                self._ended.append(self._ended[-1] + share)
        return self._shape

    def _ended_by(self, place: float) -> list[float]:
        """Return for each level the share that has ended by so many steps from the base."""
        self._shaped()
        whole = math.floor(place + 0.5)
        part = place + 0.5 - whole
        lows, highs = _by_level(self._ended, whole), _by_level(self._ended, whole + 1)
        return [low + (high - low) * part for low, high in zip(lows, highs, strict=True)]

    def _place(self, seconds: float, work: float) -> float:
        return (math.log(max(SHORTEST_SECONDS, seconds)) - work - self.base) / STEP


def _by_level(sums: Sequence[float], place: int) -> list[float]:
    """Return for each level what sums over a shape come to so many steps from the base.

    Args:
        sums: Of nothing, of what is at the first place of the shape, and so on, and of all of it.
        place: In steps; beyond the shape the sums stay as they are.
    """
    levels, reach = 2 * LEVELS + 1, SHAPE + LEVELS + 1
    around = [sums[0]] * levels + [*sums] + [sums[-1]] * levels
    first = min(max(-reach, place), reach) + reach
    return around[first : first + levels][::-1]  # the higher the level, the nearer a place is to the shape's start


def _smoothed(counts: Sequence[float]) -> list[float]:
    edge = [0.0] * (BLURS // 2)
    smooth = [*edge, *counts, *edge]
    for _ in range(BLURS):
        smooth = list(map(add, smooth, smooth[1:]))
    scale = (1 - STRAY) / sum(smooth)
    return [scale * count + stray for count, stray in zip(smooth, STRAYS, strict=True)]


def _product(prior: Sequence[float], likely: Sequence[float]) -> list[float]:
    found = list(map(mul, prior, likely))
    total = sum(found)
    return [share / total for share in found]
