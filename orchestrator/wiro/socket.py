"""The service's socket: it tells at once what becomes of a task, as a hint that is never believed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import aiohttp
from yarl import URL

from orchestrator.wiro import wire
from orchestrator.wiro.exchange import USER_AGENT
from orchestrator.wiro.transport import FOREIGN, reason

if TYPE_CHECKING:
    from aiohttp.client import ClientTimeout
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

CONNECT_SECONDS: Final = 10.0
PING_SECONDS: Final = 20.0
"""How often a connection that says nothing is asked whether it is still one."""

CLOSE_SECONDS: Final = 0.2
LARGEST_BYTES: Final = 1 << 20
MESSAGES, MESSAGES_PER_SECOND = 500, 50
BYTES, BYTES_PER_SECOND = 4 << 20, 1 << 18
"""What a connection may say at first, and how much more with each second; one that says more is hung up on."""


@dataclass(frozen=True, slots=True)
class Event:
    """What the socket says of a task.

    Attributes:
        status: The service's word, as in `RemoteTask.status`.
        progress: The share that is done, 0 to 1, where it is told.
    """

    status: str
    progress: float | None = None

    @property
    def ended(self) -> bool:
        """Whether the task is said to have ended; `task_error` is a line on stderr here, not an end (the API page)."""
        return self.status in {wire.FINISHED, wire.CANCELLED}


class Socket:
    """Connections to the socket, one for each task as the API page shows it; an async context manager.

    They go to the one address alone: no redirect is followed, and neither cookies nor credentials are sent.
    """

    def __init__(self, url: str, *, proxy: str | None = None) -> None:
        """Set it up; nothing is opened before it is entered.

        Args:
            url: The socket's address, ws or wss; whether ws is acceptable is the caller's say.
            proxy: The address of an HTTP proxy.
        """
        self._url = URL(url)
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=_Connector(self._url),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": USER_AGENT},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def listen(self, token: str, *, opened: Callable[[], None], tell: Callable[[Event], None]) -> str:
        """Listen for one task until the connection is over; there is nothing that could be lost with it.

        Args:
            token: Opens the task.
            opened: Called once the connection stands.
            tell: Told of each event; what cannot be read, is not known or is of another task is skipped.

        Returns:
            In plain words why it is over.
        """
        if self._session is None:
            raise RuntimeError("The socket is used before it is entered.")
        connection: aiohttp.ClientWebSocketResponse | None = None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await self._session.ws_connect(
                    self._url,
                    proxy=self._proxy,
                    max_msg_size=LARGEST_BYTES,
                    heartbeat=PING_SECONDS,
                    autoping=False,  # pings count as messages
                )
            opened()
            await connection.send_json({"type": "task_info", "tasktoken": token})
            return await _hear(connection, token, tell)
        except aiohttp.WSServerHandshakeError as error:
            return f"it answers with HTTP {error.status}"
        except FOREIGN as error:
            return reason(error) or "it breaks the rules of sockets"
        finally:
            if connection is not None:
                await _hang_up(connection)


class _Connector(aiohttp.TCPConnector):
    """Connects to one address and no other: aiohttp follows the redirect of a handshake to wherever it leads."""

    def __init__(self, url: URL) -> None:
        super().__init__(limit=0, force_close=True)
        self._only = url

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        """Connect; see aiohttp's `BaseConnector`."""
        if req.url != self._only:
            raise aiohttp.ClientConnectionError("redirected")
        return await super().connect(req, traces, timeout)


@dataclass(slots=True)
class _Allowance:
    """What a connection may still say; it grows with the seconds."""

    began_at: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    messages: int = MESSAGES
    size: int = BYTES

    def takes(self, size: int) -> bool:
        """Count a message, and return whether that was not too much."""
        self.messages, self.size = self.messages - 1, self.size - size
        passed = asyncio.get_running_loop().time() - self.began_at
        return self.messages + passed * MESSAGES_PER_SECOND > 0 and self.size + passed * BYTES_PER_SECOND > 0


async def _hear(connection: aiohttp.ClientWebSocketResponse, token: str, tell: Callable[[Event], None]) -> str:
    allowance = _Allowance()
    async for message in connection:
        if message.type is aiohttp.WSMsgType.ERROR:
            break
        if not allowance.takes(len(message.data)):
            return "it says too much"
        if message.type is aiohttp.WSMsgType.PING:
            await connection.pong(message.data)
        elif message.type is aiohttp.WSMsgType.TEXT and (event := _read(message.data, token)) is not None:
            tell(event)
    return "the connection closed"


async def _hang_up(connection: aiohttp.ClientWebSocketResponse) -> None:
    """Close a connection; aiohttp by itself would wait for the other side as long as that goes on talking."""
    with suppress(TimeoutError, *FOREIGN):
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()


def _read(text: str, token: str) -> Event | None:
    try:
        said = wire.parse(text.encode())
    except ValueError:
        return None
    status = wire.read_status(said.get("type"))
    if not wire.is_known(status) or wire.text(said.get("tasktoken")) not in {token, ""}:
        return None
    return Event(status, _progress(said.get("message")))


def _progress(message: object) -> float | None:
    """Return the share done: by the steps where they are told, else by the percentage or by a progress bar."""
    if isinstance(message, str):
        try:
            return _progress(wire.parse(message.encode()))
        except ValueError:
            return wire.bar_share(message)
    if not isinstance(message, dict):
        return None
    share = wire.number(wire.text(message.get("percentage")).removesuffix("%"))
    share = None if share is None else share / 100
    step, total = wire.number(message.get("stepCurrent")), wire.number(message.get("stepTotal"))
    if step is not None and total:
        share = step / total
    return None if share is None else min(1.0, max(0.0, float(share)))
