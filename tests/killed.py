"""The command line in processes of its own, killed with SIGKILL when they come to a named point for the n-th time.

    python tests/killed.py

reads an order from each line that comes, JSON as in `Order`, carries it out in a process that it forks, and answers
with that one's exit code. What the program needs is loaded once: processes that are to be killed are there at once.

The points are laid around the product's own functions from here; the product knows nothing of them.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import pkgutil
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from typer.main import get_command

import orchestrator
from orchestrator.cli import app, main
from orchestrator.commands import recover
from orchestrator.ledger import opening
from orchestrator.ledger.opening import LedgerFile
from orchestrator.ledger.sqlite import SqliteLedger
from orchestrator.ledger.versions import STEPS, Step
from orchestrator.output import manifest
from orchestrator.steps.download import download
from orchestrator.steps.landing import SUSPECT, Landing
from orchestrator.steps.listing import Lister
from orchestrator.steps.outcomes import delays
from orchestrator.wiro import Client
from orchestrator.wiro.connections import Connector, current_call
from orchestrator.wiro.transport import Transport

LONGEST_SECONDS = 60

BRISK: Mapping[str, Mapping[str, float]] = {
    "engines.doubts": {"FIRST_WAIT_SECONDS": 0.2, "LONGEST_WAIT_SECONDS": 0.4},
    "lane.pool": {"WINDOW_SECONDS": 0.1},
    "steps.fetch": {"LATE_SECONDS": 0.0},
}
"""What is waited for less long than by users, by the module that says so: no promise that is tried here rests on it."""

NEXT: Step = (
    "ALTER TABLE tasks ADD COLUMN touched INTEGER NOT NULL DEFAULT 0",
    "UPDATE tasks SET touched = touched + 1",
    "CREATE TABLE moved AS SELECT * FROM attempts",
    "DELETE FROM attempts",
    "INSERT INTO attempts SELECT * FROM moved",
    "DROP TABLE moved",
)
"""A version to come, which touches every task, and moves what has been paid for out of its table and back."""


def around_each(*things: str) -> tuple[str, ...]:
    return tuple(f"{thing} {when}" for thing in things for when in ("before", "after"))


POINTS: Mapping[str, tuple[str, ...]] = {
    "run": (
        *around_each(
            "tasks entered",
            "facts",
            "pending>submitting",
            "submitting>running",
            "submitting>submitting",
            "submitting>pending",
            "submitting>failed",
            "running>fetching",
            "running>pending",
            "running>failed",
            "fetching>done",
            "fetching>failed",
            "the rename of a file",
            "the rename of a suspect file",
            "the rename of the manifest",
            "the rename of a part of the page",
            "the rename of a thumbnail",
            "a line is added to the manifest",
        ),
        "a request is paid for and not yet written",
        "a reply is read and not yet written down",
        "a commit and not yet its mark",
        "a piece of a file is written",
        "a copy is deleted on the service and that not yet written down",
        "the list is read",
        "the first version: a statement",
        "the first version: the commit",
        "the first version: the checkpoint",
        "the ledger is up to date",
    ),
    "upgrade": ("the next version: a statement", "the next version: the commit", "the next version: the checkpoint"),
    "retry": around_each("failed>pending", "failed>fetching", "cancelled>pending"),
    "cancel": around_each("running>cancelled"),
    "repair": around_each("done>fetching"),
    "recover": (
        "the damaged ledger is kept",
        "a commit of the new ledger before",
        "a commit of the new ledger after",
        "a part of the damaged ledger is taken away",
        *around_each("the rename of the ledger"),
    ),
}
"""By the command that comes to them; an upgrade is a run with a later version of the program."""


@dataclass(frozen=True)
class Order:
    """What a process is to do.

    Attributes:
        arguments: The command line's.
        folder: Where it is given.
        home: Where it keeps what outlives a run.
        said: The file that takes all that is printed.
        point: Where the process is killed, empty for nowhere.
        nth: At which time that it comes there.
        is_later: Whether the program is a later version, whose ledgers are other ones, see `NEXT`.
    """

    arguments: Sequence[str]
    folder: str
    home: str
    said: str
    point: str
    nth: int
    is_later: bool


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
    lay_around_renames(killer)
    after_await(
        Connector, "connect", killer, "a request is paid for and not yet written", lambda: current_call.get().pays
    )
    after_await(Transport, "_told", killer, "a reply is read and not yet written down")
    after_await(Client, "delete_outputs", killer, "a copy is deleted on the service and that not yet written down")
    after_await(Lister, "read", killer, "the list is read")
    around(LedgerFile, "note", killer, before="a commit and not yet its mark")
    around(Landing, "flush", killer, after="a piece of a file is written")
    line = "a line is added to the manifest"
    around(manifest, "append", killer, before=f"{line} before", after=f"{line} after")
    around(recover, "_keep", killer, after="the damaged ledger is kept")


def lay_around_renames(killer: Killer) -> None:
    rename, unlink = os.replace, os.unlink  # `pathlib` calls these, too

    def replace(src: Any, dst: Any, **named: Any) -> None:
        what = f"the rename of {renamed(Path(dst))}"
        killer.passes(f"{what} before")
        rename(src, dst, **named)
        killer.passes(f"{what} after")

    def take_away(path: Any, **named: Any) -> None:
        unlink(path, **named)
        if Path(path).name.startswith("ledger.sqlite-"):
            killer.passes("a part of the damaged ledger is taken away")

    os.replace = replace  # the same, with a point on either side
    os.unlink = take_away  # the same, with a point behind it


def renamed(target: Path) -> str:
    """Return what it is that is put at its final name."""
    if "files" in target.parts:
        return "a suspect file" if SUSPECT in target.parts else "a file"
    if target.suffix == ".webp":
        return "a thumbnail"
    known = {"manifest.jsonl": "the manifest", "ledger.sqlite": "the ledger"}
    return known.get(target.name, "a part of the page" if target.suffix in {".js", ".html"} else "")


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
            what = ["a commit of the new ledger"] if self.path.suffix == ".new" else held or ["facts"]
            for each in what:
                killer.passes(f"{each} before")
        for each in what:
            killer.passes(f"{each} after")

    SqliteLedger.save = noted_save  # type: ignore[method-assign]  # the same, noted
    SqliteLedger.enter = noted_enter  # type: ignore[assignment,method-assign]  # likewise
    SqliteLedger.transaction = noted_transaction  # type: ignore[method-assign]  # likewise


def lay_around_versions(killer: Killer) -> None:
    """A ledger is made by going through all its versions; SQLite tells of each statement before it is carried out."""
    migrate = opening._migrate

    def traced(db: sqlite3.Connection, steps: Sequence[Step]) -> None:
        version = "the next version" if opening._version_of(db) else "the first version"
        named = {"COMMIT": "the commit", "PRAGMA wal_checkpoint": "the checkpoint"}

        def passes(statement: str) -> None:
            if statement in named or not statement.startswith(("PRAGMA", "BEGIN")):
                killer.passes(f"{version}: {named.get(statement, 'a statement')}")

        if db.execute("PRAGMA database_list").fetchone()[2]:  # a copy to be read has no name, and may be lost
            db.set_trace_callback(passes)
        migrate(db, steps)
        db.set_trace_callback(None)
        killer.passes("the ledger is up to date")

    opening._migrate = traced


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


def after_await(owner: Any, name: str, killer: Killer, point: str, applies: Callable[[], bool] = lambda: True) -> None:
    """Lay a point after an async function."""
    function: Callable[..., Awaitable[Any]] = getattr(owner, name)

    @functools.wraps(function)
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        result = await function(*arguments, **named)
        if applies():
            killer.passes(point)
        return result

    setattr(owner, name, wrapped)


def defaults_of(function: Any) -> dict[str, Any]:
    found: dict[str, Any] = function.__kwdefaults__
    return found


def load() -> None:
    """Load what any command may need, and what reading arguments and pictures does."""
    for module in pkgutil.walk_packages(orchestrator.__path__, "orchestrator."):
        if module.name != "orchestrator.__main__":
            importlib.import_module(module.name)
    get_command(app).make_context("orchestrator", ["status"])
    Image.init()


def an_order() -> Order:
    """Wait for orders, and fork a process for each: there alone, this returns."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            return Order(**json.loads(line))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()
    sys.exit()


def prepare(order: Order) -> None:
    """Become the process that an order asks for."""
    signal.alarm(LONGEST_SECONDS)  # one that never ends does
    said = os.open(order.said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.chdir(order.folder)
    os.environ["ORCHESTRATOR_HOME"] = order.home
    defaults_of(download)["attempts"] = 1  # what comes broken is a suspect at once, and failed
    delays.__defaults__ = (0.1, 1.0)  # to try again, at first and at most
    for module, seconds in BRISK.items():
        vars(sys.modules[f"orchestrator.{module}"]).update(seconds)
    if order.is_later:
        defaults_of(SqliteLedger.__init__)["steps"] = (*STEPS, NEXT)
    if order.point:
        lay(Killer(order.point, order.nth))


if __name__ == "__main__":
    load()
    order = an_order()
    prepare(order)
    sys.argv = ["orchestrator", *order.arguments]
    main()
