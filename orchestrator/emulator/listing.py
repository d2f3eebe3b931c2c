"""What `/Task/List` makes of the account's tasks, where faults meet it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.emulator.fates import Fates, Subject
from orchestrator.emulator.task import Task


@dataclass(frozen=True)
class Listing:
    """How one call to the list sees the tasks.

    Attributes:
        now: The moment, unix seconds.
        shift: By how many tasks later pages begin too early, as where so many have come since the first one.
        most: The most tasks on a page; None for as many as are asked for.
        added: By how many the total is too large.
    """

    fates: Fates
    now: float
    shift: int = 0
    most: int | None = None
    added: int = 0

    @classmethod
    def drawn(cls, fates: Fates, now: float) -> Listing:
        """Draw which faults meet a call."""
        shift, most, added = 0, None, 0
        for fault in fates.met_by("list", Subject(""), "moves", "small", "lies"):
            match fault.kind:
                case "moves":
                    shift += fault.number or 0
                case "small":
                    most = fault.number
                case "lies":
                    added += fault.number or 0
        return cls(fates, now, shift, most, added)

    def shows(self, task: Task) -> bool:
        """Return whether a task is on the list."""
        if task.life.is_hidden(self.now):
            return False
        age = self.now - task.life.accepted_at
        subject = Subject(task.identity, task.parameters)
        return all(
            fault.kind == "lags" and age >= fault.seconds
            for fault in self.fates.met_by("list", subject, "lags", "gaps")
        )

    def bounds(self, start: int, limit: int) -> tuple[int, int]:
        """Return where a page really begins and how many tasks it has at most."""
        return max(0, start - self.shift) if start else 0, limit if self.most is None else min(limit, self.most)

    def parameters(self, task: Task) -> Mapping[str, Any]:
        """Return the parameters of a task as the list shows them."""
        shown = task.parameters
        for fault in self.fates.met_by("list", Subject(task.identity, shown), "lacks", "respells"):
            if fault.kind == "lacks":
                shown = {name: shown[name] for name in shown if fault.names and name not in fault.names}
            else:
                shown = {name.upper(): _respelt(value) for name, value in shown.items()}
        return shown


def _respelt(value: object) -> object:
    """Spell a number as another source does: `4` as `"4.0"`, `"4"` as 4."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    if not isinstance(value, str):
        return f"{value}.0" if isinstance(value, int) else str(value)
    try:
        number = json.loads(value)
    except ValueError:
        return value
    return number if isinstance(number, int | float) and str(number) == value else value
