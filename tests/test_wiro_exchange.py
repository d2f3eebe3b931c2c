from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import anyio
import anyio.lowlevel
import pytest
from yarl import URL

from orchestrator.wiro.exchange import MOST_SERVERS, Exchange

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Server:
    """Answers each request with the next of these bytes, the last ones for ever, and keeps the connection."""

    answers: list[bytes]
    url: URL = field(default_factory=URL)
    connections: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = head.lower().partition("content-length: ")[2].partition("\r")[0]
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(int(length or 0)))
                writer.write(self.answers[min(len(self.heads), len(self.answers)) - 1])
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone.set()
        finally:
            writer.close()


@asynccontextmanager
async def serving(*answers: bytes) -> AsyncIterator[tuple[Server, Exchange]]:
    server = Server(list(answers))
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = URL(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/a%20place?b=c")
    async with listener, aiohttp.TCPConnector(limit=0) as connector:
        yield server, Exchange(connector, {"Accept": "x/y"}, connect_seconds=5)


async def test_a_request_is_written_as_http_wants_it() -> None:
    async with serving(OK) as (server, exchange):
        answer = await exchange.ask("POST", server.url, {"x-one": "1"}, b'{"a": 1}')
        assert (answer.status, answer.headers["content-length"]) == (200, "2")
        assert await answer.content.read() == b"{}"
        answer.close()
        (await exchange.ask("GET", server.url, {})).close()
    first, *fields = server.heads[0].split("\r\n")
    assert first == "POST /a%20place?b=c HTTP/1.1"
    assert fields[0] == f"Host: 127.0.0.1:{server.url.port}"
    assert fields[1:] == ["Accept: x/y", "x-one: 1", "Content-Length: 8", "", ""]
    assert server.bodies == [b'{"a": 1}', b""]
    assert "content-length" not in server.heads[1].lower()


async def test_an_empty_body_is_told_too() -> None:
    async with serving(OK) as (server, exchange):
        (await exchange.ask("POST", server.url, {}, b"")).close()
    assert "\r\nContent-Length: 0\r\n" in server.heads[0]


@pytest.mark.parametrize("value", ["a\r\nx-two: 2", "a\nb", "a\rb", "a\0b"])
async def test_a_header_that_would_begin_another_one_is_refused(value: str) -> None:
    async with serving(OK) as (server, exchange):
        with pytest.raises(ValueError, match="header"):
            await exchange.ask("GET", server.url, {"x-one": value})
    assert server.connections == 0


async def test_a_header_goes_back_as_the_bytes_that_it_came_as() -> None:
    """A validator is whatever the server says, and need not be text."""
    async with serving(b'HTTP/1.1 200 OK\r\nETag: "\xe4\xc3\xa4"\r\nContent-Length: 0\r\n\r\n') as (server, exchange):
        etag = (await exchange.ask("GET", server.url, {})).headers["ETag"]
        listener = asyncio.get_running_loop().create_future()

        async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            listener.set_result(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)
            writer.close()

        async with await asyncio.start_server(noted, "127.0.0.1", 0) as other:
            port = other.sockets[0].getsockname()[1]
            (await exchange.ask("GET", server.url.with_port(port), {"If-Range": etag})).close()
        assert b'If-Range: "\xe4\xc3\xa4"\r\n' in await listener


async def test_what_is_not_the_answer_yet_is_passed_over() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with serving(early + OK) as (server, exchange):
        answer = await exchange.ask("GET", server.url, {})
        assert (answer.status, await answer.content.read()) == (200, b"{}")
        answer.close()


async def test_a_connection_is_kept_once_all_of_the_answer_has_been_read() -> None:
    async with serving(OK) as (server, exchange):
        for _ in range(3):
            answer = await exchange.ask("GET", server.url, {})
            await answer.content.read()
            answer.close()
    assert (server.connections, len(server.heads)) == (1, 3)


async def test_an_answer_that_came_before_it_was_asked_for_is_nobodys() -> None:
    """A proxy may answer twice: on a kept connection that would be the answer to whatever is asked next."""
    async with serving(OK[:-1], OK) as (server, exchange):
        answer = await exchange.ask("GET", server.url, {})
        protocol = answer._connection.protocol
        assert protocol is not None
        server.writers[0].write(OK[-1:])
        assert await answer.content.read() == b"{}"
        server.writers[0].write(OK.replace(b"{}", b"no"))
        with anyio.fail_after(20):
            while not protocol.should_close:
                await anyio.lowlevel.checkpoint()
        with pytest.raises(aiohttp.ClientConnectionError, match="before it was asked for"):
            await exchange.ask("GET", server.url, {})
        answer = await exchange.ask("GET", server.url, {})
        assert await answer.content.read() == b"{}"
    assert server.connections == 2


async def test_a_connection_is_closed_where_some_of_the_answer_is_left() -> None:
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nx", OK) as (server, exchange):
        (await exchange.ask("GET", server.url, {})).close()
        await server.gone.wait()
        (await exchange.ask("GET", server.url, {})).close()
    assert server.connections == 2


async def test_a_connection_is_closed_where_nobody_waits_for_the_answer_any_more() -> None:
    async with serving(b"") as (server, exchange):
        asking = asyncio.create_task(exchange.ask("GET", server.url, {}))
        while not server.heads:
            await anyio.lowlevel.checkpoint()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await server.gone.wait()


UNENDING = b"HTTP/1.1 200 OK\r\n\r\n{"


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", UNENDING])
async def test_an_answer_that_does_not_end_in_time_is_none(begun: bytes) -> None:
    """Not even where its end is that of the connection, which is broken off then."""
    async with serving(begun) as (server, exchange):
        with pytest.raises(TimeoutError):
            await exchange.post(server.url, {}, b"{}", seconds=0.05, most_bytes=9)
        await server.gone.wait()


async def test_the_time_for_an_answer_ends_with_it() -> None:
    async with serving(OK) as (server, exchange):
        for _ in range(2):
            status, _, body = await exchange.post(server.url, {}, b"{}", seconds=0.02, most_bytes=9)
            assert (status, body) == (200, b"{}")
            await anyio.sleep(0.03)  # the time of the first call is over, and its connection is the second one's
    assert server.connections == 1


async def test_a_body_may_not_be_larger_than_is_said() -> None:
    """Nobody waits for the rest of it."""
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}") as (server, exchange):
        with pytest.raises(ValueError, match="large"):
            await exchange.post(server.url, {}, b"{}", seconds=5, most_bytes=1)
        await server.gone.wait()


async def test_a_server_that_hangs_up_is_told() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with (
        await asyncio.start_server(hang_up, "127.0.0.1", 0) as listener,
        aiohttp.TCPConnector() as connector,
    ):
        url = URL(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            await Exchange(connector, {}, connect_seconds=5).ask("GET", url, {})


async def test_of_many_servers_only_some_are_remembered() -> None:
    async with aiohttp.TCPConnector() as connector:
        exchange = Exchange(connector, {}, connect_seconds=5)
        for number in range(3 * MOST_SERVERS):
            exchange._server(URL(f"http://host-{number}.example/"))
        assert len(exchange._servers) <= MOST_SERVERS
