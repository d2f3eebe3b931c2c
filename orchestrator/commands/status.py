"""Where a run stands, read from its folder, also while another process is at work in it."""

from __future__ import annotations

from orchestrator.facts import delays_of
from orchestrator.ledger import Fact, SqliteLedger
from orchestrator.output.manifest import moment
from orchestrator.runs import RunFolder
from orchestrator.status import Status, status


def read_status(folder: RunFolder) -> Status:
    """Return where a run stands.

    Raises:
        NotALedgerError: There is no run in the folder.
    """
    running = folder.is_held() if folder.exists() else False
    with folder.opened() as store:
        facts, totals, paid_in_vain = store.facts(), store.totals(), store.paid_in_vain()
        alone, undeleted = concerns(store)
    return status(
        totals,
        tasks=int(facts.get(Fact.TOTAL, "0")),
        running=running,
        started_at=_moment(facts.get(Fact.STARTED_AT)),
        updated_at=_moment(facts.get(Fact.UPDATED_AT)),
        seconds_left=_number(facts.get(Fact.SECONDS_LEFT)),
        progress=_number(facts.get(Fact.PROGRESS)),
        doubt_seconds_left=_number(facts.get(Fact.DOUBT_SECONDS_LEFT)),
        paid_in_vain=paid_in_vain,
        waiting=delays_of(facts.get(Fact.WAITING)),
        undeleted=undeleted,
        alone=alone,
    )


def concerns(store: SqliteLedger) -> tuple[bool, int]:
    """Return whether a run can share nothing, and of how many tasks it has still to delete the service's copies."""
    return store.fact(Fact.ALONE) is not None, store.done_with(Fact.OWED)


def _number(held: str | None) -> float | None:
    return None if held is None else float(held)


def _moment(seconds: str | None) -> str | None:
    return None if seconds is None else moment(float(seconds))
