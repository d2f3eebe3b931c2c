"""The CDN: files by folder and name, whole or in part, for everybody."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from orchestrator.emulator.access import CREDENTIALS
from orchestrator.emulator.account import Account
from orchestrator.emulator.fates import Fates, Subject
from orchestrator.emulator.faults import HARMS, Fault
from orchestrator.emulator.harms import Sleep, body_of, drop, harm, stream_like
from orchestrator.emulator.misreporting import file_of
from orchestrator.emulator.outputs import Outputs
from orchestrator.emulator.stats import Stats
from orchestrator.emulator.task import Task

RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
ASKED = (*HARMS, "endless", "redirected", "expired", "whole", "compressed", "retyped")
"""Faults of files that meet a request for them."""

AGAIN = "again"
"""Marks the address of the same file to which a request is redirected: from there it is redirected no more."""

FILLER = bytes(2**16)
FILLER_SECONDS = 0.01


@dataclass(frozen=True)
class File:
    """A file on the CDN, and as what faults know it."""

    content: bytes
    content_type: str
    subject: Subject


class Cdn:
    """Answers downloads."""

    def __init__(
        self,
        *,
        account: Account,
        outputs: Outputs,
        fates: Fates,
        stats: Stats,
        now: Callable[[], float],
        sleep: Sleep,
    ) -> None:
        self._account = account
        self._outputs = outputs
        self._fates = fates
        self._stats = stats
        self._now = now
        self._sleep = sleep

    def application(self) -> web.Application:
        """Return the application that serves `/<folder>/<name>`."""
        app = web.Application()
        app.router.add_get("/{folder}/{name}", self._download)
        return app

    async def _download(self, request: web.Request) -> web.StreamResponse:
        response = await self._respond(request)
        self._stats.downloads[str(response.status)] += 1
        return response

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        if any(name in request.headers for name in CREDENTIALS):
            self._stats.leaks += 1
            return web.Response(status=400, text="This address needs no credentials and must not be sent any.")
        folder, name = request.match_info["folder"], request.match_info["name"]
        file = await self._find(folder, name)
        if file is None:
            return web.Response(status=404, text="There is no such file.")
        if request.method == "GET" and self._fates.may_meet("file"):
            return await self._respond_badly(request, file)
        return _served(request, file)

    async def _respond_badly(self, request: web.Request, file: File) -> web.StreamResponse:
        """Serve a file as the faults will that meet the request."""
        met = self._fates.met_by("file", file.subject, *ASKED)
        right = _served(request, file, whole=any(fault.kind == "whole" for fault in met))
        for fault in met:
            if fault.kind == "retyped":
                right.headers["Content-Type"] = fault.text
        for fault in met:
            answer = await self._gone_wrong(request, fault, right)
            if answer is not None:
                return answer
        return right

    async def _gone_wrong(self, request: web.Request, fault: Fault, right: web.Response) -> web.StreamResponse | None:
        """Return what comes instead of the right answer; None where a fault has no more to do."""
        match fault.kind:
            case "redirected" if fault.text or AGAIN not in request.query:
                elsewhere = fault.text or str(request.rel_url.update_query({AGAIN: ""}))
                return web.Response(status=302, headers={"Location": elsewhere})
            case "whole" | "retyped" | "redirected":
                return None
            case "expired":
                looks = int(request.query.get("look", "0"))
                return (
                    web.Response(status=403, text="This address has expired.") if looks <= (fault.number or 1) else None
                )
            case "compressed":
                packed = gzip.compress(body_of(right))
                return web.Response(body=packed, headers={**right.headers, "Content-Encoding": "gzip"})
            case "endless":
                return await self._endless(request, right, fault.number)

        async def answer() -> web.Response:
            return right

        return await harm(request, fault, answer, self._sleep)

    async def _endless(self, request: web.Request, right: web.Response, most: int | None) -> web.StreamResponse:
        """Send a file without saying how long it is, then more and more, until `most` bytes more have gone out."""
        stream = stream_like(right, None)
        sent = 0
        with suppress(ConnectionError):  # whoever has hung up needs no more
            await stream.prepare(request)
            await stream.write(body_of(right))
            while most is None or sent < most:
                await stream.write(FILLER)
                await self._sleep(FILLER_SECONDS)
                sent += len(FILLER)
        drop(request)
        return stream

    async def _find(self, folder: str, name: str) -> File | None:
        upload = self._account.uploads.get(folder)
        if upload is not None and upload.file.name == name:
            return File(upload.file.data, upload.file.content_type, Subject(name))
        task = self._account.find_folder(folder)
        number = name.removesuffix(".png")
        if task is None or number == name or not self._has_output(task, number):
            return None
        return File(await self._outputs.picture(task, int(number)), "image/png", file_of(task, int(number)))

    def _has_output(self, task: Task, number: str) -> bool:
        made = task.life.has_outputs(self._now()) and not task.deleted and not task.model.writes_text
        return made and number in map(str, range(task.model.count_outputs(task.parameters)))


def _served(request: web.Request, file: File, *, whole: bool = False) -> web.Response:
    """Return a file, or what is asked for of it; all of it to a server that knows no ranges."""
    if whole:
        return web.Response(body=file.content, headers={"Content-Type": file.content_type})
    folder, name = request.match_info["folder"], request.match_info["name"]
    etag = f'"{folder}/{quote(name)}"'  # what lies at an address never changes
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": file.content_type}
    asked = request.headers.get("Range", "") if request.method == "GET" else ""
    if request.headers.get("If-Range", etag) != etag:
        asked = ""
    return _part(file.content, asked, headers)


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
    return web.Response(status=206, body=content[start:stop], headers=headers)
