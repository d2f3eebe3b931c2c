"""What the rows of a ledger add up to."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Final

from orchestrator.ledger import rows
from orchestrator.ledger.totals import Reason, Totals
from orchestrator.lifecycle import State
from orchestrator.money import from_pico
from orchestrator.sense import is_moment

_TASKS: Final = "SELECT state, count(*), count(*) - count(rank) FROM tasks GROUP BY state"
_ATTEMPTS: Final = (
    "SELECT coalesce(sum(cost), 0), coalesce(sum(CASE WHEN cost IS NULL THEN reserved END), 0), coalesce(max(cost), 0),"
    " count(remote_id), count(CASE WHEN remote_id IS NULL THEN gave_up_at END),"
    " min(coalesce(min(cost), 0), coalesce(min(reserved), 0)) FROM attempts"
)
_PAID: Final = "SELECT state, error, (SELECT sum(cost) FROM attempts WHERE task = id AND cost > 0) AS paid FROM tasks"
_FAILURES: Final = (
    f"SELECT error, count(*) AS number, count(paid), coalesce(sum(paid), 0) FROM ({_PAID})"  # noqa: S608 - constants only
    " WHERE state = 'failed' AND error IS NOT NULL GROUP BY error ORDER BY number DESC LIMIT ?"
)
_PAID_IN_VAIN: Final = (
    f"SELECT count(paid), coalesce(sum(paid), 0) FROM ({_PAID}) WHERE state IN ('failed', 'cancelled')"  # noqa: S608 - constants only
)
_DONE_WITH: Final = (
    "SELECT count(*) FROM facts JOIN tasks ON id = substr(name, length(:prefix) + 1)"
    " WHERE name BETWEEN :prefix AND :prefix || char(1114111) AND state = 'done'"
)


def totals(db: sqlite3.Connection) -> Totals:
    """Add up everything.

    Raises:
        ValueError: Something makes no sense, or counts for less than nothing.
    """
    held = {State(state): (count, dropped) for state, count, dropped in db.execute(_TASKS)}
    spent, reserved, dearest, attempts, in_doubt, least = db.execute(_ATTEMPTS).fetchone()
    counters = {rows.text(name): rows.count(value) for name, value in db.execute("SELECT name, value FROM counters")}
    rows.count(least)
    return Totals(
        counts={state: held.get(state, (0, 0))[0] for state in State},
        dropped={state: held.get(state, (0, 0))[1] for state in State},
        spent_usd=from_pico(rows.count(spent)),
        reserved_usd=from_pico(rows.count(reserved)),
        dearest_usd=from_pico(rows.count(dearest)),
        counters=counters,
        attempts=attempts,
        in_doubt=in_doubt,
    )


def failures(db: sqlite3.Connection, most: int) -> list[Reason]:
    """Return the most frequent reasons of failed tasks."""
    return [
        Reason(rows.failure(error), number, paid, from_pico(rows.count(cost)))
        for error, number, paid, cost in db.execute(_FAILURES, (most,))
    ]


def paid_in_vain(db: sqlite3.Connection) -> tuple[int, Decimal]:
    """Return how many failed or cancelled tasks were paid for all the same, and what they have cost."""
    tasks, cost = db.execute(_PAID_IN_VAIN).fetchone()
    return tasks, from_pico(rows.count(cost))


def usual_seconds(db: sqlite3.Connection) -> float | None:
    """Return how long the service has worked on a task on average, None where it has not said."""
    (found,) = db.execute("SELECT avg(elapsed) FROM attempts WHERE elapsed > 0").fetchone()
    return float(found) if is_moment(found) else None


def done_with(db: sqlite3.Connection, prefix: str) -> int:
    """Return how many done tasks there are of which a fact is kept that is named by this and their id."""
    return int(db.execute(_DONE_WITH, {"prefix": prefix}).fetchone()[0])
