"""What a task is taken for after its ledger was damaged: pure, and in favour of doubt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from orchestrator.lifecycle import FINAL, Attempt, Record, State
from orchestrator.steps.matching import newest_before

UNSENT: Final = frozenset({State.PENDING, State.FAILED, State.CANCELLED})
"""The states from which a task may have been sent since, for all that a damaged ledger can tell."""


@dataclass(frozen=True, slots=True)
class Doubtful:
    """What is written down of a request that may have been sent.

    Attributes:
        since: Unix seconds of the earliest moment at which it can have been.
        until: Since when nobody can be waiting for its reply.
        newest_known: A remote id that was there before any of the run's; None where none is known.
    """

    since: float
    until: float
    newest_known: int | None

    def of(self, record: Record, reserved_usd: Decimal) -> Record:
        """Return a task whose latest request is not known as one that may have been sent.

        Where its state says that the service had it, it is one that has been: it is never free to be sent again. One
        that has ended may have been tried again since, and stays as it was if it was not.
        """
        accepted = record.state in {State.RUNNING, State.FETCHING}
        tries = max(1, record.tries) if accepted else record.tries
        attempt = Attempt(
            number=tries if accepted else tries + 1,
            intent_at=self.since,
            reserved_usd=reserved_usd,
            newest_known=newest_before(record.attempt, self.newest_known),
            gave_up_at=self.until,
        )
        failure = record.failure if record.state in FINAL else None
        return replace(record, state=State.SUBMITTING, tries=tries, attempt=attempt, failure=failure)


def completed(held: Record) -> Record:
    """Return a task of which the row is lost, or older than a request that is known, as what that request says."""
    attempt = held.attempt
    if held.state not in UNSENT or attempt is None or attempt.number <= held.tries:
        return held
    if attempt.remote_id is None:
        return replace(held, state=State.SUBMITTING)
    # The service says how it ended.
    return replace(held, state=State.RUNNING, tries=attempt.number, failure=None, finished_at=None)


def unrequested(record: Record) -> bool:
    """Return whether a task has to have a request by its state, and that is lost."""
    known = record.attempt is not None and (record.attempt.remote_id is not None or record.state is State.SUBMITTING)
    return record.state not in {*FINAL, State.PENDING} and not known


def told(held: Record | None, line: Record) -> Record:
    """Return what is known of a task of which the manifest has a line: the one that goes further is believed.

    Args:
        held: What the ledger still says of it, if anything.
        line: What the manifest says.
    """
    if held is None:
        return line
    if _progress(held) >= _progress(line):
        return held
    token = held.attempt.token if held.attempt and line.attempt and _same(held, line) else None
    attempt = line.attempt and replace(line.attempt, token=token)
    return replace(line, task=held.task, dropped=held.dropped, attempt=attempt)


def _same(held: Record, line: Record) -> bool:
    return held.sent.remote_id == line.sent.remote_id


def _progress(record: Record) -> tuple[int, bool]:
    number = record.tries if record.attempt is None else record.attempt.number
    return number, record.state in FINAL
