"""How a job is run: limits, retries, tracking, outputs; and the readers of single values from the job file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from orchestrator.sweep.nodes import MapNode, Node, ScalarNode, kind_of, read_meaning, secret_key_problem
from orchestrator.sweep.problems import Problems, did_you_mean
from orchestrator.sweep.scalars import SurpriseError

Tracking: TypeAlias = Literal["auto", "poll"]

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}


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
class Retry:
    """How often a failed task is tried in all, when its cause can pass."""

    attempts: int = 3


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where outputs go.

    Attributes:
        path: The template below the run folder's `files/`, or None for the default.
        delete_remote: Whether the service's copy is deleted once ours is verified.
    """

    path: str | None = None
    delete_remote: bool = False


Reader: TypeAlias = Callable[[Node, Problems], Any]
"""Reads a value, or notes a problem and returns None."""


def scalar(node: Node, problems: Problems, expected: str) -> str | Decimal | bool | None:
    """Return what a single value means; anything else is a problem, and None."""
    if not isinstance(node, ScalarNode):
        problems.add(node.mark, f"{kind_of(node).capitalize()} stands where {expected} is expected.", _quote_hint(node))
        return None
    found = read_meaning(node, problems)
    if isinstance(found, SurpriseError):
        return None
    if found is None:
        problems.add(node.mark, f"Nothing stands where {expected} is expected.", 'Write "" for the empty text.')
    return found


def text(node: Node, problems: Problems, expected: str = "text") -> str | None:
    """Return a text; a number or a truth value is a problem."""
    found = scalar(node, problems, expected)
    if found is None or isinstance(found, str):
        return found
    _mismatch(node, problems, expected, "Put it in quotes if it is text.")
    return None


def whole(low: int, high: int = 10**15) -> Reader:
    """Return a reader of whole numbers within bounds."""
    expected = f"a whole number of {low} or more"

    def read(node: Node, problems: Problems) -> int | None:
        found = scalar(node, problems, expected)
        if isinstance(found, Decimal) and found == found.to_integral_value() and low <= found <= high:
            return int(found)
        if found is not None:
            _mismatch(node, problems, expected)
        return None

    return read


def number(node: Node, problems: Problems) -> Decimal | None:
    """Read a number."""
    found = scalar(node, problems, "a number")
    if found is None or isinstance(found, Decimal):
        return found
    _mismatch(node, problems, "a number")
    return None


def positive(node: Node, problems: Problems) -> Decimal | None:
    """Read a number above zero."""
    found = scalar(node, problems, "a number above 0")
    if isinstance(found, Decimal) and found > 0:
        return found
    if found is not None:
        _mismatch(node, problems, "a number above 0")
    return None


def rate(node: Node, problems: Problems) -> float | None:
    """Read a number of things per second."""
    found = positive(node, problems)
    return None if found is None else float(found)


def seconds(node: Node, problems: Problems) -> float | None:
    """Read a duration: a number of seconds, or one with a unit (`90s`, `30m`, `2h`)."""
    expected = "a duration like 90s, 30m or 2h"
    found = scalar(node, problems, expected)
    match = _DURATION.fullmatch(found) if isinstance(found, str) else None
    if match:
        found = Decimal(match[1]) * _SECONDS[match[2]]
    if isinstance(found, Decimal) and found > 0:
        return float(found)
    if found is not None:
        _mismatch(node, problems, expected)
    return None


def flag(node: Node, problems: Problems) -> bool | None:
    """Read true or false."""
    found = scalar(node, problems, "true or false")
    if isinstance(found, bool):
        return found
    if found is not None:
        _mismatch(node, problems, "true or false")
    return None


def concurrency(node: Node, problems: Problems) -> int | Literal["auto"] | None:
    """Read `auto` or a whole number."""
    if isinstance(node, ScalarNode) and node.text == "auto":
        return "auto"
    found = scalar(node, problems, "`auto` or a whole number of 1 or more")
    if isinstance(found, Decimal) and found == found.to_integral_value() and found >= 1:
        return int(found)
    if found is not None:
        _mismatch(node, problems, "`auto` or a whole number of 1 or more")
    return None


def word(known: tuple[str, ...], later: tuple[str, ...] = ()) -> Reader:
    """Return a reader of one of the known words; those of `later` are refused by name."""

    def read(node: Node, problems: Problems) -> str | None:
        found = text(node, problems, "one of " + ", ".join(f"`{each}`" for each in known))
        if found in later:
            problems.add(node.mark, f"`{found}` is not supported yet.", f"Known here: {', '.join(known)}.")
        elif found is not None and found not in known:
            _mismatch(node, problems, "one of " + ", ".join(f"`{each}`" for each in known), did_you_mean(found, known))
        return found if found in known else None

    return read


def members(node: Node, readers: Mapping[str, tuple[str, Reader]], problems: Problems) -> dict[str, Any]:
    """Read a mapping whose keys are known.

    Args:
        node: What stands in the job file.
        readers: For each key the name that its value gets, and its reader.
        problems: Takes what is wrong; an unknown key is.

    Returns:
        The values that could be read.
    """
    if not isinstance(node, MapNode):
        problems.add(
            node.mark, f"{kind_of(node).capitalize()} stands where a mapping is expected.", _keys_hint(readers)
        )
        return {}
    found = {}
    for key, value in node.entries.items():
        if key in readers:
            name, reader = readers[key]
            read = reader(value, problems)
            if read is not None:
                found[name] = read
        elif not secret_key_problem(node.keys[key], key, problems):
            problems.add(node.keys[key], "This key is not known here.", did_you_mean(key, readers))
    return found


LIMITS: Mapping[str, tuple[str, Reader]] = {
    "requests_per_second": ("requests_per_second", rate),
    "concurrency": ("concurrency", concurrency),
    "budget_usd": ("budget_usd", positive),
    "price_usd": ("price_usd", positive),
    "task_timeout": ("task_timeout_seconds", seconds),
    "settle_after": ("settle_after_seconds", seconds),
    "max_tasks": ("max_tasks", whole(1)),
}
RETRY: Mapping[str, tuple[str, Reader]] = {"attempts": ("attempts", whole(1, 1000))}
OUTPUTS: Mapping[str, tuple[str, Reader]] = {"path": ("path", text), "delete_remote": ("delete_remote", flag)}


def _keys_hint(readers: Mapping[str, Any]) -> str:
    return f"Known keys: {', '.join(readers)}."


def _quote_hint(node: Node) -> str | None:
    if isinstance(node, MapNode) and node.flow:
        return 'A text with braces must stand in quotes: "{name} …".'
    return None


def _mismatch(node: Node, problems: Problems, expected: str, hint: str | None = None) -> None:
    problems.add(node.mark, f"{kind_of(node)} stands where {expected} is expected.", hint)
