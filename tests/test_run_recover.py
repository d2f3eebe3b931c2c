"""A run whose ledger was damaged is made whole, and nothing of it is paid for twice."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import anyio.to_thread
import pytest
from bench import MODEL
from damaged import (
    BRISK,
    SOME_FAIL,
    TASKS,
    Left,
    all_but_the_job,
    beheaded,
    changed,
    emptied,
    look_soon,
    of_no_version,
    overpriced,
    overwritten,
    owing,
    removed,
    replaced,
    truncated,
    without_manifest,
    without_requests,
    without_sense,
)

from orchestrator.commands.options import Options
from orchestrator.commands.recover import recover
from orchestrator.commands.retry import retry
from orchestrator.commands.verify import verify
from orchestrator.emulator.faults import Fault
from orchestrator.emulator.models import CATALOGUE
from orchestrator.engines.control import Control
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


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    look_soon(monkeypatch)


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
    of_no_version,
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


async def test_what_a_link_leads_to_is_read_and_left_as_it_is(tmp_path: Path) -> None:
    """The ledger is one that was put elsewhere by hand, and damaged there; the new one is the run folder's own."""
    elsewhere = tmp_path / "elsewhere.sqlite"

    def put_elsewhere(folder: RunFolder) -> bytes:
        beheaded(folder)
        folder.ledger.rename(elsewhere)
        folder.ledger.symlink_to(elsewhere)
        return elsewhere.read_bytes()

    def left(folder: RunFolder) -> tuple[bytes, bool]:
        return elsewhere.read_bytes(), folder.ledger.is_symlink()

    async with Left.on(tmp_path, BRISK) as on:
        await on.run(leave_at=4)
        sent = len(on.service.stats.accepted)
        held = await anyio.to_thread.run_sync(put_elsewhere, on.out)
        found = await on.recover()
        assert found.read == TASKS
        assert found.status
        assert found.status.counts[State.DONE] == sent
        assert len(on.service.stats.accepted) == sent
        assert await anyio.to_thread.run_sync(left, on.out) == (held, False)


@pytest.mark.parametrize("name", ["ledger.sqlite", "ledger.sqlite-wal", ".ledger.sqlite.new"])
@pytest.mark.parametrize("holds", [(), ("picture",)])
async def test_a_folder_in_the_ledger_s_way_is_told_and_left(tmp_path: Path, name: str, holds: tuple[str, ...]) -> None:
    async with Left.on(tmp_path, BRISK) as on:
        await on.run()
        place = on.out.path / name

        def stand_in_the_way() -> None:
            on.out.ledger.unlink()
            place.mkdir()
            for each in holds:
                (place / each).touch()

        await anyio.to_thread.run_sync(stand_in_the_way)
        with pytest.raises(RefusedError, match="is a folder, and in the ledger's way: move it away"):
            await on.recover()
        assert {path.name for path in place.iterdir()} == set(holds)
        await anyio.to_thread.run_sync(shutil.rmtree, place)
        assert (await on.recover()).settled


ODD_LINES = (
    (("attempts",), 2**63),
    (("remote", "exit_code"), 10**30),
    (("outputs", 0, "bytes"), 2**63),
    (("warnings",), ["\ud83d"]),
    (("remote", "task_id"), "\ud83d"),
)


@pytest.mark.parametrize(("way", "odd"), ODD_LINES)
async def test_a_line_that_was_never_written_is_passed_over(
    tmp_path: Path, way: tuple[str | int, ...], odd: object
) -> None:
    """Nothing but the manifest is left, and one of its lines no ledger can hold: that task is asked for."""
    async with Left.on(tmp_path, BRISK) as on:
        await on.run()

        def spoil() -> None:
            first, *others = on.out.manifest.read_text().splitlines(keepends=True)
            value = said = json.loads(first)
            for key in way[:-1]:
                value = value[key]
            value[way[-1]] = odd
            on.out.manifest.write_text(json.dumps(said) + "\n" + "".join(others))
            on.out.ledger.unlink()

        await anyio.to_thread.run_sync(spoil)
        found = await on.recover()
        assert (found.listed, found.adopted, found.settled) == (TASKS - 1, 1, True)
        assert (await on.run()).exit_code is Exit.DONE
        assert len(on.service.stats.accepted) == TASKS


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
        await anyio.to_thread.run_sync(on.out.manifest.unlink)
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


async def test_a_line_that_recover_did_not_believe_stops_no_run_after_it(tmp_path: Path) -> None:
    """A kill may come before the manifest is written anew, and lines of what failed may name anything."""

    def misnamed(folder: RunFolder) -> None:
        told = folder.manifest.read_text()
        folder.manifest.write_text(told.replace('"remote": {"task_id": "', '"remote": {"task_id": "9'))
        without_sense(folder)

    def killed(folder: RunFolder, told: bytes, moments: tuple[int, int]) -> None:
        folder.manifest.write_bytes(told)
        os.utime(folder.manifest, ns=moments)
        changed(folder, "DELETE FROM facts WHERE name IN ('manifest', 'anew')")

    async with Left.on(tmp_path, replace(BRISK, faults=(SOME_FAIL,))) as on:
        assert (await on.run(attempts=1)).exit_code is Exit.SOME_FAILED
        await anyio.to_thread.run_sync(misnamed, on.out)
        told = await anyio.to_thread.run_sync(on.out.manifest.read_bytes)
        found = await anyio.to_thread.run_sync(on.out.manifest.stat)
        await on.recover()
        assert await anyio.to_thread.run_sync(on.out.manifest.read_bytes) != told
        await anyio.to_thread.run_sync(killed, on.out, told, (found.st_atime_ns, found.st_mtime_ns))
        assert (await on.run(attempts=1)).exit_code is Exit.SOME_FAILED
        assert len(on.service.stats.accepted) == TASKS


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
