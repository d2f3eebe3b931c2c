"""Whole runs that are told of ends by the socket or by callbacks: few looks, and nothing lost where hints are bad."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator.clock import SystemClock
from orchestrator.commands.carrying import Result
from orchestrator.commands.options import Options
from orchestrator.commands.run import run
from orchestrator.commands.status import read_status
from orchestrator.config import Settings
from orchestrator.emulator import Emulator, Fault, Profile
from orchestrator.emulator.faults import KINDS
from orchestrator.engines.control import Control
from orchestrator.engines.forecast import Forecast
from orchestrator.engines.local import LocalEngine
from orchestrator.errors import Exit
from orchestrator.ledger import NotALedgerError, SqliteLedger
from orchestrator.runs import RunFolder
from orchestrator.status import Status
from orchestrator.steps.outcomes import Stop
from orchestrator.threads import in_thread
from orchestrator.wiro import CALLBACK

pytestmark = pytest.mark.anyio

TASKS = 8
SERVICE: dict[str, Any] = {"plain_bytes": 300, "queue_seconds": (0, 0), "run_seconds_median": 0.4, "concurrency": 30}
PUBLIC = "https://hooks.example.com/here"
BIND = "127.0.0.1:0"


@pytest.fixture
def looked_at_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks are looked at every so often, whatever the forecast says: the first ones of a model would have to wait."""
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 0.15)


class Watcher:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[Status] = []

    def show(self, status: Status) -> None:
        self.shown.append(status)


async def run_with(
    folder: Path, service: Emulator | None, watcher: Watcher | None = None, *, socket: str | None = "", **job: Any
) -> Result:
    """Run a job on a service, or on one that is emulated inside the run."""
    text = {
        "model": "Hevok/Studio-Trigger",
        "parameters": {"samples": 1, "prompt": "a boat"},
        "sweep": {"seed": list(range(TASKS))},
        "limits": {"requests_per_second": 200},
        **job,
    }
    (folder / "job.yaml").write_text(json.dumps(text))
    options = Options(out=folder / "out", emulate=service is None, profile=Profile(**SERVICE))
    settings = Settings()
    if service is not None:
        profile = service.profile
        socket = service.socket_url if socket == "" else socket
        settings = Settings(profile.api_key, profile.api_secret, service.base_url, socket)
    return await run(
        folder / "job.yaml",
        options,
        settings,
        control=Control(),
        clock=SystemClock(),
        watcher=watcher or Watcher(),
    )


def sent_parameters(folder: Path) -> set[str]:
    with SqliteLedger(RunFolder(folder).ledger, read_only=True) as store:
        return {name for record in store.everything() for name in record.task.parameters}


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out" / "run.log").read_text().splitlines()]


@pytest.mark.parametrize("tracking", ["auto", "socket"])
async def test_with_the_socket_each_task_needs_about_one_look(tmp_path: Path, tracking: str) -> None:
    watcher = Watcher()
    async with Emulator(Profile(**SERVICE)) as service:
        result = await run_with(tmp_path, service, watcher, tracking=tracking)
        assert (result.exit_code, service.stats.sockets) == (Exit.DONE, TASKS)
        assert service.stats.calls["Task/Detail"] < 1.6 * TASKS
    assert any(status.progress and 0 < status.progress < 1 for status in watcher.shown)
    assert [line for line in log_of(tmp_path) if line["level"] == "warning"] == []


async def test_how_far_tasks_are_is_in_the_folder_while_they_run(tmp_path: Path) -> None:
    """For `status`, and gone once the run has ended."""
    folder, seen = RunFolder(tmp_path / "out"), list[float]()

    async def watch() -> None:
        while True:
            with suppress(NotALedgerError):
                progress = (await in_thread(partial(read_status, folder))).progress
                seen.extend([] if progress is None else [progress])
            await anyio.sleep(0.02)

    slow = Profile(**SERVICE | {"run_seconds_median": 1.5})
    async with Emulator(slow) as service, anyio.create_task_group() as group:
        group.start_soon(watch)
        await run_with(tmp_path, service)
        group.cancel_scope.cancel()
    assert any(0 < progress < 1 for progress in seen)
    assert (await in_thread(partial(read_status, folder))).progress is None


@pytest.mark.usefixtures("looked_at_soon")
async def test_poll_leaves_the_socket_alone(tmp_path: Path) -> None:
    async with Emulator(Profile(**SERVICE)) as service:
        result = await run_with(tmp_path, service, tracking="poll")
        assert (result.exit_code, service.stats.sockets) == (Exit.DONE, 0)


@pytest.mark.usefixtures("looked_at_soon")
async def test_a_socket_that_is_asked_for_and_not_known_is_warned_of(tmp_path: Path) -> None:
    async with Emulator(Profile(**SERVICE)) as service:
        result = await run_with(tmp_path, service, socket=None, tracking="socket")
        assert (result.exit_code, service.stats.sockets) == (Exit.DONE, 0)
    [warning] = [line for line in log_of(tmp_path) if line["level"] == "warning"]
    assert "set WIRO_SOCKET_URL" in warning["event"]


@pytest.mark.usefixtures("looked_at_soon")
@pytest.mark.parametrize("kind", KINDS["socket"])
async def test_a_bad_socket_loses_nothing(tmp_path: Path, kind: str) -> None:
    fault = Fault(place="socket", kind=kind, after_seconds=0.1, seconds=0.25)
    async with Emulator(Profile(**SERVICE, faults=(fault,))) as service:
        result = await run_with(tmp_path, service)
        assert result.exit_code is Exit.DONE
        assert (len(service.stats.billed), service.stats.double_payments) == (TASKS, 0)
        assert service.stats.faults[fault.name] >= TASKS - 1
        assert service.stats.calls["Task/Detail"] < 6 * TASKS  # two hints of two looks each, and the plan's own


@pytest.mark.usefixtures("looked_at_soon")
async def test_no_token_is_told(tmp_path: Path) -> None:
    fault = Fault(place="socket", kind="refused")
    async with Emulator(Profile(**SERVICE, faults=(fault,))) as service:
        await run_with(tmp_path, service, tracking="socket")
        told = (tmp_path / "out" / "run.log").read_text()
        assert "it answers with HTTP 503" in told
        assert not any(task.token in told for task in service.stats.accepted)


async def test_with_callbacks_each_task_needs_about_one_look(tmp_path: Path) -> None:
    """The emulator calls nobody but this machine, so it is given the receiver's own address."""
    result = await run_with(tmp_path, None, tracking="webhook", callback_url=PUBLIC, callback_bind=BIND)
    assert result.exit_code is Exit.DONE
    assert result.status.calls["Task/Detail"] < 1.6 * TASKS


@pytest.mark.usefixtures("looked_at_soon")
async def test_the_service_is_given_the_public_address_of_each_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next process of the run gives the same one."""
    asked = Counter[str]()

    class Noting(Emulator):
        def __init__(self, profile: Profile) -> None:
            super().__init__(profile)
            monkeypatch.setattr(self._callbacks, "expect", lambda _, url: asked.update([url]))

    instant = Profile(**SERVICE | {"run_seconds_median": 0})
    job: dict[str, Any] = {"tracking": "webhook", "callback_url": PUBLIC, "callback_bind": BIND}
    async with Noting(instant) as service:
        for seeds in (3, 6):
            result = await run_with(tmp_path, service, sweep={"seed": list(range(seeds))}, **job)
            assert result.exit_code is Exit.DONE
        assert service.stats.sockets == 0
    tasks = {json.loads(line)["task"] for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()}
    parts = [url.removeprefix(f"{PUBLIC}/").split("/") for url in asked]
    assert {task for _, task in parts} == tasks
    [secret] = {secret for secret, _ in parts}
    assert len(secret) > 30
    assert secret not in (tmp_path / "out" / "run.log").read_text()
    assert secret not in (tmp_path / "out" / "manifest.jsonl").read_text()
    assert CALLBACK not in await anyio.to_thread.run_sync(sent_parameters, tmp_path / "out")


@pytest.mark.usefixtures("looked_at_soon")
async def test_a_port_that_is_taken_costs_a_warning_and_no_more(tmp_path: Path) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    bind = f"127.0.0.1:{taken.sockets[0].getsockname()[1]}"
    async with taken, Emulator(Profile(**SERVICE)) as service:
        result = await run_with(tmp_path, service, tracking="webhook", callback_url=PUBLIC, callback_bind=bind)
    assert result.exit_code is Exit.DONE
    [warning] = [line for line in log_of(tmp_path) if line["level"] == "warning"]
    assert warning["address"] == bind


@pytest.mark.usefixtures("looked_at_soon")
@pytest.mark.parametrize("kind", KINDS["callback"])
async def test_bad_callbacks_lose_nothing(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SERVICE, "faults", (Fault(place="callback", kind=kind, seconds=0.5),))
    result = await run_with(tmp_path, None, tracking="webhook", callback_url=PUBLIC, callback_bind=BIND)
    assert result.exit_code is Exit.DONE
    assert result.status.calls["Task/Detail"] < 6 * TASKS


@pytest.mark.usefixtures("looked_at_soon")
async def test_what_an_earlier_process_left_running_is_listened_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections begin with the engine, before the first of its tasks is carried on."""
    async with Emulator(Profile(**SERVICE | {"run_seconds_median": 3})) as service:
        before = LocalEngine.run

        async def leave_soon(engine: LocalEngine, unfinished: list[Any]) -> Any:
            async with anyio.create_task_group() as group:

                async def leave() -> None:
                    while len(service.stats.accepted) < TASKS:
                        await engine.clock.sleep(0.01)
                    await engine.clock.sleep(0.1)
                    engine.control.leave(Stop.INTERRUPTED, "Enough.")

                group.start_soon(leave)
                return await before(engine, unfinished)

        with monkeypatch.context() as patch:
            patch.setattr(LocalEngine, "run", leave_soon)
            await run_with(tmp_path, service)
        first = service.stats.sockets
        result = await run_with(tmp_path, service)
        assert (result.exit_code, len(service.stats.accepted)) == (Exit.DONE, TASKS)
        assert service.stats.sockets >= first + TASKS - 2
