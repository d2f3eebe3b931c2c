"""What the tasks of a job will cost, reckoned by price and not task by task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from orchestrator import money
from orchestrator.sweep import Job
from orchestrator.tasks import Parameters, Task
from orchestrator.wiro import Price, Prices


class Bill:
    """How many tasks have which price: at first all tasks of a job, none of them built."""

    def __init__(self, job: Job, tool: Mapping[str, Any]) -> None:
        self._prices = Prices(tool)
        self._stated_usd = job.limits.price_usd
        self._tasks = Counter[Price | None]()
        for parameters, times in job.tally(self._prices.depends_on):
            self.add(parameters, times)

    @property
    def tasks(self) -> int:
        """How many tasks are on the bill."""
        return self._tasks.total()

    @property
    def is_uniform(self) -> bool:
        """Whether all of them cost the same."""
        return len(self._tasks) == 1

    @property
    def total_usd(self) -> Decimal | None:
        """What they cost together; None where a price is not known."""
        total = money.FREE
        for price in self._due:
            usd = self._stated_usd if price is None else price.usd
            if usd is None:
                return None
            total += usd * self._tasks[price]
        return total

    @property
    def exact(self) -> bool:
        """Whether every price is one that the service or the user states."""
        return all(self._stated_usd is not None if price is None else price.exact for price in self._due)

    @property
    def _due(self) -> list[Price | None]:
        return [price for price, times in self._tasks.items() if times]

    def add(self, parameters: Parameters, times: int = 1) -> None:
        """Add tasks that send these parameters; fewer than none takes them away."""
        self._tasks[self._prices.of(parameters)] += times

    def clear(self) -> None:
        """Take all tasks away."""
        self._tasks.clear()

    def keep(self, first: int, tasks: Iterable[Task]) -> None:
        """Keep the first ones alone.

        Args:
            first: How many.
            tasks: All tasks in their order; they are asked for only where prices differ.
        """
        if self.is_uniform:
            (price,) = self._tasks
            self._tasks[price] = min(first, self._tasks[price])
        elif first < self.tasks:
            self.clear()
            for task in islice(tasks, first):
                self.add(task.parameters)
