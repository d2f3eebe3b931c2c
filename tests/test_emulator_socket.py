"""The emulated socket: what it tells of a task, and how it goes wrong."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anyio
import pytest

from orchestrator.emulator import Emulator, Fault, Profile
from orchestrator.emulator.life import STAGES, Life

pytestmark = pytest.mark.anyio

PROFILE: dict[str, Any] = {
    "api_key": "key",
    "api_secret": None,
    "plain_bytes": 500,
    "queue_seconds": (0.05, 0.05),
    "run_seconds_median": 0.4,
    "run_seconds_sigma": 0.0,
}


@asynccontextmanager
async def emulator(*faults: Fault, **profile: Any) -> AsyncIterator[Emulator]:
    async with Emulator(Profile(**{**PROFILE, "faults": faults, **profile})) as found:
        yield found


async def post(service: Emulator, endpoint: str, **fields: Any) -> dict[str, Any]:
    url, headers = f"{service.base_url}/{endpoint}", {"x-api-key": "key"}
    async with aiohttp.ClientSession() as session, session.post(url, json=fields, headers=headers) as reply:
        found: dict[str, Any] = await reply.json()
    return found


async def submitted(service: Emulator, prompt: str = "a boat") -> str:
    return str((await post(service, "Run/Hevok/Studio-Trigger", prompt=prompt, samples=1))["socketaccesstoken"])


async def said(service: Emulator, token: str, *, seconds: float = 3.0, count: int = 10**6) -> list[Any]:
    """Return what the socket says of a task up to its end, the end of the connection, or of the time."""
    found: list[Any] = []
    with anyio.move_on_after(seconds):
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.ws_connect(service.socket_url) as connection,
        ):
            await connection.send_json({"type": "task_info", "tasktoken": token})
            async for message in connection:
                found.append(message.data)
                if "task_postprocess_end" in str(message.data) or "task_cancel" in str(message.data):
                    count -= 1
                if not count:
                    break
    return found


def types(messages: list[Any]) -> list[str]:
    return [json.loads(message)["type"] for message in messages]


async def test_each_status_is_told_in_its_order_and_progress_between() -> None:
    async with emulator() as service:
        token = await submitted(service)
        messages = await said(service, token, count=1)
    order = ["task_queue", *(status for _, status in STAGES)]
    told = types(messages)
    assert told[0] == "task_queue"
    assert told[-1] == "task_postprocess_end"
    firsts = list(dict.fromkeys(told))
    assert [order.index(status) for status in firsts if status != "task_output"] == sorted(
        order.index(status) for status in firsts if status != "task_output"
    )
    events = [json.loads(message) for message in messages]
    assert {event["tasktoken"] for event in events} == {token}
    shares = [
        int(event["message"]["percentage"]) for event in events if event["type"] == "task_output" and event["message"]
    ]
    assert shares == sorted(shares)
    assert len(shares) > 4
    assert events[-1]["message"][0]["contenttype"] == "image/png"


async def test_of_one_that_has_ended_its_end_is_told_at_once() -> None:
    async with emulator(queue_seconds=(0, 0), run_seconds_median=0) as service:
        assert types(await said(service, await submitted(service), count=1)) == ["task_postprocess_end"]


async def test_a_cancel_is_told() -> None:
    async with emulator(run_seconds_median=600) as service, anyio.create_task_group() as group:
        token, found = await submitted(service), list[str]()

        async def listen() -> None:
            found.extend(types(await said(service, token, count=1)))

        group.start_soon(listen)
        await post(service, "Task/Kill", socketaccesstoken=token)
    assert found[-1] == "task_cancel"


@pytest.mark.parametrize("first", ["nothing", "[]", '{"type": "task_info"}', '{"tasktoken": "nobody\'s"}'])
async def test_whoever_asks_for_nobody_is_hung_up_on(first: str) -> None:
    async with (
        emulator() as service,
        aiohttp.ClientSession() as session,
        session.ws_connect(service.socket_url) as connection,
    ):
        await connection.send_str(first)
        assert (await connection.receive(timeout=2)).type is aiohttp.WSMsgType.CLOSE


async def test_a_refused_connection_is_counted() -> None:
    async with emulator(Fault(place="socket", kind="refused", status=502)) as service:
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await said(service, "token")
        assert (raised.value.status, service.stats.sockets) == (502, 1)
        assert service.stats.faults == {"socket: refused": 1}


async def test_a_silent_one_says_nothing() -> None:
    async with emulator(Fault(place="socket", kind="silent")) as service:
        assert await said(service, await submitted(service), seconds=0.7) == []


async def test_a_lost_one_drops() -> None:
    async with emulator(Fault(place="socket", kind="lost", after_seconds=0.15)) as service:
        told = types(await said(service, await submitted(service)))
    assert "task_start" in told
    assert "task_postprocess_end" not in told


async def test_a_liar_tells_of_nothing_but_ends() -> None:
    async with emulator(Fault(place="socket", kind="lies")) as service:
        token = await submitted(service)
        assert set(types(await said(service, token, count=5))) == {"task_postprocess_end"}
        assert (await post(service, "Task/Detail", tasktoken=token))["tasklist"][0]["pexit"] == ""


async def test_a_late_one_tells_the_end_later() -> None:
    async with emulator(Fault(place="socket", kind="late", seconds=0.5)) as service:
        began = time.monotonic()
        assert types(await said(service, await submitted(service), count=1))[-1] == "task_postprocess_end"
        assert time.monotonic() - began > 0.9


async def test_everything_can_be_said_twice() -> None:
    async with emulator(Fault(place="socket", kind="twice")) as service:
        messages = await said(service, await submitted(service), count=2)
    assert messages[::2] == messages[1::2]


async def test_junk_comes_between_the_words() -> None:
    async with emulator(Fault(place="socket", kind="junk")) as service:
        token = await submitted(service)
        messages = await said(service, token, seconds=1.0)
    assert any(isinstance(message, bytes) for message in messages)
    texts = [message for message in messages if isinstance(message, str)]
    assert "not JSON" in texts
    assert json.loads(texts[-1])["tasktoken"] == token


async def test_closing_waits_for_nobody() -> None:
    async with emulator(run_seconds_median=600) as service:
        listening = asyncio.ensure_future(said(service, await submitted(service), seconds=20))
        while not service.stats.sockets:
            await anyio.lowlevel.checkpoint()
        began = anyio.current_time()
    assert anyio.current_time() - began < 0.9
    await listening


def test_the_moments_of_a_life_are_in_order() -> None:
    moments = Life(100.0, 5.0, 10.0).moments
    assert moments == sorted(moments)
    assert (moments[0], moments[-1]) == (105.0, 115.0)


async def test_who_hangs_up_before_the_answer_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """A program that is killed at that moment leaves no traceback on the emulator's terminal."""
    asked = "GET /v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    async with emulator() as service:
        host, _, port = service.base_url.removeprefix("http://").removesuffix("/v1").rpartition(":")
        for number in range(20):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"{asked}Sec-WebSocket-Key: a2lsbGVkIGF0IG9uY2UhIQ==\r\n\r\n".encode())
            await writer.drain()
            writer.transport.abort()
            while service.stats.sockets <= number:
                await anyio.lowlevel.checkpoint()
    assert [record.getMessage() for record in caplog.records] == []
