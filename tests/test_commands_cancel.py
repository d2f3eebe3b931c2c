"""Whoever cancels is told what is waited for."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator.clock import SystemClock
from orchestrator.commands.cancel import cancel
from orchestrator.commands.options import Options
from orchestrator.commands.prepare import Prepared
from orchestrator.commands.run import Result, run
from orchestrator.config import Settings
from orchestrator.emulator import Emulator, Profile
from orchestrator.engines.control import Control
from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import State
from orchestrator.runs import RunFolder
from orchestrator.status import Status
from orchestrator.steps.outcomes import Stop

pytestmark = pytest.mark.anyio

JOB = {
    "model": "Hevok/Studio-Trigger",
    "parameters": {"samples": 1, "prompt": "a lighthouse at dusk"},
    "limits": {"requests_per_second": 100, "settle_after": 1},
}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """Nothing else goes on while a cancel looks at the folder."""


class LeavesInDoubt:
    """Interrupts the run as soon as a reply is lost."""

    def __init__(self) -> None:
        self.control = Control()

    def show(self, status: Status) -> None:
        if status.uncertain:
            self.control.leave(Stop.INTERRUPTED, "Interrupted.")


async def test_a_cancel_says_that_it_waits_for_what_is_in_doubt(tmp_path: Path) -> None:
    """And nothing is in doubt, or on the service, at its end."""
    (tmp_path / "job.yaml").write_text(json.dumps(JOB))
    profile = Profile(plain_bytes=300, queue_seconds=(0, 0), run_seconds_median=600, balance_usd=Decimal(10))
    first, clock, told = LeavesInDoubt(), SystemClock(), list[str]()
    async with Emulator(profile) as service:
        service.lose_replies = lambda endpoint, _: "after" if endpoint == "Run" else None
        asked = Settings(profile.api_key, profile.api_secret, service.base_url)
        options = Options(out=tmp_path / "out")
        result = await run(tmp_path / "job.yaml", options, asked, control=first.control, clock=clock, watcher=first)
        assert result.status.counts[State.SUBMITTING] == 1
        found = await cancel(
            RunFolder(tmp_path / "out"), asked, control=Control(), clock=clock, watcher=first, tell=told.append
        )
        assert service.active == 0
    assert (found.counts[State.SUBMITTING], found.counts[State.CANCELLED]) == (0, 1)
    [sentence] = told
    assert sentence.startswith("1 task may have been accepted without our knowing")


class Nobody:
    def show(self, status: Status) -> None:
        """See `orchestrator.commands.run.Watcher`."""


@pytest.mark.parametrize("late", [True, False])
async def test_a_cancel_that_comes_while_a_run_begins_is_obeyed(tmp_path: Path, late: bool) -> None:
    """Between taking hold of the folder and reading the ledger; one that an earlier process left is not."""
    (tmp_path / "job.yaml").write_text(json.dumps(JOB))
    profile = Profile(plain_bytes=300, queue_seconds=(0, 0), run_seconds_median=0, balance_usd=Decimal(10))
    clock, folder = SystemClock(), RunFolder(tmp_path / "out")

    async with Emulator(profile) as service:
        asked = Settings(profile.api_key, profile.api_secret, service.base_url)
        begun = clock.now()

        async def cancelled(_: Prepared) -> bool:
            assert folder.is_held()
            with SqliteLedger(folder.ledger) as store, store.transaction(durable=True):
                store.state({"cancel": repr(clock.now() if late else begun)})
            return True

        async def go(limit: int | None, agreed: Callable[[Prepared], Awaitable[bool]] | None = None) -> Result:
            options = Options(out=folder.path, limit=limit)
            return await run(
                tmp_path / "job.yaml", options, asked, control=Control(), clock=clock, watcher=Nobody(), agreed=agreed
            )

        await go(0)
        result = await go(None, cancelled)
        assert service.stats.calls["Run"] == (0 if late else 1)
    assert (result.halt and result.halt.stop) == (Stop.CANCELLED if late else None)
