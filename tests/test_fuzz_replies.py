"""Whatever the service answers: the client and a whole run end in order, and nothing is paid for twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import aiohttp
import anyio
import pytest
from harms import Dice, dice, harmed_bytes, harmed_reply, trials
from hurry import HurriedClock
from raw import listening, message, request_of

from orchestrator.commands.options import Options
from orchestrator.commands.run import run
from orchestrator.config import Settings
from orchestrator.emulator import Emulator, Profile
from orchestrator.engines import doubts, ending
from orchestrator.engines.control import Control
from orchestrator.engines.forecast import Forecast
from orchestrator.errors import Exit, OrchestratorError
from orchestrator.reporting import root
from orchestrator.steps.outcomes import Stop
from orchestrator.sweep import Schema
from orchestrator.wiro import Client, Credentials, Phase, Prices, Timeouts, WiroError, computing_seconds

pytestmark = pytest.mark.anyio

RECORDINGS: Final = sorted((Path(__file__).parent / "recordings").glob("*.json"))
TIMES_FASTER: Final = 30.0
MODEL: Final = "Hevok/Studio-Trigger"
HEADERS: Final = (
    *("Retry-After: -1", "Retry-After: " + "9" * 400, "Retry-After: yesterday", "Content-Encoding: gzip"),
    *("Content-Encoding: br", "Content-Type: text/html; charset=\xff", "Content-Type: ", "Content-Type: x/y/z"),
    *("Location: http://127.0.0.1:1/", "Location: file:///nowhere", "Location: http://[", "Location: http://10.0.0.1/"),
    *("Set-Cookie: a=" + "b" * 4000, "Content-Length: 5", "Content-Length: 99999", "Content-Length: x"),
    *("Content-Range: bytes 0-5/3", "Content-Range: bytes */*", "Content-Range: bytes 9999999999999999999-2/1"),
    *('Content-Disposition: attachment; filename="../../../x"', "ETag: \xff", "Transfer-Encoding: chunked"),
)
STATUSES: Final = (*(200,) * 12, 201, 204, 206, 302, 307, 400, 403, 404, 416, 418, 429, 500, 502, 599)


# The client


async def ask_everything(client: Client, chance: Dice) -> None:
    """Make a call, and look at all that the answer is read as."""
    match chance.randrange(7):
        case 0:
            accepted = await client.run(MODEL, {"prompt": "a boat"})
            assert accepted.task_id
        case 1 | 2:
            task = await client.task(token="t")
            assert task.phase in Phase
            assert task.progress is None or 0 <= task.progress <= 1
            assert json.dumps([task.status, task.error_text, task.number, task.exit_code, task.elapsed_seconds])
        case 3:
            page = await client.tasks(start=0, limit=50)
            assert all(task.task_id for task in page.tasks)
        case 4:
            tool = await client.tool(MODEL)
            Prices(tool).of({"samples": 1})
            computing_seconds(tool)
            with suppress(OrchestratorError, ValueError):
                Schema.from_tool(tool)
        case 5:
            await client.cancel(task_id="1", token="t")
        case _:
            await client.tools("boat", 0, 10)


@trials(4, 100)
async def test_the_client_reads_it_or_says_why_not(seed: int) -> None:
    chance = dice(seed)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        body = harmed_reply(chance.choice(RECORDINGS).read_bytes(), chance)
        headers = ["Content-Type: application/json", *chance.sample(HEADERS, chance.choice((0, 0, 1, 2)))]
        said = message(chance.choice(STATUSES), body, headers)
        writer.write(harmed_bytes(said, chance) if chance.random() < 0.2 else said)

    timeouts = Timeouts(connect=5, total=5)
    async with listening(serve) as url, Client(Credentials("k", "s"), url, timeouts=timeouts) as client:
        for _ in range(25):
            with suppress(WiroError):
                await ask_everything(client, chance)


# A whole run


@dataclass
class Meddler:
    """Stands between a run and the service, and harms a share of what it says.

    Attributes:
        only: The endpoint whose answers it harms, `files` for the outputs, None for any.
        spares_run: Whether the answers to requests that are paid for are left alone.
        cdn: Its own address for the outputs.
    """

    service: Emulator
    session: aiohttp.ClientSession
    chance: Dice
    share: float
    only: str | None
    spares_run: bool
    cdn: str = ""

    async def api(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._pass_on(self.service.base_url.removesuffix("/v1"), reader, writer)

    async def files(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._pass_on(self.service.cdn_url, reader, writer)

    async def _pass_on(self, base: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, given, sent = await request_of(reader)
        endpoint = "files" if base == self.service.cdn_url else "/".join(target.split("/")[2:4])
        given = {name: value for name, value in given.items() if name not in {"host", "content-length", "connection"}}
        asked = self.session.request(method, base + target, data=sent, headers=given, allow_redirects=False)
        async with asked as answer:
            body = (await answer.read()).replace(self.service.cdn_url.encode(), self.cdn.encode())
            names = ("Content-Type", "ETag", "Content-Range", "Accept-Ranges", "Retry-After")
            headers = [f"{name}: {answer.headers[name]}" for name in names if name in answer.headers]
            status = answer.status
        is_meant = self.only in {None, endpoint} and not (self.spares_run and endpoint.startswith("Run"))
        if is_meant and self.chance.random() < self.share:
            writer.write(self._harmed(status, body, headers, is_json=endpoint != "files"))
        else:
            writer.write(message(status, body, headers))

    def _harmed(self, status: int, body: bytes, headers: list[str], *, is_json: bool) -> bytes:
        chance = self.chance
        if chance.random() < 0.3:
            status = chance.choice(STATUSES)
        if chance.random() < 0.3:
            headers = [*headers, *chance.sample(HEADERS, chance.choice((1, 2)))]
        if chance.random() < 0.8:
            body = harmed_reply(body, chance) if is_json else harmed_bytes(body, chance)
        said = message(status, body, headers)
        return harmed_bytes(said, chance) if chance.random() < 0.05 else said


class Nobody:
    def show(self, _: object) -> None:
        pass


@asynccontextmanager
async def meddled(chance: Dice, clock: HurriedClock, *, spares_run: bool) -> AsyncIterator[tuple[Meddler, Settings]]:
    profile = Profile(
        plain_bytes=300,
        queue_seconds=(0, 0),
        run_seconds_median=chance.choice((0, 0.5)),
        balance_usd=Decimal(10_000),
        failure_share=chance.choice((0, 0.2)),
        form=chance.choice(("newer", "older")),
        seed=chance.randrange(1000),
    )
    async with (
        Emulator(profile, now=clock.now, sleep=clock.sleep) as service,
        aiohttp.ClientSession(auto_decompress=False) as session,
    ):
        only = chance.choice((None, None, "Task/Detail", "Task/List", "Tool/Detail", "files"))
        meddler = Meddler(service, session, chance, chance.choice((0.05, 0.2, 0.5)), only, spares_run)
        async with listening(meddler.api) as api, listening(meddler.files) as meddler.cdn:
            yield meddler, Settings(profile.api_key, profile.api_secret, f"{api}/v1")


async def played(folder: Path, settings: Settings, clock: HurriedClock, attempts: int) -> int:
    """Run a small job for a while, and return its exit code."""
    limits = {"requests_per_second": 300, "settle_after": "5s", "task_timeout": "30s"}
    job: dict[str, Any] = {"model": MODEL, "parameters": {"samples": 1}, "limits": limits}
    job |= {"sweep": {"prompt": ["a pier"], "seed": [1, 2, 3, 4, 5]}, "retry": {"attempts": attempts}}
    await anyio.Path(folder / "job.yaml").write_text(json.dumps(job))
    control = Control()

    async def end_it() -> None:
        await anyio.sleep(4)
        control.leave(Stop.INTERRUPTED, "Enough.")
        await anyio.sleep(4)
        control.forced.set()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(end_it)
            options = Options(out=folder / "out")
            result = await run(folder / "job.yaml", options, settings, control=control, clock=clock, watcher=Nobody())
            group.cancel_scope.cancel()
    except (OrchestratorError, ExceptionGroup) as error:
        if not isinstance(cause := root(error), OrchestratorError):
            raise
        return int(getattr(cause, "code", cause.exit_code))
    return int(result.exit_code)


@trials(3, 60)
@pytest.mark.parametrize("spares_run", [True, False])
async def test_a_run_ends_in_order(
    tmp_path: Path, spares_run: bool, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the answers to its requests are sound, and none is tried again, no task is paid for twice."""
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 0.5)
    monkeypatch.setattr(ending, "ENDING_SECONDS", 0.5)
    monkeypatch.setattr(doubts, "FIRST_WAIT_SECONDS", 1.0)
    monkeypatch.setattr(doubts, "LONGEST_WAIT_SECONDS", 2.0)
    clock = HurriedClock(TIMES_FASTER)
    async with meddled(dice(seed), clock, spares_run=spares_run) as (meddler, settings):
        code = await played(tmp_path, settings, clock, attempts=1 if spares_run else 3)
        assert code in {Exit.DONE, Exit.SOME_FAILED, Exit.REFUSED, Exit.STOPPED, Exit.INTERRUPTED}
        assert meddler.service.stats.double_payments == 0 or not spares_run
        assert meddler.service.stats.leaks == 0
    log = anyio.Path(tmp_path / "out" / "run.log")
    assert not await log.exists() or "Traceback" not in await log.read_text()
    assert {path.name async for path in anyio.Path(tmp_path).iterdir()} <= {"job.yaml", "out"}
