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

QUICK_TURN_SECONDS: Final = 0.25
"""Where turns come slower than this, `/Run` waits with a new connection: a kept one might be too old by then."""

BeforeSend = Callable[[str], Awaitable[None]]


@dataclass(slots=True, eq=False)
class Call:
    """One request on its way.

    Attributes:
        endpoint: What `before_send` is told.
        before_send: Awaited between having a connection and writing.
        on_send: Told the endpoint right before it is written.
        pays: Whether it is a `/Run`.
        seconds: How long writing and reading may take.
        deadline: The time-out of an upload, started when the connection is handed out for writing.
        sent: Whether bytes may have left. While False, the service certainly got nothing.
    """

    endpoint: str
    before_send: BeforeSend | None
    on_send: Callable[[str], None] | None
    pays: bool
    seconds: float
    deadline: asyncio.Timeout | None = None
    sent: bool = False


current_call: ContextVar[Call] = ContextVar("current_call")


class ConnectionTooOldError(aiohttp.ClientConnectionError):
    """The connection closed, idled too long to pay over it, or was spoken on, while the call waited for its turn."""


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
        self._waiting: dict[Call, float] = {}
        self._last_turn_seconds = 0.0

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        """Get a connection, and give it out when the current call's turn has come; see aiohttp's `BaseConnector`."""
        call = current_call.get()
        connection = await super().connect(req, traces, timeout)
        if call.pays and self._turn_seconds() > QUICK_TURN_SECONDS:
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
        if call.deadline is not None:
            call.deadline.reschedule(asyncio.get_running_loop().time() + call.seconds)
        return connection

    async def _turn(self, connection: Connection, call: Call, before_send: BeforeSend) -> None:
        loop = asyncio.get_running_loop()
        self._waiting[call] = held_from = loop.time()
        try:
            await before_send(call.endpoint)
        finally:
            del self._waiting[call]
            self._last_turn_seconds = loop.time() - held_from
        too_long = call.pays and self._last_turn_seconds > HELD_SECONDS
        protocol = connection.protocol
        # an answer that is there before the request is another's, and would be read as this one's
        if protocol is None or protocol.should_close or connection.closed or (too_long and protocol in self._used):
            raise ConnectionTooOldError("the connection closed while the call waited for its turn")

    def _turn_seconds(self) -> float:
        """Return how long a turn may take: as long as the last one, or as the oldest of those that wait."""
        waits_since = next(iter(self._waiting.values()), None)
        if waits_since is None:
            return self._last_turn_seconds
        return max(self._last_turn_seconds, asyncio.get_running_loop().time() - waits_since)
