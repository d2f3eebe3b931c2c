"""Where a run stands, read from its folder, also while another process is at work in it."""

from __future__ import annotations

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
    return status(
        totals,
        tasks=int(facts.get("total", "0")),
        running=running,
        started_at=_moment(facts.get("started_at")),
        updated_at=_moment(facts.get("updated_at")),
        seconds_left=_number(facts.get("seconds_left")),
        progress=_number(facts.get("progress")),
        doubt_seconds_left=_number(facts.get("doubt_seconds_left")),
        paid_in_vain=paid_in_vain,
    )


def _number(held: str | None) -> float | None:
    return None if held is None else float(held)


def _moment(seconds: str | None) -> str | None:
    return None if seconds is None else moment(float(seconds))
