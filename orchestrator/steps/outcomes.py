"""What an error means: the one place that says wait, try again, settle, give up or stop the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from orchestrator.lifecycle import Failure
from orchestrator.steps.calls import TurnLostError
from orchestrator.wiro import (
    Acceptance,
    BalanceUsedUp,
    ConcurrencyLimit,
    CredentialsRefused,
    InvalidRequest,
    NoSuchEndpoint,
    NoSuchModel,
    NoSuchTask,
    NotSent,
    RateLimited,
    WiroError,
)

SILENCE_SECONDS: Final = 600.0
"""How long no call may bring a reply before the run stops."""


class Verdict(Enum):
    """What to do."""

    WAIT = auto()  # the service has no place, or calls were too fast: as soon as it may be, as often as it takes
    AGAIN = auto()  # a fault that can pass: later, less and less often
    SETTLE = auto()  # the request may have been accepted: find out before anything else
    GIVE_UP = auto()  # this task cannot be done
    GONE = auto()  # the service does not show this task
    STOP = auto()  # no task can be done


class Stop(Enum):
    """Why a run stops before its tasks are done; the values are what programs read."""

    BALANCE = "balance"
    BUDGET = "budget"
    CANCELLED = "cancelled"
    CREDENTIALS = "credentials"
    DISK = "disk"
    FAILURE = "failure"
    INTERRUPTED = "interrupted"
    LIMIT = "limit"
    MODEL = "model"
    SAME_FAILURE = "same failure"
    SERVICE = "service"
    TERMINATED = "terminated"
    UNSETTLED = "unsettled"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an error means for the one who asked.

    Attributes:
        message: A sentence for the user.
        stop: Why the run stops, with `STOP`.
        places: How many tasks may run at once, where a refusal for want of a place says so.
        full: Whether the service refused for want of a place.
        sent: Whether the service saw the request.
        stuck: Whether it stays so until the user does something.
    """

    verdict: Verdict
    message: str
    stop: Stop | None = None
    places: int | None = None
    full: bool = False
    sent: bool = True
    stuck: bool = False

    @property
    def failure(self) -> Failure:
        """The failure of a task that is given up for this."""
        return Failure("invalid" if self.verdict is Verdict.GIVE_UP else "service", self.message)


VERDICTS: Final[Mapping[type[WiroError], Verdict]] = MappingProxyType(
    {
        RateLimited: Verdict.WAIT,
        NoSuchTask: Verdict.GONE,
        InvalidRequest: Verdict.GIVE_UP,
    }
)
"""What is none of these and stops nothing is a fault that can pass."""

STOPS: Final[tuple[tuple[type[WiroError], Stop, str], ...]] = (
    (BalanceUsedUp, Stop.BALANCE, "The balance of the account is used up ({}). Add funds, then run it again."),
    (
        CredentialsRefused,
        Stop.CREDENTIALS,
        "The service refused the credentials ({}). Check WIRO_API_KEY and WIRO_API_SECRET, then run it again.",
    ),
    (
        NoSuchModel,
        Stop.MODEL,
        "The service has no such model ({}). Check `model` in the job file, and that the account may use it.",
    ),
    (NoSuchEndpoint, Stop.SERVICE, "The service has no such address ({}). Check WIRO_BASE_URL, then run it again."),
)


def judge(error: WiroError | TurnLostError, *, paying: bool) -> Outcome:
    """Say what to do about an error.

    Args:
        error: What a call raised.
        paying: Whether the call was a `/Run`, which must not be sent twice.
    """
    if isinstance(error, TurnLostError):
        return Outcome(Verdict.WAIT, "calls are held back", sent=False)
    if paying and error.accepted is Acceptance.UNCERTAIN:
        return Outcome(Verdict.SETTLE, str(error))
    if isinstance(error, ConcurrencyLimit):
        return Outcome(Verdict.WAIT, str(error), places=error.limit, full=True)
    for kind, stop, sentence in STOPS:
        if isinstance(error, kind):
            return Outcome(Verdict.STOP, sentence.format(error.message.rstrip(".")), stop=stop)
    verdict = VERDICTS.get(type(error), Verdict.AGAIN)
    return Outcome(verdict, str(error), sent=not isinstance(error, NotSent))


def delays(random: Callable[[], float], first: float = 0.5, most: float = 30.0) -> Iterator[float]:
    """Give the seconds to wait before each further try: doubling, each somewhere between half and all of it.

    Args:
        random: Gives a number from 0 up to 1.
        first: The largest first wait.
        most: The largest wait of all.
    """
    wait = first
    while True:
        yield wait * (0.5 + random() / 2)
        wait = min(wait * 2, most)
