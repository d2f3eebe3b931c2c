"""The command line, killed with SIGKILL when it comes to a named point for the n-th time.

    python tests/killed.py POINT NTH run job.yaml …

The points are laid around the product's own functions from here; the product knows nothing of them.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from orchestrator.ledger import opening
from orchestrator.ledger.sqlite import SqliteLedger
from orchestrator.output import manifest
from orchestrator.steps.landing import Landing
from orchestrator.steps.settle import Settler
from orchestrator.wiro.connections import Connector, current_call
from orchestrator.wiro.transport import Transport

MOVES = {
    "pending>submitting",
    "submitting>running",
    "submitting>submitting",
    "submitting>pending",
    "running>fetching",
    "running>pending",
    "fetching>done",
}
COMMITS = {*MOVES, "tasks entered", "facts"}
RENAMES = {"job.yaml": "the job's copy", ".part": "a file", ".new": "the manifest"}

POINTS = (
    *(f"{what} {when} the commit" for what in sorted(COMMITS) for when in ("before", "after")),
    "a request is paid for and not yet written",
    "a reply is read and not yet written down",
    "a piece of a file is written",
    "a file before its rename",
    "a file after its rename",
    "the manifest before a line is added",
    "the manifest after a line is added",
    "the manifest before its rename",
    "the manifest after its rename",
    "the list is read",
    "a statement of a version",
    "a version before the commit",
    "the ledger is up to date",
)


class Killer:
    """Counts how often each point is passed, and kills this process at the wanted one."""

    def __init__(self, point: str, nth: int) -> None:
        self._wanted = (point, nth)
        self._passed: Counter[str] = Counter()

    def passes(self, point: str) -> None:
        self._passed[point] += 1
        if (point, self._passed[point]) == self._wanted:
            os.kill(os.getpid(), signal.SIGKILL)


def lay(killer: Killer) -> None:
    """Lay every point of `POINTS`."""
    lay_around_commits(killer)
    lay_around_versions(killer)
    after_await(
        Connector, "connect", killer, "a request is paid for and not yet written", lambda: current_call.get().pays
    )
    after_await(Transport, "_send", killer, "a reply is read and not yet written down", lambda: True)
    after_await(Settler, "read_list", killer, "the list is read", lambda: True)
    around(Landing, "flush", killer, after="a piece of a file is written")
    around(
        manifest,
        "append",
        killer,
        before="the manifest before a line is added",
        after="the manifest after a line is added",
    )
    rename = Path.replace

    @functools.wraps(rename)
    def replace(self: Path, target: Path) -> Path:
        what = RENAMES.get(self.suffix)
        killer.passes(f"{what} before its rename")
        result = rename(self, target)
        killer.passes(f"{what} after its rename")
        return result

    Path.replace = replace  # type: ignore[assignment,method-assign]  # the same, with a point on either side


def lay_around_commits(killer: Killer) -> None:
    """What a transaction of the ledger holds names the points before and after its commit."""
    held: list[str] = []
    save, enter, transaction = SqliteLedger.save, SqliteLedger.enter, SqliteLedger.transaction

    def noted_save(self: SqliteLedger, before: Any, after: Any) -> bool:
        held.append(f"{before.state.value}>{after.state.value}")
        return save(self, before, after)

    def noted_enter(self: SqliteLedger, *arguments: Any) -> Any:
        held.append("tasks entered")
        return enter(self, *arguments)

    @contextmanager
    def noted_transaction(self: SqliteLedger, *, durable: bool) -> Iterator[None]:
        held.clear()
        with transaction(self, durable=durable):
            yield
            for what in held or ["facts"]:
                killer.passes(f"{what} before the commit")
        for what in held or ["facts"]:
            killer.passes(f"{what} after the commit")

    SqliteLedger.save = noted_save  # type: ignore[method-assign]  # the same, noted
    SqliteLedger.enter = noted_enter  # type: ignore[assignment,method-assign]  # likewise
    SqliteLedger.transaction = noted_transaction  # type: ignore[method-assign]  # likewise


class Deadly(tuple[str, ...]):
    """The statements that make a version of the ledger, with a point before each and after the last."""

    __slots__ = ()
    killer: ClassVar[Killer]

    def __iter__(self) -> Iterator[str]:
        for statement in super().__iter__():
            self.killer.passes("a statement of a version")
            yield statement
        self.killer.passes("a version before the commit")


def lay_around_versions(killer: Killer) -> None:
    """A ledger is made by going through all its versions."""
    Deadly.killer = killer
    defaults = SqliteLedger.__init__.__kwdefaults__ or {}
    defaults["steps"] = tuple(map(Deadly, defaults["steps"]))
    around(opening, "_migrate", killer, after="the ledger is up to date")


def around(owner: Any, name: str, killer: Killer, *, before: str = "", after: str = "") -> None:
    """Lay points before and after a function."""
    function: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        killer.passes(before)
        result = function(*arguments, **named)
        killer.passes(after)
        return result

    setattr(owner, name, wrapped)


def after_await(owner: Any, name: str, killer: Killer, point: str, applies: Callable[[], bool]) -> None:
    """Lay a point after an async function."""
    function: Callable[..., Awaitable[Any]] = getattr(owner, name)

    @functools.wraps(function)
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        result = await function(*arguments, **named)
        if applies():
            killer.passes(point)
        return result

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    from orchestrator.cli import main

    point, nth, *command = sys.argv[1:]
    if point:
        lay(Killer(point, int(nth)))
    sys.argv = ["orchestrator", *command]
    main()
