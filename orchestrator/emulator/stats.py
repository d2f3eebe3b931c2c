"""What the service saw: counts for tests and for people who want to check a run."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from orchestrator.emulator.task import Task

KEPT_ARRIVALS = 100_000


@dataclass
class Stats:
    """Everything is counted since the start of the process, except tasks and money: these survive in the journal.

    Attributes:
        calls: API calls by endpoint (`Run`, `Task/Detail`, …), refused ones included.
        arrivals: The last 100,000 API calls as (seconds, endpoint), in order; seconds are the emulator's `now`.
        refusals: Refused API calls: by HTTP status where it is not 200, else by `code`.
        lost_replies: Calls whose connection was dropped by `lose_replies`.
        faults: How often each fault of the profile met something, by its place and kind.
        peak_calls_per_second: The most API calls within any second.
        sockets: Connections to the socket, refused ones included.
        callbacks: Callbacks that were answered.
        downloads: Requests to the CDN by HTTP status.
        leaks: Requests to the CDN that carried credentials.
        accepted: Every accepted task, in order.
        billed: Every task that was paid for, in the order of their ends.
        peak_concurrency: The most tasks that counted for the concurrency limit at one time.
    """

    calls: Counter[str] = field(default_factory=Counter)
    arrivals: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=KEPT_ARRIVALS))
    refusals: Counter[str] = field(default_factory=Counter)
    lost_replies: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    peak_calls_per_second: int = 0
    sockets: int = 0
    callbacks: int = 0
    downloads: Counter[str] = field(default_factory=Counter)
    leaks: int = 0
    accepted: list[Task] = field(default_factory=list)
    billed: list[Task] = field(default_factory=list)
    peak_concurrency: int = 0
    _last_second: deque[float] = field(default_factory=deque)

    def arrived(self, now: float, endpoint: str) -> None:
        """Count an API call that came at `now` (seconds)."""
        self.calls[endpoint] += 1
        self.arrivals.append((now, endpoint))
        self._last_second.append(now)
        while self._last_second[0] <= now - 1.0:
            self._last_second.popleft()
        self.peak_calls_per_second = max(self.peak_calls_per_second, len(self._last_second))

    @property
    def billed_usd(self) -> Decimal:
        """All that was paid."""
        return sum((task.price_usd for task in self.billed), Decimal(0))

    def accepted_by_parameters(self) -> Counter[str]:
        """Return how many accepted tasks there are for each model with its parameters, see `canonical`."""
        return Counter(map(canonical, self.accepted))

    def billed_by_parameters(self) -> Counter[str]:
        """Return how many paid tasks there are for each model with its parameters, see `canonical`."""
        return Counter(map(canonical, self.billed))

    @property
    def double_payments(self) -> int:
        """How many payments were for a model and parameters that had been paid for before."""
        return sum(count - 1 for count in self.billed_by_parameters().values())

    def as_json(self) -> dict[str, Any]:
        """Return the counts as JSON values; money is text in US dollars."""
        return {
            "calls": dict(self.calls),
            "refusals": dict(self.refusals),
            "peak_calls_per_second": self.peak_calls_per_second,
            "lost_replies": self.lost_replies,
            "faults": dict(self.faults),
            "sockets": self.sockets,
            "callbacks": self.callbacks,
            "downloads": dict(self.downloads),
            "leaks": self.leaks,
            "accepted": len(self.accepted),
            "billed": len(self.billed),
            "billed_usd": str(self.billed_usd),
            "double_payments": self.double_payments,
            "peak_concurrency": self.peak_concurrency,
        }


def canonical(task: Task) -> str:
    """Return the one spelling of a task's model and parameters."""
    return spelling(task.model.name, task.parameters)


def spelling(model_name: str, parameters: Mapping[str, Any]) -> str:
    """Return the one spelling of a model and parameters."""
    return json.dumps([model_name, parameters], sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def as_json(task: Task, now: float) -> dict[str, Any]:
    """Return what is known of a task at `now` (unix seconds) as JSON values, without its token."""
    life = task.life
    over = life.is_over(now)
    paid = over and life.cancelled_at is None and life.ending == "done"
    return {
        "id": task.id,
        "model": task.model.name,
        "parameters": task.parameters,
        "accepted_at": life.accepted_at,
        "ended_at": life.ends_at if over else None,
        "status": life.status(now),
        "billed_usd": str(task.price_usd) if paid else "0",
    }
