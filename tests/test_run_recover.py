"""A run whose ledger was damaged is made whole, and nothing of it is paid for twice."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Literal

import anyio.to_thread
import pytest
from bench import INSTANT, MODEL, Bench

from orchestrator.commands.options import Options
from orchestrator.commands.rebuilding import Recovery
from orchestrator.commands.recover import recover
from orchestrator.commands.retry import retry
from orchestrator.commands.run import Result
from orchestrator.commands.verify import verify
from orchestrator.emulator.faults import Fault
from orchestrator.emulator.models import CATALOGUE
from orchestrator.engines.control import Control
from orchestrator.engines.forecast import Forecast
from orchestrator.errors import Exit, RefusedError, StoppedError
from orchestrator.ledger import DamagedLedgerError
from orchestrator.lifecycle import State
from orchestrator.output import manifest
from orchestrator.reporting import root
from orchestrator.runs import RunFolder
from orchestrator.status import Status
from orchestrator.steps.outcomes import Stop
from orchestrator.telling import recovery_text

pytestmark = pytest.mark.anyio

TASKS = 16
SOME_FAIL = Fault(place="task", kind="fails", first=6)
BRISK = replace(INSTANT, run_seconds_median=1, concurrency=2)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instant service is looked at soon, and what is at hand has all the time it needs on a busy machine."""
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 0.4)
    monkeypatch.setattr("orchestrator.commands.run.GRACE_SECONDS", 400.0)


class Left(Bench):
    """A bench whose run can be left when so many tasks have been accepted, and a file has been asked for."""

    async def run(self, *, leave_at: int | None = None, attempts: int = 3, repeat: int = 1) -> Result:
        control = Control()

        def leave(*_: object) -> None:
            stats = self.service.stats
            if leave_at is not None and len(stats.accepted) >= leave_at and stats.downloads:
                control.leave(Stop.INTERRUPTED, "Enough.")

        self.service.lose_replies = leave
        job = {
            "parameters": {"samples": 1, "prompt": "a lighthouse"},
            "limits": {"requests_per_second": 1000, "settle_after": 2},
            "retry": {"attempts": attempts},
            "sweep": {"seed": list(range(TASKS // repeat))},
            "repeat": repeat,
        }
        return await self.carry_out(job, control=control)

    async def recover(self, job: Path | None = None) -> Recovery:
        return await recover(self.out, job, Options(), self.settings, **self.go)


def overwritten(folder: RunFolder) -> None:
    """Spoil every second page."""
    size = folder.ledger.stat().st_size
    with folder.ledger.open("r+b") as file:
        for start in range(4096, size, 8192):
            file.seek(start)
            file.write(b"\xa5" * min(4096, size - start))


def beheaded(folder: RunFolder) -> None:
    with folder.ledger.open("r+b") as file:
        file.write(b"\0" * 4096)


def truncated(folder: RunFolder) -> None:
    with folder.ledger.open("r+b") as file:
        file.truncate(folder.ledger.stat().st_size * 2 // 3)


def emptied(folder: RunFolder) -> None:
    folder.ledger.write_bytes(b"")


def replaced(folder: RunFolder) -> None:
    folder.ledger.write_text("This is no database.\n" * 500)


def removed(folder: RunFolder) -> None:
    folder.ledger.unlink()


def without_manifest(folder: RunFolder) -> None:
    replaced(folder)
    folder.manifest.unlink()


def without_requests(folder: RunFolder) -> None:
    """Nothing says any more which remote task is whose, and one picture has gone as well."""
    changed(folder, "DELETE FROM attempts")
    next(folder.files.glob("*.png")).unlink()


def without_sense(folder: RunFolder) -> None:
    changed(folder, "UPDATE counters SET value = 'many'", "UPDATE facts SET value = 'nan' WHERE name = 'total'")


def overpriced(folder: RunFolder) -> None:
    """No sum can hold what the tasks cost."""
    changed(folder, "UPDATE attempts SET cost = 9223372036854775807 WHERE cost > 0")


def owing(folder: RunFolder) -> None:
    """It is said to have cost less than nothing."""
    changed(folder, "UPDATE attempts SET cost = -1000000000000", "UPDATE counters SET value = -5")


def changed(folder: RunFolder, *statements: str) -> None:
    with closing(sqlite3.connect(folder.ledger, isolation_level=None)) as ledger:
        for statement in statements:
            ledger.execute(statement)


DAMAGES = (
    overwritten,
    beheaded,
    truncated,
    emptied,
    replaced,
    removed,
    without_manifest,
    without_requests,
    without_sense,
    overpriced,
    owing,
)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_nothing_is_lost_or_paid_twice(tmp_path: Path, damage: Callable[[RunFolder], None]) -> None:
    """Whatever is left of the ledger, what is on the service is adopted, what is here is kept, and the rest is sent."""
    async with Left.on(tmp_path, BRISK) as on:
        assert (await on.run(leave_at=8)).exit_code is Exit.INTERRUPTED
        sent = len(on.service.stats.accepted)
        assert 3 < sent < TASKS
        await anyio.to_thread.run_sync(damage, on.out)
        with pytest.raises((DamagedLedgerError, ExceptionGroup)) as caught:
            await on.run()
        assert f"`orchestrator recover {on.out.path}`" in str(root(caught.value))
        found = await on.recover()
        assert found.halt is None
        assert found.settled
        assert found.status
        assert (found.status.counts[State.DONE], found.status.counts[State.PENDING]) == (sent, TASKS - sent)
        assert len(on.service.stats.accepted) == sent
        assert (await on.run()).exit_code is Exit.DONE
        stats = on.service.stats
        assert (len(stats.accepted), stats.double_payments) == (TASKS, 0)
        checked = await verify(on.out, on.settings, repair=False, **on.go)
        assert (checked.checked, checked.ok) == (TASKS, TASKS)
        names = {path for path in on.out.files.rglob("*") if path.is_file()}
        assert len(names) == TASKS
        lines = await anyio.to_thread.run_sync(lambda: list(manifest.read(on.out.manifest)))
        assert [line.task.index for line in lines] == list(range(TASKS))
        assert {line.state for line in lines} == {State.DONE}
        kept = list(on.out.path.glob("ledger.damaged-*.sqlite"))
        assert len(kept) == (damage is not removed)
        assert found.kept == (kept[0] if kept else None)


def all_but_the_job(folder: RunFolder) -> None:
    for path in (folder.ledger, folder.manifest, folder.log):
        path.unlink()


@pytest.mark.parametrize("form", ["newer", "older"])
async def test_all_that_the_service_shows_is_found_where_nothing_else_is_left(
    tmp_path: Path, form: Literal["newer", "older"]
) -> None:
    """Nothing says any more when anything was sent; the newer form of replies does not either."""
    async with Left.on(tmp_path, replace(BRISK, form=form)) as on:
        await on.run()
        await anyio.to_thread.run_sync(all_but_the_job, on.out)
        found = await on.recover(on.path)
        assert (found.in_doubt, found.adopted, found.settled) == (TASKS, TASKS, True)
        assert (await on.run()).exit_code is Exit.DONE
        assert len(on.service.stats.accepted) == TASKS


async def test_of_several_tries_the_one_that_counts_is_found(tmp_path: Path) -> None:
    """Each task fails at first, unbilled; nothing says any more which of its tries is which."""
    async with Left.on(tmp_path, replace(BRISK, faults=(SOME_FAIL,))) as on:
        await on.run(leave_at=8)
        tried = len(on.service.stats.accepted)
        assert tried > 6
        await anyio.to_thread.run_sync(all_but_the_job, on.out)
        assert (await on.recover(on.path)).settled
        assert len(on.service.stats.accepted) == tried
        assert (await on.run()).exit_code is Exit.DONE
        assert (on.service.stats.double_payments, len(on.service.stats.billed)) == (0, TASKS)


FORGET = (
    "UPDATE facts SET value = '1' WHERE name = 'commits'",
    "DELETE FROM attempts WHERE number > 1",
    "DELETE FROM outputs",
)


def as_first_tries_ran(folder: RunFolder) -> None:
    """Bring back the ledger that was there while the tries ran that were to fail."""
    changed(
        folder,
        "UPDATE tasks SET state = 'running', tries = 1, failures = 0, error = NULL, finished_at = NULL"
        " WHERE id IN (SELECT task FROM attempts WHERE number > 1)",
        "UPDATE attempts SET ended_at = NULL, status = NULL, exit_code = NULL, elapsed = NULL, cost = NULL",
        *FORGET,
    )


def as_first_tries_had_failed(folder: RunFolder) -> None:
    """Bring back the ledger that was there when they had failed for good, before a `retry`."""
    changed(
        folder,
        "UPDATE tasks SET state = 'failed', tries = 1, failures = 3, finished_at = 1,"
        " error = json_object('kind', 'failed', 'message', 'bad luck')"
        " WHERE id IN (SELECT task FROM attempts WHERE number > 1)",
        *FORGET,
    )


@pytest.mark.parametrize("damage", [as_first_tries_ran, as_first_tries_had_failed])
async def test_an_older_ledger_is_no_proof_that_nothing_was_sent_since(
    tmp_path: Path, damage: Callable[[RunFolder], None]
) -> None:
    """What is lost of it is the second tries, which the service shows: none is paid for a second time."""
    async with Left.on(tmp_path, replace(BRISK, faults=(SOME_FAIL,))) as on:
        await on.run(leave_at=8)
        tried = len(on.service.stats.accepted)
        await anyio.to_thread.run_sync(damage, on.out)
        await anyio.to_thread.run_sync(on.out.manifest.unlink)
        found = await on.recover()
        assert found.settled
        assert found.status
        assert found.status.counts[State.FAILED] + found.status.counts[State.RUNNING] == 0
        assert len(on.service.stats.accepted) == tried
        assert (await on.run()).exit_code is Exit.DONE
        assert (on.service.stats.double_payments, len(on.service.stats.billed)) == (0, TASKS)


def all_but_a_copy_of_the_job(folder: RunFolder) -> None:
    all_but_the_job(folder)
    shutil.rmtree(folder.files)


@pytest.mark.parametrize("damage", [as_first_tries_ran, all_but_a_copy_of_the_job])
async def test_what_was_sent_by_a_retry_is_found_where_one_try_was_all(
    tmp_path: Path, damage: Callable[[RunFolder], None]
) -> None:
    """The first tries are found to have failed, which ends no search; equal ones take each other's tries for theirs."""
    async with Left.on(tmp_path, replace(BRISK, faults=(SOME_FAIL,))) as on:
        assert (await on.run(attempts=1, repeat=2)).exit_code is Exit.SOME_FAILED
        assert (await retry(on.out, Options(), pay_again=False, settings=on.settings, **on.go)).exit_code is Exit.DONE
        tried = len(on.service.stats.accepted)
        assert tried == TASKS + 6
        await anyio.to_thread.run_sync(damage, on.out)
        on.out.manifest.unlink(missing_ok=True)
        found = await on.recover(on.path)
        assert found.settled
        assert found.status
        assert found.status.counts[State.DONE] == TASKS
        assert len(on.service.stats.accepted) == tried


async def test_what_had_failed_and_was_not_sent_again_stays_as_it_was(tmp_path: Path) -> None:
    """It is looked for in the list all the same."""
    async with Left.on(tmp_path, replace(BRISK, faults=(Fault(place="task", kind="fails"),))) as on:
        assert (await on.run(attempts=1)).exit_code is Exit.SOME_FAILED
        tried = len(on.service.stats.accepted)
        await anyio.to_thread.run_sync(changed, on.out, FORGET[0])
        found = await on.recover()
        assert found.status
        assert (found.in_doubt, found.adopted, found.status.counts[State.FAILED]) == (TASKS, 0, TASKS)
        lines = await anyio.to_thread.run_sync(lambda: list(manifest.read(on.out.manifest)))
        assert {(line.state, line.failure and line.failure.kind) for line in lines} == {(State.FAILED, "failed")}
        assert (await on.run(attempts=1)).exit_code is Exit.SOME_FAILED
        assert len(on.service.stats.accepted) == tried


async def test_the_model_is_the_service_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its defaults decide which tasks there are: with those of another day all would be sent again under new names."""
    tool = deepcopy(CATALOGUE[MODEL.lower()].tool)
    for item in (item for group in tool["parameters"] for item in group["items"] if item["id"] == "width"):
        item["default"] = 512
    monkeypatch.setitem(CATALOGUE, MODEL.lower(), replace(CATALOGUE[MODEL.lower()], tool=tool))
    async with Left.on(tmp_path, BRISK) as on:
        await on.run(leave_at=8)
        await anyio.to_thread.run_sync(all_but_the_job, on.out)
        await on.recover(on.path)
        assert (await on.run()).status.total == TASKS
        assert len(on.service.stats.accepted) == TASKS
        assert {task.parameters["width"] for task in on.service.stats.accepted} == {512}


async def test_a_file_that_has_gone_too_is_fetched_again(tmp_path: Path) -> None:
    """A done task whose file is not as it was recorded is asked for again, and not paid for again."""
    async with Left.on(tmp_path, BRISK) as on:
        await on.run()
        await anyio.to_thread.run_sync(lambda: next(on.out.files.glob("*.png")).write_bytes(b"spoilt"))
        await anyio.to_thread.run_sync(replaced, on.out)
        found = await on.recover()
        assert (found.whole, found.again, found.in_doubt, found.settled) == (TASKS - 1, 1, 0, True)
        assert (await on.run()).exit_code is Exit.DONE
        assert len(on.service.stats.accepted) == TASKS


async def test_files_that_are_not_recorded_any_more_are_fetched_again(tmp_path: Path) -> None:
    """What is done has made something: where nothing says what, the service does."""
    async with Left.on(tmp_path, BRISK) as on:
        await on.run()
        await anyio.to_thread.run_sync(changed, on.out, "UPDATE outputs SET bytes = 'many'")
        found = await on.recover()
        assert (found.whole, found.again, found.in_doubt, found.settled) == (0, TASKS, 0, True)
        assert "continues the run" not in recovery_text(found)  # nothing is left to do
        assert (await on.run()).exit_code is Exit.DONE
        assert len(on.service.stats.accepted) == TASKS


def all_but_files(folder: RunFolder) -> None:
    emptied(folder)
    folder.manifest.unlink()


def all_but_ends(folder: RunFolder) -> None:
    """That each task was done stands in the ledger, but neither which remote task nor which file was its own."""
    without_requests(folder)
    without_sense(folder)
    folder.manifest.unlink()
    for path in folder.files.glob("*.png"):
        path.unlink()


@pytest.mark.parametrize("damage", [all_but_files, all_but_ends])
async def test_what_was_done_is_not_paid_for_again_without_the_user_s_word(
    tmp_path: Path, damage: Callable[[RunFolder], None]
) -> None:
    """The list shows none of it any more: every further command leaves it as lost, but for `retry --pay-again`."""
    forgetful = replace(BRISK, faults=(Fault(place="list", kind="lags"),))
    async with Left.on(tmp_path, forgetful) as on:
        await on.run()
        await anyio.to_thread.run_sync(damage, on.out)
        found = await on.recover()
        assert found.status
        assert (found.in_doubt, found.status.counts[State.FAILED]) == (TASKS, TASKS)
        result = await on.run()
        assert result.exit_code is Exit.SOME_FAILED
        assert [(reason.failure.kind, reason.tasks) for reason in result.failures] == [("lost", TASKS)]
        go = {"settings": on.settings, **on.go}
        assert (await verify(on.out, repair=True, **go)).lost == TASKS
        await retry(on.out, Options(), pay_again=False, **go)
        assert len(on.service.stats.accepted) == TASKS
        assert (await retry(on.out, Options(), pay_again=True, **go)).exit_code is Exit.DONE
        assert len(on.service.stats.accepted) == 2 * TASKS


async def test_a_job_file_for_another_model_is_refused(tmp_path: Path) -> None:
    """The log still says whose the tasks were."""
    async with Left.on(tmp_path, BRISK) as on:
        await on.run(leave_at=8)
        await anyio.to_thread.run_sync(replaced, on.out)
        other = tmp_path / "other.yaml"
        other.write_text(json.dumps({"model": "acme/fresh-coat", "parameters": {"prompt": "a lighthouse"}}))
        with pytest.raises(RefusedError, match=rf"is a job for acme/fresh-coat, and .* was made by {MODEL}: none of"):
            await on.recover(other)
        assert (await on.recover(on.path)).settled


async def test_a_recover_that_was_stopped_says_what_goes_on_with_it(tmp_path: Path) -> None:
    """The ledger is whole by then, and only the doubts are left."""
    async with Left.on(tmp_path, BRISK) as on:
        await on.run(leave_at=8)
        await anyio.to_thread.run_sync(replaced, on.out)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("orchestrator.commands.recover.resume", killed)
            assert (await on.recover()).halt == "Killed."
        told = r"not damaged: .* `orchestrator run` with the job file settles what is in doubt: \d+ tasks\."
        with pytest.raises(RefusedError, match=told):
            await on.recover()
        assert (await on.run()).exit_code is Exit.DONE
        assert (len(on.service.stats.accepted), on.service.stats.double_payments) == (TASKS, 0)


async def killed(*_: object, **__: object) -> None:
    raise StoppedError("Killed.")


async def test_a_sound_ledger_is_left_alone(tmp_path: Path) -> None:
    """What is not damaged is not mended."""
    async with Left.on(tmp_path, BRISK) as on:
        await on.run()
        left = on.out.path / ".ledger.sqlite.new"
        await anyio.to_thread.run_sync(left.touch)
        with pytest.raises(RefusedError, match="is not damaged"):
            await on.recover()
        assert not await anyio.to_thread.run_sync(left.exists), "what a recover that was killed has left goes"
        with pytest.raises(RefusedError, match="not a run folder"):
            await replace(on, folder=tmp_path / "elsewhere").recover()


async def test_without_the_service_the_rest_stays_in_doubt(tmp_path: Path) -> None:
    """What cannot be settled just now is never sent; the next run settles it."""
    async with Left.on(tmp_path, BRISK) as on:
        await on.run(leave_at=8)
        sent = len(on.service.stats.accepted)
        await anyio.to_thread.run_sync(replaced, on.out)
        on.service.lose_replies = lambda endpoint, _: None if endpoint == "Tool/Detail" else "before"
        recovering = Control()

        class Impatient:
            def show(self, status: Status) -> None:
                recovering.leave(Stop.INTERRUPTED, f"Enough after {status.total}.")

        found = await recover(
            on.out, on.path, Options(), on.settings, control=recovering, clock=on.clock, watcher=Impatient()
        )
        assert found.status
        assert found.status.counts[State.SUBMITTING] == found.in_doubt > 0
        assert not found.settled
        assert found.to_json()["halt"] == f"Enough after {TASKS}."
        on.service.lose_replies = None
        assert len(on.service.stats.accepted) == sent
        assert (await on.run()).exit_code is Exit.DONE
        assert (len(on.service.stats.accepted), on.service.stats.double_payments) == (TASKS, 0)
