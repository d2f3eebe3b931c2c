"""When the next call may be written: evenly, within the limit, and slower while the service wants that."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from orchestrator.steps.calls import LONGEST_HOLD_SECONDS

MARGIN: Final = 1.02
"""Calls are spaced a little wider than the limit says, so that the network's jitter breaks nothing."""

WINDOW_SECONDS: Final = MARGIN

CUT: Final = 0.08
"""How much slower it goes after a refusal, as a share of the rate: the limit is probably just below it."""

STEEPER: Final = 3.0
DEEPEST_CUT: Final = 0.5
"""How many times as large the cut becomes with each refusal that comes soon, and its bound: it may be far below."""

AIM: Final = 0.4
"""What is aimed at then: the rate less this share of the cut."""

SOON_SECONDS: Final = 5.0
CALM_SECONDS: Final = 32.0
LONGEST_CALM_SECONDS: Final = 256.0
"""How long no more than what is aimed at is tried: briefly after several refusals, which may have been a bad hour, and
twice as long each time that about as much was too much again, up to the second number."""

NEAR: Final = 0.75
"""From which share of the limit on: where little is to be won the same mistake is not made every half minute."""

LATER: Final = 1 / 3
LONGEST_CALM_BELOW_SECONDS: Final = 128.0
"""How long no more is tried below that share: this part of the time for which it has been below, up to that number."""

GROWTH_SECONDS: Final = 17.0
REGROWTH_SECONDS: Final = 6.0
"""How long it takes from there to e times as much: the exponent grows with the fourth power of time. And how long where
more than twice as much was fine before: a guess that is wrong costs one call."""

SLOWEST: Final = 0.1
FIRST_PAUSE_SECONDS: Final = 1.0


class Schedule:
    """When the next call may be written. Pure: every moment is handed in, in monotonic seconds.

    At most max(1, ⌊rate⌋) calls start in any half-open second, never closer than 1.02/rate, counted
    from the last real write.

    Attributes:
        limit: Calls in a second at most; 0 where there are none for this run just now.
        rate: The same while the service wants fewer.
    """

    def __init__(self, calls_per_second: float) -> None:
        self.limit = calls_per_second
        self.rate = calls_per_second
        self._low = self._aim = calls_per_second
        self._cut = CUT
        self._plateau = self._patience = CALM_SECONDS
        self._too_much = self._fine = 0.0
        self._near_at = -math.inf
        self._used = self._used_before = calls_per_second
        self._until = math.inf
        self._sent: deque[float] = deque(maxlen=max(1, math.floor(calls_per_second)))
        self._held_until = -math.inf
        self._episode_from = -math.inf
        self._pause = FIRST_PAUSE_SECONDS

    def change(self, limit: float, until: float) -> None:
        """Go by another limit from now on, or by the same one for longer; at `until` it lapses."""
        self._until = until
        if limit == self.limit:
            return
        self.rate = min(self.rate, limit) if 0 < self.rate < self.limit else limit
        self.limit = limit
        self._used = self._used_before = self.rate
        self._sent = deque(self._sent, maxlen=max(1, math.floor(limit)))

    def earliest(self, now: float) -> float:
        """Return the first moment, `now` or later, at which a call may be written; infinite while there is none."""
        moment = max(now, self._held_until)
        if not self.rate or now >= self._until:
            return math.inf
        if self._sent:
            moment = max(moment, self._sent[-1] + MARGIN / self.rate)
        if len(self._sent) == self._sent.maxlen:
            moment = max(moment, self._sent[0] + WINDOW_SECONDS)
        return moment

    def sent(self, at: float) -> None:
        """A call was written."""
        self._sent.append(at)
        if math.isinf(self._episode_from):  # no rate has been fine so far
            self._episode_from = at
        self._used, self._used_before = self.rate, self._used
        if self.rate < self.limit:
            self.rate = min(self.limit, max(self.rate, self._regained(self._calm(at))))

    def refused(self, written_at: float, now: float, retry_after_seconds: float | None) -> None:
        """The service says that calls come too fast; refusals of calls that were already out count once."""
        soon = self._calm(written_at) < SOON_SECONDS + MARGIN / max(self.rate, SLOWEST)
        if retry_after_seconds is not None:
            self._held_until = max(self._held_until, now + min(retry_after_seconds, LONGEST_HOLD_SECONDS))
        if written_at < self._episode_from:
            return
        least = min(self.limit, SLOWEST)
        self._episode_from = now
        if not soon:
            self._fine = max(self._fine, self._used_before)
        again = not soon and abs(self.rate - self._too_much) < CUT * self.rate
        if self.rate > NEAR * self.limit:
            self._near_at = now
            self._patience = min(2 * self._patience, LONGEST_CALM_SECONDS) if again else CALM_SECONDS
        else:
            self._patience = max(CALM_SECONDS, min(LATER * (now - self._near_at), LONGEST_CALM_BELOW_SECONDS))
        self._too_much = self.rate
        self._plateau = SOON_SECONDS if soon else self._patience
        self._cut = min(self._cut * STEEPER, DEEPEST_CUT) if soon else CUT
        fine = self.rate if soon else min(self.rate, self._used_before)  # calls that are far apart come in large steps
        self._aim = max(min(self.rate * (1 - AIM * self._cut), fine), least)
        self._low = max(min(self.rate * (1 - self._cut), fine * (1 - AIM * self._cut)), least)
        self.rate = self._low
        if not soon:
            self._pause = FIRST_PAUSE_SECONDS
        if retry_after_seconds is None:
            self._held_until = max(self._held_until, now + self._pause)
            if self.rate == least:  # longer pauses only help where no rate does
                self._pause = min(self._pause * 2, LONGEST_HOLD_SECONDS)

    def _calm(self, at: float) -> float:
        """Return for how long, at a moment, calls have been written since the last episode of refusals."""
        return at - max(self._episode_from, self._held_until)

    def _regained(self, calm: float) -> float:
        """Return the rate after so many calm seconds: soon near what is aimed at, there for a while, then far up."""
        plateau, growth = self._plateau, GROWTH_SECONDS
        if plateau > SOON_SECONDS:  # what is allowed has been found
            slow = max(1.0, 1.0 / max(self._aim, SLOWEST))  # below one call in a second it is calls that count
            plateau = max(plateau, CALM_SECONDS * slow)
            growth = slow * (REGROWTH_SECONDS if 2 * self._aim < self._fine else GROWTH_SECONDS)
        beyond = calm - plateau
        if beyond < 0:
            missing = max(0.0, 1 - calm / min(plateau, CALM_SECONDS))
            return self._aim - (self._aim - self._low) * missing**3
        return self._aim * math.exp(min(beyond / growth, 4.0) ** 4)
