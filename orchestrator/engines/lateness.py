"""Whether asking again for what is late has helped: where it was in vain, it is asked for less often."""

from __future__ import annotations

from typing import Final

IN_VAIN: Final = 3
"""After so many tasks in a row whose list of outputs stayed short, the next ones are asked for seldom."""

SELDOM_SECONDS: Final = 120.0


class Lateness:
    """What waiting for lists of outputs has brought so far.

    A model may bill for more outputs than it lists, by design. Then each look is one too many; but what the lists of
    other tasks have shown proves nothing for the next one: none is given up sooner for it, only asked for less often.

    Attributes:
        least_seconds: How long to wait at least before a task is asked for again.
    """

    def __init__(self) -> None:
        self.least_seconds = 0.0
        self._in_vain = 0

    def ended(self, *, in_vain: bool) -> None:
        """The outputs of a task have been fetched; all of them, unless more were waited for in vain."""
        self._in_vain = self._in_vain + 1 if in_vain else 0
        self.least_seconds = SELDOM_SECONDS if self._in_vain >= IN_VAIN else 0.0
