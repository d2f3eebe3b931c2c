"""What tasks wait for that ought to be there by now: what people are told of it while it lasts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

SHOWN_AFTER_SECONDS: Final = 5.0
"""How long a task has to wait before that is told: most of it passes at once."""

MOST_REASONS: Final = 3
MOST_CHARACTERS: Final = 200
OTHER: Final = "For other reasons."


@dataclass(frozen=True, slots=True)
class Delay:
    """Tasks that wait for the same.

    Attributes:
        tasks: How many.
        why: In a sentence.
    """

    tasks: int
    why: str


class Delays:
    """Who waits for what, and since when."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[float, str]] = {}

    def note(self, task: str, why: str, now: float) -> None:
        """A task waits, or still does.

        Args:
            task: Its id.
            why: In a sentence.
            now: Monotonic seconds.
        """
        since, _ = self._waiting.get(task, (now, ""))
        told = why if len(why) <= MOST_CHARACTERS else f"{why[: MOST_CHARACTERS - 1]}…"
        self._waiting[task] = (since, told)

    def over(self, task: str) -> None:
        """A task waits no longer, if it did."""
        self._waiting.pop(task, None)

    def told(self, now: float) -> tuple[Delay, ...]:
        """Return what is worth telling at a moment (monotonic seconds), what most tasks wait for first."""
        long = Counter(why for since, why in self._waiting.values() if now - since >= SHOWN_AFTER_SECONDS)
        first = [Delay(tasks, why) for why, tasks in long.most_common(MOST_REASONS)]
        rest = long.total() - sum(wait.tasks for wait in first)
        return (*first, *([Delay(rest, OTHER)] if rest else ()))
