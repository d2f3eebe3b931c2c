"""A server of files that answers what it is told to, byte by byte, and names that stand for what one likes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from orchestrator.wiro.files import Body, Files

Reply: TypeAlias = bytes | Callable[[str], bytes]
"""An answer, or what makes one of the request's head."""


@dataclass
class Server:
    """Answers each request with the next reply, the last one for ever; a reply without an end keeps the line open."""

    replies: list[Reply]
    url: str = ""
    heads: list[str] = field(default_factory=list)
    stalls: bool = False
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            reply = self.replies[min(len(self.heads), len(self.replies)) - 1]
            writer.write(reply if isinstance(reply, bytes) else reply(head))
            await writer.drain()
            if self.stalls:
                self.stalled.set()
                await self.released.wait()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*replies: Reply, stalls: bool = False) -> AsyncIterator[Server]:
    server = Server(list(replies), stalls=stalls)
    listener = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/u/x"
    try:
        yield server
    finally:
        server.released.set()
        listener.close()
        await listener.wait_closed()


def reply(status: int, body: bytes = b"", /, **headers: str | int) -> bytes:
    fields = {"Content_Length": len(body), "Connection": "close", **headers}
    lines = [f"HTTP/1.1 {status} As It Is", *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(location: str) -> bytes:
    return reply(302, Location=location)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", status: int = 200, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} OK", "Transfer-Encoding: chunked", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    parts = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    return "\r\n".join([*lines, "", ""]).encode() + b"".join(parts) + end


class Names(AbstractResolver):
    """Every name stands for the given addresses, one after the other, the last one for ever."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked: list[str] = []

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        address = self.addresses[min(len(self.asked), len(self.addresses)) - 1]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)]

    @override
    async def close(self) -> None:
        pass


async def read(files: Files, url: str, *, offset: int = 0, validator: str | None = None) -> tuple[Body, bytes]:
    async with files.open(url, offset=offset, validator=validator) as body:
        return body, b"".join([chunk async for chunk in body.chunks()])
