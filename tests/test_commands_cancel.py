"""Whoever cancels is told what is waited for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from bench import INSTANT, Bench

from orchestrator.commands.cancel import cancel
from orchestrator.commands.prepare import Prepared
from orchestrator.engines.control import Control
from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import State
from orchestrator.status import Status
from orchestrator.steps.outcomes import Stop

pytestmark = pytest.mark.anyio

JOB = {
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
    first, told = LeavesInDoubt(), list[str]()
    async with Bench.on(tmp_path, replace(INSTANT, run_seconds_median=600)) as bench:
        bench.service.lose_replies = lambda endpoint, _: "after" if endpoint == "Run" else None
        result = await bench.carry_out(JOB, control=first.control, watcher=first)
        assert result.status.counts[State.SUBMITTING] == 1
        found = await cancel(
            bench.out, bench.settings, control=Control(), clock=bench.clock, watcher=first, tell=told.append
        )
        assert bench.service.active == 0
    assert (found.counts[State.SUBMITTING], found.counts[State.CANCELLED]) == (0, 1)
    [sentence] = told
    assert sentence.startswith("1 task may have been accepted without our knowing")


@pytest.mark.parametrize("late", [True, False])
async def test_a_cancel_that_comes_while_a_run_begins_is_obeyed(tmp_path: Path, late: bool) -> None:
    """Between taking hold of the folder and reading the ledger; one that an earlier process left is not."""
    async with Bench.on(tmp_path) as bench:
        clock, folder = bench.clock, bench.out
        begun = clock.now()

        async def cancelled(_: Prepared) -> bool:
            assert folder.is_held()
            with SqliteLedger(folder.ledger) as store, store.transaction(durable=True):
                store.state({"cancel": repr(clock.now() if late else begun)})
            return True

        await bench.carry_out(JOB, limit=0)
        result = await bench.carry_out(JOB, agreed=cancelled)
        assert bench.service.stats.calls["Run"] == (0 if late else 1)
    assert (result.halt and result.halt.stop) == (Stop.CANCELLED if late else None)
