from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from child import child

from orchestrator.clock import SystemClock, VirtualClock
from orchestrator.ledger import ClaimedError, ConflictError, Ledger, LedgerError, SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.money import to_pico
from orchestrator.steps.saving import shielded
from orchestrator.tasks import Task
from orchestrator.threads import in_thread

pytestmark = pytest.mark.anyio
RESERVE = Decimal("0.02")


def task(number: int) -> Task:
    return Task(f"task-{number:05}", number, {"seed": str(number)}, {}, {}, "x")


def intended(number: int) -> tuple[Record, Record]:
    record = Record(task(number))
    return record, record.intended(10.0, RESERVE, None)


class Gate:
    """A way to the thread that can be closed: what is asked for meanwhile has to gather."""

    def __init__(self) -> None:
        self.open = anyio.Event()
        self.open.set()
        self.passed = 0

    async def __call__(self, work: Callable[[], Any]) -> Any:
        await self.open.wait()
        self.passed += 1
        return await in_thread(work)

    def close(self) -> None:
        self.open = anyio.Event()


class Bench:
    """A ledger at work, and all that SQLite was told."""

    def __init__(self, store: SqliteLedger) -> None:
        self.store = store
        self.gate = Gate()
        self.ledger = Ledger(store, SystemClock(), self.gate)
        self.told: list[str] = []
        store._db.set_trace_callback(self.told.append)

    @property
    def commits(self) -> int:
        return self.told.count("COMMIT")

    async def on_disk(self) -> dict[str, State]:
        """Return what another process would read."""

        def read() -> dict[str, State]:
            with SqliteLedger(self.store.path, read_only=True) as reader:
                return {record.task.id: record.state for record in reader.everything()}

        return await in_thread(read)


@asynccontextmanager
async def at_work(folder: Path, tasks: int = 0) -> AsyncIterator[Bench]:
    def opened() -> Bench:
        return Bench(SqliteLedger(folder / "ledger.sqlite"))

    bench = await in_thread(opened)
    async with anyio.create_task_group() as group:
        group.start_soon(bench.ledger.run)
        try:
            if tasks:
                await bench.ledger.enter([task(number) for number in range(tasks)], 1, 0)
            bench.told.clear()
            yield bench
        finally:
            bench.gate.open.set()
            bench.ledger.close()
    await in_thread(bench.store.close)


async def test_writes_that_come_together_share_a_commit(tmp_path: Path) -> None:
    """A hundred tasks that ask at once are answered by one transaction."""
    async with at_work(tmp_path, 100) as bench, anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(lambda pair: bench.ledger.save(*pair, durable=False), intended(number))
    assert bench.commits == 1
    assert bench.ledger.totals.counts[State.SUBMITTING] == 100


async def test_what_comes_during_a_commit_shares_the_next_one(tmp_path: Path) -> None:
    """However many ask while the disk is busy, they wait for one more transaction only."""
    async with at_work(tmp_path, 60) as bench, anyio.create_task_group() as group:
        bench.gate.close()
        for number in range(60):
            group.start_soon(lambda pair: bench.ledger.save(*pair, durable=True), intended(number))
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
        bench.gate.open.set()
    assert bench.commits == 2


async def test_one_durable_write_makes_the_whole_commit_durable(tmp_path: Path) -> None:
    """A commit that anybody needs on the disk waits for the disk; others do not."""
    held: list[int] = []

    async def look(ledger: Ledger) -> None:
        held.append(await ledger.read(lambda store: store._db.execute("PRAGMA synchronous").fetchone()[0]))

    async with at_work(tmp_path, 1) as bench:
        await look(bench.ledger)
        async with anyio.create_task_group() as group:
            group.start_soon(look, bench.ledger)
            group.start_soon(lambda pair: bench.ledger.save(*pair, durable=True), intended(0))
        assert bench.commits == 2
        await look(bench.ledger)
    assert held == [1, 2, 1]


async def test_a_save_returns_when_it_is_committed(tmp_path: Path) -> None:
    """Once `save` is back another process reads the move, and the totals have followed."""
    async with at_work(tmp_path, 1) as bench:
        await bench.ledger.save(*intended(0), durable=False)
        assert await bench.on_disk() == {"task-00000": State.SUBMITTING}
        assert bench.ledger.totals.reserved_usd == RESERVE


async def test_reads_and_writes_keep_their_order(tmp_path: Path) -> None:
    """A read sees what was asked for before it, and nothing that was asked for after it."""
    seen: list[str | None] = []
    async with at_work(tmp_path) as bench:

        async def read() -> None:
            seen.append(await bench.ledger.read(lambda store: store.fact("model")))

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            group.start_soon(bench.ledger.state, {"model": "a/b"})
            group.start_soon(read)
            group.start_soon(bench.ledger.state, {"model": None})
            group.start_soon(read)
        assert bench.commits == 1
    assert seen == [None, "a/b", None]


async def test_one_refused_save_does_not_hurt_the_others(tmp_path: Path) -> None:
    """Who claims another's remote task or follows from nothing hears of it; all others are written."""
    async with at_work(tmp_path, 4) as bench:
        records = []
        for number in range(3):
            before, after = intended(number)
            await bench.ledger.save(before, after, durable=False)
            records.append(after)
        await bench.ledger.save(records[0], records[0].accepted("2221", None, 11.0), durable=False)
        errors: list[Exception] = []

        async def save(before: Record, after: Record) -> None:
            try:
                await bench.ledger.save(before, after, durable=False)
            except (ClaimedError, ConflictError) as error:
                errors.append(error)

        bench.told.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(save, records[1], records[1].accepted("2221", None, 11.0))
            group.start_soon(save, records[2], records[2].accepted("2223", None, 11.0))
            group.start_soon(save, *intended(0))
        assert bench.commits == 1
        assert [type(error) for error in errors] == [ClaimedError, ConflictError]
        assert bench.ledger.totals.counts[State.RUNNING] == 2
        assert bench.ledger.totals.counts[State.SUBMITTING] == 1


async def test_a_cancelled_waiter_s_write_is_carried_out(tmp_path: Path) -> None:
    """Who is cancelled while waiting does not take the request back, and goes on only when it is written."""
    async with at_work(tmp_path, 1) as bench:
        bench.gate.close()
        async with anyio.create_task_group() as group:
            group.start_soon(lambda pair: bench.ledger.save(*pair, durable=True), intended(0))
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
                bench.gate.open.set()
        assert await bench.on_disk() == {"task-00000": State.SUBMITTING}
        assert bench.ledger.totals.counts[State.SUBMITTING] == 1


async def test_one_who_is_cancelled_hears_first_of_what_could_not_be_written(tmp_path: Path) -> None:
    """A save that failed has to be known to have failed, whatever else goes on."""
    async with at_work(tmp_path, 1) as bench:
        bench.gate.close()
        errors: list[Exception] = []

        async def save() -> None:
            _, after = intended(0)
            try:
                await bench.ledger.save(after, after.given_up(12.0), durable=True)  # it is still pending
            except ConflictError as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(save)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
                bench.gate.open.set()
        assert [type(error) for error in errors] == [ConflictError]


async def test_a_cancelled_reader_does_not_wait(tmp_path: Path) -> None:
    async with at_work(tmp_path, 1) as bench:
        bench.gate.close()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(bench.ledger.read, lambda _: None)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        assert not bench.gate.open.is_set()
        bench.gate.open.set()


async def test_it_writes_while_everything_is_being_cancelled(tmp_path: Path) -> None:
    """When all is cancelled at once, what the cancelled ones still save is written before the writer ends."""
    with anyio.CancelScope() as scope:
        async with at_work(tmp_path, 2) as bench, anyio.create_task_group() as group:

            async def submit(number: int) -> None:
                try:
                    await anyio.sleep_forever()
                finally:
                    for _ in range(number):  # some turns after the cancellation has been through
                        with anyio.CancelScope(shield=True):
                            await anyio.lowlevel.checkpoint()
                    await bench.ledger.save(*intended(number), durable=True)

            group.start_soon(submit, 0)
            group.start_soon(submit, 1)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    assert set((await bench.on_disk()).values()) == {State.SUBMITTING}


async def test_closing_writes_what_is_left(tmp_path: Path) -> None:
    """After `close` everything that was asked for is written, counters too, and `run` returns."""
    async with at_work(tmp_path, 50) as bench:
        bench.gate.close()
        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(lambda pair: bench.ledger.save(*pair, durable=False), intended(number))
            await anyio.wait_all_tasks_blocked()
            bench.ledger.count("calls Run", 50)
            bench.ledger.close()
            bench.gate.open.set()
    assert set((await bench.on_disk()).values()) == {State.SUBMITTING}

    def counters() -> dict[str, int]:
        with SqliteLedger(tmp_path / "ledger.sqlite", read_only=True) as reader:
            return reader.totals().counters

    assert await in_thread(counters) == {"calls Run": 50}


async def test_a_move_and_what_it_counts_are_one_commit(tmp_path: Path) -> None:
    """A kill right after what was in doubt is settled takes no counter with it."""
    async with at_work(tmp_path, 1) as bench:
        before, sent = intended(0)
        doubt = sent.given_up(12.0)
        moves = (before, sent, doubt, doubt.accepted("2221", None, 13.0))
        for one, next_one in itertools.pairwise(moves):
            await bench.ledger.save(one, next_one, durable=True)
        assert bench.commits == 3

        def counters() -> dict[str, int]:
            with SqliteLedger(tmp_path / "ledger.sqlite", read_only=True) as reader:
                return reader.totals().counters

        assert await in_thread(counters) == bench.ledger.totals.counters
        assert bench.ledger.totals.counters == {"uncertain": 1, "adopted": 1, "saved": to_pico(RESERVE)}


async def test_counts_that_find_no_room_go_with_the_next_commit(tmp_path: Path) -> None:
    """Nobody waits for them who could be told, and what is counted has happened."""
    async with at_work(tmp_path) as bench:
        failed = anyio.Event()

        async def full(_: Callable[[], Any]) -> Any:
            failed.set()
            raise LedgerError(tmp_path / "ledger.sqlite", "database or disk is full")

        bench.ledger._hop = full
        bench.ledger.count("calls Run", 3)
        with anyio.fail_after(5):
            await failed.wait()
        bench.ledger._hop = bench.gate
        assert (await bench.ledger.read(SqliteLedger.totals)).counters in ({}, {"calls Run": 3})
        assert (await bench.ledger.read(SqliteLedger.totals)).counters == {"calls Run": 3}


async def test_counts_need_nobody_to_wait(tmp_path: Path) -> None:
    """Counters are told at once, gathered for a moment and written with nobody asking."""
    clock, told = VirtualClock(), list[str]()

    def opened() -> Ledger:
        store = SqliteLedger(tmp_path / "ledger.sqlite")
        store._db.set_trace_callback(told.append)
        return Ledger(store, clock)

    ledger = await in_thread(opened)
    async with anyio.create_task_group() as group:
        group.start_soon(ledger.run)
        for _ in range(3):
            ledger.count("calls Task/Detail", 2)
        assert ledger.totals.counters == {"calls Task/Detail": 6}
        await anyio.wait_all_tasks_blocked()
        assert "COMMIT" not in told
        group.start_soon(clock.run)
        while "COMMIT" not in told:
            await in_thread(lambda: None)
        assert (await ledger.read(SqliteLedger.totals)).counters == {"calls Task/Detail": 6}
        ledger.close()
        group.cancel_scope.cancel()
    await in_thread(ledger.store.close)


async def test_what_comes_thick_and_fast_is_gathered(tmp_path: Path) -> None:
    """After a commit of several requests the next ones wait for each other; one by itself waits for nobody."""
    clock, told = VirtualClock(), list[str]()

    def opened() -> Ledger:
        store = SqliteLedger(tmp_path / "ledger.sqlite")
        store._db.set_trace_callback(told.append)
        return Ledger(store, clock)

    ledger = await in_thread(opened)

    async def ask(*, times: int) -> None:
        async with anyio.create_task_group() as asking:
            for _ in range(times):
                asking.start_soon(ledger.read, SqliteLedger.facts)

    async with anyio.create_task_group() as group:
        group.start_soon(ledger.run)
        for _ in range(3):
            await ask(times=1)
        assert told.count("COMMIT") == 3
        await ask(times=2)
        assert told.count("COMMIT") == 4
        async with anyio.create_task_group() as later:
            for _ in range(3):
                later.start_soon(lambda: ask(times=1))
                await anyio.wait_all_tasks_blocked()
            assert told.count("COMMIT") == 4
            group.start_soon(clock.run)
        assert told.count("COMMIT") == 5
        ledger.close()
        group.cancel_scope.cancel()
    await in_thread(ledger.store.close)


async def test_a_full_disk_is_told_to_all_who_wait(tmp_path: Path) -> None:
    """Everybody in a commit that fails gets the error, nothing of it counts, and nobody hangs."""
    heard: list[LedgerError] = []
    async with at_work(tmp_path, 10) as bench:

        async def save(number: int) -> None:
            try:
                await bench.ledger.save(*intended(number), durable=True)
            except LedgerError as error:
                heard.append(error)

        async def fill() -> None:
            try:
                await bench.ledger.enter([task(number) for number in range(10, 500)], 1, 10)
            except LedgerError as error:
                heard.append(error)

        await bench.ledger.read(lambda store: store._db.execute("PRAGMA max_page_count = 1").fetchone())
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                for number in range(10):
                    group.start_soon(save, number)
                group.start_soon(fill)
        assert len(heard) == 11
        assert bench.ledger.totals.counts == dict.fromkeys(State, 0) | {State.PENDING: 10}
        assert set((await bench.on_disk()).values()) == {State.PENDING}
        await bench.ledger.read(lambda store: store._db.execute("PRAGMA max_page_count = 100000").fetchone())
        await save(0)
        assert len(heard) == 11
        assert (await bench.on_disk())["task-00000"] is State.SUBMITTING


async def test_a_bug_in_a_read_is_raised_where_it_was_asked(tmp_path: Path) -> None:
    """A request that raises something else ends neither the writer nor the hope of those who wait."""
    async with at_work(tmp_path, 1) as bench:
        with anyio.fail_after(5):
            with pytest.raises(LookupError):
                await shielded(bench.ledger.read(lambda store: store.facts()["missing"]))
            await bench.ledger.save(*intended(0), durable=True)
        assert await bench.on_disk() == {"task-00000": State.SUBMITTING}


WRITER = """
import sys
from decimal import Decimal
from pathlib import Path

import anyio

from orchestrator.clock import SystemClock
from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.lifecycle import Record
from orchestrator.tasks import Task

async def main():
    store = SqliteLedger(Path(sys.argv[1]))
    ledger = Ledger(store, SystemClock())

    async def work(first):
        for number in range(first, 1_000_000, 20):
            task = Task(f"task-{number:06}", number, {"seed": "1"}, {}, {}, "x")
            await ledger.enter([task], 1, number)
            record = Record(task).intended(1.0, Decimal("0.02"), None)
            await ledger.save(Record(task), record, durable=True)
            await ledger.save(record, record.accepted(str(number), "token", 2.0), durable=True)
            print(task.id, flush=True)

    async with anyio.create_task_group() as group:
        group.start_soon(ledger.run)
        for first in range(20):
            group.start_soon(work, first)

anyio.run(main)
"""


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """After `kill -9` in the middle of writing, the ledger is whole and holds every save that had returned."""
    path = tmp_path / "ledger.sqlite"
    script = textwrap.dedent(WRITER)
    with child([sys.executable, "-c", script, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(200)]
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    assert process.returncode == -signal.SIGKILL
    with SqliteLedger(path) as store:
        states = {record.task.id: record.state for record in store.everything()}
        totals = store.totals()
    assert {states[identity] for identity in acknowledged} == {State.RUNNING}
    assert totals.reserved_usd == RESERVE * (totals.counts[State.RUNNING] + totals.counts[State.SUBMITTING])
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
