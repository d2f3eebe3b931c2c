"""Connections to the service: young enough to pay over, and held before a request may be written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

import aiohttp

if TYPE_CHECKING:
    from aiohttp.client import ClientTimeout
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

POOL_SECONDS: Final = 0.8
HELD_SECONDS: Final = 1.15
"""Together below 2 s. A server closes a connection that idles, and a request that crosses the closing is lost without
a trace: for `/Run` that would be a payment in doubt, so it uses a new connection or one that idled less than 2 s."""

BeforeSend = Callable[[str], Awaitable[None]]


@dataclass(slots=True)
class Call:
    """One request on its way.

    Attributes:
        endpoint: What `before_send` is told.
        before_send: Awaited between having a connection and writing.
        on_send: Told the endpoint right before it is written.
        pays: Whether it is a `/Run`.
        seconds: How long writing and reading may take.
        deadline: The time-out, started when the connection is handed out for writing.
        sent: Whether bytes may have left. While False, the service certainly got nothing.
    """

    endpoint: str
    before_send: BeforeSend | None
    on_send: Callable[[str], None] | None
    pays: bool
    seconds: float
    deadline: asyncio.Timeout
    sent: bool = False


current_call: ContextVar[Call] = ContextVar("current_call")


class ConnectionTooOldError(aiohttp.ClientConnectionError):
    """The connection closed, or idled too long to pay over it, while the call waited for its turn."""


class Connector(aiohttp.TCPConnector):
    """A pool that makes each call wait for its turn with the connection already in its hands.

    aiohttp writes a request as soon as `connect` has returned, without awaiting the network in between, for new and
    kept connections alike; trace hooks have a moment of their own for each of these, and some come before there is a
    connection. So this is the one place where a wait is followed by the bytes. What is raised here closes the
    connection and reaches the caller as it is.
    """

    def __init__(self) -> None:
        super().__init__(limit=0, keepalive_timeout=POOL_SECONDS)
        self._used: WeakSet[ResponseHandler] = WeakSet()
        self._waiting = 0

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        """Get a connection, and give it out when the current call's turn has come; see aiohttp's `BaseConnector`."""
        call = current_call.get()
        connection = await super().connect(req, traces, timeout)
        if call.pays and self._waiting:
            # There is a queue: by its turn a kept connection would be too old, and a new one is made meanwhile.
            while connection.protocol in self._used:
                connection.close()
                connection = await super().connect(req, traces, timeout)
        try:
            if call.before_send is not None:
                await self._turn(connection, call, call.before_send)
        except BaseException:
            connection.close()
            raise
        if connection.protocol is not None:
            self._used.add(connection.protocol)
        call.sent = True
        if call.on_send is not None:
            call.on_send(call.endpoint)
        call.deadline.reschedule(asyncio.get_running_loop().time() + call.seconds)
        return connection

    async def _turn(self, connection: Connection, call: Call, before_send: BeforeSend) -> None:
        loop = asyncio.get_running_loop()
        held_from = loop.time()
        self._waiting += 1
        try:
            await before_send(call.endpoint)
        finally:
            self._waiting -= 1
        kept = connection.protocol in self._used
        if connection.closed or (call.pays and kept and loop.time() - held_from > HELD_SECONDS):
            raise ConnectionTooOldError("the connection closed while the call waited for its turn")
