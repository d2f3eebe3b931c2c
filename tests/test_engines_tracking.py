"""Running tasks are followed to their end by a service that says strange things, or nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from aiohttp import web
from structlog.testing import CapturingLogger

from orchestrator.clock import SystemClock
from orchestrator.engines import tracking
from orchestrator.engines.control import Control
from orchestrator.engines.forecast import Forecast
from orchestrator.engines.listening import Listener
from orchestrator.engines.pacing import Pacer
from orchestrator.engines.rounds import Rounds
from orchestrator.engines.slots import Capacity, Slots
from orchestrator.engines.tracking import Tracker
from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.logs import silent
from orchestrator.money import FREE
from orchestrator.steps.calls import Calls
from orchestrator.steps.outcomes import Stop
from orchestrator.tasks import Task
from orchestrator.wiro import Client, Credentials

pytestmark = pytest.mark.anyio

UNDER_WAY = {"status": "task_output"}
DONE = {"status": "task_postprocess_end", "pexit": "0", "totalcost": "0.01"}
CANCELLED = {"status": "task_cancel", "totalcost": "0"}
STRANGE: dict[str, Any] = {"status": "task_paused", "pexit": None, "outputs": "none", "totalcost": []}
UNKNOWN = {"result": False, "errors": [{"code": 1, "message": "There is no task yet."}]}
REFUSED = {"result": False, "errors": [{"code": 98, "message": "Project authorization is not valid."}]}


def look_after(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + seconds)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    look_after(0.01, monkeypatch)
    monkeypatch.setattr(tracking, "ENDING_SECONDS", 0.01)
    monkeypatch.setattr(tracking, "ENDING_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(tracking, "UNENDING_SECONDS", 0.01)
    monkeypatch.setattr(tracking, "GONE_SECONDS", 0.2)
    monkeypatch.setattr(tracking, "TOLD_GONE_SECONDS", 0.1)
    monkeypatch.setattr(tracking, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(tracking, "delays", lambda _random, first, _most=0.0: repeat(first / 100))


@dataclass
class Script:
    """What the service says of its one task, the last thing for ever; None drops the connection.

    Attributes:
        killed: What it says from the n-th Kill on; None keeps to the script.
        asked: Done whenever it is asked for the task.
        forgetful: Whether it knows the task by its id only.
    """

    says: list[dict[str, Any] | None]
    killed: dict[str, Any] | None = None
    kills_needed: int = 1
    calls: list[str] = field(default_factory=list)
    asked: Callable[[], None] = lambda: None
    forgetful: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        endpoint = request.path.removeprefix("/v1/Task/")
        self.calls.append(endpoint)
        if endpoint == "Detail":
            self.asked()
            if self.forgetful and "tasktoken" in await request.json():
                return web.json_response(UNKNOWN)
            return self._detail(request)
        if self.killed is not None and self.calls.count("Kill") >= self.kills_needed:
            self.says = [self.killed]
        return web.json_response({"result": True, "errors": []})

    def _detail(self, request: web.Request) -> web.Response:
        said = self.says[0] if len(self.says) == 1 else self.says.pop(0)
        if said is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        body = said if "result" in said else {"result": True, "errors": [], "tasklist": [{"id": "7"} | said]}
        return web.json_response(body)


@dataclass
class Rig:
    tracker: Tracker
    record: Record
    control: Control
    log: CapturingLogger
    ledger: Ledger

    async def track(self) -> Record:
        with anyio.fail_after(5):
            record, _ = await self.tracker.track(self.record)
        return record

    async def held(self) -> Record:
        [record] = await self.ledger.read(lambda store: list(store.everything()))
        return record


@asynccontextmanager
async def tracking_of(script: Script, folder: Path, *, timeout_seconds: float = 60.0) -> AsyncIterator[Rig]:
    app = web.Application()
    app.router.add_post("/v1/Task/{endpoint}", script.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    clock, control, log = SystemClock(), Control(), CapturingLogger()
    slots = Slots(Capacity(None), clock)
    slots.take()
    pacer = Pacer(1000, clock)
    store = await anyio.to_thread.run_sync(SqliteLedger, folder / "ledger.sqlite")
    ledger = await anyio.to_thread.run_sync(Ledger, store, clock)
    moves = [Record(Task("a", 0, {}, {}, {}, "x"))]
    moves.append(moves[-1].intended(clock.now(), FREE, None))
    moves.append(moves[-1].accepted("7", "token", clock.now()))
    async with anyio.create_task_group() as group:
        group.start_soon(ledger.run)
        try:
            await ledger.enter([moves[0].task], 1, 0)
            await ledger.save(moves[0], moves[1], durable=False)
            await ledger.save(moves[1], moves[2], durable=False)
            async with (
                Client(Credentials("key", None), url, before_send=pacer.gate) as client,
                anyio.create_task_group() as looking,
            ):
                calls = Calls(client, pacer, clock)
                rounds = Rounds(1000, calls, clock, lambda: 0.5)
                looking.start_soon(rounds.run)
                tracker = Tracker(
                    attempts=3,
                    timeout_seconds=timeout_seconds,
                    price_usd=lambda _: None,
                    slots=slots,
                    forecast=Forecast(None),
                    rounds=rounds,
                    listener=Listener(clock, lambda: 0.5, silent()),
                    control=control,
                    calls=calls,
                    ledger=ledger,
                    clock=clock,
                    random=lambda: 0.5,
                    log=log,
                )
                yield Rig(tracker, moves[2], control, log, ledger)
                looking.cancel_scope.cancel()
        finally:
            ledger.close()
            await runner.cleanup()
    await anyio.to_thread.run_sync(store.close)


async def test_it_is_looked_at_until_it_has_ended(tmp_path: Path) -> None:
    script = Script([UNDER_WAY, UNDER_WAY, UNDER_WAY, DONE])
    async with tracking_of(script, tmp_path) as rig:
        after = await rig.track()
        assert (after.state, script.calls) == (State.FETCHING, ["Detail"] * 4)
        assert await rig.held() == after


async def test_a_task_whose_token_is_not_known_is_asked_for_by_its_id(tmp_path: Path) -> None:
    """It counted as lost, although it had been made and was paid for."""
    async with tracking_of(Script([UNDER_WAY, DONE], forgetful=True), tmp_path) as rig:
        assert (await rig.track()).state is State.FETCHING


async def test_an_unknown_status_is_under_way_and_told_once(tmp_path: Path) -> None:
    async with tracking_of(Script([STRANGE, STRANGE, {}, STRANGE, DONE]), tmp_path) as rig:
        assert (await rig.track()).state is State.FETCHING
        told = [call.kwargs["status"] for call in rig.log.calls if call.method_name == "warning"]
        assert sorted(told) == ["", "task_paused"]


async def test_a_deadline_ends_what_is_under_way_for_ever(tmp_path: Path) -> None:
    """One in an unknown status too; what the service says after the kill counts."""
    script = Script([STRANGE], killed=CANCELLED)
    async with tracking_of(script, tmp_path, timeout_seconds=0.05) as rig:
        after = await rig.track()
        assert after.failure is not None
        assert (after.state, after.failure.kind, script.calls.count("Kill")) == (State.FAILED, "timeout", 1)


async def test_a_kill_that_does_nothing_is_repeated(tmp_path: Path) -> None:
    """Its request may have been lost: a task that runs on would be paid for, and its outputs missed."""
    script = Script([UNDER_WAY], killed=CANCELLED, kills_needed=3)
    async with tracking_of(script, tmp_path, timeout_seconds=0.05) as rig:
        assert (await rig.track()).sent.status == "task_cancel"
        assert script.calls.count("Kill") == 3


async def test_a_kill_that_does_nothing_is_repeated_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that ignores it is not told so at each look."""
    monkeypatch.setattr(tracking, "delays", lambda _random, _first=0.0, _most=0.0, **_: repeat(60.0))
    script = Script([UNDER_WAY])
    async with tracking_of(script, tmp_path, timeout_seconds=0.05) as rig:
        await rig.track()
    assert (script.calls.count("Kill"), script.calls.count("Detail") > 5) == (1, True)


async def test_one_that_cannot_be_killed_is_left_for_another_run(tmp_path: Path) -> None:
    """It may yet be made and billed: the run stops over it and says so, the task stays as it is."""
    async with tracking_of(Script([UNDER_WAY]), tmp_path, timeout_seconds=0.05) as rig:
        assert await rig.track() == rig.record == await rig.held()
        assert rig.control.closed
        assert rig.control.halt is not None
        assert rig.control.halt.stop is Stop.SERVICE
        assert "does not end what ran longer than limits.task_timeout: 1 task." in rig.control.halt.message
        assert [call.args[0] for call in rig.log.calls] == [
            "told to end, as it runs longer than limits.task_timeout",
            "the service does not end a task that ran too long",
        ]


async def test_one_that_cannot_be_killed_is_followed_while_others_run(tmp_path: Path) -> None:
    """It keeps its place, and what it makes after all is fetched."""
    script = Script([UNDER_WAY], killed=DONE, kills_needed=60)
    async with tracking_of(script, tmp_path, timeout_seconds=0.05) as rig:
        rig.tracker.slots.take()
        assert (await rig.track()).state is State.FETCHING
        assert not rig.control.closed


async def test_a_cancel_waits_a_while_for_one_that_does_not_end(tmp_path: Path) -> None:
    async with tracking_of(Script([UNDER_WAY]), tmp_path) as rig:
        rig.tracker.slots.take()
        rig.control.cancel()
        assert await rig.track() == rig.record


async def test_what_ended_while_nobody_looked_is_no_timeout(tmp_path: Path) -> None:
    """The machine slept past the deadline: the service is asked first, and the success is fetched."""
    script = Script([DONE])
    async with tracking_of(script, tmp_path, timeout_seconds=0) as rig:
        assert ((await rig.track()).state, script.calls) == (State.FETCHING, ["Detail"])


async def test_a_success_that_comes_before_the_kill_is_fetched(tmp_path: Path) -> None:
    async with tracking_of(Script([UNDER_WAY], killed=DONE), tmp_path, timeout_seconds=0.05) as rig:
        assert (await rig.track()).state is State.FETCHING


async def test_cancelling_ends_it_and_does_not_wait_for_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is ended first and looked at then: where many run, their looks would take all the calls of some seconds."""
    look_after(60.0, monkeypatch)
    script = Script([UNDER_WAY], killed=CANCELLED)
    async with tracking_of(script, tmp_path) as rig, anyio.create_task_group() as group:

        async def cancel() -> None:
            await anyio.wait_all_tasks_blocked()
            rig.control.cancel()

        group.start_soon(cancel)
        assert (await rig.track()).state is State.CANCELLED
        assert script.calls == ["Kill", "Detail"]


async def test_what_comes_to_run_after_a_cancel_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As is all that an earlier process left, where nobody was at work when it was cancelled."""
    look_after(60.0, monkeypatch)
    script = Script([UNDER_WAY], killed=CANCELLED)
    async with tracking_of(script, tmp_path) as rig:
        rig.control.cancel()
        assert (await rig.track()).state is State.CANCELLED
        assert script.calls == ["Kill", "Detail"]


async def test_a_cancel_that_was_lost_is_said_again_before_anything_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the service was silent meanwhile."""
    monkeypatch.setattr(tracking, "SILENCE_SECONDS", 60.0)
    async with tracking_of(Script([None] * 30 + [UNDER_WAY], killed=CANCELLED, kills_needed=2), tmp_path) as rig:
        rig.control.cancel()
        assert (await rig.track()).state is State.CANCELLED


async def test_one_that_waits_in_the_queue_is_cancelled_there(tmp_path: Path) -> None:
    script = Script([{"status": "task_queue"}, CANCELLED])
    async with tracking_of(script, tmp_path) as rig:
        script.asked = rig.control.cancel
        assert (await rig.track()).state is State.CANCELLED
        assert script.calls == ["Detail", "Cancel", "Detail"]


async def test_a_success_that_a_cancel_comes_too_late_for_is_fetched(tmp_path: Path) -> None:
    async with tracking_of(Script([DONE]), tmp_path) as rig:
        rig.control.cancel()
        assert (await rig.track()).state is State.FETCHING


async def test_leaving_leaves_it_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look_after(60.0, monkeypatch)
    script = Script([UNDER_WAY])
    async with tracking_of(script, tmp_path) as rig, anyio.create_task_group() as group:

        async def leave() -> None:
            await anyio.wait_all_tasks_blocked()
            rig.control.leave(Stop.INTERRUPTED, "Interrupted.")

        group.start_soon(leave)
        assert await rig.track() is rig.record
        assert "Kill" not in script.calls


async def test_a_task_that_is_not_shown_yet_is_waited_for(tmp_path: Path) -> None:
    async with tracking_of(Script([UNKNOWN, UNKNOWN, UNDER_WAY, UNKNOWN, DONE]), tmp_path) as rig:
        assert (await rig.track()).state is State.FETCHING


async def test_one_that_is_never_shown_again_is_lost(tmp_path: Path) -> None:
    async with tracking_of(Script([UNDER_WAY, UNKNOWN]), tmp_path) as rig:
        after = await rig.track()
        assert after.failure is not None
        assert (after.state, after.failure.kind) == (State.FAILED, "lost")
        [told] = [call.args[0] for call in rig.log.calls]
        assert told.startswith("the service no longer knows a task that it accepted")


async def test_refused_credentials_close_the_run_and_leave_the_task(tmp_path: Path) -> None:
    async with tracking_of(Script([UNDER_WAY, REFUSED]), tmp_path) as rig:
        assert await rig.track() is rig.record
        assert rig.control.halt is not None
        assert (rig.control.halt.stop, rig.control.closed) == (Stop.CREDENTIALS, True)
        assert (await rig.held()).state is State.RUNNING


async def test_a_service_that_is_silent_for_long_ends_the_run(tmp_path: Path) -> None:
    """Calls that drop are made again; when none has been answered for ten minutes, the run is left."""
    async with tracking_of(Script([UNDER_WAY, None, None, UNDER_WAY, None]), tmp_path) as rig:
        assert await rig.track() is rig.record
        assert rig.control.halt is not None
        assert (rig.control.halt.stop, rig.control.left) == (Stop.SERVICE, True)
        assert "has not answered" in rig.control.halt.message


async def test_how_long_tasks_take_is_learned_from_those_followed_from_their_start(tmp_path: Path) -> None:
    async with tracking_of(Script([UNDER_WAY, DONE]), tmp_path) as rig:
        await rig.track()
        assert rig.tracker.forecast.kept() is not None


async def test_a_task_that_an_earlier_run_left_teaches_nothing(tmp_path: Path) -> None:
    """It may have ended long ago."""
    async with tracking_of(Script([DONE]), tmp_path) as rig:
        attempt = rig.record.sent
        rig.record = replace(rig.record, attempt=replace(attempt, submitted_at=attempt.intent_at - 3600))
        await rig.track()
        assert rig.tracker.forecast.kept() is None


async def test_a_task_that_failed_teaches_nothing(tmp_path: Path) -> None:
    failed = {"status": "task_postprocess_end", "pexit": "1", "totalcost": "0"}
    async with tracking_of(Script([UNDER_WAY, failed]), tmp_path) as rig:
        await rig.track()
        assert rig.tracker.forecast.kept() is None
