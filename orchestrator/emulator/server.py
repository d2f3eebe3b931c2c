"""The emulated service as a whole: an API and a CDN that listen on loopback."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from aiohttp import web
from aiohttp.http import HttpProcessingError

from orchestrator.emulator.access import Access
from orchestrator.emulator.account import Account
from orchestrator.emulator.api import Api
from orchestrator.emulator.callbacks import Callbacks
from orchestrator.emulator.cdn import Cdn
from orchestrator.emulator.fates import Fates
from orchestrator.emulator.harms import Sleep
from orchestrator.emulator.journal import Journal
from orchestrator.emulator.outputs import Outputs
from orchestrator.emulator.profile import LoseReplies, Profile
from orchestrator.emulator.replies import Replies
from orchestrator.emulator.stats import Stats

GRACE_SECONDS = 1.0
"""How long open requests may take to end when the emulator is closed."""


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether a mistake is the emulator's: what is no request is answered as such, and no news."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_log = logging.getLogger(__name__)
_log.addFilter(_is_ours)


class Emulator:
    """The service of the API page, pretended.

    Use it as an async context manager: inside, both ports listen; outside, nothing of it is left.

    Args:
        profile: How it behaves; the quickstart's way by default.
        state_dir: A folder in which everything survives the process; None remembers nothing.
        host: The address to listen on.
        port: The API's port, 0 for any free one.
        cdn_port: The CDN's port, 0 for any free one.
        now: Gives unix seconds and never goes back; by default the wall clock at the start, carried on by the
            monotonic clock. All timing follows it: lives of tasks, the rate limit, time stamps, windows of faults.
        sleep: Waits so many seconds of that time, for answers that are slow or hang.

    Raises:
        OSError: On entering: a port is taken, or the state cannot be read or written.
        ValueError: On entering: the state is damaged.
    """

    def __init__(
        self,
        profile: Profile = Profile(),  # noqa: B008 - frozen, so one default can serve all
        state_dir: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        cdn_port: int = 0,
        now: Callable[[], float] | None = None,
        sleep: Sleep = anyio.sleep,
    ) -> None:
        now = now or _steady_clock()
        self.profile = profile
        self._host, self._port, self._cdn_port = host, port, cdn_port
        self._stats = Stats()
        self._journal = Journal(state_dir / "journal.jsonl") if state_dir is not None else None
        self._fates = Fates(profile.faults, profile.seed, now, self._stats.faults)
        self._changes = deque(profile.changes)
        self._account = Account(profile, self._stats, self._fates, now)
        self._access = Access(profile)
        self._outputs = Outputs(profile)
        self._replies = Replies(profile)
        self._cdn = Cdn(
            account=self._account, outputs=self._outputs, fates=self._fates, stats=self._stats, now=now, sleep=sleep
        )
        self._callbacks = Callbacks(fates=self._fates, stats=self._stats, now=now, sleep=sleep)
        self._api = Api(
            account=self._account,
            access=self._access,
            outputs=self._outputs,
            replies=self._replies,
            fates=self._fates,
            stats=self._stats,
            callbacks=self._callbacks,
            journal=self._journal,
            now=now,
            sleep=sleep,
            before_each=self._change,
        )
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            opening.callback(self._outputs.close)
            if self._journal is not None:
                opening.callback(self._journal.close)
                for record in await self._journal.open():
                    self._account.apply(record)
            await opening.enter_async_context(self._callbacks)
            self._cdn_port = await self._listen(opening, self._cdn.application(), self._cdn_port)
            self._replies.cdn_url = self.cdn_url
            self._port = await self._listen(opening, self._api.application(), self._port)
            self._open = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    @property
    def base_url(self) -> str:
        """Where the API is reached, `http://host:port/v1`."""
        return f"http://{self._host}:{self._port}/v1"

    @property
    def socket_url(self) -> str:
        """Where the socket is reached, `ws://host:port/v1`."""
        return f"ws://{self._host}:{self._port}/v1"

    @property
    def cdn_url(self) -> str:
        """Where outputs are reached, `http://host:port`."""
        return f"http://{self._host}:{self._cdn_port}"

    @property
    def stats(self) -> Stats:
        """What was seen up to now."""
        self._account.settle()
        return self._stats

    @property
    def active(self) -> int:
        """How many tasks count for the concurrency limit now."""
        return self._account.active

    @property
    def balance_usd(self) -> Decimal:
        """The account's money; may be set at any time. A restart starts again from the profile's."""
        return self._account.balance_usd

    @balance_usd.setter
    def balance_usd(self, amount: Decimal) -> None:
        self._account.balance_usd = amount

    @property
    def concurrency(self) -> int | None:
        """Tasks at a time, None to follow the balance; may be set at any time."""
        return self._account.concurrency

    @concurrency.setter
    def concurrency(self, tasks: int | None) -> None:
        self._account.concurrency = tasks

    @property
    def rate(self) -> int | None:
        """API calls in any sliding second, None for no limit; may be set at any time."""
        return self._access.rate

    @rate.setter
    def rate(self, calls: int | None) -> None:
        self._access.rate = calls

    @property
    def lose_replies(self) -> LoseReplies | None:
        """Which connections are dropped; may be set at any time."""
        return self._api.lose_replies

    @lose_replies.setter
    def lose_replies(self, choose: LoseReplies | None) -> None:
        self._api.lose_replies = choose

    def _change(self) -> None:
        """Change the limits whose moment has come."""
        while self._changes and self._changes[0].at_seconds <= self._fates.passed_seconds:
            change = self._changes.popleft()
            match change.limit:
                case "rate":
                    self.rate = change.to
                case "concurrency":
                    self.concurrency = change.to
                case "balance_usd":
                    self.balance_usd = change.to

    async def _listen(self, opening: AsyncExitStack, app: web.Application, port: int) -> int:
        """Listen, and return the port; closing is left to `opening`."""
        runner = web.AppRunner(app, access_log=None, logger=_log, shutdown_timeout=GRACE_SECONDS)
        opening.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, self._host, port).start()
        chosen: int = runner.addresses[0][1]
        return chosen


async def serve(
    profile: Profile,
    *,
    announce: Callable[[Emulator], None],
    state_dir: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    cdn_port: int = 0,
) -> None:
    """Run an emulator until cancelled.

    Args:
        profile: How it behaves.
        announce: Called once, when both ports listen.
        state_dir: See `Emulator`.
        host: See `Emulator`.
        port: See `Emulator`.
        cdn_port: See `Emulator`.

    Raises:
        OSError: A port is taken, or the state cannot be read or written.
        ValueError: The state is damaged.
    """
    async with Emulator(profile, state_dir, host=host, port=port, cdn_port=cdn_port) as emulator:
        announce(emulator)
        await anyio.sleep_forever()


def _steady_clock() -> Callable[[], float]:
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()
