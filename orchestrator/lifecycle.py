"""The life of a task: one table of moves, and the record that each move turns into the next one.

Everything here is pure. A move that the table does not hold raises `IllegalMoveError` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, TypeVar

from orchestrator.money import FREE, to_pico
from orchestrator.tasks import Task

T = TypeVar("T")


class State(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    RUNNING = "running"
    FETCHING = "fetching"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    __hash__ = str.__hash__  # an enum's own is Python, and each move looks a dozen times into tables of these


ACTIVE: Final = frozenset({State.SUBMITTING, State.RUNNING})
"""The states in which a task may hold one of the account's places on the service."""

FINAL: Final = frozenset({State.DONE, State.FAILED, State.CANCELLED})
"""The states that only the user's word leaves again."""


class Event(StrEnum):
    """What can happen to a task."""

    UNREADY = "unready"  # it cannot be sent: a file of it has changed or gone
    INTENDED = "intended"  # the request is about to be sent
    ACCEPTED = "accepted"  # the service named the task, in its reply or later in its list
    NOT_ACCEPTED = "not accepted"  # certainly not accepted: free to be sent again
    REJECTED = "rejected"  # certainly not accepted, and never will be
    NOT_RETRIED = "not retried"  # it had been cancelled, and certainly was not sent again since
    SUCCEEDED = "succeeded"  # the service made it; the outputs are still there
    FELL_THROUGH = "fell through"  # it failed there unbilled and is to be tried again
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELIVERED = "delivered"  # every output stands verified in the run folder
    UNDELIVERED = "undelivered"  # paid, and its outputs cannot be had
    RETRIED = "retried"  # the user asks for another try
    REFETCHED = "refetched"  # the user asks for its outputs again

    __hash__ = str.__hash__  # as above


TABLE: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.PENDING, Event.INTENDED): State.SUBMITTING,
        (State.PENDING, Event.UNREADY): State.FAILED,
        (State.SUBMITTING, Event.ACCEPTED): State.RUNNING,
        (State.SUBMITTING, Event.NOT_ACCEPTED): State.PENDING,
        (State.SUBMITTING, Event.REJECTED): State.FAILED,
        (State.SUBMITTING, Event.NOT_RETRIED): State.CANCELLED,
        (State.RUNNING, Event.SUCCEEDED): State.FETCHING,
        (State.RUNNING, Event.FELL_THROUGH): State.PENDING,
        (State.RUNNING, Event.FAILED): State.FAILED,
        (State.RUNNING, Event.CANCELLED): State.CANCELLED,
        (State.FETCHING, Event.DELIVERED): State.DONE,
        (State.FETCHING, Event.UNDELIVERED): State.FAILED,
        (State.FAILED, Event.RETRIED): State.PENDING,
        (State.CANCELLED, Event.RETRIED): State.PENDING,
        (State.DONE, Event.REFETCHED): State.FETCHING,
        (State.FAILED, Event.REFETCHED): State.FETCHING,
    }
)


class IllegalMoveError(Exception):
    """A move that the table does not hold: a bug, never the service's doing."""

    def __init__(self, state: State, event: Event) -> None:
        self.state = state
        self.event = event
        super().__init__(f"a task that is {state} cannot be {event}")


def after(state: State, event: Event) -> State:
    """Return the state that follows.

    Raises:
        IllegalMoveError: The table does not hold this move.
    """
    try:
        return TABLE[state, event]
    except KeyError:
        raise IllegalMoveError(state, event) from None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task failed: a word that programs read, a sentence that people read."""

    kind: str
    message: str


PAID_KINDS: Final = frozenset({"no_outputs", "refused", "lost", "broken"})
"""Kinds of failures of tasks that were, or may have been, paid for: their outputs could not be had."""

CANCELLED: Final = Failure("cancelled", "cancelled on the service before it finished")

UNLISTED: Final = Failure(
    "lost",
    "The service had accepted it. Which of its tasks that was is lost with the damaged ledger, and its list no longer"
    " shows it.",
)


@dataclass(frozen=True, slots=True)
class Output:
    """A file that stands verified in the run folder."""

    path: str
    url: str | None
    content_type: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to the service that may have to be paid for.

    Attributes:
        number: Counted from 1 for each task.
        intent_at: When it was written down that the request is about to be sent, unix seconds.
        reserved_usd: What the budget keeps aside for it until the cost is known.
        newest_known: The largest remote id known at `intent_at`: the task of this attempt has a larger one.
        gave_up_at: Since when nobody waits for the reply any more, where it did not come.
        remote_id, token: The service's names for it.
        cost_usd: What it cost as the service says, or else its price where that is fixed; None while neither is known.
    """

    number: int
    intent_at: float
    reserved_usd: Decimal
    newest_known: int | None = None
    gave_up_at: float | None = None
    remote_id: str | None = None
    token: str | None = None
    submitted_at: float | None = None
    ended_at: float | None = None
    status: str | None = None
    exit_code: int | None = None
    elapsed_seconds: float | None = None
    cost_usd: Decimal | None = None

    @property
    def uncertain(self) -> bool:
        """Whether it may have been accepted without our knowing."""
        return self.remote_id is None and self.gave_up_at is not None


@dataclass(frozen=True, slots=True)
class Ending:
    """What the service says of a remote task that has ended."""

    status: str
    exit_code: int | None
    cost_usd: Decimal | None
    elapsed_seconds: float | None
    at: float


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known of a task; each move gives a new one.

    Attributes:
        tries: How many of its requests the service accepted; the latest one, too, where its number is not larger.
        attempt: The latest request, unless it was certainly not accepted.
        finished_at: When it ended. One in doubt has it where it had ended, and only a damaged ledger could not tell
            whether it was sent again since.
        dropped: The job file no longer holds this task.
        failures: How many of the tries since the user last asked for one have failed.
    """

    task: Task
    state: State = State.PENDING
    tries: int = 0
    failures: int = 0
    attempt: Attempt | None = None
    outputs: tuple[Output, ...] = ()
    failure: Failure | None = None
    warnings: tuple[str, ...] = ()
    finished_at: float | None = None
    dropped: bool = False

    @property
    def sent(self) -> Attempt:
        """The request under way.

        Raises:
            ValueError: There is none, which in the states that ask for it is a bug.
        """
        if self.attempt is None:
            raise ValueError(f"task {self.task.id} is {self.state} without a request")
        return self.attempt

    def unready(self, failure: Failure, at: float) -> Record:
        """It cannot be sent."""
        return _with(self, state=after(self.state, Event.UNREADY), failure=failure, finished_at=at)

    def intended(self, at: float, reserved_usd: Decimal, newest_known: int | None) -> Record:
        """The request is about to be sent."""
        attempt = Attempt(self.tries + 1, at, reserved_usd, newest_known)
        return _with(self, state=after(self.state, Event.INTENDED), attempt=attempt, failure=None)

    def given_up(self, at: float) -> Record:
        """The reply did not come, and the request may have been accepted: still submitting, but uncertain."""
        return _with(self, attempt=_with(self.sent, gave_up_at=at))

    def accepted(self, remote_id: str, token: str | None, at: float) -> Record:
        """The service has the task."""
        state = after(self.state, Event.ACCEPTED)
        attempt = _with(self.sent, remote_id=remote_id, token=token, submitted_at=at)
        return _with(self, state=state, attempt=attempt, tries=attempt.number, failure=None, finished_at=None)

    def not_accepted(self) -> Record:
        """The service certainly does not have it."""
        return _with(self, state=after(self.state, Event.NOT_ACCEPTED), attempt=None)

    def unlisted(self, at: float) -> Record:
        """The service's list does not show the request, and would if it had been accepted.

        Where it is known that it was, and only which remote task it made is lost with a damaged ledger, it was paid
        for. A task that had ended before it came into doubt has ended as it had.
        """
        if self.finished_at is not None and self.failure is not None:
            event = Event.NOT_RETRIED if self.failure.kind == CANCELLED.kind else Event.REJECTED
            return _with(self, state=after(self.state, event), attempt=None)
        if self.sent.number > self.tries:
            return self.not_accepted()
        return self.rejected(UNLISTED, at)

    def rejected(self, failure: Failure, at: float) -> Record:
        """The service will never take it."""
        return _with(self, state=after(self.state, Event.REJECTED), attempt=None, failure=failure, finished_at=at)

    def succeeded(self, ending: Ending) -> Record:
        """The service made it."""
        return self._ended(Event.SUCCEEDED, ending)

    def fell_through(self, ending: Ending, failure: Failure) -> Record:
        """It failed there, unbilled, and is pending again."""
        record = self._ended(Event.FELL_THROUGH, ending)
        return _with(record, failure=failure, failures=self.failures + 1)

    def failed(self, failure: Failure, at: float, ending: Ending | None = None) -> Record:
        """It failed there for good; without an `ending` the service never said how."""
        if ending is None:
            return _with(self, state=after(self.state, Event.FAILED), failure=failure, finished_at=at)
        record = self._ended(Event.FAILED, ending)
        return _with(record, failure=failure, failures=self.failures + 1, finished_at=at)

    def cancelled(self, ending: Ending) -> Record:
        """The service confirms that it was cancelled or killed."""
        return _with(self._ended(Event.CANCELLED, ending), failure=CANCELLED, finished_at=ending.at)

    def delivered(self, outputs: tuple[Output, ...], warnings: tuple[str, ...], at: float) -> Record:
        """Every output stands verified in the run folder."""
        state = after(self.state, Event.DELIVERED)
        return _with(self, state=state, outputs=outputs, warnings=warnings, failure=None, finished_at=at)

    def undelivered(self, failure: Failure, at: float, outputs: tuple[Output, ...] = ()) -> Record:
        """It is paid for, and its outputs cannot be had; those that could are kept."""
        state = after(self.state, Event.UNDELIVERED)
        return _with(self, state=state, outputs=outputs, failure=failure, finished_at=at)

    def retried(self) -> Record:
        """The user asks for another try."""
        state = after(self.state, Event.RETRIED)
        return _with(self, state=state, failure=None, failures=0, finished_at=None)

    def refetched(self) -> Record:
        """The user asks for its outputs again; nothing is paid for."""
        return _with(self, state=after(self.state, Event.REFETCHED), failure=None, finished_at=None)

    def learnt(self, ending: Ending) -> Record:
        """How it ended on the service is known only now; where it stands stays as it is."""
        return _with(self, attempt=self._attempt_with(ending))

    def _ended(self, event: Event, ending: Ending) -> Record:
        return _with(self, state=after(self.state, event), attempt=self._attempt_with(ending))

    def _attempt_with(self, ending: Ending) -> Attempt:
        return _with(
            self.sent,
            status=ending.status,
            exit_code=ending.exit_code,
            cost_usd=ending.cost_usd,
            elapsed_seconds=ending.elapsed_seconds,
            ended_at=ending.at,
        )


def counted(before: Record, after: Record) -> Mapping[str, int]:
    """Return by how much a move adds to the counters of a run: of requests in doubt, and of what became of them."""
    was = before.state is State.SUBMITTING and before.sent.uncertain
    if not was and after.state is State.SUBMITTING and after.sent.uncertain:
        return {"uncertain": 1}
    if was and after.state is State.RUNNING:
        return {"adopted": 1, "saved": to_pico(after.sent.reserved_usd)}
    if was and after.state is State.PENDING:
        return {"resubmitted": 1}
    return {}


def reserved_usd(attempt: Attempt | None) -> Decimal:
    """Return what the budget still keeps aside for an attempt: all of it until the service states the cost."""
    return FREE if attempt is None or attempt.cost_usd is not None else attempt.reserved_usd


def spent_usd(attempt: Attempt | None) -> Decimal:
    """Return what an attempt has cost as far as the service has said."""
    return FREE if attempt is None or attempt.cost_usd is None else attempt.cost_usd


def _with(before: T, **changes: object) -> T:
    """Return a copy with some fields changed: what `dataclasses.replace` does, at a third of its price."""
    kind = type(before)
    values_of, places = _FIELDS[kind]
    values = list(values_of(before))
    for name, value in changes.items():
        values[places[name]] = value
    return kind(*values)


def _fields_of(kind: type[Attempt | Record]) -> tuple[attrgetter[tuple[Any, ...]], Mapping[str, int]]:
    names = [field.name for field in fields(kind)]
    return attrgetter(*names), {name: place for place, name in enumerate(names)}


_FIELDS: Final[Mapping[type[Any], tuple[attrgetter[tuple[Any, ...]], Mapping[str, int]]]] = {
    kind: _fields_of(kind) for kind in (Attempt, Record)
}
