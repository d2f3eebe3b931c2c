"""Sums in memory, sums read from the disk and sums added up one by one from the history are the same."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Final

import anyio
from hypothesis import example, given, settings, strategies as st

from orchestrator.clock import SystemClock
from orchestrator.ledger import Ledger, SqliteLedger, Totals
from orchestrator.lifecycle import TABLE, Attempt, Ending, Event, Failure, Output, Record, State
from orchestrator.money import FREE
from orchestrator.tasks import Task

TASKS = 5
FAILURE = Failure("model", "out of memory")
OUTPUT = Output("files/x-0.png", None, "image/png", 3, "0" * 64)

cents = st.integers(min_value=0, max_value=10**13).map(lambda pico: Decimal(pico) / 10**12)
moves = st.tuples(
    st.integers(min_value=0, max_value=TASKS - 1), st.integers(min_value=0, max_value=11), cents, st.none() | cents
)
editions = st.sets(st.integers(min_value=0, max_value=TASKS - 1))
histories = st.lists(moves | editions, max_size=30)

Move = tuple[int, int, Decimal, Decimal | None]


def task(number: int) -> Task:
    return Task(f"task-{number}", number, {"seed": str(number)}, {}, {}, "x")


def legal(state: State) -> list[Event]:
    return [event for (held, event) in TABLE if held is state]


def after(record: Record, event: Event, reserve: Decimal, cost: Decimal | None, remote_id: str) -> Record:
    ending = Ending("task_postprocess_end", 0, cost, 6.0, 30.0)
    return {
        Event.UNREADY: lambda: record.unready(FAILURE, 9.0),
        Event.INTENDED: lambda: record.intended(10.0, reserve, 7),
        Event.ACCEPTED: lambda: record.accepted(remote_id, "token", 11.0),
        Event.NOT_ACCEPTED: record.not_accepted,
        Event.REJECTED: lambda: record.rejected(FAILURE, 12.0),
        Event.SUCCEEDED: lambda: record.succeeded(ending),
        Event.FELL_THROUGH: lambda: record.fell_through(ending, FAILURE),
        Event.FAILED: lambda: record.failed(FAILURE, 40.0, ending if cost else None),
        Event.CANCELLED: lambda: record.cancelled(ending),
        Event.DELIVERED: lambda: record.delivered((OUTPUT,), (), 50.0),
        Event.UNDELIVERED: lambda: record.undelivered(FAILURE, 50.0),
        Event.RETRIED: record.retried,
        Event.REFETCHED: record.refetched,
    }[event]()


class Book:
    """The same history kept in the plainest way: every attempt of every task in a list."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.attempts: dict[tuple[str, int], Attempt] = {}
        self.dropped: set[str] = set()
        self.counters: dict[str, int] = {}

    def edit(self, kept: set[str]) -> None:
        for name in kept:
            self.records.setdefault(name, Record(task(int(name[-1]))))
        for name in set(self.records) - kept:
            if self.records[name].state is State.PENDING and not self.records[name].tries:
                del self.records[name]
        self.dropped = set(self.records) - kept

    def move(self, name: str, record: Record) -> None:
        before = self.records[name].attempt
        if self.records[name].state is State.SUBMITTING and before is not None:
            if not before.uncertain and record.state is State.SUBMITTING:
                self.count("uncertain", 1)
            if before.uncertain and record.state is State.RUNNING:
                self.count("adopted", 1)
                self.count("saved", int(before.reserved_usd * 10**12))
            if before.uncertain and record.state is State.PENDING:
                self.count("resubmitted", 1)
        if record.attempt is not None:
            self.attempts[name, record.attempt.number] = record.attempt
        elif before is not None:
            del self.attempts[name, before.number]
        self.records[name] = record

    def count(self, name: str, number: int) -> None:
        self.counters[name] = self.counters.get(name, 0) + number

    def totals(self) -> Totals:
        sent = self.attempts.values()
        costs = [attempt.cost_usd for attempt in sent if attempt.cost_usd is not None]
        counts = Counter(record.state for record in self.records.values())
        dropped = Counter(self.records[name].state for name in self.dropped)
        return Totals(
            counts={state: counts[state] for state in State},
            dropped={state: dropped[state] for state in State},
            spent_usd=sum(costs, FREE),
            reserved_usd=sum((attempt.reserved_usd for attempt in sent if attempt.cost_usd is None), FREE),
            dearest_usd=max(costs, default=FREE),
            counters=dict(self.counters),
            attempts=sum(attempt.remote_id is not None for attempt in sent),
            in_doubt=sum(record.attempt is not None and record.attempt.uncertain for record in self.records.values()),
        )


async def play(history: list[Move | set[int]], ledger: Ledger, book: Book) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(ledger.run)
        try:
            await ledger.enter([task(number) for number in range(TASKS)], 1, 0)
            book.edit({task(number).id for number in range(TASKS)})
            for number, step in enumerate(history):
                await follow(step, number, ledger, book)
                assert ledger.totals == book.totals()
        finally:
            ledger.close()


async def follow(step: Move | set[int], number: int, ledger: Ledger, book: Book) -> None:
    """Edit the job file, or move a task, if it is there, along one of the ways that are open to it."""
    if isinstance(step, set):
        await ledger.enter([task(each) for each in sorted(step)], number + 2, 0)
        await ledger.drop_all_but(number + 2)
        book.edit({task(each).id for each in step})
    elif (record := book.records.get(f"task-{step[0]}")) is not None:
        ways = legal(record.state)
        if record.state is State.SUBMITTING and step[1] % 4 == 3:
            moved = record.given_up(20.0)
        else:
            moved = after(record, ways[step[1] % len(ways)], step[2], step[3], str(number))
        await ledger.save(record, moved, durable=False)
        book.move(record.task.id, moved)


DOUBTED: Final[list[Move | set[int]]] = [(0, 0, FREE, None), (0, 3, FREE, None), (0, 0, FREE, None)]
"""A task that was sent, given up, and goes on from there."""


@settings(max_examples=60)
@given(histories)
@example(DOUBTED)
def test_totals_equal_a_recount(history: list[Move | set[int]]) -> None:
    """After any history of legal moves and edited job files, all three ways to count agree to the last trillionth."""
    book = Book()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        with SqliteLedger(path) as store:
            anyio.run(play, history, Ledger(store, SystemClock()), book)
        with SqliteLedger(path, read_only=True) as store:
            assert store.totals() == book.totals()
            held = {record.task.id: record for record in store.everything()}
    assert held.keys() == book.records.keys()
    for name, record in book.records.items():
        dropped = name in book.dropped
        place = -1 if dropped else record.task.index
        expected = replace(record, dropped=dropped, task=replace(record.task, index=place))
        if record.attempt is None:  # the ledger still knows an earlier attempt
            expected = replace(expected, attempt=held[name].attempt)
        assert held[name] == expected
