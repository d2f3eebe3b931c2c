"""Running tasks are followed to their end by a service that says strange things, or nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from tracked import DONE, REFUSED, STRANGE, UNDER_WAY, UNKNOWN, Script, hurry, look_after, tracking_of

from orchestrator.engines.ending import OVERDUE
from orchestrator.lifecycle import State
from orchestrator.steps.outcomes import Stop

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


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
        told = [event["status"] for event in rig.told if event["level"] == "warning"]
        assert sorted(told) == ["", "task_paused"]


@pytest.mark.parametrize(
    ("says", "deadline", "why"),
    [([UNDER_WAY], 0.05, OVERDUE), ([None, None, None, DONE], 60.0, "Task/Detail")],
    ids=["does not end", "is not told of"],
)
async def test_what_a_task_waits_for_is_told_while_it_does(
    tmp_path: Path, says: list[dict[str, Any] | None], deadline: float, why: str
) -> None:
    told: set[str] = set()
    script = Script(says, killed=DONE, kills_needed=3)
    async with tracking_of(script, tmp_path, timeout_seconds=deadline) as rig:
        script.asked = lambda: told.update(wait.why for wait in rig.control.delays.told(math.inf))
        assert (await rig.track()).state is State.FETCHING
        [said] = told
        assert why in said
        assert rig.control.delays.told(math.inf) == ()


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
        [told] = [event["event"] for event in rig.told]
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
