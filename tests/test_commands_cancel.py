"""Whoever cancels is told what is waited for."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator.clock import SystemClock
from orchestrator.commands.cancel import cancel
from orchestrator.commands.options import Options
from orchestrator.commands.run import run
from orchestrator.config import Settings
from orchestrator.emulator import Emulator, Profile
from orchestrator.engines.control import Control
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
