"""Where a run stands, as one frozen object: the summary, the progress display and other programs only read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final

from orchestrator import money
from orchestrator.engines.delays import Delay
from orchestrator.ledger import Totals
from orchestrator.lifecycle import FINAL, State

FORMAT: Final = 1
CALLS: Final = "calls "
"""What the names of counters that count calls begin with."""


@dataclass(frozen=True, slots=True)
class Status:
    """One look at a run folder; the counters cover its whole life.

    Attributes:
        state: `running`, `finished` or `stopped`.
        counts: Tasks by state, those that are not written down yet counted as pending.
        dropped: How many of them were begun and are no longer in the job file.
        paid_in_vain, paid_in_vain_usd: How many tasks were paid for, as far as the service has said, and have failed or
            been cancelled all the same; and what they have cost.
        saved_usd: What would have been paid again if requests in doubt had simply been repeated.
        attempts: Requests that the service accepted; more than tasks where some were tried again.
        uncertain, adopted, resubmitted: Requests whose reply was lost, and what became of them.
        in_doubt: Those of which it is not known yet.
        doubt_seconds_left: After so long those of them that the service's list does not show are sent again; None where
            there are none or nobody is at work.
        started_at, updated_at: ISO 8601, UTC.
        seconds_left: An estimate, None where there is nothing to base one on.
        progress: The share that running tasks have done on average, 0 to 1; None where none is at work or none tells.
        waiting: What tasks wait for longer than they should; none where nobody is at work.
        undeleted: How many tasks are done whose copies on the service were to be deleted and are there still.
        alone: Whether limits could not be shared with the other runs that use the key.
    """

    state: str
    counts: Mapping[State, int]
    cost_usd: Decimal
    reserved_usd: Decimal
    saved_usd: Decimal
    calls: Mapping[str, int]
    attempts: int
    uncertain: int
    adopted: int
    resubmitted: int
    started_at: str | None
    updated_at: str | None
    seconds_left: float | None
    progress: float | None = None
    in_doubt: int = 0
    doubt_seconds_left: float | None = None
    dropped: int = 0
    paid_in_vain: int = 0
    paid_in_vain_usd: Decimal = money.FREE
    waiting: tuple[Delay, ...] = ()
    undeleted: int = 0
    alone: bool = False

    @property
    def total(self) -> int:
        """How many tasks there are."""
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """How many of them have ended."""
        return sum(self.counts[state] for state in FINAL)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `status --json` prints."""
        return {
            "format": FORMAT,
            "state": self.state,
            "counts": {state.value: self.counts[state] for state in State},
            "dropped": self.dropped,
            "cost_usd": money.text(self.cost_usd),
            "paid_in_vain": self.paid_in_vain,
            "paid_in_vain_usd": money.text(self.paid_in_vain_usd),
            "reserved_usd": money.text(self.reserved_usd),
            "saved_usd": money.text(self.saved_usd),
            "calls": dict(self.calls),
            "attempts": self.attempts,
            "uncertain": self.uncertain,
            "adopted": self.adopted,
            "resubmitted": self.resubmitted,
            "in_doubt": self.in_doubt,
            "doubt_seconds_left": self.doubt_seconds_left,
            "started_at": self.started_at,
            "updated_at": self.updated_at,
            "seconds_left": self.seconds_left,
            "progress": self.progress,
            "waiting": [asdict(wait) for wait in self.waiting],
            "undeleted": self.undeleted,
            "alone": self.alone,
        }


def status(
    totals: Totals,
    *,
    tasks: int,
    running: bool,
    started_at: str | None,
    updated_at: str | None,
    seconds_left: float | None = None,
    progress: float | None = None,
    doubt_seconds_left: float | None = None,
    paid_in_vain: tuple[int, Decimal] = (0, money.FREE),
    waiting: Iterable[Delay] = (),
    undeleted: int = 0,
    alone: bool = False,
) -> Status:
    """Build the status from what the ledger adds up to.

    Args:
        totals: The ledger's sums.
        tasks: How many tasks the job file holds.
        running: Whether a process is at work.
        started_at: See `Status`.
        updated_at: See `Status`.
        seconds_left: See `Status`.
        progress: See `Status`.
        doubt_seconds_left: See `Status`.
        paid_in_vain: How many tasks, and what they have cost, see `Status`.
        waiting: See `Status`.
        undeleted: See `Status`.
        alone: See `Status`.
    """
    counts = dict(totals.counts)
    counts[State.PENDING] += max(0, tasks - totals.kept(*State))
    finished = sum(counts[state] for state in State if state not in FINAL) == totals.dropped[State.PENDING]
    state = "running" if running else "finished" if finished else "stopped"
    counters = totals.counters
    return Status(
        state=state,
        counts=counts,
        cost_usd=totals.spent_usd,
        reserved_usd=totals.reserved_usd,
        saved_usd=money.from_pico(counters.get("saved", 0)),
        calls={name.removeprefix(CALLS): number for name, number in sorted(counters.items()) if name.startswith(CALLS)},
        attempts=totals.attempts,
        uncertain=counters.get("uncertain", 0),
        adopted=counters.get("adopted", 0),
        resubmitted=counters.get("resubmitted", 0),
        started_at=started_at,
        updated_at=updated_at,
        seconds_left=seconds_left if running else None if not finished else 0.0,
        progress=round(progress, 3) if running and progress is not None else None,
        in_doubt=totals.in_doubt if running else counts[State.SUBMITTING],
        doubt_seconds_left=doubt_seconds_left if running else None,
        dropped=sum(totals.dropped.values()),
        paid_in_vain=paid_in_vain[0],
        paid_in_vain_usd=paid_in_vain[1],
        waiting=tuple(waiting) if running else (),
        undeleted=undeleted,
        alone=alone,
    )
