"""Every file against the manifest, and again from the service what is missing or damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

import anyio.to_thread

from orchestrator.clock import Clock
from orchestrator.commands.carrying import Watcher
from orchestrator.commands.options import Options
from orchestrator.commands.resume import resume
from orchestrator.commands.retry import can_be_asked_for, is_lost
from orchestrator.config import Settings
from orchestrator.engines.control import Control
from orchestrator.engines.local import Orders
from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.output.checked import Condition, condition_of
from orchestrator.runs import RunFolder
from orchestrator.steps.fetch import was_another

FORMAT: Final = 1


SENTENCES: Final = {
    Condition.MISSING: "{} is missing.",
    Condition.DAMAGED: "{} is damaged.",
    Condition.BLOCKED: (
        "{} is a folder, where a file belongs: move it away, then `verify --repair` fetches the file again."
    ),
}


@dataclass(frozen=True, slots=True)
class Verification:
    """What a look at every file has shown, before a repair and after it.

    Attributes:
        checked: How many files there should be.
        ok, missing, damaged: What became of them.
        repaired: How many files stand that did not before.
        replaced: Those of them that are not what was recorded before: the service has other content there by now.
        lost: How many tasks have been paid for, and outputs of them could not be had.
        problems: A sentence for each file and each lost task that is not well.
        halt: Why the repair stopped early, None if it did not.
    """

    checked: int
    ok: int
    missing: int
    damaged: int
    repaired: int = 0
    replaced: tuple[str, ...] = ()
    lost: int = 0
    problems: tuple[str, ...] = ()
    halt: str | None = None

    @property
    def well(self) -> bool:
        """Whether every file that was paid for stands as it should."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return the object that `verify --json` prints."""
        names = ("checked", "ok", "missing", "damaged", "repaired", "lost")
        return {"format": FORMAT, **{name: getattr(self, name) for name in names}, "replaced": len(self.replaced)}


async def verify(
    folder: RunFolder, settings: Settings, *, repair: bool, control: Control, clock: Clock, watcher: Watcher
) -> Verification:
    """Check every file of a run folder.

    Raises:
        OrchestratorError: The folder holds no run, or (with `repair`) its service cannot be used.
    """
    first, bad = await anyio.to_thread.run_sync(_check, folder)
    if not repair or not bad:
        return first

    def before(store: SqliteLedger) -> None:
        for record in bad:
            if record.state is not State.FETCHING:  # an earlier repair did not come that far
                store.save(record, record.refetched())

    orders = Orders(submits=False, follows=False)
    result = await resume(
        folder, Options(), settings, orders=orders, before=before, control=control, clock=clock, watcher=watcher
    )
    second, _ = await anyio.to_thread.run_sync(_check, folder)
    replaced = await anyio.to_thread.run_sync(_replaced, folder, bad)
    return replace(
        first,
        repaired=max(0, second.ok - first.ok),
        replaced=replaced,
        lost=second.lost,
        problems=second.problems,
        halt=None if result.halt is None else result.halt.message,
    )


def _check(folder: RunFolder) -> tuple[Verification, list[Record]]:
    """Look at every file, and return the tasks that are worth asking for again, too."""
    counts: Counter[Condition] = Counter()
    problems: list[str] = []
    bad: list[Record] = []
    lost = 0
    with folder.opened() as store:
        store.totals()  # a task in a state that there is not is found here, and passed over below
        unfetched = (record for record in store.unfinished() if record.state is State.FETCHING)
        for record in chain(store.finished(), unfetched):
            found = {output.path: condition_of(folder.path, output) for output in record.outputs}
            if record.state is State.FETCHING and set(found.values()) <= {Condition.OK}:
                found[_place(folder, record)] = Condition.MISSING  # it has made more than has been fetched so far
            counts.update(found.values())
            problems += [SENTENCES[what].format(path) for path, what in found.items() if what in SENTENCES]
            gone = is_lost(record)
            if gone:
                lost += 1
                problems.append(_lost_sentence(folder, record))
            wrong = gone or set(found.values()) - {Condition.OK}
            if wrong and Condition.BLOCKED not in found.values() and can_be_asked_for(record):
                bad.append(record)
    ok, missing = counts[Condition.OK], counts[Condition.MISSING]
    damaged = counts[Condition.DAMAGED] + counts[Condition.BLOCKED]
    return Verification(counts.total(), ok, missing, damaged, lost=lost, problems=tuple(problems)), bad


def _replaced(folder: RunFolder, repaired: Iterable[Record]) -> tuple[str, ...]:
    """Return the files that came since tasks were as they are given here, and are not what was recorded before."""
    before = {record.task.id: record.outputs for record in repaired}
    with folder.opened() as store:
        return tuple(
            output.path
            for record in store.finished()
            if record.task.id in before
            for output in record.outputs
            if output not in before[record.task.id] and was_another(record, output)
        )


def _lost_sentence(folder: RunFolder, record: Record) -> str:
    why = "" if record.failure is None else f" ({record.failure.kind}): {record.failure.message}"
    return f"{_place(folder, record)} is lost{why}"


def _place(folder: RunFolder, record: Record) -> str:
    """Return where the outputs of a task go, without the number and the ending: those are not known before."""
    return f"{folder.files.name}/{record.task.path}-{record.task.short_id}"
