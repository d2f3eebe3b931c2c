"""What `retry` makes pending again."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator.commands.retry import reopen
from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import Ending, Failure, Record, State
from orchestrator.money import FREE
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


def ended(store: SqliteLedger, record: Record, remote_id: str, cost_usd: Decimal, *, cancelled: bool = False) -> Record:
    """Send a task once more, and have it end without a picture."""
    ending = Ending("task_cancel" if cancelled else "task_error", 1, cost_usd, 2.0, 9.0)
    store.save(record, intended := record.intended(1.0, Decimal("0.02"), None))
    store.save(intended, running := intended.accepted(remote_id, None, 2.0))
    over = running.cancelled(ending) if cancelled else running.failed(Failure("failed", "no memory"), 9.0, ending)
    store.save(running, over)
    return over


@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize("pay_again", [False, True])
def test_what_an_earlier_try_has_cost_is_not_forgotten(tmp_path: Path, *, cancelled: bool, pay_again: bool) -> None:
    """A try for nothing came after one that was billed: only the user's word sends the task a third time."""
    with SqliteLedger(tmp_path / "ledger.sqlite") as store, store.transaction(durable=False):
        store.enter([replace(TASK, id="billed"), replace(TASK, id="free", index=1)], 1, 0)
        billed, free = store.pending(1, -1, 2)[0]
        billed = ended(store, billed, "7", Decimal("0.01"))
        store.save(billed, pending := billed.retried())
        ended(store, pending, "8", FREE, cancelled=cancelled)
        ended(store, free, "9", FREE, cancelled=cancelled)
        reopen(store, lambda _: True, pay_again=pay_again)
        assert store.states(["free"]) == {"free": State.PENDING}
        assert (store.states(["billed"])["billed"] is State.PENDING) is pay_again
