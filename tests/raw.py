"""HTTP and WebSocket servers that write what they please, byte by byte."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def message(status: int, body: bytes, headers: list[str]) -> bytes:
    if not any(header.startswith(("Content-Length", "Transfer-Encoding")) for header in headers):
        headers = [*headers, f"Content-Length: {len(body)}"]
    head = "\r\n".join([f"HTTP/1.1 {status} So it is", *headers, "Connection: close", "", ""])
    return head.encode("latin-1") + body


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    """Serve on a port of this machine; each connection is closed after one answer."""
    handlers: set[asyncio.Task[None]] = set()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        handlers.add(handler)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await serve(reader, writer)
                await writer.drain()
            writer.close()
        except asyncio.CancelledError:  # nobody waits for the rest any more
            writer.transport.abort()
        finally:
            handlers.discard(handler)

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        left = list(handlers)
        for handler in left:
            handler.cancel()
        await asyncio.gather(*left)
        await asyncio.sleep(0)  # what was aborted is closed a turn later


async def request_of(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes]:
    """Read a request: its method, target, headers and body."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return method, target, headers, await reader.readexactly(int(headers.get("content-length", 0)))


def frame(data: bytes, kind: int) -> bytes:
    """Return a WebSocket frame (RFC 6455, section 5.2) of up to 64 kB: kind 1 is text, 2 bytes, 8 a close, 9 a ping."""
    length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2)
    return bytes([0x80 | kind]) + length + data


def handshake(key: str) -> bytes:
    accept = base64.b64encode(hashlib.sha1(key.encode() + MAGIC).digest()).decode()  # noqa: S324 - the protocol's own
    lines = ("HTTP/1.1 101 So be it", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}")
    return "\r\n".join([*lines, "", ""]).encode()
