"""One move of one task in SQL: all that changes is written, and no row is read for it."""

from __future__ import annotations

import sqlite3
from typing import Final

from orchestrator.ledger import rows
from orchestrator.ledger.errors import ClaimedError, ConflictError
from orchestrator.lifecycle import Attempt, Output, Record

_MOVE_TASK: Final = (
    "UPDATE tasks SET state = ?, tries = ?, failures = ?, error = ?, warnings = ?, finished_at = ?"
    " WHERE id = ? AND state = ?"
)
_WRITE_ATTEMPT: Final = (
    f"INSERT INTO attempts (task, {rows.ATTEMPT_COLUMNS}) VALUES ({', '.join('?' * 14)})"  # noqa: S608 - constants only
    " ON CONFLICT (task, number) DO UPDATE SET"
    f" {', '.join(f'{name} = excluded.{name}' for name in rows.ATTEMPT_COLUMNS.split(', ')[1:])}"
)
_WRITE_OUTPUT: Final = (
    f"INSERT OR REPLACE INTO outputs (task, number, {rows.OUTPUT_COLUMNS}) VALUES ({', '.join('?' * 7)})"  # noqa: S608 - constants only
)


def write(db: sqlite3.Connection, before: Record, after: Record) -> None:
    """Write down one move of one task, within a transaction.

    Raises:
        ConflictError: The ledger holds the task in another state than `before`; nothing was written.
        ClaimedError: The remote task belongs to another task; nothing was written.
    """
    identity = after.task.id
    if not db.execute(_MOVE_TASK, (*rows.task_values(after), identity, before.state.value)).rowcount:
        held = db.execute("SELECT state FROM tasks WHERE id = ?", (identity,)).fetchone()
        raise ConflictError(f"task {identity} is {held and held[0]}, not {before.state}")
    try:
        _write_attempt(db, identity, before.attempt, after.attempt)
    except sqlite3.IntegrityError as error:
        db.execute(_MOVE_TASK, (*rows.task_values(before), identity, after.state.value))
        claimed = after.attempt and after.attempt.remote_id
        if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE or not claimed:
            raise
        raise ClaimedError(claimed) from error
    if after.outputs is not before.outputs:
        _write_outputs(db, identity, before.outputs, after.outputs)


def _write_attempt(db: sqlite3.Connection, task: str, before: Attempt | None, after: Attempt | None) -> None:
    if after is not None and after is not before:
        db.execute(_WRITE_ATTEMPT, (task, *rows.attempt_values(after)))
    elif after is None and before is not None:
        db.execute("DELETE FROM attempts WHERE task = ? AND number = ?", (task, before.number))


def _write_outputs(db: sqlite3.Connection, task: str, before: tuple[Output, ...], after: tuple[Output, ...]) -> None:
    if before:
        db.execute("DELETE FROM outputs WHERE task = ?", (task,))
    for number, output in enumerate(after):
        db.execute(_WRITE_OUTPUT, (task, number, *rows.output_values(output)))
