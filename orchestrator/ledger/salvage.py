"""What can still be read of a damaged ledger, row by row, written into a fresh one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from orchestrator.ledger import rows
from orchestrator.ledger.opening import BROKEN, UNREADABLE
from orchestrator.ledger.sqlite import SqliteLedger
from orchestrator.lifecycle import Output, Record
from orchestrator.sense import sensible
from orchestrator.tasks import Task

PAGE: Final = 4096
WIDEST_GAP: Final = 2_000_000
"""How many rows that cannot be reached from either side are asked for one by one."""

TASKS: Final = "rowid, place, rank, edition, id, state, spec, tries, failures, error, warnings, finished_at"
ATTEMPTS: Final = f"task, {rows.ATTEMPT_COLUMNS}"
OUTPUTS: Final = f"task, number, {rows.OUTPUT_COLUMNS}"

Row: TypeAlias = tuple[Any, ...]


def salvage(damaged: Path, fresh: SqliteLedger) -> int:
    """Copy what can be read and makes sense; the damaged file may be changed by it.

    Returns:
        How many tasks could be read.

    Raises:
        LedgerError: The fresh ledger cannot be written.
    """
    if not damaged.is_file():
        return 0
    if not _has_tables(damaged):
        _behead(damaged, fresh.path)
    with closing(sqlite3.connect(damaged, isolation_level=None)) as db, fresh.transaction(durable=False):
        db.text_factory = bytes  # one text that is none must not end the reading
        with suppress(*BROKEN):
            db.execute("PRAGMA writable_schema = ON")  # lets a file be read that is shorter than it says
        fresh.refill("facts", "name, value", _readable(_scan(db, "facts", "name, value", "name"), _is_fact))
        fresh.refill("counters", "name, value", _readable(_scan(db, "counters", "name, value", "name"), _is_counter))
        tasks = list(_readable([*_scan(db, "tasks", TASKS, "rowid"), *_between(db)], _is_task))
        number = fresh.refill("tasks", TASKS, tasks)
        names = [row[4] for row in tasks]
        for table, columns, makes_sense in (("attempts", ATTEMPTS, _is_attempt), ("outputs", OUTPUTS, _is_output)):
            found = [*_scan(db, table, columns, "task, number"), *_of_each(db, table, columns, names)]
            fresh.refill(table, columns, _readable(found, makes_sense))
    return number


def _has_tables(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA writable_schema = ON")
            return bool(db.execute("SELECT 1 FROM sqlite_master WHERE name = 'tasks'").fetchone())
    except BROKEN:
        return False


def _behead(path: Path, sound: Path) -> None:
    """Give a file whose first page is spoilt that of a sound ledger, whose tables begin at the same places."""
    with closing(sqlite3.connect(sound)) as db:
        db.execute("PRAGMA wal_checkpoint")
    head = bytearray(sound.read_bytes()[:PAGE])
    head[28:32] = (path.stat().st_size // PAGE).to_bytes(4, "big")  # the number of pages
    with path.open("r+b") as file:
        file.write(head)


def _scan(db: sqlite3.Connection, table: str, columns: str, key: str) -> Iterator[Row]:
    """Yield the rows from the first one on, and, where that ends at a damaged page, from the last one back."""
    for order in ("", " DESC"):
        keys = ", ".join(f"{column}{order}" for column in key.split(", "))
        try:
            yield from db.execute(f"SELECT {columns} FROM {table} NOT INDEXED ORDER BY {keys}")  # noqa: S608 - constants only
        except BROKEN:
            continue
        return


def _between(db: sqlite3.Connection) -> Iterator[Row]:
    """Yield the tasks that lie between two damaged pages."""
    query = f"SELECT {TASKS} FROM tasks NOT INDEXED WHERE rowid = ?"  # noqa: S608 - constants only
    ends = []
    for order in ("", "DESC"):
        last = 0
        try:
            for row in db.execute(f"SELECT rowid FROM tasks NOT INDEXED ORDER BY rowid {order}"):  # noqa: S608 - constants only
                last = row[0]
        except BROKEN:
            ends.append(last)
    if len(ends) == 2 and ends[1] - ends[0] <= WIDEST_GAP:
        for number in range(ends[0] + 1, ends[1]):
            with suppress(*BROKEN):
                yield from db.execute(query, (number,))


def _of_each(db: sqlite3.Connection, table: str, columns: str, names: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of tasks that are known, one task at a time, where the table cannot be read in one go."""
    with suppress(*BROKEN):
        db.execute(f"SELECT count(*) FROM {table} NOT INDEXED").fetchone()  # noqa: S608 - constants only
        return
    for name in names:
        with suppress(*BROKEN):
            yield from db.execute(f"SELECT {columns} FROM {table} WHERE task = ?", (name,))  # noqa: S608 - constants only


def _readable(found: Iterable[Row], makes_sense: Callable[[Row], object]) -> Iterator[Row]:
    for row in found:
        try:
            text = tuple(value.decode() if isinstance(value, bytes) else value for value in row)
            makes_sense(text)
        except UNREADABLE:
            continue
        yield text


def _is_task(row: Row) -> None:
    _, place, _, edition, identity, state, *others = row
    rows.record((identity, place, state, *others), (None,), ())
    int(edition)


def _is_attempt(row: Row) -> None:
    sensible(replace(_ANY, attempt=rows.read_attempt(row[1:])))


def _is_output(row: Row) -> None:
    sensible(replace(_ANY, outputs=(Output(*row[2:]),)))


def _is_fact(row: Row) -> None:
    rows.text(row[0])
    rows.text(row[1])


def _is_counter(row: Row) -> None:
    rows.text(row[0])
    rows.count(row[1])


_ANY: Final = Record(Task("any", 0, {}, {}, {}, "any"))
