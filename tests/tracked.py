"""A running task that is followed at a service that says what it is told to say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from aiohttp import web

from orchestrator.clock import SystemClock
from orchestrator.engines import ending, tracking
from orchestrator.engines.control import Control
from orchestrator.engines.forecast import Forecast
from orchestrator.engines.listening import Listener
from orchestrator.engines.pacing import Pacer
from orchestrator.engines.rounds import Rounds
from orchestrator.engines.slots import Capacity, Slots
from orchestrator.engines.tracking import Tracker
from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.lifecycle import Record
from orchestrator.logs import Entry, Log, silent
from orchestrator.money import FREE
from orchestrator.steps.calls import Calls
from orchestrator.tasks import Task
from orchestrator.wiro import Client, Credentials

UNDER_WAY = {"status": "task_output"}
DONE = {"status": "task_postprocess_end", "pexit": "0", "totalcost": "0.01"}
CANCELLED = {"status": "task_cancel", "totalcost": "0"}
STRANGE: dict[str, Any] = {"status": "task_paused", "pexit": None, "outputs": "none", "totalcost": []}
UNKNOWN = {"result": False, "errors": [{"code": 1, "message": "There is no task yet."}]}
REFUSED = {"result": False, "errors": [{"code": 98, "message": "Project authorization is not valid."}]}


def look_after(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + seconds)


@dataclass
class Script:
    """What the service says of its one task, the last thing for ever; None drops the connection.

    Attributes:
        killed: What it says from the n-th Kill on; None keeps to the script.
        asked: Done whenever it is asked for the task.
        forgetful: Whether it knows the task by its id only.
    """

    says: list[dict[str, Any] | None]
    killed: dict[str, Any] | None = None
    kills_needed: int = 1
    calls: list[str] = field(default_factory=list)
    asked: Callable[[], None] = lambda: None
    forgetful: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        endpoint = request.path.removeprefix("/v1/Task/")
        self.calls.append(endpoint)
        if endpoint == "Detail":
            self.asked()
            if self.forgetful and "tasktoken" in await request.json():
                return web.json_response(UNKNOWN)
            return self._detail(request)
        if self.killed is not None and self.calls.count("Kill") >= self.kills_needed:
            self.says = [self.killed]
        return web.json_response({"result": True, "errors": []})

    def _detail(self, request: web.Request) -> web.Response:
        said = self.says[0] if len(self.says) == 1 else self.says.pop(0)
        if said is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        body = said if "result" in said else {"result": True, "errors": [], "tasklist": [{"id": "7"} | said]}
        return web.json_response(body)


@dataclass
class Rig:
    tracker: Tracker
    record: Record
    control: Control
    told: list[Entry]
    ledger: Ledger

    async def track(self) -> Record:
        with anyio.fail_after(5):
            record, _ = await self.tracker.track(self.record)
        return record

    async def held(self) -> Record:
        [record] = await self.ledger.read(lambda store: list(store.everything()))
        return record


@asynccontextmanager
async def tracking_of(script: Script, folder: Path, *, timeout_seconds: float = 60.0) -> AsyncIterator[Rig]:
    app = web.Application()
    app.router.add_post("/v1/Task/{endpoint}", script.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    clock, control, told = SystemClock(), Control(), list[Entry]()
    slots = Slots(Capacity(None), clock)
    slots.take()
    pacer = Pacer(1000, clock)
    store = await anyio.to_thread.run_sync(SqliteLedger, folder / "ledger.sqlite")
    ledger = await anyio.to_thread.run_sync(Ledger, store, clock)
    moves = [Record(Task("a", 0, {}, {}, {}, "x"))]
    moves.append(moves[-1].intended(clock.now(), FREE, None))
    moves.append(moves[-1].accepted("7", "token", clock.now()))
    async with anyio.create_task_group() as group:
        group.start_soon(ledger.run)
        try:
            await ledger.enter([moves[0].task], 1, 0)
            await ledger.save(moves[0], moves[1], durable=False)
            await ledger.save(moves[1], moves[2], durable=False)
            async with (
                Client(Credentials("key", None), url, before_send=pacer.gate) as client,
                anyio.create_task_group() as looking,
            ):
                calls = Calls(client, pacer, clock)
                rounds = Rounds(1000, calls, clock, lambda: 0.5)
                looking.start_soon(rounds.run)
                tracker = Tracker(
                    attempts=3,
                    timeout_seconds=timeout_seconds,
                    price_usd=lambda _: None,
                    slots=slots,
                    forecast=Forecast(None),
                    rounds=rounds,
                    listener=Listener(clock, lambda: 0.5, silent()),
                    control=control,
                    calls=calls,
                    ledger=ledger,
                    clock=clock,
                    random=lambda: 0.5,
                    log=Log(told.append),
                )
                yield Rig(tracker, moves[2], control, told, ledger)
                looking.cancel_scope.cancel()
        finally:
            ledger.close()
            await runner.cleanup()
    await anyio.to_thread.run_sync(store.close)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for long."""
    look_after(0.01, monkeypatch)
    monkeypatch.setattr(ending, "ENDING_SECONDS", 0.01)
    monkeypatch.setattr(ending, "ENDING_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(ending, "UNENDING_SECONDS", 0.01)
    monkeypatch.setattr(tracking, "GONE_SECONDS", 0.2)
    monkeypatch.setattr(tracking, "TOLD_GONE_SECONDS", 0.1)
    monkeypatch.setattr(tracking, "SILENCE_SECONDS", 0.2)
    for module in (ending, tracking):
        monkeypatch.setattr(module, "delays", lambda _random, first, _most=0.0: repeat(first / 100))
