"""Where the service calls back: a small server that takes hints, and believes nothing."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from orchestrator.clock import Clock

LARGEST_BYTES: Final = 64 * 1024
MOST_CONNECTIONS: Final = 64
"""Those beyond are closed at once: each takes up a descriptor, of which the run needs some."""

CONNECTION_SECONDS: Final = 5.0
"""How long a connection lasts at most, whatever is or is not said on it."""

CALLS_PER_SECOND: Final = 100
"""More calls than this are turned away unread."""

GRACE_SECONDS: Final = 1.0
SILENT: Final = logging.Logger("callbacks", logging.CRITICAL + 1)  # noqa: LOG001 - others' mistakes are no news


class _Door(web.Server):
    """Has room for few, and for none of them for long: anybody can connect."""

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        seconds = CONNECTION_SECONDS if len(self.connections) <= MOST_CONNECTIONS else 0.0
        asyncio.get_running_loop().call_later(seconds, transport.abort)


class Callbacks:
    """Takes POSTs to `…/<secret>/<task>`, whatever else the path begins with; an async context manager.

    What a call says is thrown away, since nobody has signed it: that somebody who knows the address calls is a reason
    to ask the service how the task fares, and no more.
    """

    def __init__(self, host: str, port: int, secret: str, called: Callable[[str], None], clock: Clock) -> None:
        """Set it up; nothing listens before it is entered, which raises `OSError` where the port cannot be had.

        Args:
            host: The address to listen on.
            port: The port, 0 for any free one.
            secret: The part of the path that nobody can guess.
            called: Told the task of each call.
            clock: Time.
        """
        self._host, self._port = host, port
        self._secret = secret.encode()
        self._called = called
        self._clock = clock
        self._second, self._calls = 0, 0
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        door = _Door(self._answer, access_log=None, logger=SILENT, auto_decompress=False)
        runner = web.ServerRunner(door, shutdown_timeout=GRACE_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner, self._port = runner, runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def own_url(self) -> str:
        """Where it is reached on this machine, `http://host:port`."""
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"

    def address(self, base_url: str, task: str) -> str:
        """Return the address for a task, below the one under which this server is reached from outside."""
        return f"{base_url.rstrip('/')}/{self._secret.decode()}/{task}"

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        reply = web.Response(status=await self._heard(request))
        reply.force_close()
        return reply

    async def _heard(self, request: web.BaseRequest) -> int:
        """Tell of a call where it is one, and return the status that it is answered with."""
        secret, _, task = "/".join(request.path.split("/")[-2:]).partition("/")
        if not hmac.compare_digest(secret.encode(), self._secret):
            return 404
        if self._is_flooded():
            return 429
        if request.method != "POST":
            return 405
        if not await _is_small(request):
            return 413
        self._called(task)
        return 200

    def _is_flooded(self) -> bool:
        second = int(self._clock.monotonic())
        self._second, self._calls = second, self._calls + 1 if second == self._second else 1
        return self._calls > CALLS_PER_SECOND


async def _is_small(request: web.BaseRequest) -> bool:
    """Read what is sent, as far as it goes and no further, and return whether that was little."""
    left = LARGEST_BYTES
    while chunk := await request.content.readany():
        left -= len(chunk)
        if left < 0:
            return False
    return True
