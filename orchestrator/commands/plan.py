"""What a run would do and cost, without doing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Final

from orchestrator import money
from orchestrator.clock import Clock
from orchestrator.commands import schema
from orchestrator.commands.bill import Bill
from orchestrator.commands.options import Options, selection
from orchestrator.commands.prepare import Prepared, facts_of, known_tool, prepare, read_job, wrong_model_told
from orchestrator.config import Settings
from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import State
from orchestrator.sweep import Job, Limits
from orchestrator.tasks import Task
from orchestrator.wiro import computing_seconds

FORMAT: Final = 1
CHUNK: Final = 500
CALLS_PER_TASK: Final = 3
"""A submit and, on average, two looks: what the time of a plan is reckoned with."""

LEFT: Final = (None, State.PENDING, State.SUBMITTING, State.RUNNING)
"""What tasks that still have to be paid for are; None is new."""

STARTED: Final = frozenset({None, State.PENDING})
"""What tasks are that a run would start; None is new."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run of a job file would do now.

    Attributes:
        total: How many tasks there are: new, unfinished, done and failed (or cancelled) ones together.
        dropped: Tasks in the ledger that the job file no longer holds.
        axes: The number of values of each axis.
        groups: The names of the axes, outermost first; those that move together stand together.
        cost_usd: What the new and the unfinished ones will cost, None where no price is known.
        exact: Whether that is what the service states, not an estimate.
        seconds: How long they will take, roughly.
        limit: The number of tasks that cost and time are for, where the user gave one and there are more.
    """

    name: str
    model: str
    folder: Path
    new: int
    unfinished: int
    done: int
    failed: int
    dropped: int
    axes: Mapping[str, int]
    groups: Sequence[tuple[str, ...]]
    cost_usd: Decimal | None
    exact: bool
    seconds: float | None
    warnings: tuple[str, ...]
    limit: int | None = None

    @property
    def total(self) -> int:
        """How many tasks there are."""
        return self.new + self.unfinished + self.done + self.failed

    def to_json(self) -> dict[str, Any]:
        """Return the object that `plan --json` prints."""
        return {
            "format": FORMAT,
            "total": self.total,
            "new": self.new,
            "unfinished": self.unfinished,
            "done": self.done,
            "failed": self.failed,
            "dropped": self.dropped,
            "axes": dict(self.axes),
            "cost_usd": None if self.cost_usd is None else money.text(self.cost_usd),
            "seconds": self.seconds,
            "warnings": list(self.warnings),
        }


async def prepared(path: Path, options: Options, settings: Settings, clock: Clock) -> Prepared:
    """Read and check a job file, asking the service for the model's schema only where it is not known.

    Where the service cannot be asked, what it said before will do, with a warning.

    Raises:
        OrchestratorError: The file is wrong, or the schema cannot be had.
    """
    file, folder = read_job(path, options, settings, clock.now())
    facts = facts_of(folder)
    tool = None if options.refresh_schema else known_tool(file, facts)
    if tool is not None:
        return prepare(file, folder, facts, tool)
    with wrong_model_told(file):
        tool, warnings = await schema.asked_or_kept(
            file.model,
            settings,
            clock,
            calls_per_second=options.limits(file.limits).requests_per_second,
            emulate=options.emulate,
            fresh=options.refresh_schema,
        )
    return prepare(file, folder, facts, tool, warnings)


def plan(ready: Prepared, options: Options) -> Plan:
    """Count what a run would do, against what the run folder already holds.

    Tasks are built only where some are chosen, or where only the first ones count and prices differ.
    """
    job, bill, limits = ready.job, Bill(ready.job, ready.tool), options.limits(ready.job.limits)
    spent, known = money.FREE, None
    dropped = kept = 0
    if options.only or (ready.facts and options.limit is not None and not bill.is_uniform):
        counts, kept = _count_chosen(ready, options, bill)
    else:
        counts = _count_all(ready, bill) if ready.facts else Counter({None: job.total()})
        kept = counts.total() - counts[None]
        if options.limit is not None:
            bill.keep(options.limit, job.tasks())
    if ready.facts:
        with ready.folder.opened() as store:
            totals, known = store.totals(), store.usual_seconds()
        spent = totals.spent_usd
        dropped = sum(totals.counts.values()) - kept
    return Plan(
        name=job.name,
        model=job.model,
        folder=ready.folder.path,
        new=counts[None],
        unfinished=sum(counts[state] for state in (*LEFT[1:], State.FETCHING)),
        done=counts[State.DONE],
        failed=counts[State.FAILED] + counts[State.CANCELLED],
        dropped=dropped,
        axes=job.axes_sizes(),
        groups=job.axes_groups(),
        cost_usd=bill.total_usd,
        exact=bill.exact,
        seconds=_seconds(known or computing_seconds(ready.tool), limits, bill.tasks),
        limit=options.limit if bill.tasks < sum(counts[state] for state in LEFT) else None,
        warnings=(*ready.warnings, *job.warnings, *_number_of_tasks(job), *_over_budget(limits, spent, bill)),
    )


def tasks(ready: Prepared, options: Options) -> Iterator[tuple[Task, State | None]]:
    """Give the tasks of a plan one by one, each with its state, None for a new one.

    With `--limit` these are only the ones that a run would start.
    """
    found = _stated(ready, filter(selection(options.only, ready.job), ready.job.tasks()))
    if options.limit is None:
        return found
    return islice((each for each in found if each[1] in STARTED), options.limit)


def called(state: State | None) -> str:
    """Return what `plan --tasks` calls a state."""
    return "new" if state is None else state.value


def describe(task: Task, state: State | None) -> dict[str, Any]:
    """Return the object that `plan --tasks --json` prints for a task."""
    return {
        "format": FORMAT,
        "task": task.id,
        "index": task.index,
        "state": called(state),
        "parameters": dict(task.parameters),
        "axes": dict(task.axes),
        "labels": dict(task.labels),
        "path": task.path,
    }


def _count_chosen(ready: Prepared, options: Options, bill: Bill) -> tuple[Counter[State | None], int]:
    """Count the chosen tasks by state, and put on the bill as many of those that are left as may start.

    Returns:
        The counts, and how many tasks the ledger holds, the others of the job too.
    """
    bill.clear()
    counts = Counter[State | None]()
    kept = 0
    selected = selection(options.only, ready.job)
    for task, state in _stated(ready, ready.job.tasks()):
        kept += state is not None
        if selected(task):
            counts[state] += 1
            if state in LEFT and bill.tasks != options.limit:
                bill.add(task.parameters)
    return counts, kept


def _stated(ready: Prepared, found: Iterator[Task]) -> Iterator[tuple[Task, State | None]]:
    """Give tasks with their states in the run folder, None for those that it does not know."""
    with _opened(ready) as store:
        while chunk := list(islice(found, CHUNK)):
            states = {} if store is None else store.states([task.id for task in chunk])
            for task in chunk:
                yield task, states.get(task.id)


def _count_all(ready: Prepared, bill: Bill) -> Counter[State | None]:
    """Count the tasks by state, and take from the bill those that are not left."""
    counts = Counter[State | None]()
    ids = ready.job.ids()
    with ready.folder.opened() as store:
        while chunk := list(islice(ids, CHUNK)):
            states = store.states(chunk)
            counts.update(map(states.get, chunk))
            if not bill.is_uniform:
                ended = [identity for identity, state in states.items() if state not in LEFT]
                for record in store.records(ended).values():
                    bill.add(record.task.parameters, -1)
    if bill.is_uniform:
        bill.keep(sum(counts[state] for state in LEFT), ())
    return counts


def _opened(ready: Prepared) -> AbstractContextManager[SqliteLedger | None]:
    return ready.folder.opened() if ready.facts else nullcontext()


def _number_of_tasks(job: Job) -> list[str]:
    """Say so where `run` refuses the job for having no tasks, or too many."""
    total = job.total()
    if not total:
        return ["The job has no tasks: `exclude` leaves none."]
    most = job.limits.max_tasks
    return [f"`run` refuses more than {most:,} tasks: raise limits.max_tasks to run them."] if total > most else []


def _over_budget(limits: Limits, spent_usd: Decimal, bill: Bill) -> list[str]:
    """Say so where the budget does not hold all that is left."""
    if limits.budget_usd is None or not bill.total_usd or spent_usd + bill.total_usd <= limits.budget_usd:
        return []
    room = money.shown(max(money.FREE, limits.budget_usd - spent_usd))
    return [
        f"The budget has room for ${room}, and what is left costs ${money.shown(bill.total_usd)}: the run will stop."
    ]


def _seconds(run: float | None, limits: Limits, left: int) -> float | None:
    """Reckon how long so many tasks take: the calls at their rate, or the runs side by side, whichever is longer."""
    if not left:
        return 0.0
    by_calls = left * CALLS_PER_TASK / limits.requests_per_second
    if run is None:
        return round(by_calls, 1)
    rounds = 1.0 if limits.concurrency == "auto" else left / limits.concurrency
    return round(max(by_calls, run * max(1.0, rounds)), 1)
