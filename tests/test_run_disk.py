"""A disk that fills up at any moment stops a run in order; the same command goes on, and pays for nothing twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import anyio.to_thread
import pytest
from blockbuster import blockbuster_ctx

from orchestrator.clock import SystemClock
from orchestrator.commands.options import Options
from orchestrator.commands.run import Result, run
from orchestrator.config import Settings
from orchestrator.emulator import Emulator, Profile
from orchestrator.engines import doubts
from orchestrator.engines.control import Control
from orchestrator.engines.forecast import Forecast
from orchestrator.errors import Exit, OrchestratorError, StoppedError
from orchestrator.ledger import LedgerError, SqliteLedger
from orchestrator.output import manifest
from orchestrator.reporting import root
from orchestrator.status import Status

pytestmark = pytest.mark.anyio

TASKS = 6
INSTANT = Profile(plain_bytes=300, queue_seconds=(0, 0), run_seconds_median=0, balance_usd=Decimal(1000))


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> Iterator[None]:
    """Opening and closing a run may block; what goes on in between, in tasks of its own, must not."""
    with blockbuster_ctx("orchestrator") as blocking:
        for function in blocking.functions.values():
            function.can_block_in("orchestrator/commands/run.py", "run")
        yield


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instant service is looked at soon, and asked soon for what was lost."""
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 0.02)
    monkeypatch.setattr(doubts, "FIRST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(doubts, "LONGEST_WAIT_SECONDS", 0.2)


class Silent:
    def show(self, status: Status) -> None:
        """See `orchestrator.commands.run.Watcher`."""


async def go(tmp_path: Path, service: Emulator) -> Result:
    job = {
        "model": "Hevok/Studio-Trigger",
        "parameters": {"samples": 1, "prompt": "a lighthouse"},
        "limits": {"requests_per_second": 1000, "settle_after": 0.2},
        "sweep": {"seed": list(range(TASKS))},
    }
    (tmp_path / "job.yaml").write_text(json.dumps(job))
    settings = Settings(service.profile.api_key, service.profile.api_secret, service.base_url)
    options = Options(out=tmp_path / "out")
    return await run(tmp_path / "job.yaml", options, settings, control=Control(), clock=SystemClock(), watcher=Silent())


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


async def stopped(tmp_path: Path, service: Emulator) -> OrchestratorError:
    """Run until the disk stops it, and return what is said."""
    try:
        await go(tmp_path, service)
    except (OrchestratorError, BaseExceptionGroup) as error:
        told = root(error)
        assert isinstance(told, StoppedError)
        return told
    raise AssertionError


async def paid_once(tmp_path: Path, service: Emulator) -> bool:
    """Let the same command finish, and return whether all is here and was paid for once."""
    assert (await go(tmp_path, service)).exit_code is Exit.DONE
    lines = await anyio.to_thread.run_sync(lambda: list(manifest.read(tmp_path / "out" / "manifest.jsonl")))
    stats = service.stats
    return (len(lines), len(stats.accepted), len(stats.billed), stats.double_payments) == (TASKS, TASKS, TASKS, 0)


@pytest.mark.parametrize("commits", range(2, 14, 2))
async def test_a_ledger_that_cannot_grow(tmp_path: Path, commits: int) -> None:
    """What was not written down is not sent; a reply that was not written down is found in the service's list."""
    async with Emulator(INSTANT) as service:
        with full_after(commits):
            error = await stopped(tmp_path, service)
        assert "ledger.sqlite cannot be used: database or disk is full. Mend the cause" in str(error)
        assert await paid_once(tmp_path, service)


async def test_a_reply_that_cannot_be_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full from the first accepted task on: what the service has is adopted, and paid for once."""
    async with Emulator(INSTANT) as service:
        whole = SqliteLedger.transaction

        @contextmanager
        def transaction(self: SqliteLedger, *, durable: bool) -> Iterator[None]:
            if service.stats.accepted:
                raise LedgerError(self.path, "database or disk is full")
            with whole(self, durable=durable):
                yield

        with monkeypatch.context() as patch:
            patch.setattr(SqliteLedger, "transaction", transaction)
            await stopped(tmp_path, service)
        assert service.stats.accepted
        assert await paid_once(tmp_path, service)


async def test_a_manifest_that_cannot_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest says why the run stops, and is whole once there is room again."""

    def full(path: Path, lines: object) -> None:
        del lines
        raise manifest.ManifestError(path, OSError(28, "No space left on device"))

    async with Emulator(INSTANT) as service:
        with monkeypatch.context() as patch:
            patch.setattr(manifest, "append", full)
            error = await stopped(tmp_path, service)
        assert "manifest.jsonl cannot be written: No space left on device." in str(error)
        assert await paid_once(tmp_path, service)
