"""The CDN: whole files and parts of them, for everybody and without credentials."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from PIL import Image

from orchestrator.clock import VirtualClock
from orchestrator.emulator import Emulator, Profile

HEADERS = {"x-api-key": "key"}


@asynccontextmanager
async def finished_task(**options: Any) -> AsyncIterator[tuple[Emulator, aiohttp.ClientSession, dict[str, Any]]]:
    profile = Profile(**({"api_key": "key", "api_secret": None, "plain_bytes": 1000} | options))
    clock = VirtualClock()
    async with Emulator(profile, now=clock.now) as emulator, aiohttp.ClientSession() as session:
        run = f"{emulator.base_url}/Run/Hevok/Studio-Trigger"
        async with session.post(run, json={"prompt": "a pier", "samples": 2}, headers=HEADERS) as response:
            token = (await response.json())["socketaccesstoken"]
        clock.jump(3600)
        url = f"{emulator.base_url}/Task/Detail"
        async with session.post(url, json={"tasktoken": token}, headers=HEADERS) as response:
            yield emulator, session, (await response.json())["tasklist"][0]


@pytest.mark.anyio
@pytest.mark.parametrize("options", [{"plain_bytes": None, "picture_side": 32}, {"plain_bytes": 1_000_000}, {}])
async def test_outputs_are_pictures_of_the_size_that_was_told(options: dict[str, Any]) -> None:
    async with finished_task(**options) as (_, session, task):
        contents = []
        for output in task["outputs"]:
            async with session.get(output["url"]) as response:
                contents.append(await response.read())
                assert response.headers["Content-Length"] == output["size"] == str(len(contents[-1]))
                assert response.content_type == output["contenttype"] == "image/png"
                assert response.headers["Accept-Ranges"] == "bytes"
            Image.open(io.BytesIO(contents[-1])).verify()
        assert contents[0] != contents[1]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("asked", "part"),
    [("bytes=0-9", (0, 10)), ("bytes=990-", (990, 1000)), ("bytes=-7", (993, 1000)), ("bytes=5-5000", (5, 1000))],
)
async def test_parts(asked: str, part: tuple[int, int]) -> None:
    async with finished_task() as (_, session, task):
        url = task["outputs"][0]["url"]
        async with session.get(url) as response:
            whole, etag = await response.read(), response.headers["ETag"]
        async with session.get(url, headers={"Range": asked, "If-Range": etag}) as response:
            assert response.status == 206
            assert await response.read() == whole[slice(*part)]
            assert response.headers["Content-Range"] == f"bytes {part[0]}-{part[1] - 1}/1000"
            assert response.headers["ETag"] == etag
        async with session.get(url, headers={"Range": asked, "If-Range": '"other"'}) as response:
            assert (response.status, await response.read()) == (200, whole)


@pytest.mark.anyio
async def test_parts_that_cannot_be_had() -> None:
    async with finished_task() as (_, session, task):
        url = task["outputs"][0]["url"]
        for asked in ("bytes=1000-", "bytes=-0"):
            async with session.get(url, headers={"Range": asked}) as response:
                assert (response.status, response.headers["Content-Range"]) == (416, "bytes */1000")
        for asked in ("bytes=9-1", "bytes=-", "lines=1-2", "bytes=0-1,4-5"):
            async with session.get(url, headers={"Range": asked}) as response:
                assert (response.status, len(await response.read())) == (200, 1000)


@pytest.mark.anyio
async def test_a_head_tells_all_but_the_bytes() -> None:
    async with (
        finished_task() as (_, session, task),
        session.head(task["outputs"][0]["url"], headers={"Range": "bytes=0-1"}) as response,
    ):
        assert (response.status, response.headers["Content-Length"]) == (200, "1000")
        assert await response.read() == b""
        assert "ETag" in response.headers


@pytest.mark.anyio
@pytest.mark.parametrize("header", ["x-api-key", "X-Nonce", "x-signature"])
async def test_credentials_are_a_leak(header: str) -> None:
    async with finished_task() as (emulator, session, task):
        async with session.get(task["outputs"][0]["url"], headers={header: "1"}) as response:
            assert response.status == 400
        assert emulator.stats.leaks == 1
        assert emulator.stats.downloads == {"400": 1}


@pytest.mark.anyio
async def test_what_is_not_there_is_not_found() -> None:
    async with finished_task() as (emulator, session, task):
        url = task["outputs"][0]["url"]
        unfinished = f"{emulator.base_url}/Run/Hevok/Studio-Trigger"
        async with session.post(unfinished, json={"prompt": "x"}, headers=HEADERS):
            folder = emulator.stats.accepted[-1].folder
        wrong = ["2.png", "-1.png", "00.png", "0", "0.jpg", ".png", "%C2%B2.png"]
        for address in [url.replace("0.png", name) for name in wrong] + [f"{emulator.cdn_url}/{folder}/0.png"]:
            async with session.get(address) as response:
                assert response.status == 404


@pytest.mark.anyio
async def test_deleted_outputs_are_gone() -> None:
    async with finished_task() as (emulator, session, task):
        delete = f"{emulator.base_url}/Task/InputOutputDelete"
        async with session.post(delete, json={"tasktoken": task["socketaccesstoken"]}, headers=HEADERS) as response:
            assert (await response.json())["result"]
        async with session.get(task["outputs"][0]["url"]) as response:
            assert response.status == 404
