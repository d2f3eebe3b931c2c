"""The endpoints of the API page."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from aiohttp import web

from orchestrator.emulator.access import Access, retry_after
from orchestrator.emulator.account import Account
from orchestrator.emulator.bodies import Body, SentFile, read_body
from orchestrator.emulator.callbacks import Callbacks
from orchestrator.emulator.fates import Fates, Subject
from orchestrator.emulator.faults import Fault
from orchestrator.emulator.harms import Sleep, drop, harm
from orchestrator.emulator.journal import Journal, Record
from orchestrator.emulator.listing import Listing
from orchestrator.emulator.misreporting import retell
from orchestrator.emulator.models import CATALOGUE, find_model
from orchestrator.emulator.outputs import Outputs
from orchestrator.emulator.profile import LoseReplies
from orchestrator.emulator.refusal import RefusalError, no_such_endpoint, no_such_task
from orchestrator.emulator.replies import Replies, Reply
from orchestrator.emulator.socket import Sockets
from orchestrator.emulator.stats import Stats, as_json, spelling
from orchestrator.emulator.task import Task

Fields: TypeAlias = Mapping[str, Any]
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

PREFIX = "/v1/"
LARGEST_UPLOAD = 100 * 1024 * 1024
OURS = ("callbackUrl", "projectid")
"""What a Run may carry beside the model's parameters (the API page)."""


class Api:
    """Answers API calls.

    Attributes:
        lose_replies: Drops connections, see `LoseReplies`; None drops none.
    """

    def __init__(
        self,
        *,
        account: Account,
        access: Access,
        outputs: Outputs,
        replies: Replies,
        fates: Fates,
        stats: Stats,
        callbacks: Callbacks,
        journal: Journal | None,
        now: Callable[[], float],
        sleep: Sleep,
        before_each: Callable[[], None],
    ) -> None:
        self.lose_replies: LoseReplies | None = None
        self._account = account
        self._access = access
        self._outputs = outputs
        self._replies = replies
        self._fates = fates
        self._stats = stats
        self._callbacks = callbacks
        self._sockets = Sockets(account=account, fates=fates, stats=stats, show=self._show, now=now, sleep=sleep)
        self._journal = journal
        self._now = now
        self._sleep = sleep
        self._before_each = before_each
        self._endpoints: dict[str, Callable[[Body], Awaitable[Reply]]] = {
            "Task/Detail": self._task_detail,
            "Task/List": self._task_list,
            "Task/Cancel": self._task_cancel,
            "Task/Kill": self._task_kill,
            "Task/InputOutputDelete": self._task_delete,
            "Tool/Detail": self._tool_detail,
            "Tool/List": self._tool_list,
            "File/Upload": self._file_upload,
        }

    def application(self) -> web.Application:
        """Return the application that serves `/v1/…`, the socket at `/v1`, `/emulator/stats` and `/emulator/tasks`."""

        @web.middleware
        async def faults(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._with_faults(request, handler)

        app = web.Application(middlewares=[faults], client_max_size=LARGEST_UPLOAD + 1024 * 1024)
        app.on_shutdown.append(self._sockets.close)
        app.router.add_get(PREFIX.rstrip("/"), self._sockets.handle)
        app.router.add_get("/emulator/stats", self._show_stats)
        app.router.add_get("/emulator/tasks", self._show_tasks)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _with_faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count the call, and let go wrong what is to go wrong with it."""
        if not request.path.startswith(PREFIX):
            return await handler(request)
        self._before_each()
        endpoint = _endpoint(request.path)
        self._stats.arrived(self._now(), endpoint)
        when = self.lose_replies(endpoint, self._stats.calls[endpoint]) if self.lose_replies else None
        if when is not None:
            response = web.Response() if when == "before" else await handler(request)
            self._stats.lost_replies += 1
            drop(request)
            return response
        if self._fates.may_meet("reply", endpoint):
            met = self._fates.met_by("reply", await self._subject(request, endpoint))
            if met:
                return await self._go_wrong(request, met[0])
        return await handler(request)

    async def _go_wrong(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.kind == "refused":
            return self._refused(RefusalError(fault.code, fault.text, fault.status))
        if fault.kind == "too_fast":
            headers = retry_after(fault, self._now())
            return self._refused(RefusalError(0, "Too many requests.", 429), headers)
        return await harm(request, fault, lambda: self._answer(request), self._sleep)

    async def _subject(self, request: web.Request, endpoint: str) -> Subject:
        """Return a call as faults know it: by the task that it is about, where it is about one."""
        try:
            fields = read_body(request.headers.get("Content-Type", ""), await request.read()).fields
            if endpoint == "Run":
                parameters = _parameters(fields)
                return Subject(f"{endpoint} {spelling(request.path, parameters)}", parameters, endpoint)
            task = self._find(fields)
        except RefusalError:
            return Subject(endpoint, endpoint=endpoint)
        return Subject(f"{endpoint} {task.identity}", task.parameters, endpoint)

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            self._access.check_rate(self._now())
            reply = await self._handle(request)
        except RefusalError as refusal:
            return self._refused(refusal, self._access.headers_of_refusal(refusal))
        return _response(reply)

    def _refused(self, refusal: RefusalError, headers: Mapping[str, str] | None = None) -> web.Response:
        status = refusal.status
        self._stats.refusals[str(refusal.code if status == 200 else status)] += 1
        return _response(self._replies.refused(refusal), status, headers)

    async def _handle(self, request: web.Request) -> Reply:
        endpoint = _endpoint(request.path)
        handler = self._endpoints.get(endpoint)
        is_run = endpoint == "Run" and request.path.count("/") == 4
        if request.method != "POST" or not request.path.startswith(PREFIX) or not (handler or is_run):
            raise no_such_endpoint()
        self._access.check_credentials(request.headers)
        body = read_body(request.headers.get("Content-Type", ""), await request.read())
        if handler is not None:
            return await handler(body)
        _, _, _, owner, model = request.path.split("/")
        return await self._run(owner, model, body)

    async def _run(self, owner: str, name: str, body: Body) -> Reply:
        model = find_model(owner, name)
        parameters = _parameters(body.fields)
        model.check(parameters, body.files)
        for key, files in body.files.items():
            addresses = [await self._keep(file) for file in files]
            parameters[key] = addresses[0] if len(addresses) == 1 else addresses
        task, record = self._account.accept(model, parameters)
        await self._save(record)
        self._callbacks.expect(task, str(body.fields.get("callbackUrl") or ""))
        return self._replies.accepted(task)

    async def _task_detail(self, body: Body) -> Reply:
        task = self._find(body.fields)
        if task.life.is_hidden(self._now()):
            raise no_such_task()
        task.looks += task.life.has_outputs(self._now())
        return self._replies.tasks([await self._show(task)], 1)

    async def _task_list(self, body: Body) -> Reply:
        start, limit = _whole(body.fields, "start", 0), _whole(body.fields, "limit", 20)
        model = str(body.fields.get("modelName") or "")
        if not (self._fates.may_meet("list") or self._fates.may_meet("task")):
            page, total = self._account.newest(start, limit, model)
            return self._replies.tasks([await self._show(task) for task in page], total)
        listing = Listing.drawn(self._fates, self._now())
        page, total = self._account.newest(start, limit, model, listing)
        entries = [await self._show(task, listing.parameters(task)) for task in page]
        return self._replies.tasks(entries, max(0, total + listing.added))

    async def _task_cancel(self, body: Body) -> Reply:
        await self._save(self._account.cancel(self._find(body.fields)))
        return self._replies.done()

    async def _task_kill(self, body: Body) -> Reply:
        await self._save(self._account.kill(self._find(body.fields)))
        return self._replies.done()

    async def _task_delete(self, body: Body) -> Reply:
        await self._save(self._account.delete(self._find(body.fields)))
        return self._replies.done()

    async def _tool_detail(self, body: Body) -> Reply:
        owner, name = (str(body.fields.get(key, "")) for key in ("slugowner", "slugproject"))
        return self._replies.tools([find_model(owner, name).tool], summary=_flag(body.fields, "summary"))

    async def _tool_list(self, body: Body) -> Reply:
        start, limit = _whole(body.fields, "start", 0), _whole(body.fields, "limit", 20)
        tools = [model.tool for model in CATALOGUE.values() if _fits(model.tool, body.fields)]
        return self._replies.tools(tools[start : start + limit], summary=_flag(body.fields, "summary"))

    async def _file_upload(self, body: Body) -> Reply:
        files = body.files.get("file")
        if not files:
            raise RefusalError(0, "Request files [file] required")
        if len(files[0].data) > LARGEST_UPLOAD:
            raise RefusalError(0, "Request files [file] invalid")
        upload, record = self._account.upload(files[0])
        await self._save(record)
        return self._replies.uploaded(upload)

    async def _keep(self, file: SentFile) -> str:
        """Keep a file that came with a Run and return its address."""
        upload, record = self._account.upload(file)
        await self._save(record)
        return self._replies.url(upload.folder, upload.file.name)

    async def _show(self, task: Task, parameters: Fields | None = None) -> Reply:
        now = self._now()
        made_pictures = task.life.has_outputs(now) and not task.deleted and not task.model.writes_text
        sizes = await self._outputs.sizes(task) if made_pictures else []
        entry = self._replies.task(task, now, sizes, parameters)
        if self._fates.may_meet("file"):
            retell(entry, task, self._fates)
        return entry

    def _find(self, fields: Fields) -> Task:
        token = str(fields.get("tasktoken") or fields.get("socketaccesstoken") or "")
        number = str(fields.get("taskid") or "")
        if not token and not number:
            raise RefusalError(0, "Request parameter [tasktoken] required")
        return self._account.find(token=token, number=number)

    async def _save(self, record: Record) -> None:
        if self._journal is not None:
            await self._journal.append(record)

    async def _show_stats(self, _request: web.Request) -> web.Response:
        state = {
            "active": self._account.active,
            "limit": self._account.limit,
            "balance_usd": str(self._account.balance_usd),
        }
        return web.json_response(self._stats.as_json() | state)

    async def _show_tasks(self, _request: web.Request) -> web.Response:
        now = self._now()
        lines = [json.dumps(as_json(task, now), ensure_ascii=False) + "\n" for task in self._stats.accepted]
        return web.Response(text="".join(lines), content_type="application/jsonl")


def _endpoint(path: str) -> str:
    """Return `Run`, or an endpoint's path behind the prefix."""
    endpoint = path.removeprefix(PREFIX)
    return "Run" if endpoint.startswith("Run/") else endpoint


def _parameters(fields: Fields) -> dict[str, Any]:
    """Return the model's parameters among the fields of a Run."""
    return {key: value for key, value in fields.items() if key not in OURS}


def _response(reply: Reply, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    body = json.dumps(reply, ensure_ascii=False).encode()
    return web.Response(body=body, status=status, headers=headers, content_type="application/json")


def _whole(fields: Fields, name: str, default: int) -> int:
    """Return a count that may be sent as text or as a number."""
    text = str(fields.get(name, default))
    if not text.isdecimal() or len(text) > 18:
        raise RefusalError(0, f"Request parameter [{name}] invalid")
    return int(text)


def _flag(fields: Fields, name: str) -> bool:
    return str(fields.get(name, "")).lower() in ("true", "1")


def _fits(tool: Mapping[str, Any], fields: Fields) -> bool:
    """Return whether a model is one of those that `/Tool/List` was asked for."""
    owner, search = (str(fields.get(name) or "").lower() for name in ("slugowner", "search"))
    asked = fields.get("categories") or []
    categories = [asked] if isinstance(asked, str) else asked
    text = f"{tool['title']} {tool['slugowner']}/{tool['slugproject']} {tool['description']}".lower()
    return owner in ("", tool["cleanslugowner"]) and search in text and set(categories) <= set(tool["categories"])
