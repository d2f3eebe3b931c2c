"""Where the service calls back: whoever does not know the address gets nothing, and whoever does a hint at most."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from orchestrator.clock import VirtualClock
from orchestrator.web import callbacks
from orchestrator.web.callbacks import Callbacks

pytestmark = pytest.mark.anyio

SECRET = "nobody-guesses-this"


async def connect(receiver: Callbacks) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(receiver.own_url.rpartition(":")[2]))


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Wait for the end of what is said."""
    with suppress(ConnectionResetError):
        await reader.read()
    return True


@pytest.fixture
def called() -> list[str]:
    return []


@pytest.fixture
async def receiver(called: list[str]) -> AsyncIterator[Callbacks]:
    async with Callbacks("127.0.0.1", 0, SECRET, called.append, VirtualClock()) as found:
        yield found


async def send(url: str, method: str = "POST", **what: Any) -> int:
    async with aiohttp.ClientSession() as session, session.request(method, url, **what) as reply:
        assert await reply.read() == b"" or reply.status >= 400
        return reply.status


async def test_a_call_for_a_task_is_a_hint_whatever_it_says(receiver: Callbacks, called: list[str]) -> None:
    for body in (b"", b"{}", b"\xff" * 50_000, b'{"status": "task_postprocess_end", "outputs": ["mine"]}'):
        assert await send(receiver.address(receiver.own_url, "task-1"), data=body) == 200
    assert called == ["task-1"] * 4


@pytest.mark.parametrize("prefix", ["", "/hooks/of mine", "/a/b/c/"])
async def test_what_a_proxy_leaves_before_the_secret_does_not_matter(
    receiver: Callbacks, called: list[str], prefix: str
) -> None:
    assert await send(receiver.address(receiver.own_url + prefix, "task-1")) == 200
    assert called == ["task-1"]


def test_the_address_lies_below_the_public_one() -> None:
    receiver = Callbacks("127.0.0.1", 8757, SECRET, lambda _: None, VirtualClock())
    assert receiver.address("https://host/hooks/", "task-1") == f"https://host/hooks/{SECRET}/task-1"


@pytest.mark.parametrize("path", ["/", "/task-1", "/another/task-1", f"/{SECRET}", f"/{SECRET}/a/task-1", "/é/x"])
async def test_nobody_else_is_heard(receiver: Callbacks, called: list[str], path: str) -> None:
    assert await send(receiver.own_url + path) == 404
    assert called == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_only_post_is_a_call(receiver: Callbacks, called: list[str], method: str) -> None:
    assert await send(receiver.address(receiver.own_url, "task-1"), method) == 405
    assert called == []


async def test_what_is_large_is_not_read(receiver: Callbacks, called: list[str]) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10_000):
            yield bytes(100_000)

    url = receiver.address(receiver.own_url, "task-1")
    with suppress(aiohttp.ClientError):  # the connection may close while it is still being sent
        assert await send(url, data=endless()) == 413
    assert called == []


async def test_nothing_is_inflated(receiver: Callbacks, called: list[str]) -> None:
    """A megabyte that stood for a gigabyte of zeros held up the whole run, also where the secret was wrong."""
    headers = {"Content-Encoding": "gzip"}
    for body in (b"no gzip", gzip.compress(bytes(64 * callbacks.LARGEST_BYTES))):
        assert await send(receiver.address(receiver.own_url, "task-1"), data=body, headers=headers) == 200
    assert called == ["task-1"] * 2


async def test_one_that_never_comes_to_an_end_is_left(
    receiver: Callbacks, called: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "CONNECTION_SECONDS", 0.05)
    reader, writer = await connect(receiver)
    writer.write(f"POST /{SECRET}/task-1 HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nhalf".encode())
    assert await is_closed(reader)
    writer.close()
    assert called == []


@asynccontextmanager
async def idle(receiver: Callbacks, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many connections on which nothing is said."""
    made = [await connect(receiver) for _ in range(count)]
    yield [reader for reader, _ in made]
    for _, writer in made:
        writer.close()


async def test_few_connections_are_open_at_a_time(receiver: Callbacks) -> None:
    async with idle(receiver, 300) as readers:
        await asyncio.gather(*(is_closed(reader) for reader in readers[callbacks.MOST_CONNECTIONS :]))
        assert sum(not reader.at_eof() for reader in readers) == callbacks.MOST_CONNECTIONS
        with pytest.raises(aiohttp.ClientError):
            await send(receiver.address(receiver.own_url, "task-1"))


async def test_those_who_only_connect_do_not_keep_the_calls_out_for_long(
    receiver: Callbacks, called: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "CONNECTION_SECONDS", 0.2)
    async with idle(receiver, 300) as readers:
        await asyncio.gather(*(is_closed(reader) for reader in readers))
        assert await send(receiver.address(receiver.own_url, "task-1")) == 200
    assert called == ["task-1"]


async def test_a_connection_is_good_for_one_call(receiver: Callbacks, called: list[str]) -> None:
    reader, writer = await connect(receiver)
    for task in ("task-1", "task-2"):
        writer.write(f"POST /{SECRET}/{task} HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n".encode())
    assert b" 200 " in await reader.readline()
    assert await is_closed(reader)
    writer.close()
    assert called == ["task-1"]


@pytest.mark.parametrize(
    "request_line", [b"POST /" + b"a" * 9000 + b" HTTP/1.1", b"nonsense", b"POST / HTTP/1.1\r\n: x"]
)
async def test_nonsense_is_no_news(
    receiver: Callbacks, called: list[str], caplog: pytest.LogCaptureFixture, request_line: bytes
) -> None:
    reader, writer = await connect(receiver)
    writer.write(request_line + b"\r\n\r\n")
    assert b" 400 " in await reader.readline()
    assert await is_closed(reader)
    writer.close()
    assert (called, caplog.records) == ([], [])


async def test_more_calls_than_make_sense_are_turned_away(receiver: Callbacks, called: list[str]) -> None:
    """The clock stands still here: all come within a second."""
    url, most = receiver.address(receiver.own_url, "task-1"), callbacks.CALLS_PER_SECOND
    async with aiohttp.ClientSession() as session:
        statuses = [(await session.post(url)).status for _ in range(most + 20)]
    assert statuses == [200] * most + [429] * 20
    assert len(called) == most


async def test_calls_of_strangers_turn_no_others_away(receiver: Callbacks, called: list[str]) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(callbacks.CALLS_PER_SECOND + 1):
            assert (await session.post(f"{receiver.own_url}/another/task-1")).status == 404
    assert await send(receiver.address(receiver.own_url, "task-1")) == 200
    assert called == ["task-1"]


async def test_a_port_that_is_taken_is_told(receiver: Callbacks) -> None:
    port = int(receiver.own_url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        async with Callbacks("127.0.0.1", port, SECRET, lambda _: None, VirtualClock()):
            pass
