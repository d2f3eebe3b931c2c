"""Ask what a run cannot begin without, a few times, until the service answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from orchestrator.clock import Clock
from orchestrator.errors import StoppedError
from orchestrator.steps.calls import Calls, TurnLostError, Urgency
from orchestrator.steps.outcomes import Stop, Verdict, delays, judge
from orchestrator.wiro import Client, WiroError

T = TypeVar("T")
TRIES: Final = 4


async def insist(
    call: Callable[[Client], Awaitable[T]],
    calls: Calls,
    *,
    clock: Clock,
    random: Callable[[], float],
) -> T:
    """Make a call that changes nothing until it brings a result.

    Raises:
        StoppedError: The service cannot be reached, or refuses the credentials.
        WiroError: It answers that what was asked for is not there or not right.
    """
    waits = delays(random, first=1.0)
    tries = 0
    while True:
        try:
            return await calls.make(Urgency.SUBMIT, call)
        except (WiroError, TurnLostError) as error:
            outcome = judge(error, paying=False)
            refused = outcome.verdict in {Verdict.GONE, Verdict.GIVE_UP} or outcome.stop is Stop.MODEL
            if refused and isinstance(error, WiroError):
                raise
        if outcome.stop is not None:
            raise StoppedError(outcome.message)
        tries += outcome.verdict is Verdict.AGAIN
        if tries == TRIES:
            hint = "Check WIRO_BASE_URL and the network, then run the same command again."
            raise StoppedError(f"{outcome.message.removesuffix('.')}. {hint}")
        if outcome.verdict is Verdict.AGAIN:
            await clock.sleep(next(waits))
