"""What can happen to an answer on its way, of the API or of the CDN."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from aiohttp import web

from orchestrator.emulator.faults import Fault

Answer: TypeAlias = Callable[[], Awaitable[web.Response]]
Sleep: TypeAlias = Callable[[float], Awaitable[None]]

PAGE = b"<!DOCTYPE html>\n<html><head><title>Just a moment</title></head><body><h1>Just a moment</h1></body></html>\n"
ERROR_PAGE = b"<html><head><title>%d</title></head><body><center><h1>%d</h1></center></body></html>\n"
DRIPS_A_SECOND = 10
LONGEST_SECONDS = 3600.0
"""How long an answer that hangs for ever does."""


async def harm(request: web.Request, fault: Fault, answer: Answer, sleep: Sleep) -> web.StreamResponse:
    """Answer a request as a fault wills.

    Args:
        request: What came.
        fault: One of `HARMS`.
        answer: Handles the request; not called where the fault comes before that.
        sleep: Waits so many seconds.
    """
    right = await answer() if fault.when == "after" else web.Response()
    match fault.kind:
        case "short":
            return await _short(request, right)
        case "slow":
            return await _slow(request, right, fault.number or 1, sleep)
        case "lost":
            drop(request)
            return right
        case "hangs":
            await sleep(min(fault.seconds, LONGEST_SECONDS))
            drop(request)
            return right
    return _another(fault, right)


def _another(fault: Fault, right: web.Response) -> web.Response:
    """Return the answer that comes in the place of the right one."""
    match fault.kind:
        case "error":
            page = ERROR_PAGE % (fault.status, fault.status)
            return web.Response(status=fault.status, body=page, content_type="text/html")
        case "html":
            return web.Response(body=PAGE, content_type="text/html")
        case "cut":
            return _like(right, body_of(right)[: _half(right)])
        case "corrupt":
            return _like(right, _corrupted(body_of(right)))
        case _:
            return _like(right, b"")


def drop(request: web.Request) -> None:
    """Drop the connection of a request at once."""
    if request.transport is not None:
        request.transport.abort()


def body_of(response: web.Response) -> bytes:
    """Return the bytes of an answer."""
    return response.body if isinstance(response.body, bytes) else b""


def stream_like(response: web.Response, length: int | None) -> web.StreamResponse:
    """Return an answer that is still to be sent, with this length or with none said."""
    stream = web.StreamResponse(status=response.status, headers=_headers(response))
    stream.content_length = length
    return stream


async def _short(request: web.Request, right: web.Response) -> web.StreamResponse:
    """Promise all of an answer, send half of it, and close."""
    stream = stream_like(right, len(body_of(right)))
    await stream.prepare(request)
    await stream.write(body_of(right)[: _half(right)])
    if request.transport is not None:
        request.transport.close()  # what was written still arrives
    return stream


async def _slow(request: web.Request, right: web.Response, bytes_per_second: int, sleep: Sleep) -> web.StreamResponse:
    body = body_of(right)
    stream = stream_like(right, len(body))
    drip = math.ceil(bytes_per_second / DRIPS_A_SECOND)
    with suppress(ConnectionError):  # whoever has hung up needs no more
        await stream.prepare(request)
        for start in range(0, len(body), drip):
            await stream.write(body[start : start + drip])
            await sleep(drip / bytes_per_second)
        await stream.write_eof()
    return stream


def _like(response: web.Response, body: bytes) -> web.Response:
    return web.Response(status=response.status, headers=_headers(response), body=body)


def _headers(response: web.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name != "Content-Length"}


def _half(response: web.Response) -> int:
    return len(body_of(response)) // 2


def _corrupted(body: bytes) -> bytes:
    """Change the byte in the middle to one that UTF-8 does not have, or to another where it is that."""
    middle = len(body) // 2
    return body[:middle] + (b"\x00" if body[middle : middle + 1] == b"\xff" else b"\xff") + body[middle + 1 :]
