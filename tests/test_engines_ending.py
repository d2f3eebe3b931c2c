"""Tasks that run too long, and those that the user no longer wants, are ended, however the service takes it."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from tracked import CANCELLED, DONE, STRANGE, UNDER_WAY, Script, hurry, look_after, tracking_of

from orchestrator.engines import ending, tracking
from orchestrator.lifecycle import State
from orchestrator.steps.outcomes import Stop

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


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
    monkeypatch.setattr(ending, "delays", lambda _random, _first, _most: repeat(60.0))
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
        assert [event["event"] for event in rig.told] == [
            "stopping a task that runs longer than limits.task_timeout",
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
