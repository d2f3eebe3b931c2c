"""What a task is taken for after its ledger was damaged: pure, and in favour of doubt."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Final

from orchestrator.lifecycle import FINAL, Attempt, Record, State
from orchestrator.steps.matching import newest_before

UNSENT: Final = frozenset({State.PENDING, State.FAILED, State.CANCELLED})
"""The states from which a task may have been sent since, for all that a damaged ledger can tell."""

NO_MORE_TRIES: Final = 1000
"""So many failures as no job file has tries: what follows from a request is not sent again by itself."""


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
        doubted = replace(record, state=State.SUBMITTING, tries=tries, attempt=attempt)
        return replace(doubted, failures=NO_MORE_TRIES) if record.state in FINAL else replace(doubted, failure=None)


def completed(held: Record) -> Record:
    """Return a task of which the row is lost, or older than a request that is known, as what that request says."""
    attempt = held.attempt
    if held.state not in UNSENT or attempt is None or attempt.number <= held.tries:
        return held
    if attempt.remote_id is None:
        return replace(held, state=State.SUBMITTING)
    # The service says how it ended.
    return replace(held, state=State.RUNNING, tries=attempt.number, failure=None, finished_at=None)


def requested(record: Record) -> Attempt | None:
    """Return the request that a task's row tells of, None where that is lost: an earlier one says nothing of it."""
    return record.attempt if record.attempt is not None and record.attempt.number >= record.tries else None


def unrequested(record: Record) -> bool:
    """Return whether a task has to have a request by its state, and that is lost."""
    request = requested(record)
    known = request is not None and (request.remote_id is not None or record.state is State.SUBMITTING)
    return record.state not in {*FINAL, State.PENDING} and not known


def paid_unseen(record: Record, reserved_usd: Decimal) -> Record:
    """Return a done task of which nobody knows the request any more with its price kept aside: it was paid for."""
    attempt = Attempt(number=record.tries, intent_at=record.finished_at or 0.0, reserved_usd=reserved_usd)
    return replace(record, attempt=attempt)


def reconciled(held: Record | None, line: Record) -> Record:
    """Return what is known of a task of which the manifest has a line.

    The one that goes further is believed, and the other one fills in what that has lost of the same request.

    Args:
        held: What the ledger still says of it, if anything.
        line: What the manifest says.
    """
    if held is None:
        return line
    further, other = (line, held) if _progress(line) > _progress(held) else (held, line)
    after = replace(further, task=held.task, dropped=held.dropped)
    return _filled(after, other) if latest(held) == latest(line) and not _contradict(held, line) else after


def _filled(after: Record, other: Record) -> Record:
    """Return a record with what only another one of the same try still says; how it ended is of one piece."""
    attempt, theirs = requested(after), requested(other)
    if attempt is not None and theirs is not None:
        lost = {
            each.name: getattr(theirs, each.name) for each in fields(Attempt) if getattr(attempt, each.name) is None
        }
        intent_at, reserved_usd = attempt.intent_at or theirs.intent_at, max(attempt.reserved_usd, theirs.reserved_usd)
        attempt = replace(attempt, **lost, intent_at=intent_at, reserved_usd=reserved_usd)
    after = replace(after, attempt=attempt or theirs or after.attempt, failures=max(after.failures, other.failures))
    if after.state is not other.state:
        return after
    return replace(
        after,
        outputs=max(after.outputs, other.outputs, key=len),
        failure=after.failure or other.failure,
        warnings=after.warnings or other.warnings,
        finished_at=after.finished_at or other.finished_at,
    )


def _contradict(held: Record, line: Record) -> bool:
    """Return whether two records name different tasks of the service."""
    names = {request.remote_id for request in (requested(held), requested(line)) if request is not None}
    return len(names - {None}) > 1


def latest(record: Record) -> int:
    """Return the number of the latest request that is known of."""
    return record.tries if record.attempt is None else max(record.attempt.number, record.tries)


def _progress(record: Record) -> tuple[int, bool]:
    return latest(record), record.state in FINAL
