"""Every file against the manifest, and again from the service what is missing or damaged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import chain
from typing import Any, Final

import anyio.to_thread

from orchestrator.clock import Clock
from orchestrator.commands.options import Options
from orchestrator.commands.resume import resume
from orchestrator.commands.run import Watcher
from orchestrator.config import Settings
from orchestrator.engines.control import Control
from orchestrator.engines.local import Orders
from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import Output, Record, State
from orchestrator.runs import RunFolder
from orchestrator.steps.download import sha256_of

FORMAT: Final = 1


class Found(Enum):
    """What became of a file."""

    OK = auto()
    MISSING = auto()
    DAMAGED = auto()


@dataclass(frozen=True, slots=True)
class Verification:
    """What a look at every file has shown, before a repair and after it.

    Attributes:
        checked: How many files there should be.
        ok, missing, damaged: What became of them.
        repaired: How many of the missing and damaged ones stand again.
        lost: How many of them cannot be had any more.
        problems: A sentence for each file that is not well.
        halt: Why the repair stopped early, None if it did not.
    """

    checked: int
    ok: int
    missing: int
    damaged: int
    repaired: int = 0
    lost: int = 0
    problems: tuple[str, ...] = ()
    halt: str | None = None

    @property
    def well(self) -> bool:
        """Whether every file stands as it should."""
        return self.missing + self.damaged == self.repaired and not self.lost

    def to_json(self) -> dict[str, Any]:
        """Return the object that `verify --json` prints."""
        names = ("checked", "ok", "missing", "damaged", "repaired", "lost")
        return {"format": FORMAT, **{name: getattr(self, name) for name in names}}


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
    lost = first.checked - second.checked
    repaired = first.missing + first.damaged - second.missing - second.damaged - lost
    return replace(
        first,
        repaired=max(0, repaired),
        lost=max(0, lost),
        problems=second.problems,
        halt=None if result.halt is None else result.halt.message,
    )


def look(folder: RunFolder, output: Output) -> Found:
    """Compare one file with what was recorded of it."""
    path = folder.path / output.path
    if not path.is_file():
        return Found.MISSING
    whole = path.stat().st_size == output.bytes and sha256_of(path) == output.sha256
    return Found.OK if whole else Found.DAMAGED


def _check(folder: RunFolder) -> tuple[Verification, list[Record]]:
    counts = dict.fromkeys(Found, 0)
    problems: list[str] = []
    bad: list[Record] = []
    with folder.opened() as store:
        interrupted = (record for record in store.unfinished() if record.state is State.FETCHING)
        for record in chain(store.finished(), interrupted):
            found = [look(folder, output) for output in record.outputs]
            for output, what in zip(record.outputs, found, strict=True):
                counts[what] += 1
                if what is not Found.OK:
                    problems.append(f"{output.path} is {what.name.lower()}.")
            if any(what is not Found.OK for what in found):
                bad.append(record)
    total = sum(counts.values())
    return (
        Verification(total, counts[Found.OK], counts[Found.MISSING], counts[Found.DAMAGED], problems=tuple(problems)),
        bad,
    )
