"""The page while a run goes on, in virtual time, over a real ledger and real files."""

from __future__ import annotations

import hashlib
import io
import itertools
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from blockbuster import BlockBuster
from PIL import Image

from orchestrator import logs
from orchestrator.clock import VirtualClock
from orchestrator.commands.status import read_status
from orchestrator.ledger import Fact, Ledger, SqliteLedger
from orchestrator.lifecycle import Ending, Output, Record, State
from orchestrator.output.gallery import PageKeeper, Place, build, keeper as module, thumbnails
from orchestrator.output.gallery.writer import MOST_ACTIVE
from orchestrator.runs import RunFolder
from orchestrator.threads import Hop, in_thread

pytestmark = pytest.mark.anyio
T = TypeVar("T")
MakeRun = Callable[..., RunFolder]
TASKS = 6
JOB = {"parameters": {"prompt": "x", "samples": 1}, "sweep": {"seed": list(range(1, TASKS + 1))}}
MOMENTS = itertools.count(1_800_000_000.0, 1000)
PAID = Ending("task_postprocess_end", 0, Decimal("0.01"), 2.0, 3.0)


@pytest.fixture(autouse=True)
def blocking_calls_are_errors(blocking_calls_are_errors: BlockBuster) -> BlockBuster:
    """The test looks at files from within the loop; what is tested must not."""
    for function in blocking_calls_are_errors.functions.values():
        for name in ("held", "rows", "process", "harm"):
            function.can_block_in("tests/test_output_gallery_keeper.py", name)
    return blocking_calls_are_errors


def picture(*_: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (500, 400), "teal").save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(make_run: MakeRun, tmp_path: Path) -> RunFolder:
    """A run of which the first two tasks have ended, and one is under way."""
    states = [State.DONE, State.DONE, State.RUNNING]
    return make_run(tmp_path / "run", JOB, picture, state=lambda task: [*states, *[State.PENDING] * 9][task.index])


@dataclass
class Run:
    """One process's work on a page."""

    folder: RunFolder
    ledger: Ledger
    clock: VirtualClock
    keeper: PageKeeper

    async def finish(self, *numbers: int) -> None:
        """Let pending tasks end, and tell the keeper."""
        for number in numbers:
            pending = (await self.ledger.read(lambda store: list(store.everything())))[number]
            sent = pending.intended(1.0, Decimal(1), None)
            running = sent.accepted(f"remote-{number}", "secret-token", 2.0)
            made = running.succeeded(PAID)
            data = picture() + bytes([number])  # each has a hash of its own
            output = Output(f"files/{number}-0.png", None, "image/png", len(data), hashlib.sha256(data).hexdigest())
            await anyio.Path(self.folder.path / output.path).write_bytes(data)
            done = made.delivered((output,), (), 4.0)
            for before, after in ((pending, sent), (sent, running), (running, made), (made, done)):
                await self.ledger.save(before, after, durable=False)
            self.keeper.finished(done)
        await self.ledger.state({Fact.MANIFEST: None})

    async def until(self, condition: Callable[[], bool]) -> float:
        """Wait for something; return the seconds that passed on the clock."""
        started = self.clock.monotonic()
        while not condition():  # hours may pass on this clock while a thread draws
            await self.clock.sleep(0.5)
        return self.clock.monotonic() - started


def held(folder: RunFolder, name: str) -> Any:
    return Place(folder.path).read(name)


def rows(folder: RunFolder) -> list[tuple[int, str]]:
    """Return place and state of each row of which the page's head speaks."""
    sizes = (held(folder, "head") or {"shards": []})["shards"]
    return [(row[1], row[2]) for number in range(len(sizes)) for row in held(folder, f"tasks-{number:05}")]


@asynccontextmanager
async def process(
    folder: RunFolder,
    *,
    log: logs.Log | None = None,
    hop: Hop = in_thread,
    seals: bool = True,
    hurried: bool = False,
) -> AsyncIterator[Run]:
    """Work on a page until the block ends; with `seals` the manifest gets in order as well."""
    clock = VirtualClock(next(MOMENTS))
    with SqliteLedger(folder.ledger) as store:
        ledger = Ledger(store, clock)
        run = Run(folder, ledger, clock, PageKeeper(folder, ledger, clock, log or logs.silent(), hop))
        run.keeper.show(await anyio.to_thread.run_sync(read_status, folder))
        async with anyio.create_task_group() as background:
            background.start_soon(clock.run)
            background.start_soon(ledger.run)
            try:
                async with anyio.create_task_group() as keeping:
                    keeping.start_soon(run.keeper.run)
                    yield run
                    run.keeper.close(hurried=hurried)
                if seals:
                    await ledger.state({Fact.MANIFEST: "in order"})
                    await run.keeper.seal()
            finally:
                ledger.close()
                background.cancel_scope.cancel()


async def test_the_page_shows_what_ended_before_and_what_ends_now(folder: RunFolder) -> None:
    async with process(folder) as run:
        await run.until(lambda: len(rows(folder)) == 2)
        assert held(folder, "head")["active"] == [[[2], "running", 1]]
        await run.finish(3)
        await run.until(lambda: len(rows(folder)) == 3)
    assert sorted(rows(folder)) == [(0, "done"), (1, "done"), (3, "done")]
    assert all(row[7][0][3] for row in held(folder, "tasks-00000"))  # thumbnails


async def test_what_is_under_way_is_read_again_once_it_has_changed(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of waiting for many tasks cost next to nothing."""
    reads: list[int] = []

    def unfinished(store: SqliteLedger, most: int) -> list[Record]:
        reads.append(most)
        return whole(store, most)

    whole = SqliteLedger.unfinished
    monkeypatch.setattr(SqliteLedger, "unfinished", unfinished)
    async with process(folder) as run:
        await run.until(lambda: len(rows(folder)) == 2)
        await run.clock.sleep(100 * module.BEAT_SECONDS)
        assert reads == [MOST_ACTIVE]
        await run.finish(3)
        await run.until(lambda: len(rows(folder)) == 3)
        assert 1 < len(reads) < 5


@pytest.mark.parametrize("again", [False, True])
async def test_once_all_rows_stand_nobody_reads_the_ledger_as_it_was(folder: RunFolder, again: bool) -> None:
    """Else its side file would grow with the run: a gigabyte for thirty thousand tasks."""

    def emptied() -> bool:
        with closing(sqlite3.connect(folder.ledger, timeout=0)) as db:
            busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    if again:
        async with process(folder):
            pass
    async with process(folder) as run:
        await run.finish(3)
        await run.until(lambda: len(rows(folder)) == 3)
        assert await anyio.to_thread.run_sync(emptied)


@pytest.fixture
def hasty(make_run: MakeRun, tmp_path: Path) -> RunFolder:
    """A run that leaves thumbnails to later."""
    job = {**JOB, "outputs": {"thumbnails": False}}
    return make_run(tmp_path / "hasty", job, picture, state=lambda task: State.PENDING if task.index else State.DONE)


async def test_a_job_may_leave_thumbnails_to_later(hasty: RunFolder) -> None:
    """Nothing is drawn while the run goes on, and all of it by whoever asks for the page."""
    async with process(hasty) as run:
        await run.finish(3)
    assert sorted(rows(hasty)) == [(0, "done"), (3, "done")]
    assert not Place(hasty.path).thumbnails.exists()

    def asked() -> int:
        with SqliteLedger(hasty.ledger, read_only=True) as ledger:
            return build(hasty.path, ledger, read_status(hasty), 1.0).thumbnails

    assert await in_thread(asked) == 2


async def test_a_run_that_is_over_at_once_has_its_page(folder: RunFolder) -> None:
    async with process(folder) as run:
        await run.finish(3, 4, 5)
    assert sorted(rows(folder)) == [(number, "done") for number in (0, 1, 3, 4, 5)]


async def test_nothing_is_written_twice_by_a_process_that_goes_on(folder: RunFolder) -> None:
    async with process(folder) as run:
        await run.finish(3)
    generation = held(folder, "head")["generation"]
    gate = anyio.Event()

    async def hop(work: Callable[[], T]) -> T:
        await gate.wait()  # tasks end before the page is looked at
        return await in_thread(work)

    async with process(folder, hop=hop) as run:
        await run.finish(4)
        gate.set()
    assert sorted(rows(folder)) == [(0, "done"), (1, "done"), (3, "done"), (4, "done")]
    assert held(folder, "head")["generation"] == generation


def harm(folder: RunFolder, what: str) -> None:
    place = Place(folder.path)
    if what == "lost shard":
        (place.data / "tasks-00000.js").unlink()
    if what == "lost page":
        (place.data / "head.js").unlink()
    if what == "other manifest":
        with SqliteLedger(folder.ledger) as store, store.transaction(durable=False):
            store.state({Fact.MANIFEST: "another"})


@pytest.mark.parametrize("what", ["unsealed", "lost shard", "other manifest", "lost page"])
async def test_a_page_that_may_lack_something_is_written_anew(folder: RunFolder, what: str) -> None:
    async with process(folder, seals=what != "unsealed") as run:
        await run.finish(3)
    generation = held(folder, "head")["generation"]
    harm(folder, what)
    async with process(folder):
        pass
    assert rows(folder) == [(0, "done"), (1, "done"), (3, "done")]
    assert held(folder, "head")["generation"] != generation


async def test_trouble_with_the_page_is_told_and_harms_nobody(folder: RunFolder) -> None:
    (folder.path / "page").write_text("in the way")
    told: list[logs.Entry] = []
    async with process(folder, log=logs.Log(told.append)) as run:
        await run.finish(3)
        await run.until(lambda: bool(told))
        await run.finish(4)
    (event,) = told
    assert (event["level"], "orchestrator gallery" in event["event"]) == ("warning", True)
    assert await anyio.to_thread.run_sync(lambda: read_status(folder).counts[State.DONE]) == 4


async def test_thumbnails_take_no_more_than_their_share(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice that took a moment of the processor is followed by three times as long a rest."""
    monkeypatch.setattr(module, "SLICE_SECONDS", 0.6)
    spent = iter(range(1000))
    monkeypatch.setattr(time, "thread_time", lambda: next(spent) * 0.5)
    async with process(folder) as run:
        passed = await run.until(lambda: len(rows(folder)) == 2)
        assert passed >= 2 * 0.6 / module.SHARE  # two rows, a slice each


async def test_many_ends_at_once_get_rows_without_thumbnails_for_now(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", -1)
    async with process(folder) as run:
        await run.finish(3, 4)
        await run.until(lambda: len(rows(folder)) == 4)
    assert drawn(folder) == {0: True, 1: True, 3: False, 4: False}
    await anyio.to_thread.run_sync(rebuild, folder)
    assert drawn(folder) == dict.fromkeys((0, 1, 3, 4), True)


def rebuild(folder: RunFolder) -> None:
    with folder.opened() as ledger:
        build(folder.path, ledger, read_status(folder), 1.0)


def drawn(folder: RunFolder) -> dict[int, bool]:
    return {row[1]: row[7][0][3] is not None for row in held(folder, "tasks-00000")}


async def test_the_end_of_a_run_waits_no_longer_than_it_may(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HURRIED_SECONDS", 0.0)
    told: list[logs.Entry] = []
    async with process(folder, log=logs.Log(told.append), hurried=True):
        pass
    assert [event["level"] for event in told] == ["warning"]
    async with process(folder) as run:
        await run.until(lambda: len(rows(folder)) == 2)


async def test_a_broken_picture_has_its_row(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(thumbnails, "_draw", broken)
    async with process(folder):
        pass
    assert rows(folder) == [(0, "done"), (1, "done")]
