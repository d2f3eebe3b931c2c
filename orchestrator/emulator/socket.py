"""The socket of the API page: one connection for each task, and each change told at once."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import anyio
from aiohttp import WSCloseCode, WSMsgType, web

from orchestrator.emulator.account import Account
from orchestrator.emulator.fates import Fates, Subject
from orchestrator.emulator.faults import Fault
from orchestrator.emulator.harms import Sleep, drop
from orchestrator.emulator.refusal import RefusalError
from orchestrator.emulator.replies import Reply
from orchestrator.emulator.stats import Stats
from orchestrator.emulator.task import Task

NOTICE_SECONDS: Final = 0.2
"""How soon it is noticed that a task was cancelled."""

LARGEST_BYTES: Final = 1 << 16


class Sockets:
    """Tells of tasks for as long as they run.

    Args:
        account: Whose tasks.
        fates: What goes wrong.
        stats: Takes how many connections there were.
        show: Gives a task as `/Task/Detail` shows it.
        now: Unix seconds.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        *,
        account: Account,
        fates: Fates,
        stats: Stats,
        show: Callable[[Task], Awaitable[Reply]],
        now: Callable[[], float],
        sleep: Sleep,
    ) -> None:
        self._account = account
        self._fates = fates
        self._stats = stats
        self._show = show
        self._now = now
        self._sleep = sleep
        self._open: set[web.WebSocketResponse] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection until either side has had enough."""
        self._stats.sockets += 1
        for fault in self._fates.met_by("socket", Subject("socket"), "refused"):
            return web.Response(status=fault.status)
        connection = web.WebSocketResponse(max_msg_size=LARGEST_BYTES)
        try:
            await connection.prepare(request)
            self._open.add(connection)
            task = await self._asked(connection)
            if task is not None:
                await self._serve(request, connection, task)
        except ConnectionError:  # whoever asked has gone before the answer
            return web.Response()
        finally:
            self._open.discard(connection)
        return connection

    async def close(self, _application: web.Application) -> None:
        """Hang up on everybody."""
        for connection in list(self._open):
            await connection.close(code=WSCloseCode.GOING_AWAY)

    async def _asked(self, connection: web.WebSocketResponse) -> Task | None:
        """Return the task that a connection asks for; one that asks for none, or for nobody's, is closed."""
        async for message in connection:
            if message.type is WSMsgType.TEXT:
                try:
                    return self._account.find(token=str(json.loads(message.data)["tasktoken"]))
                except (ValueError, TypeError, LookupError, RefusalError):
                    await connection.close(code=WSCloseCode.POLICY_VIOLATION)
        return None

    async def _serve(self, request: web.Request, connection: web.WebSocketResponse, task: Task) -> None:
        subject = Subject(f"socket {task.identity}", task.parameters)
        kinds = ("lost", "silent", "late", "lies", "junk", "twice")
        faults = {fault.kind: fault for fault in self._fates.met_by("socket", subject, *kinds)}
        async with anyio.create_task_group() as group:
            if "silent" not in faults:
                group.start_soon(self._tell, connection, task, faults)
            if "lost" in faults:
                group.start_soon(self._lose, request, faults["lost"].after_seconds)
            async for _ in connection:  # whatever else is asked for: a connection is for one task
                pass
            group.cancel_scope.cancel()

    async def _lose(self, request: web.Request, seconds: float) -> None:
        await self._sleep(seconds)
        drop(request)

    async def _tell(self, connection: web.WebSocketResponse, task: Task, faults: dict[str, Fault]) -> None:
        begun, status = self._now(), ""
        try:
            for moment in (begun, *(moment for moment in task.life.moments if moment > begun)):
                await self._until(moment, task)
                if task.life.is_over(self._now()):
                    break
                before, status = status, task.life.shown_status(self._now())
                news = _told(task, status) if status != before else _progress(task, self._now())
                await self._say(connection, news, faults)
            await self._sleep(faults["late"].seconds if "late" in faults else 0.0)
            await self._say(connection, await self._end(task), faults)
        except ConnectionError:  # the other side has hung up
            return

    async def _until(self, moment: float, task: Task) -> None:
        """Wait for a moment, or for the end of a task that somebody ends before it."""
        while (left := min(moment, task.life.ends_at) - self._now()) > 0:
            await self._sleep(min(left, NOTICE_SECONDS))

    async def _end(self, task: Task) -> Reply:
        status = task.life.status(self._now())
        return _told(task, status, (await self._show(task))["outputs"] if status == "task_postprocess_end" else None)

    async def _say(self, connection: web.WebSocketResponse, event: Reply, faults: dict[str, Fault]) -> None:
        if "lies" in faults and event["type"] != "task_postprocess_end":
            event = event | {"type": "task_postprocess_end", "message": []}
        if "junk" in faults:
            await connection.send_bytes(b"\xff\xfe\x00")
            for junk in _junk(event):
                await connection.send_str(junk)
        for _ in range(2 if "twice" in faults else 1):
            await connection.send_str(json.dumps(event, ensure_ascii=False))


def _told(task: Task, status: str, message: Any = None) -> Reply:
    return {"type": status, "id": str(task.id), "tasktoken": task.token, "message": message, "result": True}


def _progress(task: Task, now: float) -> Reply:
    """Return how far a task is, as image models tell it."""
    share = task.life.progress(now)
    total = max(1, round(float(task.model.with_defaults(task.parameters).get("steps", 1))))
    message = {
        "type": "progressGenerate",
        "task": "Generate",
        "percentage": str(round(100 * share)),
        "stepCurrent": str(int(total * share)),
        "stepTotal": str(total),
    }
    return _told(task, "task_output", message)


def _junk(event: Reply) -> Iterator[str]:
    """Give what no client should take for an event of its task."""
    yield "not JSON"
    yield "[]"
    yield '{"type": ["task_postprocess_end"], "message": NaN}'
    yield json.dumps(event | {"type": "task_dreaming"})
    yield json.dumps(event | {"type": "task_postprocess_end", "tasktoken": "another-task"})
    yield '{"type": "task_cancel", "message": ' + "[" * 500 + "]" * 500 + "}"
