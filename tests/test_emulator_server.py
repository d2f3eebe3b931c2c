"""The emulator as a whole: it outlives a kill, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from orchestrator.clock import VirtualClock
from orchestrator.emulator import Emulator, Profile, serve

PROFILE = Profile(api_key="key", api_secret=None, plain_bytes=500, queue_seconds=(0, 0), run_seconds_median=0)
SERVE = """
import sys
from pathlib import Path
import anyio
from orchestrator.emulator import Profile, serve
profile = Profile(api_key="key", api_secret=None, plain_bytes=500, queue_seconds=(0, 0), run_seconds_median=0)
announce = lambda emulator: print(emulator.base_url, flush=True)
anyio.run(lambda: serve(profile, announce=announce, state_dir=Path(sys.argv[1])))
"""


async def post(session: aiohttp.ClientSession, base_url: str, endpoint: str, **fields: Any) -> dict[str, Any]:
    headers = {"x-api-key": "key"}
    async with session.post(f"{base_url}/{endpoint}", json=fields, headers=headers) as response:
        reply: dict[str, Any] = await response.json()
    return reply


async def start_process(state_dir: Path) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, str(state_dir), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    return process, (await process.stdout.readline()).decode().strip()


@pytest.mark.anyio
async def test_everything_survives_a_kill(tmp_path: Path) -> None:
    process, url = await start_process(tmp_path)
    try:
        async with aiohttp.ClientSession() as session:
            runs = [
                await post(session, url, "Run/Hevok/Studio-Trigger", prompt="x", seed=str(number))
                for number in range(5)
            ]
            await post(session, url, "Task/InputOutputDelete", tasktoken=runs[0]["socketaccesstoken"])
            form = aiohttp.FormData()
            form.add_field("file", b"boat", filename="boat.png")
            async with session.post(f"{url}/File/Upload", data=form, headers={"x-api-key": "key"}) as response:
                uploaded = (await response.json())["list"][0]["url"]
            before = await post(session, url, "Task/List")
    finally:
        process.kill()
        await process.wait()
    async with Emulator(PROFILE, tmp_path) as emulator, aiohttp.ClientSession() as session:
        after = await post(session, emulator.base_url, "Task/List")
        old_cdn = uploaded.rsplit("/", 2)[0]
        moved = json.loads(json.dumps(before).replace(old_cdn, emulator.cdn_url))
        assert after == moved
        assert [task["id"] for task in after["tasklist"]] == [run["taskid"] for run in reversed(runs)]
        assert after["tasklist"][-1]["outputs"] == []
        async with session.get(uploaded.replace(old_cdn, emulator.cdn_url)) as response:
            assert await response.read() == b"boat"
        assert (len(emulator.stats.accepted), len(emulator.stats.billed)) == (5, 5)
        assert str(emulator.balance_usd) == "199.9300"
        following = await post(session, emulator.base_url, "Run/Hevok/Studio-Trigger", prompt="x")
        assert int(following["taskid"]) == int(runs[-1]["taskid"]) + 1


@pytest.mark.anyio
async def test_time_goes_on_while_it_is_down_and_fates_are_kept(tmp_path: Path) -> None:
    clock = VirtualClock()
    slow = Profile(api_key="key", api_secret=None, run_seconds_median=100, run_seconds_sigma=0, plain_bytes=500)
    async with Emulator(slow, tmp_path, now=clock.now) as emulator, aiohttp.ClientSession() as session:
        running = await post(session, emulator.base_url, "Run/Hevok/Studio-Trigger", prompt="x")
        cancelled = await post(session, emulator.base_url, "Run/Hevok/Studio-Trigger", prompt="x")
        await post(session, emulator.base_url, "Task/Kill", tasktoken=cancelled["socketaccesstoken"])
    for seconds, status in ((50, "task_start"), (60, "task_postprocess_end")):
        clock.jump(seconds)
        async with Emulator(PROFILE, tmp_path, now=clock.now) as emulator, aiohttp.ClientSession() as session:
            reply = await post(session, emulator.base_url, "Task/List")
            assert [task["id"] for task in reply["tasklist"]] == [cancelled["taskid"], running["taskid"]]
            assert [task["status"] for task in reply["tasklist"]] == ["task_cancel", status]


@pytest.mark.anyio
async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    drawing = Profile(api_key="key", api_secret=None, queue_seconds=(0, 0), run_seconds_median=0, picture_side=16)
    async with Emulator(drawing, tmp_path) as emulator, aiohttp.ClientSession() as session:
        run = await post(session, emulator.base_url, "Run/Hevok/Studio-Trigger", prompt="x")
        await post(session, emulator.base_url, "Task/Detail", tasktoken=run["socketaccesstoken"])
        assert {thread.name.rpartition("_")[0] for thread in set(threading.enumerate()) - before} == {
            "emulator-journal",
            "emulator-outputs",
        }
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("emulator"):
            await anyio.to_thread.run_sync(thread.join, 5.0)
            assert not thread.is_alive()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", int(emulator.base_url.rsplit(":", 1)[1].removesuffix("/v1")))


@pytest.mark.anyio
async def test_what_is_no_request_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async with Emulator(PROFILE) as emulator:
        for address in (emulator.base_url.removesuffix("/v1"), emulator.cdn_url):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
            writer.write(b"POST /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n")
            assert b" 400 " in await reader.readline()
            writer.close()
    assert caplog.records == []


@pytest.mark.anyio
async def test_a_taken_port_is_an_error_and_leaves_the_other_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        emulator = Emulator(PROFILE, port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await emulator.__aenter__()
    with socket.create_server(("127.0.0.1", int(emulator.cdn_url.rsplit(":", 1)[1]))):
        pass


@pytest.mark.anyio
async def test_serving_announces_itself_and_ends_when_it_is_cancelled() -> None:
    announced: list[Emulator] = []
    async with anyio.create_task_group() as group:
        ready = anyio.Event()

        def announce(emulator: Emulator) -> None:
            announced.append(emulator)
            ready.set()

        async def run() -> None:
            await serve(PROFILE, announce=announce)

        group.start_soon(run)
        await ready.wait()
        async with aiohttp.ClientSession() as session:
            assert (await post(session, announced[0].base_url, "Tool/List"))["result"]
        group.cancel_scope.cancel()
    assert len(announced) == 1


def test_a_profile_does_not_show_its_credentials() -> None:
    profile = Profile(api_key="its-key", api_secret="its-secret")
    assert "its-" not in repr(profile)
