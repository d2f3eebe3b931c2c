"""What a user can ask for beside the job file, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from orchestrator.errors import RefusedError
from orchestrator.sweep import Cell, Job, Limits, did_you_mean
from orchestrator.tasks import Scalar, Task

if TYPE_CHECKING:
    from orchestrator.emulator import Profile

MOST_NAMES: Final = 1000
"""Among how many values the nearest one is looked for."""


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
        profile: How that behaves; None for the quickstart's way.
        new: Begin another run instead of going on with an unfinished one.
        rebind: The run folder may change its service or its key.
        allowed: Folders whose files the job file may name beside those of its own folder.
        state: Where the ledger is to lie, None for the run folder.
        fail_fast: Whether the first failed task ends the run.
        refresh_schema: Ask for the model's schema although the run folder keeps it.
        resubmit_uncertain: Whether what stays in doubt is sent again, although that may be paid for twice.
    """

    out: Path | None = None
    sets: Sequence[str] = ()
    only: Sequence[str] = ()
    limit: int | None = None
    budget_usd: Decimal | None = None
    rate: float | None = None
    concurrency: int | Literal["auto"] | None = None
    emulate: bool = False
    new: bool = False
    rebind: bool = False
    allowed: Sequence[Path] = ()
    state: Path | None = None
    fail_fast: bool = False
    profile: Profile | None = None
    refresh_schema: bool = False
    resubmit_uncertain: bool = False

    def limits(self, limits: Limits) -> Limits:
        """Return the file's limits with this invocation's in their place."""
        if self.budget_usd is not None:
            limits = replace(limits, budget_usd=self.budget_usd)
        if self.rate is not None:
            limits = replace(limits, requests_per_second=self.rate)
        if self.concurrency is not None:
            limits = replace(limits, concurrency=self.concurrency)
        return limits


def selection(only: Sequence[str], job: Job) -> Callable[[Task], bool]:
    """Return what `--only` selects: in one cell of a task every named axis has one of its labels or values.

    Args:
        only: Texts of the form `axis=value` or `axis=value,value`; a value may itself hold commas.
        job: Whose axes and values these are.

    Raises:
        RefusedError: A text has another form, or no task can have such a value.
    """
    wanted: dict[str, set[str]] = {}
    labelled: dict[str, set[str]] = {}
    for text in only:
        name, equals, values = text.partition("=")
        if not equals or name not in job.axes_sizes():
            known = ", ".join(job.axes_sizes()) or "none"
            raise RefusedError(f"--only {text}: write axis=value. The axes of this job: {known}.")
        wanted.setdefault(name, set()).update(_values(name, values, job))
        labelled[name] = {repr(cell.value) for cell in _written(name, job) if cell.label in wanted[name]}
    if not wanted:
        return lambda _: True

    def selected(task: Task) -> bool:
        return any(
            all(
                (task.labels.get(name) in values if cell is task.axes else repr(cell.get(name)) in labelled[name])
                or any(_equal(cell.get(name), value) for value in values)
                for name, values in wanted.items()
            )
            for cell in (task.axes, *task.cells)
        )

    return selected


def _written(name: str, job: Job) -> Iterator[Cell]:
    """Yield the values of an axis that may have labels; a cell that is folded into another's task has none itself."""
    rows = (job.recipe, *job.recipe.include)
    return (cell for row in rows for axis in row.axes if axis.name == name for cell in axis.written())


def _values(name: str, text: str, job: Job) -> list[str]:
    """Return the values that a user means: the text as a whole where there is such a value, else its parts."""
    rows = (job.recipe, *job.recipe.include)
    known = [cell for row in rows for axis in row.axes if axis.name == name for cell in axis.cells()]

    def is_known(value: str) -> bool:
        return any(cell.label == value or _equal(cell.value, value) for cell in known)

    if is_known(text):
        return [text]
    values = [value.strip() for value in text.split(",")]
    for value in values:
        if not is_known(value):
            names = dict.fromkeys(cell.label or cell.text for cell in known[:MOST_NAMES])
            raise RefusedError(
                f"--only {name}={text}: no task has the value {value}. {did_you_mean(value, names) or ''}"
            )
    return values


def _equal(held: Scalar, wanted: str) -> bool:
    """Compare an axis value with what a user wrote: text as text, numbers by value, `True` as `true`."""
    if isinstance(held, bool):
        return str(held).casefold() == wanted.casefold()
    if str(held) == wanted:
        return True
    try:
        return held is not None and Decimal(str(held)) == Decimal(wanted)
    except InvalidOperation:
        return False
