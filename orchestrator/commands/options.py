"""What a user can ask for beside the job file, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

from orchestrator.errors import RefusedError
from orchestrator.sweep import Limits
from orchestrator.tasks import Scalar, Task


@dataclass(frozen=True, slots=True)
class Options:
    """One invocation's own words; they hold for it alone.

    Attributes:
        out: The run folder, None for the default below `outputs/`.
        sets: `name=value`, replaces a variable or a parameter.
        only: `name=value[,value…]`, by label or value.
        limit: How many tasks may be started.
        budget_usd, rate, concurrency: Replace the file's limits.
        emulate: Use the emulated service.
        new: Begin another run instead of going on with an unfinished one.
        rebind: The run folder may change its service or its key.
        allowed: Folders whose files the job file may name beside those of its own folder.
    """

    out: Path | None = None
    sets: Sequence[str] = ()
    only: Sequence[str] = ()
    limit: int | None = None
    budget_usd: Decimal | None = None
    rate: float | None = None
    concurrency: int | None = None
    emulate: bool = False
    new: bool = False
    rebind: bool = False
    allowed: Sequence[Path] = ()

    def limits(self, limits: Limits) -> Limits:
        """Return the file's limits with this invocation's in their place."""
        if self.budget_usd is not None:
            limits = replace(limits, budget_usd=self.budget_usd)
        if self.rate is not None:
            limits = replace(limits, requests_per_second=self.rate)
        if self.concurrency is not None:
            limits = replace(limits, concurrency=self.concurrency)
        return limits


def selection(only: Sequence[str], axes: Sequence[str]) -> Callable[[Task], bool]:
    """Return what `--only` selects: every named axis has one of its labels or values.

    Raises:
        RefusedError: An axis is not known, or a text is not of the form `name=value`.
    """
    wanted: dict[str, set[str]] = {}
    for text in only:
        name, equals, values = text.partition("=")
        if not equals or name not in axes:
            known = ", ".join(axes) or "none"
            raise RefusedError(f"--only {text}: write axis=value. The axes of this job: {known}.")
        wanted.setdefault(name, set()).update(value.strip() for value in values.split(","))

    if not wanted:
        return lambda _: True

    def selected(task: Task) -> bool:
        return all(
            task.labels.get(name) in values or any(_equal(task.axes.get(name), value) for value in values)
            for name, values in wanted.items()
        )

    return selected


def _equal(held: Scalar, wanted: str) -> bool:
    """Compare an axis value with what a user wrote: text as text, numbers by value."""
    if str(held) == wanted:
        return True
    try:
        return held is not None and Decimal(str(held)) == Decimal(wanted)
    except InvalidOperation:
        return False
