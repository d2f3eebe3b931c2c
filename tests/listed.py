"""A service that has nothing but a list of tasks, and a ledger with tasks whose requests may be in it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
from aiohttp import web

from orchestrator.clock import SystemClock
from orchestrator.engines.pacing import Pacer
from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.lifecycle import Record
from orchestrator.money import FREE
from orchestrator.steps.calls import Calls
from orchestrator.steps.listing import PAGE
from orchestrator.tasks import Parameters, Task
from orchestrator.wiro import Client, Credentials

NOW = 1_800_000_000.0
BOAT = {"prompt": "a boat", "seed": "1"}


def doubtful(name: str = "a", parameters: Parameters = BOAT, *, newest: int | None = 100, at: float = NOW) -> Record:
    """A task whose request may have been accepted, sent when `newest` was the newest remote task."""
    return Record(Task(name, 0, parameters, {}, {}, "x")).intended(at, FREE, newest).given_up(at + 1)


def accepted(name: str, number: int, *, at: float) -> Record:
    """A task that the service has said it has accepted, sent at a moment."""
    return Record(Task(name, 0, {"prompt": name}, {}, {}, "x")).intended(at, FREE, None).accepted(str(number), "t", at)


@dataclass
class Service:
    """A list of tasks that may move while it is read, and may not show their parameters.

    Attributes:
        most: How many tasks it gives at once, whatever it is asked for.
        moves: Done after each page.
        slips: Whether it fails every second time.
        created_at: When all tasks were made, unix seconds; 0 where the list does not say.
        alike: The only tasks with the parameters of `BOAT`; all where None.
        asked: The tasks that were asked for one by one.
    """

    tasks: list[int]
    calls: int = 0
    in_list: object = json.dumps(BOAT)
    in_detail: object = json.dumps(BOAT)
    most: int = PAGE
    deaf: bool = False
    moves: Callable[[Service], None] = lambda _: None
    broken: bool = False
    slips: bool = False
    deleted: bool = False
    created_at: int = 0
    alike: Collection[int] | None = None
    asked: list[str] = field(default_factory=list)

    def shown(self, number: int) -> object:
        return self.in_list if self.alike is None or number in self.alike else json.dumps({"seed": 7})

    async def answer(self, request: web.Request) -> web.Response:
        self.calls += 1
        asked = await request.json()
        if self.broken or (self.slips and self.calls % 2):
            return web.Response(text="<html>Bad gateway</html>", status=502)
        start = 0 if self.deaf else int(asked["start"])
        page = [
            {
                "id": str(number),
                "status": "task_queue",
                "parameters": self.shown(number),
                "createtime": str(self.created_at),
            }
            for number in self.tasks[start : start + min(self.most, int(asked["limit"]))]
        ]
        self.moves(self)
        return web.json_response({"result": True, "errors": [], "total": "0", "tasklist": page})

    async def tell(self, request: web.Request) -> web.Response:
        number = (await request.json())["taskid"]
        self.asked.append(number)
        if self.deleted:
            return web.json_response({"result": False, "errors": [{"code": 1, "message": "There is no task yet."}]})
        task = {"id": number, "status": "task_queue", "parameters": self.in_detail}
        return web.json_response({"result": True, "errors": [], "total": "1", "tasklist": [task]})


@asynccontextmanager
async def calling(service: Service) -> AsyncIterator[Calls]:
    app = web.Application()
    app.router.add_post("/v1/Task/List", service.answer)
    app.router.add_post("/v1/Task/Detail", service.tell)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    clock = SystemClock()
    pacer = Pacer(10_000, clock)
    port = runner.addresses[0][1]
    try:
        async with Client(Credentials("key", None), f"http://127.0.0.1:{port}/v1", before_send=pacer.gate) as client:
            yield Calls(client, pacer, clock)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def ledger_with(folder: Path, records: Sequence[Record]) -> AsyncIterator[Ledger]:
    """A ledger that holds these tasks, uncertain or accepted."""
    store = await anyio.to_thread.run_sync(SqliteLedger, folder / "ledger.sqlite")
    ledger = await anyio.to_thread.run_sync(Ledger, store, SystemClock())
    async with anyio.create_task_group() as group:
        group.start_soon(ledger.run)
        await ledger.enter([record.task for record in records], 1, 0)
        for record in records:
            sent = record.sent
            intended = Record(record.task).intended(sent.intent_at, sent.reserved_usd, sent.newest_known)
            await ledger.save(Record(record.task), intended, durable=False)
            await ledger.save(intended, record, durable=False)
        try:
            yield ledger
        finally:
            ledger.close()
    await anyio.to_thread.run_sync(store.close)
