"""How a job is run: limits, retries, tracking, outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from orchestrator.sweep.readers import CONCURRENCY, FLAG, RATE, SECONDS, TEXT, USD, Key, Keys, whole

Tracking: TypeAlias = Literal["auto", "poll", "socket", "webhook"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may not exceed.

    Attributes:
        requests_per_second: All API calls together.
        concurrency: How many tasks may be under way, or `"auto"` to learn it.
        budget_usd: The most that the run folder may cost over its whole life, or None.
        price_usd: The price of a task where the service states none, or None.
        task_timeout_seconds: How long a task may take.
        settle_after_seconds: How long a task whose submit was lost must stay unseen before it is sent again.
        max_tasks: A run of more tasks is refused.
    """

    requests_per_second: float = 10.0
    concurrency: int | Literal["auto"] = "auto"
    budget_usd: Decimal | None = None
    price_usd: Decimal | None = None
    task_timeout_seconds: float = 1800.0
    settle_after_seconds: float = 60.0
    max_tasks: int = 10_000

    def to_json(self) -> dict[str, Any]:
        """Return the limits as plain JSON, money as text."""
        return {
            "requests_per_second": self.requests_per_second,
            "concurrency": self.concurrency,
            "budget_usd": None if self.budget_usd is None else str(self.budget_usd),
            "price_usd": None if self.price_usd is None else str(self.price_usd),
            "task_timeout_seconds": self.task_timeout_seconds,
            "settle_after_seconds": self.settle_after_seconds,
            "max_tasks": self.max_tasks,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Limits:
        """Return the limits that `to_json` gave."""
        money = {key: None if data[key] is None else Decimal(data[key]) for key in ("budget_usd", "price_usd")}
        return cls(**{**data, **money})


@dataclass(frozen=True, slots=True)
class Callback:
    """Where the service calls when a task has ended.

    Attributes:
        url: The public address.
        host, port: Where the program itself listens for what comes in there.
    """

    url: str
    host: str = "127.0.0.1"
    port: int = 8757


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed task is tried in all, when its cause can pass."""

    attempts: int = 3


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where outputs go.

    Attributes:
        path: The template below the run folder's `files/`, or None for the default.
        delete_remote: Whether the service's copy is deleted once ours is verified.
        thumbnails: Whether a run makes small pictures for the page.
    """

    path: str | None = None
    delete_remote: bool = False
    thumbnails: bool = True


LIMITS: Keys = {
    "requests_per_second": Key("All calls to the service together; downloads are none. 10 by default.", RATE),
    "concurrency": Key(
        "How many tasks run at a time; `auto`, the default, learns what the service allows.", CONCURRENCY
    ),
    "budget_usd": Key("The most that the run folder may cost over its whole life. No limit by default.", USD),
    "price_usd": Key("The price of a task, only where the service states none.", USD),
    "task_timeout": Key(
        "How long a task may take: seconds, or 90s, 30m, 2h. 30m by default.", SECONDS, "task_timeout_seconds"
    ),
    "settle_after": Key(
        "How long a submit whose reply was lost must stay unseen before it is sent again. 60s by default.",
        SECONDS,
        "settle_after_seconds",
    ),
    "max_tasks": Key("A run of more tasks is refused. 10000 by default.", whole(1)),
}
RETRY: Keys = {
    "attempts": Key("How often a failed task is tried in all, where its cause can pass. 3 by default.", whole(1, 1000))
}
OUTPUTS: Keys = {
    "path": Key('Where files go, a template like "{scheduler}/{prompt}-{seed}". "{prompt}" by default.', TEXT),
    "delete_remote": Key("Whether the service's copy is deleted once ours is verified. false by default.", FLAG),
    "thumbnails": Key("Whether the run makes small pictures for the page. true by default.", FLAG),
}


def chosen(held: Limits | Retry | Outputs, keys: Keys) -> dict[str, Any]:
    """Return what is not as by default, under the names that it has in a job file; money as text."""
    plain, found = type(held)(), {}
    for name, key in keys.items():
        value = getattr(held, key.attribute or name)
        if value != getattr(plain, key.attribute or name):
            found[name] = str(value) if isinstance(value, Decimal) else value
    return found
