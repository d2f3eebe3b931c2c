"""Runs on each ready-made profile: everything is done, and paid for once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hurry import HurriedClock

from orchestrator.commands import profiles
from orchestrator.commands.options import Options
from orchestrator.commands.run import run
from orchestrator.config import Settings
from orchestrator.emulator import Emulator, Profile
from orchestrator.engines.control import Control
from orchestrator.errors import Exit
from orchestrator.status import Status

pytestmark = pytest.mark.anyio

TASKS = 30
TIMES_FASTER = 15
JOB = {
    "model": "Hevok/Studio-Trigger",
    "parameters": {"samples": 1, "steps": 20},
    "limits": {"settle_after": "5s"},
    "sweep": {"prompt": ["a boat in fog", "a pier at dusk"], "seed": list(range(TASKS // 2))},
}


class Watcher:
    def show(self, status: Status) -> None:
        pass


async def run_on(profile: Profile, folder: Path) -> tuple[Emulator, list[dict[str, Any]]]:
    """Run the job on a service that behaves like this, and return the service and the manifest."""
    (folder / "job.yaml").write_text(json.dumps(JOB))
    clock = HurriedClock(TIMES_FASTER)
    async with Emulator(profile, now=clock.now, sleep=clock.sleep) as service:
        settings = Settings(profile.api_key, profile.api_secret, service.base_url, service.socket_url)
        options = Options(out=folder / "out")
        result = await run(folder / "job.yaml", options, settings, control=Control(), clock=clock, watcher=Watcher())
        assert (result.exit_code, result.halt) == (Exit.DONE, None), result.failures
        lines = (folder / "out" / "manifest.jsonl").read_text().splitlines()
        return service, [json.loads(line) for line in lines]


@pytest.fixture(params=profiles.names())
def profile(request: pytest.FixtureRequest) -> Profile:
    return profiles.load(request.param)


async def test_everything_is_done_and_paid_for_once(profile: Profile, tmp_path: Path) -> None:
    service, manifest = await run_on(profile, tmp_path)
    stats = service.stats
    assert [line["state"] for line in manifest] == ["done"] * TASKS
    assert (len(stats.billed), stats.double_payments, service.active) == (TASKS, 0, 0)
    assert stats.leaks == 0
    for line in manifest:
        for output in line["outputs"]:
            assert hashlib.sha256((tmp_path / "out" / output["path"]).read_bytes()).hexdigest() == output["sha256"]
    faults = len({fault.name for fault in profile.faults if fault.place != "callback"})
    assert len(stats.faults) >= faults * 0.6
