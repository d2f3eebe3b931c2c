"""Pending tasks come in the order of the grid, each once, and no more of the grid is read than is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count, islice
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from orchestrator.clock import SystemClock
from orchestrator.engines.feed import FIRST_CHUNK, Feed
from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.lifecycle import Failure
from orchestrator.money import FREE
from orchestrator.tasks import Task

pytestmark = pytest.mark.anyio


def task(number: int) -> Task:
    return Task(f"task-{number:06}", number, {"seed": str(number)}, {}, {}, "x")


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Ledger]:
    store = await anyio.to_thread.run_sync(SqliteLedger, folder / "ledger.sqlite")
    ledger = await anyio.to_thread.run_sync(Ledger, store, SystemClock())
    async with anyio.create_task_group() as group:
        group.start_soon(ledger.run)
        try:
            yield ledger
        finally:
            ledger.close()
    await anyio.to_thread.run_sync(store.close)


async def drain(feed: Feed) -> list[int]:
    numbers = []
    while (record := await feed.next()) is not None:
        numbers.append(record.task.index)
    return numbers


async def test_every_task_once_in_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        feed = Feed(lambda start: map(task, range(start, 700)), 0, 1, ledger)
        assert await drain(feed) == list(range(700))
        assert feed.exhausted


async def test_an_endless_grid_is_read_no_further_than_needed(tmp_path: Path) -> None:
    read = 0

    def endless(start: int) -> Iterator[Task]:
        nonlocal read
        for number in count(start):
            read += 1
            yield task(number)

    async with opened(tmp_path) as ledger:
        feed = Feed(endless, 0, 1, ledger)
        first = await feed.next()
        assert first is not None
        assert first.task.index == 0
    assert read == FIRST_CHUNK


async def test_a_later_process_goes_on_where_the_ledger_stands(tmp_path: Path) -> None:
    """What was entered is not expanded again, what is done or failed is not given again."""
    async with opened(tmp_path) as ledger:
        feed = Feed(lambda start: map(task, range(start, 200)), 0, 1, ledger)
        first, second = [await feed.next() for _ in range(2)]
        assert first is not None
        assert second is not None
        intended = first.intended(1.0, FREE, None)
        await ledger.save(first, intended, durable=False)
        await ledger.save(second, other := second.intended(1.0, FREE, None), durable=False)
        await ledger.save(other, other.rejected(Failure("invalid", "no"), 2.0), durable=False)
        entered = int(await ledger.read(lambda store: store.fact("entered")) or 0)
    assert entered == FIRST_CHUNK
    starts = []

    def tasks(start: int) -> Iterator[Task]:
        starts.append(start)
        return map(task, range(start, 200))

    async with opened(tmp_path) as ledger:
        assert await drain(Feed(tasks, entered, 1, ledger)) == list(range(2, 200))
    assert starts == [FIRST_CHUNK]


async def test_another_edition_adds_keeps_and_drops(tmp_path: Path) -> None:
    """New tasks are given, ended ones are not; what is gone from the file is kept only if it had been sent."""
    async with opened(tmp_path) as ledger:
        feed = Feed(lambda start: map(task, range(start, 10)), 0, 1, ledger)
        records = [record for _ in range(10) if (record := await feed.next())]
        for record in records[:2]:
            intended = record.intended(1.0, FREE, None)
            await ledger.save(record, intended, durable=False)
            await ledger.save(intended, intended.rejected(Failure("invalid", "no"), 2.0), durable=False)
    wanted = [1, 5, 20, 6]
    async with opened(tmp_path) as ledger:
        feed = Feed(lambda start: islice(map(task, wanted), start, None), 0, 2, ledger)
        assert await drain(feed) == [5, 20, 6]
        kept = await ledger.read(lambda store: {record.task.id: record.dropped for record in store.everything()})
        assert kept == {task(number).id: number == 0 for number in (0, 1, 5, 6, 20)}
