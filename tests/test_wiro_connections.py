from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp.connector import Connection

from orchestrator.wiro import Client, Credentials, NotSent, ServerFault, Timeouts, connections

pytestmark = pytest.mark.anyio

BODY = b'{"result": true, "taskid": "1"}'
REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
MODEL = "Hevok/Studio-Trigger"


@dataclass
class Wire:
    """A server that notes in `log` what arrives when, and answers each request."""

    url: str = ""
    log: list[str] = field(default_factory=list)
    opened: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.writers.append(writer)
        while await reader.read(1):
            self.log.append("bytes")
            await reader.readuntil(b"}")
            writer.write(REPLY)
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Wire]:
    found = Wire()
    listening = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    async with listening:
        found.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield found
        for writer in found.writers:
            writer.close()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The connections that the client was given by its library."""
    found: list[Connection] = []
    connect = aiohttp.TCPConnector.connect

    async def noted(self: aiohttp.TCPConnector, *arguments: Any) -> Connection:
        found.append(await connect(self, *arguments))
        return found[-1]

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", noted)
    return found


async def until_closed(connection: Connection) -> None:
    """Wait until the client has heard that the server has closed it."""
    while not connection.closed:
        await anyio.lowlevel.checkpoint()


async def test_bytes_arrive_only_after_the_turn(server: Wire) -> None:
    """Each request's bytes follow its own turn, and nothing comes before or in between."""
    turns = [anyio.Event() for _ in range(4)]
    asked = 0

    async def turn(endpoint: str) -> None:
        nonlocal asked
        mine, asked = turns[asked], asked + 1
        await mine.wait()
        server.log.append(f"turn {endpoint}")

    async with Client(Credentials("k"), server.url, before_send=turn) as client, anyio.create_task_group() as group:
        for _ in turns:
            group.start_soon(client.run, MODEL, {})
        for number, event in enumerate(turns):
            await anyio.wait_all_tasks_blocked()
            assert server.log == ["turn /Run", "bytes"] * number
            event.set()
            while len(server.log) < 2 * (number + 1):
                await anyio.lowlevel.checkpoint()
    assert server.log == ["turn /Run", "bytes"] * 4


async def test_the_connection_is_open_before_the_turn(server: Wire) -> None:
    opened: list[int] = []

    async def turn(_: str) -> None:
        while not server.opened:  # the server hears of it a moment later
            await anyio.lowlevel.checkpoint()
        opened.append(server.opened)

    async with Client(Credentials("k"), server.url, before_send=turn) as client:
        await client.run(MODEL, {})
    assert opened == [1]
    assert server.log == ["bytes"]


async def test_waiting_for_the_turn_is_not_counted_as_waiting_for_the_service(server: Wire) -> None:
    async def turn(_: str) -> None:
        await anyio.sleep(0.6)

    timeouts = Timeouts(connect=0.5, total=0.5)
    async with Client(Credentials("k"), server.url, before_send=turn, timeouts=timeouts) as client:
        assert (await client.run(MODEL, {})).task_id == "1"


class TurnLostError(Exception):
    """Any error of the caller's own."""


@pytest.mark.parametrize("error", [ServerFault("/Run", "stop"), TurnLostError(), NotSent("/Run", "stop")])
async def test_what_the_turn_raises_reaches_the_caller_and_nothing_is_sent(server: Wire, error: Exception) -> None:
    async def turn(_: str) -> None:
        raise error

    async with Client(Credentials("k"), server.url, before_send=turn) as client:
        with pytest.raises(type(error)) as caught:
            await client.run(MODEL, {})
    assert caught.value is error
    assert server.log == []


async def test_an_answer_that_comes_before_the_request_is_not_read_as_its_own(
    server: Wire, held: list[Connection]
) -> None:
    """A "no" that belongs to nobody would have a task sent again that has been accepted."""
    turns = 0

    async def turn(_: str) -> None:
        nonlocal turns
        turns += 1
        protocol = held[-1].protocol
        assert protocol is not None
        if turns == 2:
            server.writers[0].write(REPLY.replace(b"true, ", b"false,"))
            while not protocol.should_close:
                await anyio.lowlevel.checkpoint()

    async with Client(Credentials("k"), server.url, before_send=turn) as client:
        await client.run(MODEL, {})
        with anyio.fail_after(20), pytest.raises(NotSent):
            await client.run(MODEL, {})
        assert (await client.run(MODEL, {})).task_id == "1"
    assert server.log == ["bytes"] * 2
    assert server.opened == 2


async def test_what_is_written_is_told_and_nothing_else(server: Wire) -> None:
    """A turn that is lost, or a connection that the server has closed meanwhile, is no call."""
    told: list[str] = []
    refused = False

    async def turn(endpoint: str) -> None:
        told.append(f"turn {endpoint}")
        if refused:
            raise TurnLostError

    def written(endpoint: str) -> None:
        told.append(endpoint)

    async with Client(Credentials("k"), server.url, before_send=turn, on_send=written) as client:
        await client.run(MODEL, {})
        assert told == ["turn /Run", "/Run"]
        refused = True
        with pytest.raises(TurnLostError):
            await client.run(MODEL, {})
    assert told == ["turn /Run", "/Run", "turn /Run"]


async def test_a_connection_that_closes_while_it_waits_is_not_told_as_a_call(
    server: Wire, held: list[Connection]
) -> None:
    """The server gives up a connection before its turn has come: what was not written is not counted."""
    told: list[str] = []

    async def turn(_: str) -> None:
        while len(server.writers) < 1:
            await anyio.lowlevel.checkpoint()
        server.writers[-1].close()
        await until_closed(held[-1])

    async with Client(Credentials("k"), server.url, before_send=turn, on_send=told.append) as client:
        with pytest.raises(NotSent):
            await client.run(MODEL, {})
    assert told == server.log == []


async def test_a_call_cancelled_while_it_waits_sends_nothing_and_leaves_no_connection(server: Wire) -> None:
    waiting = anyio.Event()

    async def turn(_: str) -> None:
        waiting.set()
        await anyio.sleep_forever()

    async with Client(Credentials("k"), server.url, before_send=turn) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.run, MODEL, {})
            await waiting.wait()
            group.cancel_scope.cancel()
        while not (server.writers and server.writers[0].is_closing()):
            await anyio.lowlevel.checkpoint()
    assert server.log == []


async def test_a_young_connection_is_kept_and_an_old_one_is_not(server: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "POOL_SECONDS", 60.0)
    async with Client(Credentials("k"), server.url) as client:
        await client.run(MODEL, {})
        await client.run(MODEL, {})
        assert server.opened == 1
    monkeypatch.setattr(connections, "POOL_SECONDS", 0.0)
    async with Client(Credentials("k"), server.url) as client:
        await client.run(MODEL, {})
        await client.run(MODEL, {})
        assert server.opened == 3


def test_a_run_never_uses_a_connection_that_idled_for_two_seconds() -> None:
    assert connections.POOL_SECONDS + connections.HELD_SECONDS < 2


async def test_a_run_that_waits_too_long_on_a_kept_connection_is_not_sent_over_it(
    server: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "POOL_SECONDS", 60.0)
    monkeypatch.setattr(connections, "HELD_SECONDS", 0.01)
    wait = 0.0

    async def turn(_: str) -> None:
        await anyio.sleep(wait)

    async with Client(Credentials("k"), server.url, before_send=turn) as client:
        wait = 0.05
        await client.run(MODEL, {})  # a new connection may wait
        with pytest.raises(NotSent, match="its turn"):
            await client.run(MODEL, {})
        wait = 0.0
        await client.delete_outputs("t")
        wait = 0.05
        await client.delete_outputs("t")  # what is not paid for may wait too
    assert len(server.log) == 3


@pytest.mark.parametrize(("quick_seconds", "opened"), [(-1.0, 3), (60.0, 2)])
async def test_a_run_in_a_slow_queue_opens_a_connection_of_its_own(
    server: Wire, monkeypatch: pytest.MonkeyPatch, quick_seconds: float, opened: int
) -> None:
    """By its turn a kept connection might be too old; in a queue that moves quickly, it is not."""
    monkeypatch.setattr(connections, "POOL_SECONDS", 60.0)
    monkeypatch.setattr(connections, "QUICK_TURN_SECONDS", quick_seconds)
    go = anyio.Event()
    go.set()

    async def turn(_: str) -> None:
        await go.wait()

    async with Client(Credentials("k"), server.url, before_send=turn) as client:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(client.delete_outputs, "t")
        assert server.opened == 2
        go = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(client.delete_outputs, "t")
            await anyio.wait_all_tasks_blocked()
            group.start_soon(client.run, MODEL, {})
            while server.opened < opened:
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            go.set()
    assert server.opened == opened


async def test_a_connection_that_closes_while_a_call_waits_is_not_used(server: Wire, held: list[Connection]) -> None:
    async def turn(endpoint: str) -> None:
        assert endpoint == "/Run"
        while not server.writers:
            await anyio.lowlevel.checkpoint()
        server.writers[0].transport.abort()
        await until_closed(held[-1])

    async with Client(Credentials("k"), server.url, before_send=turn) as client:
        with pytest.raises(NotSent, match="its turn"):
            await client.run(MODEL, {})
    assert server.log == []
