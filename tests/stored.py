"""Tasks in a ledger, carried on by hand."""

from __future__ import annotations

import itertools
import sqlite3
from decimal import Decimal
from pathlib import Path

from orchestrator.ledger import (
    SqliteLedger,
)
from orchestrator.lifecycle import Ending, Failure, Output, Record
from orchestrator.money import FREE
from orchestrator.tasks import Task

RESERVE = Decimal("0.02")
PAID = Ending("task_postprocess_end", 0, Decimal("0.014"), 6.0, 30.0)
UNBILLED = Ending("task_postprocess_end", 1, FREE, 2.0, 40.0)
FAILURE = Failure("model", "the model ran out of memory: 灯台")


def task(index: int, name: str | None = None) -> Task:
    return Task(
        id=name or f"task-{index:03}",
        index=index,
        parameters={"prompt": "a harbour", "steps": 40, "hires": True},
        axes={"prompt": "a harbour", "scale": "3.5"},
        labels={"prompt": "harbour"},
        path=f"harbour/{index}",
        cells=({"prompt": "the same harbour", "scale": "3.5"},),
        model="Hevok/Studio-Trigger",
    )


def output(number: int) -> Output:
    return Output(f"files/harbour-{number}.png", f"https://cdn.example/{number}", "image/png", number, "0" * 64)


def enter(store: SqliteLedger, *tasks: Task, edition: int = 1, rank: int = 0) -> list[Record]:
    with store.transaction(durable=False):
        store.enter(tasks, edition, rank)
    return [Record(each) for each in tasks]


def save(store: SqliteLedger, *records: Record) -> Record:
    """Save a chain of records, each of which follows from the one before; return the last."""
    for before, after in itertools.pairwise(records):
        with store.transaction(durable=False):
            store.save(before, after)
    return records[-1]


def running(store: SqliteLedger, record: Record, remote_id: str) -> Record:
    intended = record.intended(10.0, RESERVE, 2220)
    return save(store, record, intended, intended.accepted(remote_id, f"token-{remote_id}", 11.0))


def done(store: SqliteLedger, record: Record, remote_id: str) -> Record:
    sent = running(store, record, remote_id)
    fetching = sent.succeeded(PAID)
    return save(store, sent, fetching, fetching.delivered((output(0), output(1)), ("odd size",), 50.0))


def drop_all_but(store: SqliteLedger, edition: int) -> bool:
    with store.transaction(durable=False):
        return store.drop_all_but(edition)


def everything(store: SqliteLedger) -> dict[str, Record]:
    return {record.task.id: record for record in store.everything()}


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """Ask the file itself, behind the ledger's back."""
    with sqlite3.connect(path) as db:
        found = db.execute(query).fetchall()
    db.close()
    return found
