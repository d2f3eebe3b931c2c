"""The one writer: many steps ask at once, one transaction answers them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import anyio

from orchestrator.clock import Clock
from orchestrator.ledger.errors import ClaimedError, ConflictError
from orchestrator.ledger.naming import Fact
from orchestrator.ledger.sqlite import SqliteLedger
from orchestrator.ledger.totals import Entered, Totals
from orchestrator.lifecycle import Record, counted
from orchestrator.tasks import Task
from orchestrator.threads import Hop, in_thread
from orchestrator.waiting import Turn

T = TypeVar("T")
IDLE_SECONDS = 0.05
"""How long writes that nobody waits for may gather before they are committed."""

REST_SECONDS = 0.01
"""How long requests gather where several come at a time: a commit costs more than all that is written in it."""


class _Ticket(Generic[T]):
    """One request to the ledger and, once it is committed, its answer."""

    def __init__(self, work: Callable[[SqliteLedger], T], then: Callable[[T], None] | None, *, durable: bool) -> None:
        self.work = work
        self.then = then
        self.durable = durable
        self.done = Turn()
        self.value: T | None = None
        self.error: Exception | None = None


class Ledger:
    """The ledger as steps and engines use it.

    `run` has to be running somewhere that outlives those who write: a request that was made is
    carried out even if the one who made it is cancelled while waiting. A cancellation does not end
    `run`, `close` does: others may be saving what happened just because everything is being cancelled.

    Attributes:
        moves: How many moves this process has written down: as long as it stands still, so does every task.
    """

    def __init__(
        self, store: SqliteLedger, clock: Clock, hop: Hop = in_thread, *, totals: Totals | None = None
    ) -> None:
        """Take over a store; `totals` are its sums, which are added up here, and block, where they are not given."""
        self.store = store
        self.totals: Totals = totals or store.totals()
        self.moves = 0
        self._clock = clock
        self._hop = hop
        self._queue: list[_Ticket[Any]] = []
        self._counts: Counter[str] = Counter()
        self._asked = Turn()
        self._urgent = Turn()
        self._closing = Turn()

    async def run(self) -> None:
        """Write until `close` is called and nothing is left to write."""
        with anyio.CancelScope(shield=True):
            while not self._closing.is_set() or self._queue or self._counts:
                if not self._queue:
                    await self._idle()
                self._asked, self._urgent = Turn(), Turn()
                batch, self._queue = self._queue, []
                counts, self._counts = self._counts, Counter()
                if batch or counts:
                    await self._commit(batch, counts)
                if len(batch) > 1:
                    await self._clock.wait(self._closing, REST_SECONDS)

    def close(self) -> None:
        """Let `run` write what is left and return."""
        self._closing.set()
        self._asked.set()
        self._urgent.set()

    async def save(
        self, before: Record, after: Record, *, durable: bool, facts: Mapping[str, str | None] | None = None
    ) -> None:
        """Write down one move, what it counts and facts with it; returns when it is committed.

        With `durable` that is when it is on the disk. Whoever is cancelled meanwhile hears of it then: what it was told
        is written down in any case.

        Raises:
            ClaimedError: The remote task belongs to another of our tasks.
            LedgerError: It could not be written.
        """
        counts = counted(before, after)

        def work(store: SqliteLedger) -> bool:
            dropped = store.save(before, after)
            if facts:
                store.state(facts)
            if counts:
                store.count(counts)
            return dropped

        def follow(dropped: bool) -> None:
            self.moves += 1
            self.totals.apply(before, after, dropped=dropped)
            self._add(counts)

        await self._ask(work, follow, durable=durable, outlasting=True)

    async def enter(self, tasks: Sequence[Task], edition: int, rank: int) -> Entered:
        """Write down the next tasks of the job file, the first of which has `rank` in the order of submission."""

        def work(store: SqliteLedger) -> Entered:
            store.state({Fact.ENTERED: str(rank + len(tasks))})
            return store.enter(tasks, edition, rank)

        return await self._ask(work, self.totals.enter, durable=False)

    async def state(self, facts: Mapping[str, str | None], *, durable: bool = False) -> None:
        """Set facts; None removes one."""
        await self._ask(lambda store: store.state(facts), durable=durable)

    async def drop_all_but(self, edition: int) -> None:
        """Forget or retire the tasks that the job file no longer holds."""

        def work(store: SqliteLedger) -> Totals | None:
            return store.totals() if store.drop_all_but(edition) else None

        def follow(counted: Totals | None) -> None:
            if counted is not None:
                self.totals.recount(counted)

        await self._ask(work, follow, durable=False)

    def count(self, name: str, number: int = 1) -> None:
        """Add to a counter; committed with the next write, at the latest after `IDLE_SECONDS`."""
        self._counts[name] += number
        self._add({name: number})
        self._asked.set()

    async def read(self, work: Callable[[SqliteLedger], T]) -> T:
        """Read in order with the writes."""
        return await self._ask(work, durable=False)

    async def _ask(
        self,
        work: Callable[[SqliteLedger], T],
        then: Callable[[T], None] | None = None,
        *,
        durable: bool,
        outlasting: bool = False,
    ) -> T:
        ticket = _Ticket(work, then, durable=durable)
        self._queue.append(ticket)
        if len(self._queue) == 1:  # of those that wait for one commit the first one calls for it
            self._asked.set()
            self._urgent.set()
        try:
            await (ticket.done.outlast() if outlasting else ticket.done.wait())
        finally:
            if ticket.error is not None:
                raise ticket.error
        return ticket.value  # type: ignore[return-value]  # set together with `done`; None is a T then

    def _add(self, counts: Mapping[str, int]) -> None:
        counters = self.totals.counters
        for name, number in counts.items():
            counters[name] = counters.get(name, 0) + number

    async def _idle(self) -> None:
        if not self._counts and not self._closing.is_set():
            await self._asked.wait()
        if not self._queue and not self._closing.is_set():
            await self._clock.wait(self._urgent, IDLE_SECONDS)

    async def _commit(self, batch: list[_Ticket[Any]], counts: Counter[str]) -> None:
        def work() -> None:
            with self.store.transaction(durable=any(ticket.durable for ticket in batch)):
                for ticket in batch:
                    try:
                        ticket.value = ticket.work(self.store)
                    except (ClaimedError, ConflictError) as error:
                        ticket.error = error
                self.store.count(counts)

        try:
            await self._hop(work)
        except Exception as error:  # noqa: BLE001 - whoever waits has to hear of it, and raises it
            for ticket in batch:
                ticket.error = ticket.error or error
            if not self._closing.is_set():
                self._counts.update(counts)  # nobody waits for them: they go with the next commit
        for ticket in batch:
            if ticket.then is not None and ticket.error is None:
                ticket.then(ticket.value)
            ticket.done.set()
