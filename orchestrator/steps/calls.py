"""Every API call of a run goes through here: let in by urgency, and its refusals told to the pacer."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from enum import Enum, auto
from typing import Final, Protocol, TypeVar

from orchestrator.clock import Clock
from orchestrator.logs import silent
from orchestrator.wiro import Client, NotSent, RateLimited, ReplyLost, WiroError
from orchestrator.wording import duration

T = TypeVar("T")
First = Callable[[], Awaitable[None]]
"""Done right before a request is written, when its turn has all but come."""


LONGEST_HOLD_SECONDS: Final = 300.0
"""How long no call is made at most because the service asks for that: then one tries whether it still does."""

TOLD_HOLD_SECONDS: Final = 10.0
"""A shorter hold is not worth telling."""

TOLD_SILENCE_SECONDS: Final = 15.0
"""How long no call brings a reply before that is told."""

NEWEST: Final = 0.1
"""How much the newest call counts for in what is averaged over the latest ones."""

IDLE_SECONDS: Final = 0.25
"""When nobody has waited for a turn for so long, the waits before count half as much."""


class Urgency(Enum):
    """Who comes first when calls are scarce."""

    LIKELY_DONE = auto()
    SUBMIT = auto()
    ROUTINE = auto()


class TurnLostError(Exception):
    """The call was not written in its turn: nothing was sent, ask again."""


class Pacing(Protocol):
    """What calls need of a pacer."""

    def turn(self, urgency: Urgency, first: First | None = None) -> AbstractAsyncContextManager[None]:
        """Wait to be let in; the block makes one call, and `first` is done right before its request is written."""

    def refused(self, retry_after_seconds: float | None) -> None:
        """The current call was answered that calls come too fast."""


class Calls:
    """The service, as steps call it.

    Attributes:
        silent_since: Monotonic seconds of the first call in a row that brought no reply; None after a reply.
        log: Where it is told that the service wants no calls for long, or answers none.
    """

    def __init__(self, client: Client, pacing: Pacing, clock: Clock) -> None:
        self._client = client
        self._pacing = pacing
        self._clock = clock
        self.silent_since: float | None = None
        self.log = silent()
        self._wait_seconds = 0.0
        self._waiting = 0
        self._idle_since = -math.inf
        self._held_until = -math.inf
        self._told_until = -math.inf
        self._told_silence: float | None = None

    @property
    def wait_seconds(self) -> float:
        """How long the latest calls waited for their turn, on average; less and less while calls stand idle."""
        if self._waiting or not self._wait_seconds:
            return self._wait_seconds
        return self._wait_seconds * math.exp2((self._idle_since - self._clock.monotonic()) / IDLE_SECONDS)

    async def make(
        self,
        urgency: Urgency,
        call: Callable[[Client], Awaitable[T]],
        *,
        first: First | None = None,
    ) -> T:
        """Make one call, never a second one.

        Args:
            urgency: Who waits for whom.
            call: Calls the client once.
            first: Done right before the request is written; what it raises is raised, and nothing is sent.

        Raises:
            WiroError: The call gave no result.
            TurnLostError: Nothing was sent.
        """
        asked_at, waits = self._asked(), True
        try:
            async with self._pacing.turn(urgency, first):
                self._has_waited(asked_at)
                waits = False
                try:
                    result = await call(self._client)
                except WiroError as error:
                    self._note(error)
                    raise
                self.silent_since = None
                return result
        finally:
            if waits:
                self._has_waited(asked_at)

    def silent_seconds(self) -> float:
        """Return for how long no call has brought a reply; 0 if the last one did."""
        return 0.0 if self.silent_since is None else self._clock.monotonic() - self.silent_since

    def _asked(self) -> float:
        """Somebody waits for a turn from now on, which is returned in monotonic seconds."""
        self._wait_seconds = self.wait_seconds
        self._waiting += 1
        return self._clock.monotonic()

    def _has_waited(self, asked_at: float) -> None:
        """Somebody waits no longer; what the service wants no calls for is not counted."""
        self._waiting -= 1
        self._idle_since = self._clock.monotonic()
        waited = max(0.0, self._idle_since - max(asked_at, self._held_until))
        self._wait_seconds += (waited - self._wait_seconds) * NEWEST

    def _note(self, error: WiroError) -> None:
        if isinstance(error, RateLimited):
            self._pacing.refused(error.retry_after_seconds)
            self._hold(error.retry_after_seconds or 0.0)
        if not isinstance(error, NotSent | ReplyLost):
            self.silent_since = None
        elif self.silent_since is None:
            self.silent_since = self._clock.monotonic()
        elif self.silent_since != self._told_silence and self.silent_seconds() >= TOLD_SILENCE_SECONDS:
            self._told_silence = self.silent_since
            self.log.warning("the service does not answer", why=str(error))

    def _hold(self, asked: float) -> None:
        now, held = self._clock.monotonic(), min(asked, LONGEST_HOLD_SECONDS)
        self._held_until = max(self._held_until, now + held)
        if held >= TOLD_HOLD_SECONDS and now >= self._told_until:
            self._told_until = now + held
            self.log.warning(
                "the service limits the rate: no calls for a while", asked=duration(asked), waiting=duration(held)
            )
