"""What `retry` makes pending again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.commands.retry import reopen
from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import Failure, State
from orchestrator.tasks import Task

TASK = Task("", 0, {"prompt": "a boat"}, {}, {}, "a-boat")


def test_a_large_run_is_reopened_a_chunk_at_a_time(tmp_path: Path) -> None:
    """The ledger changes while it is read: each failed task that is selected comes, and comes once."""
    tasks = [replace(TASK, id=f"task-{number:04}", index=number) for number in range(1200)]
    with SqliteLedger(tmp_path / "ledger.sqlite") as store, store.transaction(durable=False):
        store.enter(tasks, 1, 0)
        for record in store.pending(1, -1, 1100)[0]:
            store.save(record, record.unready(Failure("rejected", "no"), 1.0))
        reopen(store, lambda task: task.index % 2 == 0, pay_again=False)
        counts = store.totals().counts
        assert (counts[State.PENDING], counts[State.FAILED]) == (100 + 550, 550)
