"""Callbacks: when a task ends, the address that was given with it is called."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp
import anyio
import anyio.abc

from orchestrator.emulator.fates import Fates, Subject
from orchestrator.emulator.harms import Sleep
from orchestrator.emulator.stats import Stats
from orchestrator.emulator.task import Task

CALL_SECONDS: Final = 5.0
NOTICE_SECONDS: Final = 0.2
"""How soon it is noticed that a task was cancelled."""


class Callbacks:
    """Calls addresses on this machine, and no others; an async context manager.

    Args:
        fates: What goes wrong.
        stats: Takes how many calls were made.
        now: Unix seconds.
        sleep: Waits so many seconds.
    """

    def __init__(self, *, fates: Fates, stats: Stats, now: Callable[[], float], sleep: Sleep) -> None:
        self._fates = fates
        self._stats = stats
        self._now = now
        self._sleep = sleep
        self._open = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None
        self._group: anyio.abc.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        self._session = await self._open.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        self._group = await self._open.enter_async_context(anyio.create_task_group())
        self._open.callback(self._group.cancel_scope.cancel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    def expect(self, task: Task, url: str) -> None:
        """A task was accepted, and this address is to be called when it has ended."""
        if self._group is not None and _is_here(url):
            self._group.start_soon(self._follow, task, url)

    async def _follow(self, task: Task, url: str) -> None:
        subject = Subject(f"callback {task.identity}", task.parameters)
        faults = {fault.kind: fault for fault in self._fates.met_by("callback", subject)}
        if "never" in faults:
            return
        body = b"\x00" * 100_000 if "junk" in faults else _body(task)
        while "early" not in faults and (left := task.life.ends_at - self._now()) > 0:
            await self._sleep(min(left, NOTICE_SECONDS))
        await self._sleep(faults["late"].seconds if "late" in faults else 0.0)
        for _ in range(2 if "twice" in faults else 1):
            await self._call(url, body)

    async def _call(self, url: str, body: bytes) -> None:
        if self._session is None:
            return
        with suppress(aiohttp.ClientError, OSError):  # nobody there, or no time: a callback is not repeated
            async with self._session.post(url, data=body, allow_redirects=False):
                self._stats.callbacks += 1


def _is_here(url: str) -> bool:
    """Return whether an address is one of this machine's."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _body(task: Task) -> bytes:
    """Return what is sent; the API page leaves it open."""
    return json.dumps({"taskid": str(task.id), "status": "task_postprocess_end"}).encode()
