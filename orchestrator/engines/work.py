"""What a task's parameters say about how long it takes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import mul
from typing import Any, Final

KINDS: Final = (
    re.compile(r"step", re.IGNORECASE),
    re.compile(r"sample|num_?images|batch", re.IGNORECASE),
    re.compile(r"width|height|resolution", re.IGNORECASE),
    re.compile(r"duration|seconds|frames", re.IGNORECASE),
)
"""Parameters that matter: each kind counts as one number, the product of those whose names fit."""

POWER, POWER_SIGMA = 0.7, 0.4
"""Before anything was seen, twice the steps are believed to take 2 to the power of `POWER` times as long."""

LEVEL_SIGMA: Final = 1.0
NOISE: Final = 0.4
LARGEST: Final = 1e9
MOST_WORK: Final = 10.0
"""No task is believed to take more than e^10, some 22,000 times as long as another one of its model."""


class Line:
    """A weighted sum of numbers whose weights are learned, one observation at a time (Bayesian linear regression)."""

    def __init__(self, weights: Sequence[float], sigmas: Sequence[float], noise: float) -> None:
        """Begin with a belief.

        Args:
            weights: The weight of each number before anything was seen.
            sigmas: How far each may be off.
            noise: The spread of what is observed around the line.
        """
        self.weights = list(weights)
        self._noise = noise**2
        self._unsure = [
            [sigma**2 if row == column else 0.0 for column in range(len(sigmas))] for row, sigma in enumerate(sigmas)
        ]

    @property
    def sigmas(self) -> list[float]:
        """How far each weight may be off."""
        return [max(0.0, row[place]) ** 0.5 for place, row in enumerate(self._unsure)]

    def at(self, numbers: Sequence[float]) -> float:
        """Return the sum for these numbers."""
        return _dot(self.weights, numbers)

    def saw(self, numbers: Sequence[float], value: float) -> None:
        """Learn that these numbers gave this value."""
        gains = [_dot(row, numbers) for row in self._unsure]
        spread = self._noise + _dot(gains, numbers)
        off = value - self.at(numbers)
        self.weights = [weight + gain * off / spread for weight, gain in zip(self.weights, gains, strict=True)]
        self._unsure = [
            [unsure - gain * other / spread for unsure, other in zip(row, gains, strict=True)]
            for row, gain in zip(self._unsure, gains, strict=True)
        ]


class Work:
    """How much longer a task takes than the first one of its model, by its steps, its size and its samples."""

    def __init__(self) -> None:
        self._first: tuple[float, ...] | None = None
        self._line = Line([0.0, *(POWER for _ in KINDS)], [LEVEL_SIGMA, *(POWER_SIGMA for _ in KINDS)], NOISE)

    @classmethod
    def remembered(cls, kept: Mapping[str, Any]) -> Work:
        """Return what `kept` gave.

        Raises:
            ValueError, TypeError, KeyError: It is damaged.
        """
        first, weights, sigmas = ([float(each) for each in kept[name]] for name in ("first", "weights", "sigmas"))
        whole = [len(first) + 1, len(weights), len(sigmas)] == [len(KINDS) + 1] * 3
        if not whole or not all(abs(each) < LARGEST for each in (*first, *weights, *sigmas)):
            raise ValueError("not what parameters say")
        work = cls()
        work._first, work._line = tuple(first), Line(weights, sigmas, NOISE)
        return work

    def kept(self) -> dict[str, Any]:
        """Return what is worth keeping between runs, as plain JSON."""
        first = self._first or (0.0,) * len(KINDS)
        return {"first": list(first), "weights": self._line.weights, "sigmas": self._line.sigmas}

    def numbers(self, parameters: Mapping[str, Any]) -> tuple[float, ...]:
        """Return the parameters that matter, as logarithms of how they differ from the first task's."""
        sums = [0.0] * len(KINDS)
        for name, kind in _that_matter(tuple(parameters)):
            sums[kind] += _log(str(parameters[name]))
        found = tuple(sums)
        self._first = self._first or found
        return tuple(here - first for here, first in zip(found, self._first, strict=True))

    def of(self, numbers: tuple[float, ...]) -> float:
        """Return the logarithm of the factor by which a task with these `numbers` takes longer."""
        return max(-MOST_WORK, min(MOST_WORK, _dot(self._line.weights[1:], numbers)))

    def saw(self, numbers: tuple[float, ...], log_seconds: float) -> None:
        """Learn from a task that has ended."""
        self._line.saw((1.0, *numbers), log_seconds)


@lru_cache(maxsize=64)
def _that_matter(names: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Return the parameters that matter by their names, each with the place in `KINDS` that it belongs to."""
    return tuple((name, place) for name in names for place, kind in enumerate(KINDS) if kind.search(name))


@lru_cache(maxsize=256)
def _log(written: str) -> float:
    try:
        number = float(written)
    except ValueError:
        return 0.0
    return math.log(number) if 0 < number < LARGEST else 0.0


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    total: float = sum(map(mul, one, other))
    return total
