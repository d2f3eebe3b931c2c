"""Bugs to be planted in the program, a module for each kind; see `tests/test_simulation_bugs.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from orchestrator.simulation import History

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Bug:
    """A bug, and what a history needs in which it may show."""

    plant: Plant
    needs: Mapping[str, Any]

    def suits(self, history: History) -> History:
        """Return a history in which it may show."""
        needs = dict(self.needs)
        return replace(history, **{**needs, "events": (*needs.get("events", ()), *history.events)})


class Bugs(dict[str, Bug]):
    """Bugs by what the program then does."""

    def planted(self, **needs: Any) -> Callable[[Plant], Plant]:
        """Add one, named like the function that plants it."""

        def add(plant: Plant) -> Plant:
            self[plant.__name__.replace("_s_", "'s_").replace("_", " ")] = Bug(plant, needs)
            return plant

        return add
