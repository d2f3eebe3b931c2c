"""A request and its answer on a connection of aiohttp's pool, without its session.

For each request a session sees to what none of ours has: cookies, redirects, middlewares, traces, bodies of many kinds.
That takes longer than all that a task needs of us beside it. aiohttp's connectors, which find, secure and keep
connections, and its reader of answers are used as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from yarl import URL

USER_AGENT: Final = f"orchestrator/{version('orchestrator')}"
MOST_SERVERS: Final = 64
"""How many servers are remembered at most: the service has one or two."""

READ_BUFFER_BYTES: Final = 2**18
"""How much of an answer may wait to be read before no more is taken from the connection."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer, and the body as it comes; whoever has it closes it.

    Attributes:
        status: The HTTP status.
        headers: By their names in whatever case.
        content: The body, as it was sent; reading it raises aiohttp's errors and those of sockets.
    """

    status: int
    headers: Mapping[str, str]
    content: aiohttp.StreamReader
    _connection: Connection

    def close(self) -> None:
        """Let go of the connection: it is kept for others where the body has come to its end, else closed."""
        self._connection.close()  # does nothing once the end of the body has released it


class Exchange:
    """Sends requests to wherever a connector leads; follows nothing, repeats nothing, keeps no cookies.

    Args:
        connector: Gives connections; the caller closes it.
        headers: Sent with each request.
        connect_seconds: How long name look-up, connecting and TLS may take together.
        idle_seconds: How long a server may send nothing; None for ever.
        read_buffer_bytes: See `READ_BUFFER_BYTES`.
        proxy: The address of an HTTP proxy.
    """

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        headers: Mapping[str, str],
        *,
        connect_seconds: float,
        idle_seconds: float | None = None,
        read_buffer_bytes: int = READ_BUFFER_BYTES,
        proxy: str | None = None,
    ) -> None:
        self._connector = connector
        self._fields = _written(headers)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_seconds)
        self._idle_seconds = idle_seconds
        self._read_buffer_bytes = read_buffer_bytes
        self._proxy = None if proxy is None else URL(proxy)
        self._servers: dict[tuple[str, str | None, int | None], aiohttp.ClientRequest] = {}

    async def ask(self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Send one request, and return when the head of its answer has come.

        Args:
            method: HTTP's word.
            url: http or https, without credentials.
            headers: Of this request; HTTP's own are added.
            body: Sent as it is; None for a request that has none.

        Raises:
            ValueError: A header that cannot be sent.
            aiohttp.ClientError, HttpProcessingError, OSError: No connection, or no answer that follows the rules; and
                what the connector raises.
        """
        fields = _written(headers) if body is None else f"{_written(headers)}Content-Length: {len(body)}\r\n"
        server = self._server(url)
        connection = await self._connector.connect(server, [], self._timeout)
        try:
            head = self._head(server, method, url, fields)
            message, content = await self._exchanged(connection, head + body if body else head)
        except BaseException:
            connection.close()
            raise
        return Answer(message.code, message.headers, content, connection)

    async def post(
        self, url: URL, headers: Mapping[str, str], body: bytes, *, seconds: float, most_bytes: int
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send one POST, and return the status, the headers and the body of its answer.

        Args:
            url: As in `ask`.
            headers: As in `ask`.
            body: As in `ask`.
            seconds: How long writing and reading may take.
            most_bytes: How large the body of the answer may be.

        Raises:
            ValueError: A header that cannot be sent, or a body that is too large.
            TimeoutError: The end of the answer did not come in time.
            aiohttp.ClientError, HttpProcessingError, OSError: As in `ask`.
        """
        fields = f"{_written(headers)}Content-Length: {len(body)}\r\n"
        server = self._server(url)
        connection = await self._connector.connect(server, [], self._timeout)
        deadline = _Deadline(connection, seconds)
        try:
            message, content = await self._exchanged(connection, self._head(server, "POST", url, fields) + body)
            read = await whole(content, most_bytes)
        except Exception:
            if deadline.is_over:
                raise TimeoutError from None
            raise
        finally:
            deadline.lift()
            connection.close()  # does nothing once the end of the body has released it
        if deadline.is_over:  # a body without a stated length just ends where its connection does
            raise TimeoutError
        return message.code, message.headers, read

    async def _exchanged(
        self, connection: Connection, request: bytes
    ) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
        """Write a request, and return the head of its answer and what its body comes through."""
        protocol = connection.protocol
        if protocol is None or protocol.transport is None or protocol.transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection has closed")
        if protocol.should_close:
            raise aiohttp.ClientConnectionResetError("an answer came before it was asked for")
        protocol.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=self._idle_seconds,
            read_bufsize=self._read_buffer_bytes,
        )
        protocol.transport.write(request)
        protocol.start_timeout()
        message, content = await protocol.read()
        while 100 <= message.code < 200 and message.code != 101:  # more is to come (RFC 9110, 15.2)
            message, content = await protocol.read()
        content.on_eof(connection.release)
        return message, content

    def _server(self, url: URL) -> aiohttp.ClientRequest:
        """Return what a connector wants to know of a server, in the form in which it wants it: as a request."""
        key = url.scheme, url.raw_host, url.port
        if key not in self._servers:
            if len(self._servers) == MOST_SERVERS:
                self._servers.clear()
            loop = asyncio.get_running_loop()
            self._servers[key] = aiohttp.ClientRequest("GET", url.origin(), loop=loop, proxy=self._proxy)
        return self._servers[key]

    def _head(self, server: aiohttp.ClientRequest, method: str, url: URL, fields: str) -> bytes:
        """Return what is written first, once there is a connection: the connector may have a word for a proxy."""
        head = f"{method} {self._target(server, url)}{self._fields}{fields}\r\n"
        return head.encode("utf-8", "surrogateescape")

    def _target(self, server: aiohttp.ClientRequest, url: URL) -> str:
        """Return the rest of the first line, and which server is asked (RFC 9112, 3.2)."""
        host = f" HTTP/1.1\r\nHost: {server.headers['Host']}\r\n"
        if self._proxy is None or url.scheme == "https":
            return url.raw_path_qs + host
        word = server.headers.get("Proxy-Authorization")  # set by the connector
        return str(url.with_fragment(None)) + host + _written({"Proxy-Authorization": word} if word else {})


class _Deadline:
    """Breaks a connection off when its time is over: whoever reads from it hears of that."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self.is_over = False
        self._connection = connection
        self._alarm = asyncio.get_running_loop().call_later(seconds, self._end)

    def lift(self) -> None:
        """There is no hurry any more."""
        self._alarm.cancel()

    def _end(self) -> None:
        self.is_over = True
        if self._connection.transport is not None:
            self._connection.transport.abort()


async def whole(content: aiohttp.StreamReader, most_bytes: int) -> bytes:
    """Read the body of an answer to its end.

    Raises:
        ValueError: It is larger than `most_bytes`.
        aiohttp.ClientError, OSError: It broke off.
    """
    chunks, size = [], 0
    while chunk := await content.readany():
        size += len(chunk)
        if size > most_bytes:
            raise ValueError("the body of an answer is too large")
        chunks.append(chunk)
    return b"".join(chunks)


def _written(headers: Mapping[str, str]) -> str:
    written = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if written.count("\n") + written.count("\r") > 2 * len(headers) or "\0" in written:
        raise ValueError("A header holds what would end it.")
    return written
