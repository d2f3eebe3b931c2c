"""The endpoints of the API page."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from aiohttp import web

from orchestrator.emulator.access import Access
from orchestrator.emulator.account import Account
from orchestrator.emulator.bodies import Body, SentFile, read_body
from orchestrator.emulator.journal import Journal, Record
from orchestrator.emulator.models import CATALOGUE, find_model
from orchestrator.emulator.outputs import Outputs
from orchestrator.emulator.profile import LoseReplies
from orchestrator.emulator.refusal import RefusalError, no_such_endpoint
from orchestrator.emulator.replies import Replies, Reply
from orchestrator.emulator.stats import Stats
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
        stats: Stats,
        journal: Journal | None,
        now: Callable[[], float],
    ) -> None:
        self.lose_replies: LoseReplies | None = None
        self._account = account
        self._access = access
        self._outputs = outputs
        self._replies = replies
        self._stats = stats
        self._journal = journal
        self._now = now
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
        """Return the application that serves `/v1/…` and `/emulator/stats`."""

        @web.middleware
        async def faults(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._with_faults(request, handler)

        app = web.Application(middlewares=[faults], client_max_size=LARGEST_UPLOAD + 1024 * 1024)
        app.router.add_get("/emulator/stats", self._show_stats)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _with_faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count the call, and let go wrong what is to go wrong with it."""
        if not request.path.startswith(PREFIX):
            return await handler(request)
        endpoint = _endpoint(request.path)
        self._stats.calls[endpoint] += 1
        self._stats.arrivals.append((self._now(), endpoint))
        when = self.lose_replies(endpoint, self._stats.calls[endpoint]) if self.lose_replies else None
        response = web.Response() if when == "before" else await handler(request)
        if when is not None and request.transport is not None:
            self._stats.lost_replies += 1
            request.transport.abort()
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            self._access.check_rate(self._now())
            reply, status, headers = await self._handle(request), 200, {}
        except RefusalError as refusal:
            reply, status = self._replies.refused(refusal), refusal.status
            self._stats.refusals[str(refusal.code if status == 200 else status)] += 1
            headers = self._access.headers_of_refusal(refusal)
        body = json.dumps(reply, ensure_ascii=False).encode()
        return web.Response(body=body, status=status, headers=headers, content_type="application/json")

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
        parameters = {key: value for key, value in body.fields.items() if key not in OURS}
        model.check(parameters, body.files)
        for key, files in body.files.items():
            addresses = [await self._keep(file) for file in files]
            parameters[key] = addresses[0] if len(addresses) == 1 else addresses
        task, record = self._account.accept(model, parameters)
        await self._save(record)
        return self._replies.accepted(task)

    async def _task_detail(self, body: Body) -> Reply:
        return self._replies.tasks([await self._show(self._find(body.fields))], 1)

    async def _task_list(self, body: Body) -> Reply:
        start, limit = _whole(body.fields, "start", 0), _whole(body.fields, "limit", 20)
        page, total = self._account.newest(start, limit, str(body.fields.get("modelName") or ""))
        return self._replies.tasks([await self._show(task) for task in page], total)

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

    async def _show(self, task: Task) -> Reply:
        now = self._now()
        made_pictures = task.life.exit_code(now) == "0" and not task.deleted and not task.model.writes_text
        sizes = await self._outputs.sizes(task) if made_pictures else []
        return self._replies.task(task, now, sizes)

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


def _endpoint(path: str) -> str:
    """Return `Run`, or an endpoint's path behind the prefix."""
    endpoint = path.removeprefix(PREFIX)
    return "Run" if endpoint.startswith("Run/") else endpoint


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
