"""The emulated callbacks: to this machine only, when a task has ended, and what goes wrong with them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp import web

from orchestrator.emulator import Emulator, Fault, Profile
from orchestrator.emulator.callbacks import _is_here

pytestmark = pytest.mark.anyio

PROFILE = Profile(api_key="key", api_secret=None, queue_seconds=(0, 0), run_seconds_median=0.3, run_seconds_sigma=0)


@dataclass
class Receiver:
    """Takes calls: when each came after the task's acceptance, and what it said."""

    url: str = ""
    calls: list[tuple[float, bytes]] = field(default_factory=list)
    began: float = 0.0

    async def take(self, request: web.Request) -> web.Response:
        self.calls.append((time.monotonic() - self.began, await request.read()))
        return web.Response()


@asynccontextmanager
async def calling(*faults: Fault) -> AsyncIterator[tuple[Emulator, Receiver]]:
    """Run a task on an emulator that is to call a receiver."""
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/here", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/here"
    try:
        async with Emulator(Profile(**{**vars(PROFILE), "faults": faults})) as service:
            receiver.began = time.monotonic()
            await submit(service, receiver.url)
            yield service, receiver
    finally:
        await runner.cleanup()


async def submit(service: Emulator, callback: Any) -> None:
    body, headers = {"prompt": "x", "samples": 1, "callbackUrl": callback}, {"x-api-key": "key"}
    url = f"{service.base_url}/Run/Hevok/Studio-Trigger"
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as reply:
        assert (await reply.json())["result"] is True


async def until(service: Emulator, calls: int) -> None:
    with anyio.fail_after(3):
        while service.stats.callbacks < calls:
            await anyio.lowlevel.checkpoint()


async def test_a_call_comes_when_the_task_has_ended() -> None:
    async with calling() as (service, receiver):
        await until(service, 1)
    [(seconds, body)] = receiver.calls
    assert seconds >= 0.25
    assert b"task_postprocess_end" in body


async def test_the_address_is_no_parameter_of_the_task() -> None:
    async with calling() as (service, _):
        assert service.stats.accepted[0].parameters == {"prompt": "x", "samples": 1}


@pytest.mark.parametrize(("kind", "calls"), [("twice", 2), ("junk", 1), ("early", 1), ("late", 1), ("never", 0)])
async def test_faults_of_callbacks(kind: str, calls: int) -> None:
    async with calling(Fault(place="callback", kind=kind, seconds=0.4)) as (service, receiver):
        await until(service, calls)
        if kind == "never":
            await anyio.sleep(0.5)
        assert service.stats.faults == {f"callback: {kind}": 1}
    assert len(receiver.calls) == calls
    if kind == "early":
        assert receiver.calls[0][0] < 0.25
    if kind == "late":
        assert receiver.calls[0][0] > 0.65
    if kind == "junk":
        assert len(receiver.calls[0][1]) == 100_000


async def test_nobody_there_is_no_harm() -> None:
    async with calling() as (service, receiver):
        for address in ("", "nonsense", "http://[", 5, None, "http://127.0.0.1:1/x", "ftp://127.0.0.1/x"):
            await submit(service, address)
        await until(service, 1)
        await anyio.sleep(0.1)
    assert len(receiver.calls) == 1


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:8000/x", True),
        ("http://localhost/x", True),
        ("http://[::1]:8000/x", True),
        ("http://10.0.0.1/x", False),
        ("https://example.com/127.0.0.1", False),
        ("http://127.0.0.1.example.com/", False),
        ("http://127.0.0.1@example.com/", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_nobody_is_called_but_this_machine(url: str, is_here: bool) -> None:
    assert _is_here(url) is is_here
