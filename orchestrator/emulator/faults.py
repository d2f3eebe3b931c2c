"""What can go wrong with the service, as data: kinds of faults, and whom they meet."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

Place: TypeAlias = Literal["reply", "task", "list", "file", "socket", "callback"]
"""Where: the replies to API calls, the tasks themselves, `/Task/List`, the files on the CDN, connections to the socket,
callbacks."""

ENDPOINTS = (
    "Run",
    "Task/Detail",
    "Task/List",
    "Task/Cancel",
    "Task/Kill",
    "Task/InputOutputDelete",
    "Tool/Detail",
    "Tool/List",
    "File/Upload",
)

TASK_ENDPOINTS = ("Run", "Task/Detail", "Task/Cancel", "Task/Kill", "Task/InputOutputDelete")
"""Those whose calls are about one task, which `where` can choose."""

HARMS = ("lost", "error", "html", "empty", "short", "cut", "corrupt", "hangs", "slow")
"""What can happen to any answer, of the API or of the CDN."""

KINDS: Mapping[Place, tuple[str, ...]] = MappingProxyType(
    {
        "reply": (*HARMS, "too_fast", "refused"),
        "task": ("fails", "never_runs", "stuck", "late", "unseen", "bare", "grows", "turns", "strange", "older"),
        "list": ("lags", "gaps", "lies", "moves", "small", "lacks", "respells"),
        "file": (
            *HARMS,
            *("endless", "redirected", "expired", "whole", "compressed"),
            *("resized", "retyped", "renamed"),
        ),
        "socket": ("refused", "lost", "silent", "late", "lies", "junk", "twice"),
        "callback": ("never", "late", "early", "junk", "twice"),
    }
)

LASTING = frozenset(
    [("task", kind) for kind in KINDS["task"]]
    + [("list", kind) for kind in ("lags", "lacks", "respells")]
    + [("file", kind) for kind in ("expired", "whole", "resized", "retyped", "renamed")]
)
"""Those that a task or a file has or has not, each time that it is looked at."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way in which the service goes wrong, and whom it meets.

    Attributes:
        place: Where it goes wrong.
        kind: How, one of `KINDS`.
        at: Which endpoints, for replies; empty for all.
        when: Whether a call whose reply goes wrong is handled before that.
        share: How many of those that it can meet it does meet, 0 to 1.
        times: How often it meets the same task, file or endpoint, each time from the first on; None draws anew each
            time.
        first: How many tasks, files or endpoints it can meet at all, the first ones; None for any number.
        since: Seconds from the emulator's start.
        until: Seconds from the emulator's start.
        where: Parameters that a task must have: the value as text, in which `*` stands for any text.
        status: The HTTP status.
        code: The code in `errors`.
        seconds: How long, or how much later.
        after_seconds: How long after its acceptance.
        number: How many, or how many more.
        text: What is said instead.
        names: Names of parameters; empty for all.
    """

    place: Place
    kind: str
    at: frozenset[str] = frozenset()
    when: Literal["before", "after"] = "after"
    share: float = 1.0
    times: int | None = None
    first: int | None = None
    since: float = 0.0
    until: float = math.inf
    where: Mapping[str, str] = field(default_factory=dict)
    status: int = 503
    code: int = 0
    seconds: float = math.inf
    after_seconds: float = 0.0
    number: int | None = None
    text: str = ""
    names: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.kind not in KINDS[self.place]:
            raise ValueError(f"There is no fault {self.place}: {self.kind}.")

    @property
    def name(self) -> str:
        """Its place and kind, as a profile has them."""
        return f"{self.place}: {self.kind}"

    @property
    def is_lasting(self) -> bool:
        """Whether it is drawn once for each task or file."""
        return (self.place, self.kind) in LASTING

    def can_meet(self, endpoint: str, parameters: Mapping[str, Any] | None, passed_seconds: float) -> bool:
        """Return whether it can meet a call or a task at all.

        Args:
            endpoint: The endpoint that is called; empty elsewhere.
            parameters: Those of the task; None where there is no task.
            passed_seconds: Since the emulator's start.
        """
        if (self.at and endpoint not in self.at) or not self.since <= passed_seconds < self.until:
            return False
        given = parameters or {}
        return all(name in given and _fits(pattern, given[name]) for name, pattern in self.where.items())


@dataclass(frozen=True)
class Change:
    """A limit that changes while the emulator runs.

    Attributes:
        at_seconds: From the emulator's start.
        limit: Which; the names are those of the emulator's attributes.
        to: The new value.
    """

    at_seconds: float
    limit: Literal["rate", "concurrency", "balance_usd"]
    to: Any


def _fits(pattern: str, value: object) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), str(value), re.DOTALL) is not None
