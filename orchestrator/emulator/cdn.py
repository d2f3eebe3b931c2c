"""The CDN: files by folder and name, whole or in part, for everybody."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from aiohttp import web

from orchestrator.emulator.access import CREDENTIALS
from orchestrator.emulator.account import Account
from orchestrator.emulator.outputs import Outputs
from orchestrator.emulator.stats import Stats
from orchestrator.emulator.task import Task

RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class Cdn:
    """Answers downloads."""

    def __init__(self, account: Account, outputs: Outputs, stats: Stats, now: Callable[[], float]) -> None:
        self._account = account
        self._outputs = outputs
        self._stats = stats
        self._now = now

    def application(self) -> web.Application:
        """Return the application that serves `/<folder>/<name>`."""
        app = web.Application()
        app.router.add_get("/{folder}/{name}", self._download)
        return app

    async def _download(self, request: web.Request) -> web.Response:
        response = await self._respond(request)
        self._stats.downloads[str(response.status)] += 1
        return response

    async def _respond(self, request: web.Request) -> web.Response:
        if any(name in request.headers for name in CREDENTIALS):
            self._stats.leaks += 1
            return web.Response(status=400, text="This address needs no credentials and must not be sent any.")
        folder, name = request.match_info["folder"], request.match_info["name"]
        found = await self._find(folder, name)
        if found is None:
            return web.Response(status=404, text="There is no such file.")
        content, content_type = found
        etag = f'"{folder}/{quote(name)}"'  # what lies at an address never changes
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": content_type}
        asked = request.headers.get("Range", "") if request.method == "GET" else ""
        if request.headers.get("If-Range", etag) != etag:
            asked = ""
        return _part(content, asked, headers)

    async def _find(self, folder: str, name: str) -> tuple[bytes, str] | None:
        """Return the bytes and the content type of a file."""
        upload = self._account.uploads.get(folder)
        if upload is not None and upload.file.name == name:
            return upload.file.data, upload.file.content_type
        task = self._account.find_folder(folder)
        number = name.removesuffix(".png")
        if task is None or number == name or not self._has_output(task, number):
            return None
        return await self._outputs.picture(task, int(number)), "image/png"

    def _has_output(self, task: Task, number: str) -> bool:
        made = task.life.exit_code(self._now()) == "0" and not task.deleted and not task.model.writes_text
        return made and number in map(str, range(task.model.count_outputs(task.parameters)))


def _part(content: bytes, asked: str, headers: dict[str, str]) -> web.Response:
    """Return the part of a file that a `Range` header asks for (RFC 9110, 14.2); all of it where that says nothing."""
    match = RANGE.fullmatch(asked)
    if match is None or match.group() == "bytes=-":
        return web.Response(body=content, headers=headers)
    first, last = match.groups()
    total = len(content)
    start = int(first) if first else max(0, total - int(last))
    stop = min(total, int(last) + 1) if first and last else total
    if first and last and int(last) < int(first):
        return web.Response(body=content, headers=headers)
    if start >= total:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{total}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
    return web.Response(status=206, body=memoryview(content)[start:stop], headers=headers)
