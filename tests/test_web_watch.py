from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator.clock import VirtualClock
from orchestrator.commands.status import read_status
from orchestrator.output.gallery import Place
from orchestrator.runs import RunFolder
from orchestrator.status import Status
from orchestrator.web.seen import Event
from orchestrator.web.shelf import Shelf
from orchestrator.web.watch import ALIVE_BEATS, MOST_READERS, MOST_WAITING, Reader, Watch


@pytest.fixture
def outputs(make_run: Callable[..., RunFolder], tmp_path: Path) -> Path:
    made = make_run(tmp_path / "outputs" / "fox", {"sweep": {"prompt": ["a", "b"]}}, lambda _task, _number: b"")
    return made.path.parent


class Bench:
    """A watch in virtual time that counts how often it reads a run."""

    def __init__(self, outputs: Path) -> None:
        self.looks = 0
        self.clock = VirtualClock()
        self.watch = Watch(Shelf([outputs]), self._look, self.clock)

    def _look(self, folder: RunFolder) -> Status:
        self.looks += 1
        return read_status(folder)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(self.clock.run)
            group.start_soon(self.watch.run)
            with anyio.fail_after(20):
                yield
            group.cancel_scope.cancel()


async def heard(reader: Reader, name: str) -> Any:
    """Return what the reader is told under a name next."""
    async for told in reader.events:
        if told.name == name:
            return json.loads(told.data)
    return None


async def test_nobody_looks_while_nobody_watches(outputs: Path) -> None:
    bench = Bench(outputs)
    async with bench.going_on():
        await bench.clock.sleep(3600)
        assert bench.looks == 0
        with bench.watch.reading(None) as reader:
            assert [run["name"] for run in await heard(reader, "runs")] == ["fox"]
        await bench.clock.sleep(10)
        looks = bench.looks
        await bench.clock.sleep(3600)
        assert bench.looks == looks


async def test_a_run_that_stands_still_is_read_once(outputs: Path) -> None:
    bench = Bench(outputs)
    async with bench.going_on():
        with bench.watch.reading(None) as all_runs, bench.watch.reading("fox") as page:
            await heard(all_runs, "runs")
            await heard(page, "page")
            await bench.clock.sleep(600)
    assert bench.looks == 1


async def test_everybody_is_told_what_changes(outputs: Path) -> None:
    bench = Bench(outputs)
    async with bench.going_on():
        with (
            bench.watch.reading(None) as all_runs,
            bench.watch.reading("fox") as page,
            bench.watch.reading("fox") as two,
        ):
            assert (await heard(all_runs, "runs"))[0]["status"]["state"] == "finished"
            before = await heard(page, "page")
            assert await heard(two, "page") == before
            await anyio.to_thread.run_sync(Place(outputs / "fox").write, "head", {"shards": []})
            assert await heard(page, "page") != before
            assert await heard(two, "page") != before
            (outputs / "fox" / "run.log").write_text('{"event": "hello"}\n')
            assert [line["event"] for line in await heard(page, "log")] == ["hello"]
        with bench.watch.reading("fox") as late:
            assert set(await heard(late, "standing")) == {"status", "trouble", "per_minute"}


async def test_who_comes_later_is_told_the_log_once(outputs: Path) -> None:
    (outputs / "fox" / "run.log").write_text('{"event": "one"}\n')
    bench = Bench(outputs)
    async with bench.going_on():
        with bench.watch.reading("fox") as first:
            assert len(await heard(first, "log")) == 1
            with bench.watch.reading("fox") as second:
                assert [line["event"] for line in await heard(second, "log")] == ["one"]
                with (outputs / "fox" / "run.log").open("a") as log:
                    log.write('{"event": "two"}\n')
                assert [line["event"] for line in await heard(second, "log")] == ["two"]


async def test_what_was_seen_long_ago_is_not_told(outputs: Path) -> None:
    """Whoever comes first after a while is told how things stand now, and nothing of how they stood."""
    log = outputs / "fox" / "run.log"
    log.write_text('{"event": "one"}\n')
    bench = Bench(outputs)
    async with bench.going_on():
        with bench.watch.reading(None) as all_runs, bench.watch.reading("fox") as page:
            await heard(all_runs, "runs")
            before = await heard(page, "page")
            assert len(await heard(page, "log")) == 1
        await bench.clock.sleep(3600)
        await anyio.to_thread.run_sync(Place(outputs / "fox").write, "head", {"shards": []})
        await anyio.to_thread.run_sync(shutil.copytree, outputs / "fox", outputs / "boat")
        with bench.watch.reading("fox") as page:
            assert await heard(page, "page") != before
            assert len(await heard(page, "log")) == 1
            with bench.watch.reading(None) as all_runs:
                assert set(await heard(all_runs, "known")) == {"fox", "boat"}
                assert {run["name"] for run in await heard(all_runs, "runs")} == {"fox", "boat"}


async def test_runs_that_come_and_go_are_noticed(outputs: Path) -> None:
    bench = Bench(outputs)
    async with bench.going_on():
        with bench.watch.reading(None) as all_runs, bench.watch.reading("fox") as page:
            await heard(all_runs, "runs")
            await anyio.to_thread.run_sync(shutil.copytree, outputs / "fox", outputs / "boat")
            assert [run["name"] for run in await heard(all_runs, "runs")] == ["boat"]
            await anyio.to_thread.run_sync(shutil.rmtree, outputs / "fox")
            assert await heard(all_runs, "gone") == "fox"
            assert await heard(page, "gone") == "fox"
        with bench.watch.reading(None) as late:
            assert await heard(late, "known") == ["boat"]


async def test_connections_hear_a_sign_of_life(outputs: Path) -> None:
    bench = Bench(outputs)
    async with bench.going_on():
        with bench.watch.reading(None) as reader:
            began = bench.clock.monotonic()
            await heard(reader, "alive")
            assert bench.clock.monotonic() - began <= ALIVE_BEATS + 1


async def test_who_does_not_read_is_let_go(outputs: Path) -> None:
    watch = Bench(outputs).watch
    with watch.reading("fox") as slow, watch.reading("boat") as other:
        for _ in range(MOST_WAITING + 1):
            watch.say("fox", "hello")
        assert slow.scope.cancel_called
        assert not other.scope.cancel_called


async def test_only_so_many_can_watch(outputs: Path) -> None:
    watch = Bench(outputs).watch
    readers = [watch.reading(None) for _ in range(MOST_READERS)]
    for reader in readers:
        assert not watch.is_full
        reader.__enter__()
    assert watch.is_full
    for reader in readers:
        reader.__exit__(None, None, None)
    assert not watch.is_full


async def test_a_thousand_runs_are_told_in_few_events(tmp_path: Path) -> None:
    for number in range(1000):
        folder = tmp_path / "outputs" / f"run-{number:04}"
        folder.mkdir(parents=True)
        (folder / "run.log").write_text("")
    bench = Bench(tmp_path / "outputs")
    async with bench.going_on():
        with bench.watch.reading(None) as reader:
            names: set[str] = set()
            while len(names) < 1000:
                names |= {run["name"] for run in await heard(reader, "runs")}
        with bench.watch.reading(None) as late:
            assert late.events.statistics().current_buffer_used < 20
            assert not late.scope.cancel_called


async def test_an_event_is_shared_by_all_who_are_told(outputs: Path) -> None:
    """What is told is held once, however many pages are open."""
    watch = Bench(outputs).watch
    with watch.reading("fox") as one, watch.reading("fox") as two:
        watch.say("fox", "hello")
        first: Event = one.events.receive_nowait()
        assert first is two.events.receive_nowait()
