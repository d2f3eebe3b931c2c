"""Whatever the socket says, or does not: nothing of it is believed, and nothing is lost or paid for twice."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from bench import INSTANT, Bench
from harms import Dice, dice, harmed_bytes, harmed_reply, trials
from raw import frame, handshake, listening, request_of

from orchestrator.engines.forecast import Forecast
from orchestrator.errors import Exit
from orchestrator.wiro.socket import Event, Socket

pytestmark = pytest.mark.anyio

EVENTS: Final = json.loads((Path(__file__).parent / "recordings" / "socket_events.json").read_text())
TOKEN: Final = "kT9vQ2hXw7LmZc4RbN8sJy1FdPgAe0"
TASKS: Final = 6
FLOOD: Final = 3000


async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: Dice) -> None:
    """Answer a handshake, now and then not as it has to be."""
    _, _, headers, _ = await request_of(reader)
    said = handshake(headers.get("sec-websocket-key", ""))
    writer.write(harmed_bytes(said, chance) if chance.random() < 0.1 else said)


def harmed_frame(chance: Dice) -> bytes:
    body = harmed_reply(json.dumps(chance.choice(EVENTS)).encode(), chance)[:60_000]
    said = frame(body, chance.choice((1, 1, 1, 1, 1, 2, 8, 9, 10, 3)))
    return harmed_bytes(said, chance) if chance.random() < 0.2 else said


@trials(4, 100)
async def test_the_socket_tells_what_can_be_told(seed: int) -> None:
    chance = dice(seed)
    told: list[Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await welcome(reader, writer, chance)
        for _ in range(chance.randrange(8)):
            writer.write(harmed_frame(chance))

    async with listening(serve) as url, Socket(url.replace("http", "ws")) as socket:
        for _ in range(10):
            assert await socket.listen(TOKEN, opened=lambda: None, tell=told.append)
    assert all(event.progress is None or 0 <= event.progress <= 1 for event in told)


async def mislead(bench: Bench, writer: asyncio.StreamWriter, chance: Dice) -> None:
    """Say something about a task, this connection's or another one, that need not be so; or say far too much."""
    kind = chance.choice(("lie", "lie", "junk", "flood"))
    for _ in range(FLOOD if kind == "flood" else chance.randrange(1, 6)):
        task = chance.choice(bench.service.stats.accepted)
        event = chance.choice(EVENTS) | {"id": str(task.id), "tasktoken": task.token}
        writer.write(harmed_frame(chance) if kind == "junk" else frame(json.dumps(event).encode(), 1))
        await writer.drain()
        if kind != "flood":
            await bench.clock.sleep(chance.choice((0.0, 0.5, 3.0)))


@trials(4, 60)
async def test_a_run_is_not_misled(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By connections that drop, lie, flood, or say nothing; and they cost a few looks."""
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 3.0)
    chance, connections = dice(seed), 0
    async with Bench.on(tmp_path, replace(INSTANT, run_seconds_median=15)) as bench:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            await welcome(reader, writer, chance)
            if chance.random() < 0.7:
                await mislead(bench, writer, chance)
            if chance.random() < 0.7:
                await reader.read()  # until the other side has had enough

        job = {
            "parameters": {"samples": 1, "prompt": "a pier"},
            "sweep": {"seed": list(range(TASKS))},
            "limits": {"requests_per_second": 200},
            "tracking": "socket",
        }
        async with listening(serve) as url:
            settings = replace(bench.settings, socket_url=url.replace("http", "ws"))
            result = await bench.carry_out(job, settings=settings)
        stats = bench.service.stats
        assert (result.exit_code, len(stats.billed), stats.double_payments) == (Exit.DONE, TASKS, 0)
        assert connections >= TASKS
        assert stats.calls["Task/Detail"] < 8 * TASKS
        told = (tmp_path / "out" / "run.log").read_text()
        assert "Traceback" not in told
        assert not any(task.token in told for task in stats.accepted)
