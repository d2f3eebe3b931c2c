"""Getting a task accepted: money first, then a place, then the request, as often as it is certainly free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Final

from orchestrator.clock import Clock
from orchestrator.engines.budget import UNKNOWN, Budget
from orchestrator.engines.control import Control
from orchestrator.engines.doubts import Doubts
from orchestrator.engines.lobby import Lobby
from orchestrator.engines.slots import Slots
from orchestrator.ledger import Ledger
from orchestrator.lifecycle import FINAL, Failure, Record, State
from orchestrator.steps.calls import Calls
from orchestrator.steps.outcomes import SILENCE_SECONDS, Outcome, Stop, Verdict, delays
from orchestrator.steps.submit import Frontier, submit
from orchestrator.steps.upload import Uploader
from orchestrator.tasks import Parameters

NO_ROOM: Final = "The budget does not hold another task. Raise it to go on."
NO_PRICE: Final = (
    "The service states no price for the next task, so the budget cannot be kept."
    " Set limits.price_usd to what a task costs at most."
)
IN_VAIN: Final = "It was sent {} times, and the service does not show that it accepted it. The last time: {}"
FAULTS: Final = 8
"""How often in a row the service may fail over one request before its task is given up."""

SENDINGS: Final = 20
"""How often one task may be sent in all without being accepted, doubts among them: a service that answers so for good
must not be asked for good. Each run of the program counts anew."""


@dataclass(slots=True)
class Submitter:
    """Submits pending tasks, many at a time.

    Attributes:
        model: `owner/model`.
        reserve_usd: What to keep aside for a task's parameters, given the highest cost seen so far.
        lobby: Where tasks wait for their turn.
        sent_along: Gives by a task's id what is sent along with it, see `Listener.sent_along`.
    """

    model: str
    reserve_usd: Callable[[Parameters, Decimal], Decimal]
    budget: Budget
    slots: Slots
    doubts: Doubts
    uploader: Uploader
    sent_along: Callable[[str], Parameters]
    frontier: Frontier
    control: Control
    calls: Calls
    ledger: Ledger
    clock: Clock
    random: Callable[[], float]
    lobby: Lobby = field(default_factory=Lobby)
    _in_vain: dict[str, int] = field(default_factory=dict)
    _last_words: str = ""

    async def submit(self, record: Record) -> Record:
        """Submit a pending task.

        Returns:
            The record: running, failed, or submitting and in doubt; still pending where the run is closed.
        """
        if self._in_vain.get(record.task.id, 0) >= SENDINGS:
            return await self._failed(record, Failure("service", IN_VAIN.format(SENDINGS, self._last_words)))
        waits = delays(self.random)
        if record.failure is not None and not await self._pause(next(waits)):
            return record
        faults = 0
        while not self.control.closed:
            after, outcome = await self._once(record, last=faults == FAULTS - 1)
            self._counted(record.task.id, outcome)
            if outcome is None or after.state is not State.PENDING:
                return after
            record = after
            faults = faults + 1 if outcome.verdict is Verdict.AGAIN and outcome.sent else 0
            if outcome.stop is not None:
                self.control.close(outcome.stop, outcome.message)
            if self.calls.silent_seconds() > SILENCE_SECONDS:
                self.control.leave(Stop.SERVICE, f"The service has not answered for 10 minutes. {outcome.message}")
            if not await self._back(record):
                break
            if outcome.verdict is Verdict.AGAIN and not await self._pause(next(waits)):
                break
        return record

    async def _once(self, record: Record, *, last: bool) -> tuple[Record, Outcome | None]:
        reserve = self.reserve_usd(record.task.parameters, self.ledger.totals.dearest_usd)
        if not await self._money(reserve):
            return record, None
        try:
            if not await self._place():
                return record, None
            parameters = await self.uploader.ready(record.task.parameters)
            if isinstance(parameters, Outcome):
                self.slots.release()
                return await self._unready(record, parameters)
            with self.doubts.posting(record), self.slots.sending() as usable:
                after, outcome = await submit(
                    record,
                    model=self.model,
                    parameters={**parameters, **self.sent_along(record.task.id)},
                    reserve_usd=reserve,
                    last=last,
                    wanted=partial(self._leaves, record, usable),
                    frontier=self.frontier,
                    calls=self.calls,
                    ledger=self.ledger,
                    clock=self.clock,
                )
        finally:
            self.budget.held_usd -= reserve
            self.control.changed.notify()
        if outcome is None:
            self.slots.accepted()
            self.lobby.answered(well=True)
        elif outcome.full:
            self.slots.refused(outcome.places)
        elif after.state is State.PENDING or after.state in FINAL:
            self.slots.release()
        return after, outcome

    def _counted(self, task: str, outcome: Outcome | None) -> None:
        """Count a request of a task that was not accepted as far as is known; to be told to wait is no such."""
        if outcome is None:
            self._in_vain.pop(task, None)
        elif outcome.sent and outcome.verdict in {Verdict.AGAIN, Verdict.SETTLE}:
            self._in_vain[task] = self._in_vain.get(task, 0) + 1
            self._last_words = outcome.message
            if outcome.verdict is Verdict.SETTLE:
                self.lobby.answered(well=False)

    async def _unready(self, record: Record, outcome: Outcome) -> tuple[Record, Outcome]:
        """A file of the task could not be uploaded: where that cannot pass, the task fails."""
        if outcome.verdict is not Verdict.GIVE_UP:
            return record, outcome
        return await self._failed(record, outcome.failure), outcome

    async def _failed(self, record: Record, failure: Failure) -> Record:
        after = record.unready(failure, self.clock.now())
        await self.ledger.save(record, after, durable=True)
        return after

    async def _money(self, reserve: Decimal) -> bool:
        """Wait until the budget has room; close the run where nothing under way could make any."""
        while not self.budget.fits(reserve, self.ledger.totals):
            if not self.budget.held_usd and not self.slots.active:
                self.control.close(Stop.BUDGET, NO_PRICE if reserve == UNKNOWN else NO_ROOM)
            with self.control.until_closed():
                await self.control.changed.wait()
            if self.control.closed:
                return False
        self.budget.held_usd += reserve
        return True

    async def _place(self) -> bool:
        if self.slots.acquire_now():
            return True
        with self.control.until_closed() as wait:
            await self.slots.acquire()
        return not wait.cancelled_caught

    def _leaves(self, record: Record, usable: Callable[[], bool]) -> bool:
        """Return whether a task whose turn has come is still to be sent; others may wait in its stead then."""
        if self.control.closed or not usable():
            return False
        self.lobby.sent(record.task.id)
        return True

    async def _back(self, record: Record) -> bool:
        with self.control.until_closed() as wait:
            await self.lobby.back(record.task.id)
        return not wait.cancelled_caught

    async def _pause(self, seconds: float) -> bool:
        with self.control.until_closed() as wait:
            await self.clock.sleep(seconds)
        return not wait.cancelled_caught
