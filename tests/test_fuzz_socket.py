"""Whatever the socket says, or does not: nothing of it is believed, and nothing is lost or paid for twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from bench import INSTANT, Bench
from harms import Dice, dice, harmed_bytes, harmed_reply, trials
from raw import frame, handshake, listening, request_of

from orchestrator.engines.forecast import Forecast
from orchestrator.engines.tracking import Tracker
from orchestrator.errors import Exit
from orchestrator.lifecycle import Ending, Record
from orchestrator.steps.track import Sight
from orchestrator.wiro import socket as wiro_socket
from orchestrator.wiro.socket import Event, Socket

pytestmark = pytest.mark.anyio

EVENTS: Final = json.loads((Path(__file__).parent / "recordings" / "socket_events.json").read_text())
TELLING: Final = [event for event in EVENTS if event["type"] == "task_output"]
"""Those that tell how much is done."""

END: Final = {"message": [], "result": True}
LIES: Final = (*EVENTS, *({**END, "type": word} for word in ("task_postprocess_end", "task_cancel") for _ in range(4)))
TOKEN: Final = "kT9vQ2hXw7LmZc4RbN8sJy1FdPgAe0"
TASKS: Final = 6
FEW: Final = 4
FLOOD: Final = 3000


async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chance: Dice) -> None:
    """Answer a handshake, now and then not as it has to be."""
    _, _, headers, _ = await request_of(reader)
    said = handshake(headers.get("sec-websocket-key", ""))
    writer.write(harmed_bytes(said, chance) if chance.random() < 0.1 else said)


def harmed_frame(chance: Dice) -> bytes:
    """Return a frame that makes no sense, most often in a way that leaves more to be read behind it."""
    event = chance.choice(chance.choice((EVENTS, TELLING)))
    body = harmed_reply(json.dumps(event).encode(), chance)[:60_000]
    said = frame(body, 1 if chance.random() < 0.9 else chance.choice((2, 3, 8, 9, 10)))
    return harmed_bytes(said, chance) if chance.random() < 0.03 else said


@trials(FEW, 100)
async def test_the_socket_tells_what_can_be_told(seed: int) -> None:
    await tell(seed)


async def tell(seed: int) -> None:
    """Listen to what makes no sense: nothing comes of it but shares that can be."""
    chance = dice(seed)
    told: list[Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await welcome(reader, writer, chance)
        for _ in range(chance.randrange(40)):
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
        event = chance.choice(LIES) | {"id": str(task.id), "tasktoken": task.token}
        writer.write(harmed_frame(chance) if kind == "junk" else frame(json.dumps(event).encode(), 1))
        await writer.drain()
        if kind != "flood":
            await bench.clock.sleep(chance.choice((0.0, 0.5, 3.0)))


@pytest.fixture
def slow_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not hinted at is looked at every three seconds."""
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 3.0)


@pytest.mark.usefixtures("slow_looks")
@trials(FEW, 60)
async def test_a_run_is_not_misled(tmp_path: Path, seed: int) -> None:
    """By connections that drop, lie, flood, or say nothing; and they cost a few looks."""
    await be_misled(tmp_path, seed)


async def be_misled(folder: Path, seed: int) -> None:
    """Run while the socket says whatever it likes: all is done, paid for once, and seldom looked at."""
    chance, connections = dice(seed), 0
    async with Bench.on(folder, replace(INSTANT, run_seconds_median=15)) as bench:

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
        told = (folder / "out" / "run.log").read_text()
        assert "Traceback" not in told
        assert not any(task.token in told for task in stats.accepted)


Plant = Callable[[pytest.MonkeyPatch], None]


def believed(conclude: Callable[[Record], Record]) -> Plant:
    """What a hint says is taken for the end of the task, and nobody looks."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        look = Tracker._look

        async def trusting(self: Tracker, record: Record, watch: Any) -> Sight:
            if watch.ear.told_at is None:
                return await look(self, record, watch)
            after = conclude(record)
            await self.ledger.save(record, after, durable=True)
            return Sight(after)

        patch.setattr(Tracker, "_look", trusting)

    return plant


def unread(patch: pytest.MonkeyPatch) -> None:
    """What is no JSON is an error of ours."""
    patch.setattr(wiro_socket, "_read", lambda said, _: Event(json.loads(said)["type"]))


def unbounded(patch: pytest.MonkeyPatch) -> None:
    """A share is whatever the service says."""
    patch.setattr(
        wiro_socket, "_progress", lambda said: float(said["percentage"]) / 10 if isinstance(said, dict) else None
    )


ENDED: Final = Ending("task_postprocess_end", 0, None, None, 0.0)
MISLED: Final = (
    believed(lambda record: record.succeeded(ENDED)),
    believed(lambda record: record.cancelled(ENDED)),
)


@pytest.mark.long
@pytest.mark.usefixtures("slow_looks")
@pytest.mark.parametrize("plant", MISLED)
async def test_who_trusts_a_hint_is_found_out(tmp_path: Path, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bugs that are planted in the program are seen by one of the seeds that the quick tests try."""
    plant(monkeypatch)
    for seed in range(FEW):
        (tmp_path / str(seed)).mkdir()
        try:
            await be_misled(tmp_path / str(seed), seed)
        except (AssertionError, ExceptionGroup):
            return
    pytest.fail("nothing was noticed")


@pytest.mark.long
@pytest.mark.parametrize("plant", [unread, unbounded])
async def test_who_misreads_is_found_out(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise."""
    plant(monkeypatch)
    for seed in range(FEW):
        try:
            await tell(seed)
        except (AssertionError, LookupError, ValueError, TypeError):
            return
    pytest.fail("nothing was noticed")
