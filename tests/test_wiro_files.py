"""Fetching from servers that lie, drop, redirect and stall, all of them on loopback."""

from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import anyio
import pytest
from aiohttp.abc import ResolveResult
from fileserver import Names, chunked, read, reply, serving
from typing_extensions import override

from orchestrator.wiro.addresses import AddressPolicy
from orchestrator.wiro.arrivals import NEXT_TO_NOTHING, Arrivals
from orchestrator.wiro.files import (
    SLOW_BYTES,
    FileBroken,
    FileError,
    FileGone,
    FileRefused,
    Files,
    FileTooLarge,
    FileUnavailable,
)

LOOPBACK = AddressPolicy(allow_loopback=True)
PACKED = gzip.compress(b"abcdef")


async def test_a_file_comes_whole_and_nothing_of_ours_is_sent() -> None:
    answer = reply(200, b"abc", ETag='"v1"', Content_Type="image/png", Set_Cookie="a=b")
    async with serving(answer) as server, Files(LOOPBACK) as files:
        await read(files, server.url)
        body, data = await read(files, server.url.replace("//", "//user:password@"))
    assert data == b"abc"
    assert (body.status, body.offset, body.total, body.validator) == (200, 0, 3, '"v1"')
    assert (body.host, body.content_type) == ("127.0.0.1", "image/png")
    head = server.heads[-1].lower()
    assert "\r\naccept-encoding: identity\r\n" in head
    assert not any(word in head for word in ("cookie", "authorization", "referer", "x-api-key", "range"))


async def test_what_has_come_is_counted_over_all_files_whole_or_not() -> None:
    replies = reply(200, b"picture"), reply(200, b"pic", Content_Length=7)
    async with serving(*replies) as server, Files(LOOPBACK) as files:
        await read(files, server.url)
        with pytest.raises(FileBroken):
            await read(files, server.url)
        assert files.arrivals.bytes == 10


async def test_a_kept_connection_that_the_server_closes_costs_no_attempt() -> None:
    """It is closed as the second request comes, as servers do with one that idles; the third is not answered at all."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if connections < 3:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
                await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener, Files(LOOPBACK) as files:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/x.png"
        for _ in range(2):
            assert (await read(files, url))[1] == b"abc"
        with pytest.raises(FileUnavailable):
            await read(files, url)
    assert connections == 3


async def test_cookies_are_not_kept() -> None:
    async with serving(reply(200, b"abc", Set_Cookie="a=b")) as server:
        async with Files(LOOPBACK, resolver=Names("127.0.0.1")) as files:
            for _ in range(2):
                await read(files, server.url.replace("127.0.0.1", "cdn.example"))
        assert not any("cookie" in head.lower() for head in server.heads)


async def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(reply(200, b"abc")) as server, serving(reply(200, b"proxy")) as other:
        monkeypatch.setenv("http_proxy", other.url)
        async with Files(LOOPBACK) as files:
            assert (await read(files, server.url))[1] == b"abc"


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": 'W/"v1"', "Last_Modified": "Sun, 22 Nov 2026 10:00:00 GMT"}, "Sun, 22 Nov 2026 10:00:00 GMT"),
        ({"ETag": 'W/"v1"'}, None),
        ({}, None),
    ],
)
async def test_only_a_strong_etag_or_a_date_names_a_version(headers: dict[str, str], validator: str | None) -> None:
    async with serving(reply(200, b"abc", **headers)) as server, Files(LOOPBACK) as files:
        assert (await read(files, server.url))[0].validator == validator


async def test_the_rest_of_a_file_is_asked_for() -> None:
    answer = reply(206, b"def", Content_Range="bytes 3-5/6", ETag='"v1"')
    async with serving(answer) as server, Files(LOOPBACK) as files:
        body, data = await read(files, server.url, offset=3, validator='"v1"')
    assert (body.status, body.offset, body.total, data) == (206, 3, 6, b"def")
    assert 'Range: bytes=3-\r\nIf-Range: "v1"\r\n' in server.heads[0]


async def test_without_a_validator_the_file_is_asked_for_from_its_start() -> None:
    async with serving(reply(200, b"abcdef")) as server, Files(LOOPBACK) as files:
        body, _ = await read(files, server.url, offset=3)
    assert body.offset == 0
    assert "Range" not in server.heads[0]


async def test_a_server_without_ranges_or_with_a_new_version_starts_again() -> None:
    async with serving(reply(200, b"abcdef", ETag='"v2"')) as server, Files(LOOPBACK) as files:
        body, data = await read(files, server.url, offset=3, validator='"v1"')
    assert (body.offset, body.total, body.validator, data) == (0, 6, '"v2"', b"abcdef")


async def test_nothing_is_left_where_all_is_here() -> None:
    async with serving(reply(416, b"no", Content_Range="bytes */6")) as server, Files(LOOPBACK) as files:
        body, data = await read(files, server.url, offset=6, validator='"v1"')
    assert (body.offset, body.total, data) == (6, 6, b"")


@pytest.mark.parametrize(
    "answer",
    [
        reply(206, b"def", Content_Range="bytes 2-4/6"),
        reply(206, b"def", Content_Range="bytes 3-5/9"),
        reply(206, b"def", Content_Range="bytes 3-5"),
        reply(206, b"def", Content_Range="bytes 3-" + "9" * 5000 + "/*"),
        reply(206, b"def"),
        reply(206, b"def", Content_Range="bytes 3-5/6", ETag='"v2"'),
        reply(416, Content_Range="bytes */5"),
        reply(416),
        reply(204),
        reply(304),
        reply(302),
        reply(200, b"abcdef", Content_Encoding="gzip"),
        chunked(b"defgh", status=206, Content_Range="bytes 3-5/6"),
        chunked(b"abc", end=b"zz\r\n"),
        chunked(b"de", status=206, Content_Range="bytes 3-5/6"),
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    ],
    ids=range(17),
)
async def test_an_answer_that_makes_no_sense_is_broken(answer: bytes) -> None:
    async with serving(answer) as server, Files(LOOPBACK) as files:
        expected = FileRefused if b"302" in answer else FileBroken
        with pytest.raises(expected):
            await read(files, server.url, offset=3, validator='"v1"')


async def test_a_range_that_was_not_asked_for_is_broken() -> None:
    async with serving(reply(206, b"abc", Content_Range="bytes 0-2/3")) as server, Files(LOOPBACK) as files:
        with pytest.raises(FileBroken):
            await read(files, server.url)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", " GZIP "])
async def test_what_comes_compressed_unasked_is_undone_and_not_gone_on_with(encoding: str) -> None:
    data = bytes(3 * 2**18 + 5)
    packed = zlib.compress(data) if encoding == "deflate" else gzip.compress(data)
    answer = reply(200, packed, Content_Encoding=encoding, ETag='"v1"')
    async with serving(answer) as server, Files(LOOPBACK) as files:
        body, read_data = await read(files, server.url)
    assert read_data == data
    assert (body.offset, body.total, body.validator) == (0, None, None)


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, PACKED[:-1], Content_Encoding="gzip"),
        reply(200, PACKED + b"more", Content_Encoding="gzip"),
        reply(200, PACKED[:15] + b"no" + PACKED[17:], Content_Encoding="gzip"),
        reply(200, b"", Content_Encoding="gzip"),
        reply(200, PACKED, Content_Encoding="br"),
        reply(206, PACKED, Content_Encoding="gzip", Content_Range=f"bytes 3-{len(PACKED) + 2}/{len(PACKED) + 3}"),
    ],
    ids=["cut", "more", "damaged", "empty", "unknown", "a part"],
)
async def test_what_comes_compressed_and_wrong_is_broken(answer: bytes) -> None:
    async with serving(answer) as server, Files(LOOPBACK) as files:
        with pytest.raises(FileBroken):
            await read(files, server.url, offset=3, validator='"v1"')


async def test_the_cap_is_on_what_comes_out_of_a_compressed_file() -> None:
    answer = reply(200, gzip.compress(bytes(2**24)), Content_Encoding="gzip")
    async with serving(answer) as server, Files(LOOPBACK, max_bytes=2**20) as files:
        with pytest.raises(FileTooLarge, match="more than 1048576"):
            await read(files, server.url)


@pytest.mark.parametrize("answer", [reply(200, b"abc", Content_Length=9), chunked(b"abc", end=b"")])
async def test_a_file_that_breaks_off_gives_what_came_and_says_so(answer: bytes) -> None:
    data = []
    async with serving(answer) as server, Files(LOOPBACK) as files, files.open(server.url) as body:
        chunks = body.chunks()
        data.append(await anext(chunks))
        with pytest.raises(FileBroken):
            await anext(chunks)
    assert data == [b"abc"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
async def test_what_the_server_does_not_give_is_gone(status: int) -> None:
    async with serving(reply(status, b"no")) as server, Files(LOOPBACK) as files:
        with pytest.raises(FileGone, match=str(status)):
            await read(files, server.url)


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"Retry_After": "2.5"}, 2.5),
        (503, {"Retry_After": "120"}, 120.0),
        (503, {"Retry_After": "Sun, 22 Nov 2026 10:01:00 GMT", "Date": "Sun, 22 Nov 2026 10:00:30 GMT"}, 30.0),
        (503, {"Retry_After": "Sun, 22 Nov 2026 09:00:00 GMT", "Date": "Sun, 22 Nov 2026 10:00:30 GMT"}, 0.0),
        (503, {"Retry_After": "Sun, 22 Nov 2026 10:01:00 GMT"}, None),
        (500, {"Retry_After": "soon"}, None),
        (408, {}, None),
    ],
)
async def test_a_busy_server_passes_and_may_say_when(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    async with serving(reply(status, b"", **headers)) as server, Files(LOOPBACK) as files:
        with pytest.raises(FileUnavailable) as caught:
            await read(files, server.url)
    assert caught.value.retry_after_seconds == seconds


async def test_nobody_there_and_a_line_dropped_before_the_answer_pass() -> None:
    async with serving(b"") as server, Files(LOOPBACK) as files:
        with pytest.raises(FileUnavailable, match="lost"):
            await read(files, server.url)
    async with Files(LOOPBACK) as files:
        with pytest.raises(FileUnavailable, match="reached"):
            await read(files, server.url)


@pytest.mark.parametrize("answer", [b"", reply(200, b"abc", Content_Length=9)])
async def test_a_silent_server_is_given_up(answer: bytes) -> None:
    async with serving(answer, stalls=True) as server, Files(LOOPBACK, idle_seconds=0.05) as files:
        with pytest.raises(FileUnavailable, match="too long"):
            await read(files, server.url)


async def test_a_server_that_does_not_begin_is_given_up_when_whoever_asks_says_so() -> None:
    """Long before it would be given up at all."""
    async with serving(b"", stalls=True) as server, Files(LOOPBACK) as files:
        with pytest.raises(FileUnavailable, match="too long"):
            async with files.open(server.url, answer_seconds=0.05):
                raise AssertionError


async def test_those_that_bring_nothing_are_counted_until_they_do_or_are_given_up() -> None:
    """One says nothing at all, one next to nothing, one is whole, and of one it is we who do not read on."""
    few, enough = bytes(NEXT_TO_NOTHING // 2), bytes(NEXT_TO_NOTHING)
    now = 0.0
    async with (
        serving(b"", stalls=True) as mute,
        serving(reply(200, few, Content_Length=9999), stalls=True) as drip,
        serving(reply(200, enough)) as sound,
        Files(LOOPBACK) as files,
    ):
        arrivals = files.arrivals
        arrivals.now = lambda: now
        async with files.open(sound.url) as unread, anyio.create_task_group() as group:
            group.start_soon(read, files, mute.url)
            group.start_soon(read, files, drip.url)
            await mute.stalled.wait()
            while arrivals.bytes < len(few):
                await anyio.lowlevel.checkpoint()
            assert arrivals.silent(5.0) == 0
            now = 5.0
            assert arrivals.silent(5.0) == 2
            assert b"".join([chunk async for chunk in unread.chunks()]) == enough
            assert arrivals.silent(5.0) == 2
            group.cancel_scope.cancel()
    assert arrivals.silent(0.0) == 0


def test_what_has_begun_to_come_is_silent_no_longer() -> None:
    now = 0.0
    arrivals = Arrivals(lambda: now)
    line = arrivals.open()
    now = 5.0
    line.heard(NEXT_TO_NOTHING - 1)
    assert arrivals.silent(5.0) == 1
    line.heard(1)
    assert arrivals.silent(5.0) == 0
    now = 10.0
    assert arrivals.silent(5.0) == 1


def test_where_all_is_slow_to_begin_that_is_no_silence() -> None:
    now = 0.0
    arrivals = Arrivals(lambda: now)
    for _ in range(50):
        line = arrivals.open()
        now += 4.0
        line.answered()
        line.close()
    arrivals.open()
    now += 4.0
    assert arrivals.silent(2.0) == 0
    now += 12.0
    assert arrivals.silent(2.0) == 1


@asynccontextmanager
async def dripping(start: bytes, drop: bytes, pause_seconds: float) -> AsyncIterator[str]:
    """A server that answers with a start and then with drop after drop, for ever."""
    drips = set()

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        drips.add(asyncio.current_task())
        try:
            writer.write(start)
            while True:
                writer.write(drop)
                await writer.drain()
                await asyncio.sleep(pause_seconds)
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/u/x"
    finally:
        server.close()
        for each in filter(None, drips):
            each.cancel()
        await asyncio.gather(*filter(None, drips))
        await server.wait_closed()


DRIPS = [
    (b"", b"HTTP", 0.01, FileBroken),
    (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", 0.01, FileUnavailable),
    (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 1000, 0, FileBroken),
    (b"HTTP/1.1 200 OK\r\nx: ", b"y" * 10_000, 0, FileBroken),
    (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01, FileUnavailable),
    (b"HTTP/1.1 200 OK\r\n\r\n", b"abc", 0.01, FileUnavailable),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", 0.01, FileUnavailable),
    (b"HTTP/1.1 200 OK\r\n\r\n", bytes(100_000), 0, FileTooLarge),
]


@pytest.mark.parametrize(("start", "drop", "pause_seconds", "outcome"), DRIPS)
async def test_nothing_goes_on_for_ever(
    start: bytes, drop: bytes, pause_seconds: float, outcome: type[FileError]
) -> None:
    """Neither a head nor a body, neither fast nor drop by drop."""
    patience = 0.3 if pause_seconds else 30.0  # a flood ends by its size, however slow this machine is
    files = Files(LOOPBACK, max_bytes=2**21, answer_seconds=patience, slow_seconds=patience)
    async with dripping(start, drop, pause_seconds) as url, files:
        with pytest.raises(outcome):
            await read(files, url)


async def test_what_comes_slowly_but_comes_is_taken() -> None:
    files = Files(LOOPBACK, slow_seconds=0.05, max_bytes=20 * SLOW_BYTES)
    async with dripping(b"HTTP/1.1 200 OK\r\n\r\n", bytes(SLOW_BYTES), 0.01) as url, files:
        with pytest.raises(FileTooLarge):
            await read(files, url)


async def test_a_name_that_nobody_looks_up_in_time_is_given_up() -> None:
    class Silent(Names):
        @override
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            await asyncio.Event().wait()
            raise AssertionError

    async with Files(LOOPBACK, connect_seconds=0.05, resolver=Silent()) as files:
        with pytest.raises(FileUnavailable, match="too long"):
            await read(files, "http://cdn.example/x")


async def test_a_size_beyond_the_cap_is_refused_stated_or_not() -> None:
    async with (
        serving(reply(200, bytes(11)), chunked(*[bytes(4)] * 3)) as server,
        Files(LOOPBACK, max_bytes=10) as files,
    ):
        with pytest.raises(FileTooLarge, match="11 bytes"):
            await read(files, server.url)
        with pytest.raises(FileTooLarge, match="more than 10"):
            await read(files, server.url)


async def test_a_file_of_exactly_the_cap_is_accepted() -> None:
    async with serving(chunked(bytes(10))) as server, Files(LOOPBACK, max_bytes=10) as files:
        assert (await read(files, server.url))[1] == bytes(10)


async def test_a_connector_that_is_handed_in_stays_open() -> None:
    async with serving(reply(200, b"abc")) as server, aiohttp.TCPConnector() as connector:
        async with Files(LOOPBACK, connector=connector) as files:
            assert (await read(files, server.url))[1] == b"abc"
        assert not connector.closed


async def test_errors_name_the_host_and_nothing_that_may_be_secret() -> None:
    async with serving(reply(404)) as server, Files(LOOPBACK) as files:
        with pytest.raises(FileGone) as caught:
            await read(files, f"{server.url}?signature=s3cret")
    assert str(caught.value) == ("A file is not to be had from 127.0.0.1, expired or deleted: it answered HTTP 404.")


async def test_outside_its_context_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="context"):
        await read(Files(LOOPBACK), "http://127.0.0.1/")
