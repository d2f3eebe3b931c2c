"""A disk that fills up at any moment stops a run in order; the same command goes on, and pays for nothing twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from bench import INSTANT, Bench

from orchestrator.engines.forecast import Forecast
from orchestrator.errors import Exit, OrchestratorError, StoppedError
from orchestrator.ledger import LedgerError, SqliteLedger
from orchestrator.output import manifest
from orchestrator.reporting import root

pytestmark = pytest.mark.anyio

TASKS = 6
JOB = {
    "parameters": {"samples": 1, "prompt": "a lighthouse"},
    "limits": {"requests_per_second": 1000, "settle_after": 4},
    "sweep": {"seed": list(range(TASKS))},
}


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instant service is looked at soon."""
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 0.4)


@contextmanager
def full_after(commits: int) -> Iterator[None]:
    """Let the ledger take so many commits and no more."""
    took = 0
    whole = SqliteLedger.transaction

    @contextmanager
    def transaction(self: SqliteLedger, *, durable: bool) -> Iterator[None]:
        nonlocal took
        took += 1
        if took > commits:
            raise LedgerError(self.path, "database or disk is full")
        with whole(self, durable=durable):
            yield

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteLedger, "transaction", transaction)
        yield


async def stopped(bench: Bench) -> OrchestratorError:
    """Run until the disk stops it, and return what is said."""
    try:
        await bench.carry_out(JOB)
    except (OrchestratorError, BaseExceptionGroup) as error:
        told = root(error)
        assert isinstance(told, StoppedError)
        return told
    raise AssertionError


async def paid_once(bench: Bench) -> bool:
    """Let the same command finish, and return whether all is here and was paid for once."""
    assert (await bench.carry_out(JOB)).exit_code is Exit.DONE
    lines = await anyio.to_thread.run_sync(lambda: list(manifest.read(bench.out.manifest)))
    stats = bench.service.stats
    return (len(lines), len(stats.accepted), len(stats.billed), stats.double_payments) == (TASKS, TASKS, TASKS, 0)


@pytest.mark.parametrize("commits", range(2, 14, 2))
async def test_a_ledger_that_cannot_grow(tmp_path: Path, commits: int) -> None:
    """What was not written down is not sent; a reply that was not written down is found in the service's list."""
    async with Bench.on(tmp_path) as bench:
        with full_after(commits):
            error = await stopped(bench)
        assert "ledger.sqlite cannot be used: database or disk is full. Fix the cause" in str(error)
        assert await paid_once(bench)


async def test_a_reply_that_cannot_be_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full from the first accepted task on: what the service has is adopted, and paid for once."""
    async with Bench.on(tmp_path) as bench:
        whole = SqliteLedger.transaction

        @contextmanager
        def transaction(self: SqliteLedger, *, durable: bool) -> Iterator[None]:
            if bench.service.stats.accepted:
                raise LedgerError(self.path, "database or disk is full")
            with whole(self, durable=durable):
                yield

        with monkeypatch.context() as patch:
            patch.setattr(SqliteLedger, "transaction", transaction)
            await stopped(bench)
        assert bench.service.stats.accepted
        assert await paid_once(bench)


@pytest.mark.parametrize("away", [shutil.rmtree, lambda path: path.rename(path.with_name("elsewhere"))])
async def test_a_run_folder_that_is_taken_away(tmp_path: Path, away: Callable[[Path], object]) -> None:
    """Nothing more is sent, and of one that was only moved nothing is lost."""
    async with Bench.on(tmp_path, replace(INSTANT, concurrency=1, run_seconds_median=4)) as bench:

        async def meddle() -> None:
            while not bench.service.stats.accepted:
                await anyio.to_thread.run_sync(lambda: None)
            await anyio.to_thread.run_sync(away, bench.out.path)

        async with anyio.create_task_group() as group:
            group.start_soon(meddle)
            error = await stopped(bench)
        assert "was removed, moved or replaced while a run was at work, so nothing more is sent" in str(error)
        assert len(bench.service.stats.accepted) < TASKS - 2
        if await anyio.Path(tmp_path / "elsewhere").exists():
            await anyio.to_thread.run_sync(shutil.rmtree, bench.out.path, True)
            await anyio.Path(tmp_path / "elsewhere").rename(bench.out.path)
            assert await paid_once(bench)


async def test_a_manifest_that_cannot_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest says why the run stops, and is whole once there is room again."""

    def full(path: Path, lines: object) -> None:
        del lines
        raise manifest.ManifestError(path, OSError(28, "No space left on device"))

    async with Bench.on(tmp_path) as bench:
        with monkeypatch.context() as patch:
            patch.setattr(manifest, "append", full)
            error = await stopped(bench)
        assert "manifest.jsonl cannot be written: No space left on device." in str(error)
        assert await paid_once(bench)
