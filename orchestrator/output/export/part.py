"""Where a part of a run stands, by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from orchestrator import money
from orchestrator.lifecycle import FINAL, Record, State
from orchestrator.status import Status


def status_of(records: Iterable[Record], whole: Status) -> Status:
    """Return where some tasks of a run stand.

    Args:
        records: The tasks.
        whole: Where the run stands. Only its moments hold for a part, too: calls and reserves belong to no task.
    """
    counts = dict.fromkeys(State, 0)
    spent, vain, vain_usd, attempts, dropped = money.FREE, 0, money.FREE, 0, 0
    for record in records:
        cost = (record.attempt and record.attempt.cost_usd) or money.FREE
        counts[record.state] += 1
        spent += cost
        attempts += record.tries
        dropped += record.dropped
        if cost and record.state in {State.FAILED, State.CANCELLED}:
            vain, vain_usd = vain + 1, vain_usd + cost
    return replace(
        whole,
        state="finished" if all(state in FINAL for state, number in counts.items() if number) else "stopped",
        counts=counts,
        dropped=dropped,
        attempts=attempts,
        cost_usd=spent,
        reserved_usd=money.FREE,
        saved_usd=money.FREE,
        calls={},
        uncertain=0,
        adopted=0,
        resubmitted=0,
        in_doubt=0,
        paid_in_vain=vain,
        paid_in_vain_usd=vain_usd,
        seconds_left=None,
        progress=None,
        doubt_seconds_left=None,
        waiting=(),
        undeleted=0,
        alone=False,
    )
