"""What is answered to which request: the overview, the page of each run, what changes of them, marks and cancelling."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from socket import gaierror
from typing import Any, Final

import anyio
from aiohttp import hdrs, web

from orchestrator.errors import RefusedError
from orchestrator.output.gallery import Place, marks
from orchestrator.runs import RunFolder
from orchestrator.threads import Hop, in_thread
from orchestrator.web import files
from orchestrator.web.guard import HEADERS, Guard
from orchestrator.web.shelf import Shelf
from orchestrator.web.watch import Watch

MOST_POSTED: Final = 8_000_000
RETRY_SECONDS: Final = 5
GRACE_SECONDS: Final = 0.2
"""How long requests may go on once the server is to end."""
FIRST_FREE_PORT: Final = 1024
"""Those below are the administrator's."""
MOST_PORT: Final = 65535

LIVE_STYLE: Final = '<link rel="stylesheet" href="../../assets/live.css" />'
LIVE_SCRIPTS: Final = (
    '<script src="../../assets/log.js"></script><script src="../../assets/hearing.js"></script>'
    '<script src="../../assets/live.js" data-token="{token}"></script>'
)
"""What the page of a run has more when it is served."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Tell = Callable[[str], None]


class Site:
    """The pages of some run folders."""

    def __init__(
        self,
        shelf: Shelf,
        watch: Watch,
        guard: Guard,
        *,
        cancel: Callable[[str, RunFolder], None],
        tell: Tell,
        hop: Hop = in_thread,
    ) -> None:
        """Set it up.

        Args:
            shelf: The run folders.
            watch: Tells what changes in them.
            guard: Says who is let in.
            cancel: Begins to end what a run, given by its name too, has on the service.
            tell: Told in a sentence when something of ours goes wrong.
            hop: Where files are read and written.
        """
        self._shelf = shelf
        self._watch = watch
        self._guard = guard
        self._cancel = cancel
        self._tell = tell
        self._hop = hop
        self._saving = anyio.Lock()

    def application(self) -> web.Application:
        """Return what answers requests."""
        app = web.Application(middlewares=[self._guarded], client_max_size=MOST_POSTED)
        app.on_response_prepare.append(_with_headers)
        app.add_routes(
            [
                web.get("/", self._overview),
                web.get("/events", self._events, allow_head=False),
                web.get("/assets/{name}", self._asset),
                web.get("/run/{run}", self._lead_on),
                web.get("/run/{run}/", self._page),
                web.get("/run/{run}/events", self._events, allow_head=False),
                web.get("/run/{run}/page/data/{name}.js", self._data),
                web.get("/run/{run}/page/thumbnails/{path:.+}", self._thumbnail),
                web.get("/run/{run}/page/{name}", self._asset),
                web.get("/run/{run}/files/{path:.+}", self._output),
                web.post("/run/{run}/marks", self._take_marks),
                web.post("/run/{run}/cancel", self._end),
            ]
        )
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._guard.check(request)
        if request.method == hdrs.METH_POST:
            self._guard.check_write(request)
        try:
            return await handler(request)
        except ConnectionError:
            raise  # whoever asked has gone
        except OSError as error:
            raise web.HTTPServiceUnavailable(text=f"A file cannot be used: {error.strerror}.") from error
        except web.HTTPException:
            raise
        except Exception as error:
            self._tell(f"A request could not be answered, and this is a bug: {type(error).__name__}: {error}")
            raise web.HTTPInternalServerError(text="This is a bug: the server's window says more.") from error

    async def _overview(self, _request: web.Request) -> web.Response:
        return _text(await self._packaged("runs.html"), "text/html")

    async def _asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return _text(await self._packaged(name), files.TYPES[f".{name.rpartition('.')[2]}"])

    async def _lead_on(self, request: web.Request) -> web.Response:
        raise web.HTTPPermanentRedirect(request.rel_url.with_path(f"{request.rel_url.raw_path}/", encoded=True))

    async def _page(self, request: web.Request) -> web.Response:
        """Answer with the page that runs leave, and the scripts that make it live."""
        await self._folder(request)
        page = await self._packaged("index.html")
        for mark, more in (("</head>", LIVE_STYLE), ("</body>", LIVE_SCRIPTS.format(token=self._guard.page_token))):
            page = page.replace(mark.encode(), f"{more}{mark}".encode())
        return _text(page, "text/html")

    async def _data(self, request: web.Request) -> web.Response:
        folder = await self._folder(request)
        name = request.match_info["name"]
        found = await self._hop(partial(files.data, Place(folder.path), name))
        if found is None:
            raise web.HTTPNotFound(text="The page has no such data.")
        content, version = found
        if any(each.value == version for each in request.if_none_match or ()):
            return web.Response(status=304, headers={"ETag": f'"{version}"', "Cache-Control": files.ALWAYS_ASKED})
        answer = _text(content, files.SCRIPT)
        answer.etag = version
        return answer

    async def _thumbnail(self, request: web.Request) -> web.FileResponse:
        return await self._file(request, "page/thumbnails", keeps=True)

    async def _output(self, request: web.Request) -> web.FileResponse:
        return await self._file(request, "files", keeps=False)

    async def _file(self, request: web.Request, below: str, *, keeps: bool) -> web.FileResponse:
        folder = await self._folder(request)
        found = await self._hop(partial(files.inside, folder.path, below, request.match_info["path"]))
        if found is None:
            raise web.HTTPNotFound(text="The run has no such file.")
        return files.served(found, keeps=keeps)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Answer with server-sent events for as long as somebody reads them."""
        topic = request.match_info.get("run")
        if topic is not None:
            await self._folder(request)
        if self._watch.is_full:
            raise web.HTTPServiceUnavailable(
                text="Too many pages are open: close some, and this one goes on by itself.",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        with self._watch.reading(topic) as reader:
            await answer.prepare(request)
            with reader.scope:
                async for told in reader.events:
                    await answer.write(told.encoded())
        if request.transport is not None:
            request.transport.abort()  # what it has not read by now it does not want
        return answer

    async def _take_marks(self, request: web.Request) -> web.Response:
        folder = await self._folder(request)
        given = await _posted(request)
        place = Place(folder.path)
        job = await self._hop(partial(place.read, "job"))
        if not isinstance(job, dict) or given.get("key") != job.get("key"):
            raise web.HTTPConflict(text="These are marks of another run: load the page again.")
        try:
            async with self._saving:  # of two who save at once, one would not know of the other's
                await self._hop(partial(marks.save, place, given))
        except RefusedError as error:
            held = f"The {marks.NAME} in the run folder"
            raise web.HTTPConflict(text=f"{held} is none, of another run, or full.") from error
        return web.json_response({"saved": True})

    async def _end(self, request: web.Request) -> web.Response:
        self._cancel(request.match_info["run"], await self._folder(request))
        return web.json_response({"told": True}, status=202)

    async def _folder(self, request: web.Request) -> RunFolder:
        """Return the run folder that a request is about; one that has just come is found too."""
        name = request.match_info["run"]
        found = self._shelf.folder(name)
        if found is None:
            await self._hop(self._shelf.look)
            found = self._shelf.folder(name)
        if found is None:
            raise web.HTTPNotFound(text="There is no such run.")
        return found

    async def _packaged(self, name: str) -> bytes:
        found = await self._hop(partial(files.asset, name))
        if found is None:
            raise web.HTTPNotFound(text="There is no such page.")
        return found


async def _posted(request: web.Request) -> dict[str, Any]:
    try:
        given = json.loads(await request.read())
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise web.HTTPBadRequest(text="This is no JSON object.")
    return given


def _text(content: bytes, kind: str) -> web.Response:
    return web.Response(body=content, content_type=kind, charset="utf-8", headers={"Cache-Control": files.ALWAYS_ASKED})


async def _with_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = "orchestrator"
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


@asynccontextmanager
async def serving(site: Site, watch: Watch, host: str, port: int) -> AsyncIterator[int]:
    """Answer requests while the block runs; it is given the port.

    Args:
        site: What is served.
        watch: Tells its pages what changes.
        host: The address to listen on.
        port: The port, 0 for any free one.

    Raises:
        RefusedError: The address cannot be had.
    """
    silent = logging.Logger("web", logging.CRITICAL + 1)  # noqa: LOG001 - of this server alone: others' mistakes are no news
    runner = web.AppRunner(
        site.application(), access_log=None, logger=silent, handler_cancellation=True, shutdown_timeout=GRACE_SECONDS
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise RefusedError(_no_place(host, port, error)) from error
        async with anyio.create_task_group() as group:
            group.start_soon(watch.run)
            yield runner.addresses[0][1]
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


def _no_place(host: str, port: int, error: OSError) -> str:
    """Return why an address cannot be listened on, and what to do."""
    if isinstance(error, gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine: choose another --host."
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} of {host} is taken, perhaps by another `orchestrator serve`: choose another one, such as"
            f" --port {port + 1 if port < MOST_PORT else port - 1}, or any that is free with --port 0."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} is not open to you: choose one from {FIRST_FREE_PORT} on with --port."
    return f"{host} cannot be listened on at port {port}: {error.strerror or error}. Choose another --port."
