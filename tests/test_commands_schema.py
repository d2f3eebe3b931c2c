"""A model's schema: asked for where the service can be asked, else what it said before, with a warning."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from hurry import HurriedClock

from orchestrator.clock import Clock, SystemClock
from orchestrator.commands.carrying import Result
from orchestrator.commands.models import first_job
from orchestrator.commands.options import Options
from orchestrator.commands.plan import Plan, plan, prepared
from orchestrator.commands.run import run
from orchestrator.config import Settings
from orchestrator.emulator import Emulator, Profile
from orchestrator.emulator.models import CATALOGUE
from orchestrator.engines.control import Control
from orchestrator.errors import RefusedError, StoppedError
from orchestrator.lifecycle import State
from orchestrator.schemas import Schemas
from orchestrator.status import Status

MODEL = "acme/paper-cut"
NOWHERE = "http://127.0.0.1:9/v1"


class Later(SystemClock):
    """Some hours later, where nobody has to wait."""

    def __init__(self, hours: float = 0.0) -> None:
        self._hours = hours

    def now(self) -> float:
        return super().now() + 3600 * self._hours

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.01))


@dataclass
class Bench:
    """A job folder, a service and a cache."""

    folder: Path
    settings: Settings
    clock: Clock

    def path(self, **job: Any) -> Path:
        path = self.folder / "job.yaml"
        path.write_text(json.dumps({"model": MODEL, "parameters": {"prompt": "a boat"}} | job))
        return path

    async def plan(self, settings: Settings | None = None, clock: Clock | None = None, **options: Any) -> Plan:
        chosen = Options(**{"out": self.folder / "out"} | options)
        ready = await prepared(self.path(), chosen, settings or self.settings, clock or Later())
        return await to_thread.run_sync(plan, ready, chosen)

    async def run(self, **options: Any) -> Result:
        chosen = Options(**{"out": self.folder / "out"} | options)
        return await run(self.path(), chosen, self.settings, control=Control(), clock=self.clock, watcher=self)

    def sent(self) -> dict[str, Any]:
        """Return the parameters of the task that the job now has."""
        lines = map(json.loads, (self.folder / "out" / "manifest.jsonl").read_text("utf-8").splitlines())
        (parameters,) = (line["parameters"] for line in lines if line["index"] is not None)
        return dict(parameters)

    def show(self, status: Status) -> None:
        """Look away."""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    profile = Profile(run_seconds_median=0.0)
    clock = HurriedClock(20)
    async with Emulator(profile, now=clock.now, sleep=clock.sleep) as service:
        cache, state = tmp_path / "cache", tmp_path / "state"
        settings = Settings(profile.api_key, profile.api_secret, service.base_url, cache=cache, state=state)
        yield Bench(tmp_path, settings, clock)


async def test_plan_without_a_key_goes_by_what_was_said_before(bench: Bench) -> None:
    """Once asked, the answer serves without credentials, and its age is said."""
    nobody = replace(bench.settings, api_key=None, api_secret=None)
    with pytest.raises(RefusedError, match="WIRO_API_KEY is not set"):
        await bench.plan(nobody)
    assert (await bench.plan()).warnings == ()
    for hours, age in ((0.0, "less than an hour"), (1.5, "an hour"), (47.5, "47 hours"), (72.5, "3 days")):
        (warning,) = (await bench.plan(nobody, Later(hours))).warnings
        assert warning == f"The model's schema is as the service gave it {age} ago: WIRO_API_KEY is not set."
    with pytest.raises(RefusedError, match="WIRO_API_KEY is not set"):
        await bench.plan(nobody, refresh_schema=True)


async def test_plan_goes_by_what_was_said_before_where_nobody_answers(bench: Bench) -> None:
    """The service cannot be reached, or takes another key: it is said, and the plan is there."""
    await bench.plan()
    nowhere = Schemas(bench.settings.cache, NOWHERE)
    await to_thread.run_sync(nowhere.keep, MODEL, CATALOGUE[MODEL].tool, SystemClock().now())
    (warning,) = (await bench.plan(replace(bench.settings, base_url=NOWHERE))).warnings
    assert "an hour ago: The service could not be reached" in warning
    (warning,) = (await bench.plan(replace(bench.settings, api_key="another"))).warnings
    assert "credentials" in warning
    with pytest.raises(StoppedError):
        await bench.plan(replace(bench.settings, base_url=NOWHERE), refresh_schema=True)


async def test_a_run_leaves_an_entry_and_uses_none(bench: Bench) -> None:
    """The first run asks, whatever is kept, and keeps the answer."""
    schemas = Schemas(bench.settings.cache, bench.settings.base_url)
    await to_thread.run_sync(schemas.keep, MODEL, {"stale": True}, 0.0)
    assert (await bench.run()).status.calls["Tool/Detail"] == 1
    kept = await to_thread.run_sync(schemas.kept, MODEL, 0.0)
    assert kept is not None
    assert "stale" not in kept.tool


async def test_init_goes_by_what_was_said_before(bench: Bench) -> None:
    text, warnings = await first_job(MODEL, bench.settings, emulate=False, clock=Later())
    assert warnings == ()
    nobody = replace(bench.settings, api_key=None)
    again, (warning,) = await first_job(MODEL, nobody, emulate=False, clock=Later())
    assert again == text
    assert "WIRO_API_KEY is not set" in warning


async def test_an_emulated_service_leaves_no_entry(bench: Bench) -> None:
    """What is pretended is never taken for what the service said."""
    await bench.plan(replace(bench.settings, base_url=NOWHERE), emulate=True)
    assert not (bench.folder / "cache").exists()


async def test_a_fresh_schema_replaces_the_folder_s(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is frozen until it is asked for; then tasks that send the same keep their ids and are not paid again."""
    assert (await bench.run()).status.counts[State.DONE] == 1
    tool = CATALOGUE[MODEL].tool
    described = {**tool, "description": "Scenes cut from thick paper."}
    monkeypatch.setitem(CATALOGUE, MODEL, replace(CATALOGUE[MODEL], tool=described))
    result = await bench.run(refresh_schema=True)
    assert (result.status.counts[State.DONE], result.status.calls["Run"]) == (1, 1)
    (group,) = tool["parameters"]
    grain = {"id": "grain", "type": "number", "default": "7", "required": False}
    wider = {**tool, "parameters": [{**group, "items": [*group["items"], grain]}]}
    monkeypatch.setitem(CATALOGUE, MODEL, replace(CATALOGUE[MODEL], tool=wider))
    assert (await bench.plan(clock=bench.clock)).new == 0
    changed = await bench.plan(clock=bench.clock, refresh_schema=True)
    assert (changed.new, changed.dropped) == (1, 1)
    assert (await bench.plan(clock=bench.clock)).new == 0, "a plan changes nothing"
    await bench.run(refresh_schema=True)
    assert bench.sent()["grain"] == 7
