"""The socket's client: what it takes for an event, and that no server can hold it, flood it or lead it elsewhere."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from aiohttp import WSCloseCode, web
from hypothesis import given, strategies as st

from orchestrator.wiro import Event, Socket, socket

pytestmark = pytest.mark.anyio

TOKEN = "the-task's-token"
Serve = Callable[[web.WebSocketResponse], Awaitable[None]]


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def server(serve: Serve, seen: list[Any] | None = None) -> AsyncIterator[str]:
    """Serve a socket; `seen` takes the headers and the first message of each connection."""

    async def handle(request: web.Request) -> web.StreamResponse:
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        first = await connection.receive_json()
        if seen is not None:
            seen.append((request.headers, first))
        await serve(connection)
        return connection

    app = web.Application()
    app.router.add_get("/v1", handle)
    async with served(app) as url:
        yield url


async def heard(url: str) -> tuple[str, list[Event]]:
    """Return why listening was over, and what was told meanwhile."""
    events: list[Event] = []
    async with Socket(url) as client:
        with anyio.fail_after(5):
            return await client.listen(TOKEN, opened=lambda: None, tell=events.append), events


def event(status: str, message: object = None, token: str = TOKEN) -> str:
    return json.dumps({"type": status, "id": "1", "tasktoken": token, "message": message, "result": True})


async def test_a_task_is_asked_for_by_its_token_and_nothing_else_is_sent() -> None:
    seen: list[Any] = []

    async def serve(connection: web.WebSocketResponse) -> None:
        await connection.send_str(event("task_start"))
        await connection.send_str(event("task_output", {"percentage": "30", "stepCurrent": "3", "stepTotal": "6"}))
        await connection.send_str(event("task_postprocess_end", [{"name": "0.png"}]))

    async with server(serve, seen) as url:
        assert await heard(url) == (
            "the connection closed",
            [Event("task_start"), Event("task_output", 0.5), Event("task_postprocess_end")],
        )
    [(headers, first)] = seen
    assert first == {"type": "task_info", "tasktoken": TOKEN}
    assert not {"x-api-key", "x-signature", "Cookie", "Authorization"} & headers.keys()


async def test_what_is_no_event_of_the_task_is_passed_over() -> None:
    async def serve(connection: web.WebSocketResponse) -> None:
        await connection.send_bytes(b"\xff\xfe")
        for junk in ("", "nothing", "[]", "1", "{", "{}", '{"type": NaN}', '{"type": ["task_cancel"]}', "[" * 5000):
            await connection.send_str(junk)
        await connection.send_str('{"type": "task_cancel", "message": ' + "[" * 300 + "]" * 300 + "}")
        await connection.send_str(event("task_dreaming"))
        await connection.send_str(event("task_postprocess_end", token="another's"))
        await connection.ping(b"there?")
        await connection.send_str(event("task_end"))

    async with server(serve) as url:
        assert await heard(url) == ("the connection closed", [Event("task_end")])


@pytest.mark.parametrize(
    ("message", "progress"),
    [
        ({"percentage": "60"}, 0.6),
        ({"percentage": 12.5}, 0.125),
        ({"percentage": "60%"}, 0.6),
        ({"percentage": "900"}, 1.0),
        ({"stepCurrent": "-4", "stepTotal": 10}, 0.0),
        ({"stepCurrent": 1, "stepTotal": 0, "percentage": 7}, 0.07),
        ('{"percentage": "60"}', 0.6),
        ("  6/10 60%|######    | 6/10", 0.6),
        ("a word", None),
        ({"percentage": "NaN"}, None),
        ({"percentage": None, "stepCurrent": [], "stepTotal": {}}, None),
        ([], None),
    ],
)
def test_progress_is_told_in_many_ways(message: object, progress: float | None) -> None:
    assert socket._read(event("task_output", message), TOKEN) == Event("task_output", progress)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists) | st.text())
def test_no_message_is_an_error(message: object) -> None:
    for text in (event("task_output", message), str(message), json.dumps(message)):
        found = socket._read(text, TOKEN)
        assert found is None or found.progress is None or 0 <= found.progress <= 1


def test_only_an_end_is_an_end() -> None:
    """`task_error` is a line on stderr here (the API page)."""
    ends = {
        status for status in ("task_postprocess_end", "task_cancel", "task_error", "task_end") if Event(status).ended
    }
    assert ends == {"task_postprocess_end", "task_cancel"}


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_a_refusal_is_told(status: int) -> None:
    app = web.Application()

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app.router.add_get("/v1", refuse)
    async with served(app) as url:
        assert await heard(url) == (f"it answers with HTTP {status}", [])


async def test_nobody_there_is_told() -> None:
    async with served(web.Application()) as url:
        pass
    assert await heard(url) == ("no connection", [])


async def test_a_redirect_leads_nowhere() -> None:
    """The token would go to whoever stands there."""
    asked: list[web.Request] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response()

    async def redirect(_: web.Request) -> web.Response:
        raise web.HTTPFound(there)

    app, other = web.Application(), web.Application()
    app.router.add_get("/v1", redirect)
    other.router.add_route("*", "/{path:.*}", elsewhere)
    async with served(other) as there, served(app) as url:
        _, events = await heard(url)
        assert (events, asked) == ([], [])


async def test_a_server_that_accepts_and_says_nothing_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "CONNECT_SECONDS", 0.1)

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    writers: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(hold, "127.0.0.1", 0) as holding:
        port = holding.sockets[0].getsockname()[1]
        assert await heard(f"ws://127.0.0.1:{port}/v1") == ("no connection in time", [])
        for writer in writers:
            writer.close()


@pytest.mark.parametrize("alive", [True, False])
async def test_silence_is_borne_as_long_as_the_other_side_is_there(
    alive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing, but answers pings; a side that does not even do that is gone."""
    monkeypatch.setattr(socket, "PING_SECONDS", 0.1)

    async def serve(connection: web.WebSocketResponse) -> None:
        with anyio.move_on_after(0.5):
            await (connection.receive() if alive else anyio.sleep_forever())
        if not connection.closed:
            await connection.send_str(event("task_end"))

    async with server(serve) as url:
        why, events = await heard(url)
    assert events == ([Event("task_end")] if alive else [])
    assert why == "the connection closed"


async def test_it_goes_through_the_proxy() -> None:
    """And what the proxy's address may hold is not told."""
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        for scheme in ("ws", "wss"):
            async with Socket(f"{scheme}://socket.test/v1", proxy=f"http://user:word@127.0.0.1:{port}") as client:
                why = await client.listen(TOKEN, opened=lambda: None, tell=lambda _: None)
                assert why in {"it answers with HTTP 502", "the proxy refused"}
    assert [line.split()[:2] for line in asked] == [[b"GET", b"ws://socket.test/v1"], [b"CONNECT", b"socket.test:443"]]


async def test_one_that_floods_is_hung_up_on() -> None:
    sent = [0]

    async def serve(connection: web.WebSocketResponse) -> None:
        while not connection.closed:
            sent[0] += 1
            await connection.send_str(event("task_output"))
            await anyio.lowlevel.checkpoint()

    async with server(serve) as url:
        began = time.process_time()
        why, events = await heard(url)
        assert why == "it says too much"
        assert socket.MESSAGES <= len(events) < 2 * socket.MESSAGES
        assert time.process_time() - began < 2


@pytest.mark.parametrize("what", ["pings", "bytes"])
async def test_pings_and_bytes_are_a_flood_too(what: str) -> None:
    async def serve(connection: web.WebSocketResponse) -> None:
        while not connection.closed:
            await (connection.ping() if what == "pings" else connection.send_bytes(bytes(1 << 19)))
            await anyio.lowlevel.checkpoint()

    async with server(serve) as url:
        assert await heard(url) == ("it says too much", [])


async def test_a_message_that_is_too_large_ends_it() -> None:
    async def serve(connection: web.WebSocketResponse) -> None:
        await connection.send_str(event("task_start"))
        await connection.send_str("x" * (2 * socket.LARGEST_BYTES))

    async with server(serve) as url:
        _, events = await heard(url)
        assert events == [Event("task_start")]


@pytest.mark.parametrize("talks", [True, False])
async def test_leaving_is_quick_whatever_the_server_does(talks: bool) -> None:
    """It may go on talking, or never say goodbye."""
    begun = anyio.Event()

    async def serve(connection: web.WebSocketResponse) -> None:
        begun.set()
        transport = connection._req.transport if connection._req else None
        while transport is not None and not transport.is_closing():
            if talks:
                transport.write(b"\x81\x02{}")
            await anyio.sleep(0.001)

    async with server(serve) as url, Socket(url) as client, anyio.create_task_group() as group:

        async def listen() -> None:
            await client.listen(TOKEN, opened=lambda: None, tell=lambda _: None)

        group.start_soon(listen)
        with anyio.fail_after(5):
            await begun.wait()
            left_at = anyio.current_time()
            group.cancel_scope.cancel()
            await anyio.lowlevel.checkpoint_if_cancelled()
    assert anyio.current_time() - left_at < 1.5


async def test_a_ping_is_answered() -> None:
    answered = anyio.Event()

    async def serve(connection: web.WebSocketResponse) -> None:
        await connection.ping(b"there?")
        with anyio.move_on_after(2):
            message = await connection.receive()
            if message.data == b"there?":
                answered.set()
        await connection.close(code=WSCloseCode.GOING_AWAY)

    app = web.Application()

    async def handle(request: web.Request) -> web.StreamResponse:
        connection = web.WebSocketResponse(autoping=False)
        await connection.prepare(request)
        await connection.receive()
        await serve(connection)
        return connection

    app.router.add_get("/v1", handle)
    async with served(app) as url:
        await heard(url)
    assert answered.is_set()


async def test_no_token_is_in_what_is_told() -> None:
    for url in ("ws://127.0.0.1:1/v1", f"ws://user:{TOKEN}@127.0.0.1:1/v1"):
        why, _ = await heard(url)
        assert TOKEN not in why
