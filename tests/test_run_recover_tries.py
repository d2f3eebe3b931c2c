"""Requests that a damaged or older ledger does not tell of any more: each is found, and what it has cost is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import anyio.to_thread
import pytest
from damaged import (
    BRISK,
    SOME_FAIL,
    TASKS,
    Left,
    all_but_the_job,
    changed,
    look_soon,
)

from orchestrator.commands.options import Options
from orchestrator.commands.retry import retry
from orchestrator.emulator.faults import Fault
from orchestrator.errors import Exit
from orchestrator.ledger import DamagedLedgerError
from orchestrator.lifecycle import State
from orchestrator.money import FREE
from orchestrator.output import manifest
from orchestrator.runs import RunFolder
from orchestrator.telling import recovery_text

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    look_soon(monkeypatch)


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


@pytest.mark.parametrize("lost", ["DELETE FROM attempts", "UPDATE attempts SET cost = NULL, remote_id = NULL"])
async def test_what_the_manifest_says_of_money_is_not_forgotten(tmp_path: Path, lost: str) -> None:
    """The requests are lost with a page of the ledger; each line still tells its id and its cost."""
    async with Left.on(tmp_path, BRISK) as on:
        before = (await on.run()).status
        told = await anyio.to_thread.run_sync(on.out.manifest.read_text)
        await anyio.to_thread.run_sync(changed, on.out, lost, FORGET[0])
        found = await on.recover()
        assert found.status
        assert (found.status.cost_usd, found.unpriced) == (before.cost_usd, 0)
        assert await anyio.to_thread.run_sync(on.out.manifest.read_text) == told


async def test_an_older_copy_of_the_ledger_is_refused_and_the_manifest_makes_it_whole(tmp_path: Path) -> None:
    """The copy is sound in itself, and its mark with it: nothing is paid for again all the same."""

    def copied(source: Path, target: Path) -> None:
        for path in source.glob("ledger.sqlite*"):
            shutil.copy2(path, target / path.name)

    (tmp_path / "older").mkdir()
    async with Left.on(tmp_path, BRISK) as on:
        assert (await on.run(leave_at=4)).status.counts[State.DONE] < TASKS
        await anyio.to_thread.run_sync(copied, on.out.path, tmp_path / "older")
        before = (await on.run()).status
        told = await anyio.to_thread.run_sync(on.out.manifest.read_text)
        await anyio.to_thread.run_sync(copied, tmp_path / "older", on.out.path)
        with pytest.raises(DamagedLedgerError, match="an older copy"):
            await on.run()
        with pytest.raises(DamagedLedgerError, match="an older copy"):
            await retry(on.out, Options(), pay_again=False, settings=on.settings, **on.go)
        assert await anyio.to_thread.run_sync(on.out.manifest.read_text) == told
        found = await on.recover()
        assert found.status
        assert (found.status.cost_usd, found.whole) == (before.cost_usd, TASKS)
        assert (await on.run()).exit_code is Exit.DONE
        assert len(on.service.stats.accepted) == TASKS
        assert await anyio.to_thread.run_sync(on.out.manifest.read_text) == told


async def test_what_nobody_knows_the_cost_of_stays_reserved(tmp_path: Path) -> None:
    """The budget is not passed by what was paid for and is known from its files alone."""
    async with Left.on(tmp_path, BRISK) as on:
        before = (await on.run()).status
        await anyio.to_thread.run_sync(changed, on.out, "DELETE FROM attempts", FORGET[0])
        await anyio.to_thread.run_sync(on.out.manifest.unlink)
        found = await on.recover()
        assert found.status
        assert (found.status.cost_usd, found.status.reserved_usd, found.unpriced) == (FREE, before.cost_usd, TASKS)
        assert "16 done of which nobody knows any more what they have cost" in recovery_text(found)
        assert (await on.run()).exit_code is Exit.DONE
        assert len(on.service.stats.accepted) == TASKS
