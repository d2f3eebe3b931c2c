from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from orchestrator.clock import Clock, SystemClock, VirtualClock
from orchestrator.ledger import Fact, Ledger, SqliteLedger
from orchestrator.lifecycle import Ending, Output, Record
from orchestrator.output import keeper as module, manifest
from orchestrator.output.keeper import ManifestKeeper
from orchestrator.tasks import Task

pytestmark = pytest.mark.anyio
MODEL = "Hevok/Studio-Trigger"
PAID = Ending("task_postprocess_end", 0, Decimal("0.014"), 6.0, 30.0)


def task(number: int) -> Task:
    return Task(f"task-{number}", number, {"seed": str(number)}, {}, {}, "x")


def indexes(path: Path) -> list[int | None]:
    """Return the indexes of a manifest's lines, each of which has to be whole."""
    return [json.loads(line)["index"] for line in path.read_text().splitlines()]


@dataclass
class Run:
    """One process's work in a run folder."""

    path: Path
    ledger: Ledger
    keeper: ManifestKeeper

    async def finish(self, *numbers: int, told: bool = True) -> list[Record]:
        """Carry tasks to their end, and tell the keeper."""
        return [await self._finish(number, told=told) for number in numbers]

    async def _finish(self, number: int, *, told: bool) -> Record:
        output = Output(f"files/{number}-0.png", None, "image/png", 3, "0" * 64)
        record = Record(task(number))
        sent = record.intended(1.0, Decimal("0.02"), None)
        running = sent.accepted(str(number), "token", 2.0)
        made = running.succeeded(PAID)
        done = made.delivered((output,), (), 40.0 + number)
        for before, after in ((record, sent), (sent, running), (running, made), (made, done)):
            await self.ledger.save(before, after, durable=False)
        if told:
            self.keeper.finished(done)
        return done

    async def lines(self, number: int) -> None:
        """Wait until the manifest has this many lines."""
        while not self.path.exists() or self.path.read_bytes().count(b"\n") < number:
            await anyio.to_thread.run_sync(lambda: None)

    async def fact(self) -> str | None:
        return await self.ledger.read(lambda store: store.fact(Fact.MANIFEST))


@asynccontextmanager
async def process(folder: Path, *, killed: bool = False, clock: Clock | None = None) -> AsyncIterator[Run]:
    """Work in a run folder until the block ends, or until a kill: then nothing is put in order."""
    clock = clock or SystemClock()

    def opened() -> Ledger:
        fresh = not (folder / "ledger.sqlite").exists()
        store = SqliteLedger(folder / "ledger.sqlite")
        if fresh:
            with store.transaction(durable=False):
                store.enter([task(number) for number in range(6)], 1, 0)
        return Ledger(store, clock)

    ledger = await anyio.to_thread.run_sync(opened)
    path = folder / manifest.NAME
    keeper = ManifestKeeper(path, MODEL, ledger, clock)
    async with anyio.create_task_group() as writing:
        writing.start_soon(ledger.run)
        try:
            async with anyio.create_task_group() as keeping:
                keeping.start_soon(keeper.run)
                yield Run(path, ledger, keeper)
                if killed:
                    keeping.cancel_scope.cancel()
                keeper.close()
        finally:
            ledger.close()
    await anyio.to_thread.run_sync(ledger.store.close)


async def test_lines_appear_while_the_run_goes_on(tmp_path: Path) -> None:
    """What has ended stands in the manifest soon after, in the order in which it ended."""
    async with process(tmp_path) as run:
        await run.finish(4, 1)
        await run.lines(2)
        assert indexes(run.path) == [4, 1]
        assert await run.fact() is None


async def test_several_wait_for_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for the disk is told when its line is there, together with the others."""
    synced: list[list[int | None]] = []
    monkeypatch.setattr(manifest, "sync", lambda path: synced.append(indexes(path)))
    async with process(tmp_path) as run:
        await run.finish(4)
        await run.lines(1)
        assert synced == [], "nobody waits"
        await run.finish(1, 5)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(run.keeper.synced)
        assert synced == [[4, 1, 5]]


async def test_a_line_that_a_kill_swallowed_is_there_for_whoever_waits(tmp_path: Path) -> None:
    async with process(tmp_path, killed=True) as killed:
        await killed.finish(3, told=False)
    async with process(tmp_path) as run:
        await run.keeper.synced()
        assert indexes(run.path) == [3]


async def test_the_manifest_is_in_order_at_the_end(tmp_path: Path) -> None:
    """A clean end leaves the lines in the order of `index`, and the fact that says so."""
    async with process(tmp_path) as run:
        records = await run.finish(4, 1, 5, 0)
    assert run.path.read_text() == "".join(
        manifest.line(record, MODEL) for record in sorted(records, key=lambda record: record.task.index)
    )
    async with process(tmp_path) as again:
        assert await again.fact() is not None


async def test_lines_that_are_there_are_not_written_anew(tmp_path: Path) -> None:
    """At the end they only change their places."""
    async with process(tmp_path) as run:
        told = [replace(record, warnings=("told",)) for record in await run.finish(4, 1, told=False)]
        for record in told:
            run.keeper.finished(record)
    assert run.path.read_text() == "".join(manifest.line(record, MODEL) for record in reversed(told))


async def test_a_manifest_that_somebody_changed_meanwhile_is_written_anew(tmp_path: Path) -> None:
    async with process(tmp_path) as run:
        (record,) = await run.finish(1)
        await run.lines(1)
        run.path.write_text(run.path.read_text().replace("files/1-0.png", "files/2-0.png"))
        os.utime(run.path, (1, 1))  # not in the very moment of our own writing
    assert run.path.read_text() == manifest.line(record, MODEL)


async def test_a_manifest_in_order_is_left_alone(tmp_path: Path) -> None:
    """A run that ends nothing does not touch the file."""
    async with process(tmp_path) as run:
        await run.finish(2)
    before = run.path.stat()
    async with process(tmp_path):
        pass
    after = run.path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


async def test_a_run_without_results_has_an_empty_manifest(tmp_path: Path) -> None:
    """The file is there from the first run on."""
    async with process(tmp_path) as run:
        pass
    assert run.path.read_text() == ""


@pytest.mark.parametrize("torn", [1, 40, 700])
async def test_a_torn_manifest_is_mended_at_the_start(tmp_path: Path, torn: int) -> None:
    """What a kill tore off, be it part of a line or several lines, stands again before anything is added."""
    async with process(tmp_path, killed=True) as run:
        await run.finish(3, 1, 2)
        await run.lines(3)
    whole = run.path.read_bytes()
    run.path.write_bytes(whole[:-torn])
    async with process(tmp_path) as again:
        await again.lines(3)
        assert indexes(again.path) == [1, 2, 3]
        await again.finish(0)
        await again.lines(4)
        assert indexes(again.path) == [1, 2, 3, 0]
    assert indexes(again.path) == [0, 1, 2, 3]


@pytest.mark.parametrize("waits", [False, True])
async def test_where_much_is_to_be_mended_the_run_starts_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """Unless it waits for the manifest; and what ends meanwhile has its line once."""
    monkeypatch.setattr(module, "AT_ONCE", 1)
    async with process(tmp_path, killed=True) as killed:
        await killed.finish(3, 1, told=False)
    written: list[float] = []

    def rewrite(*of_what: Any) -> None:
        written.append(clock.monotonic())
        whole(*of_what)

    whole = manifest.rewrite
    monkeypatch.setattr(manifest, "rewrite", rewrite)
    clock = VirtualClock(0.0)
    async with anyio.create_task_group() as background:
        background.start_soon(clock.run)
        async with process(tmp_path, clock=clock) as run:
            if waits:
                await run.keeper.synced()
            await run.finish(2)
            await run.lines(3)
            assert indexes(run.path) == [1, 3, 2]
        background.cancel_scope.cancel()
    assert [at < module.FIRST_SECONDS for at in written] == [waits]


async def test_a_run_that_ends_before_it_was_mended_does_not_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 0)
    async with process(tmp_path, killed=True) as killed:
        await killed.finish(3, told=False)
    async with process(tmp_path, clock=VirtualClock()) as run:  # on which no time passes
        pass
    assert indexes(run.path) == [3]


async def test_a_line_that_a_kill_swallowed_is_written(tmp_path: Path) -> None:
    """A task whose end was saved, and nothing more before the kill, gets its line from the next run."""
    async with process(tmp_path) as run:
        await run.finish(1)
    async with process(tmp_path, killed=True) as killed:
        await killed.lines(1)
        await killed.finish(3, told=False)
    assert indexes(run.path) == [1]
    async with process(tmp_path) as again:
        await again.lines(2)
    assert indexes(run.path) == [1, 3]


async def test_a_manifest_that_was_damaged_at_the_same_size_is_mended(tmp_path: Path) -> None:
    """Not its size alone says that nobody else has written it."""
    async with process(tmp_path) as run:
        await run.finish(1, 0)
    whole = run.path.read_bytes()
    run.path.write_bytes(whole.replace(b"done", b"dumb"))
    later = run.path.stat().st_mtime_ns + 10**9  # a coarse clock of the file system hides nothing
    os.utime(run.path, ns=(later, later))
    async with process(tmp_path):
        pass
    assert run.path.read_bytes() == whole


async def test_a_manifest_that_was_removed_is_written_again(tmp_path: Path) -> None:
    """The ledger is the source of truth."""
    async with process(tmp_path) as run:
        await run.finish(1, 0)
    run.path.unlink()
    async with process(tmp_path):
        pass
    assert indexes(run.path) == [0, 1]


async def test_dropped_tasks_move_to_the_end(tmp_path: Path) -> None:
    """When the job file no longer holds a finished task, its line loses its index even if nothing else happens."""
    async with process(tmp_path) as run:
        await run.finish(0, 1, 2)
    async with process(tmp_path) as again:
        await again.ledger.enter([task(2), task(0)], 2, 0)
        await again.ledger.drop_all_but(2)
    assert indexes(run.path) == [0, 2, None]
