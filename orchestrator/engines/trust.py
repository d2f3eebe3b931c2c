"""How far hints are trusted, by what they were worth so far. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

MOST_TOLD: Final = 99
STRIKES: Final = 8
"""After so many disappointments in a row nobody listens for a while."""

FIRST_REST_SECONDS: Final = 60.0
LONGEST_REST_SECONDS: Final = 3600.0


@dataclass(slots=True)
class Trust:
    """What is known of hints.

    A look is needed only where no hint comes, so its price is as much higher as hints are reliable: what it costs
    divided by the share of ends that nobody tells of. That share is followed as networks follow their capacity: it
    falls a little with each end that was told, and doubles with each that was not.

    Attributes:
        told: How many ends in a row were told, about, halved by each that was not; at first as if there had been two.
        strikes: Disappointments since the last end that was told: refusals, drops, silence, floods and lies.
        rests_until: Monotonic seconds; hints are not heeded before.
    """

    told: int = 2
    strikes: int = 0
    rests_until: float = -math.inf
    _rest_seconds: float = FIRST_REST_SECONDS

    @property
    def patience(self) -> int:
        """How many times dearer a look is where a hint is expected."""
        return 1 + self.told

    def rests(self, now: float) -> bool:
        """Return whether hints are not heeded at a monotonic moment."""
        return now < self.rests_until

    def kept(self) -> None:
        """An end was told in time."""
        self.told = min(self.told + 1, MOST_TOLD)
        self.strikes, self._rest_seconds = 0, FIRST_REST_SECONDS

    def missed(self) -> None:
        """An end that was expected to be told was not."""
        self.told //= 2

    def struck(self, now: float) -> bool:
        """Take note of a disappointment at a monotonic moment, and return whether nobody is to listen for a while.

        After a rest a single one is enough for another, which is twice as long.
        """
        self.strikes += 1
        if self.strikes < STRIKES or self.rests(now):
            return False
        self.strikes = STRIKES - 1
        self.rests_until = now + self._rest_seconds
        self._rest_seconds = min(2 * self._rest_seconds, LONGEST_REST_SECONDS)
        return True
