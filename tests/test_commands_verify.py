"""`verify` tells of everything that was paid for and is not there, however often it is asked."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from bench import Bench

from orchestrator.clock import SystemClock
from orchestrator.commands.calling import reached
from orchestrator.commands.status import read_status
from orchestrator.commands.verify import Verification, verify
from orchestrator.config import Settings
from orchestrator.emulator import Task as Made
from orchestrator.errors import RefusedError
from orchestrator.ledger import DamagedLedgerError
from orchestrator.lifecycle import Failure
from orchestrator.runs import RunFolder
from orchestrator.telling import verification_text

pytestmark = pytest.mark.anyio

TASKS = 3
JOB = {
    "parameters": {"samples": 1, "prompt": "a lighthouse"},
    "limits": {"requests_per_second": 1000},
    "sweep": {"seed": list(range(TASKS))},
}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """They are not here: the tests themselves look into the run folder."""


async def look_at(bench: Bench, *, repair: bool = False) -> Verification:
    return await verify(bench.out, bench.settings, repair=repair, **bench.go)


async def test_a_lost_task_counts_until_it_is_there(tmp_path: Path) -> None:
    """It is named with the way to have it again, is tried again by a repair, and is not well before it stands."""
    async with Bench.on(tmp_path) as bench:
        await bench.carry_out(JOB)
        folder = bench.out
        with folder.written() as store, store.transaction(durable=True):
            record = next(store.finished())
            refetched = record.refetched()
            store.save(record, refetched)
            store.save(refetched, refetched.undelivered(Failure("lost", "It has gone."), 1.0))
        found = await look_at(bench)
        assert (found.checked, found.ok, found.lost, found.well) == (TASKS - 1, TASKS - 1, 1, False)
        told = verification_text(found, folder.path)
        assert f"files/{record.task.path}-{record.task.short_id} is lost (lost): It has gone.\n" in told
        assert f"`orchestrator retry {folder.path}` asks the service for it again without paying" in told
        assert "--repair" not in told
        found = await look_at(bench, repair=True)
        assert (found.repaired, found.lost, found.well) == (1, 0, True)
        assert (await look_at(bench)).ok == TASKS


async def test_what_is_still_to_be_fetched_is_missing(tmp_path: Path) -> None:
    """A repair that came to nothing does not make a paid result forgotten."""
    async with Bench.on(tmp_path) as bench:
        await bench.carry_out(JOB)
        folder = bench.out
        with folder.written() as store, store.transaction(durable=True):
            record = next(store.finished())
            lost = record.refetched().undelivered(Failure("lost", "It has gone."), 1.0)
            store.save(record, record.refetched())
            store.save(record.refetched(), lost)
            store.save(lost, lost.refetched())
        found = await look_at(bench)
        assert (found.ok, found.missing, found.well) == (TASKS - 1, 1, False)
        assert f"`orchestrator verify {folder.path} --repair`" in verification_text(found, folder.path)


async def test_a_repair_tells_of_another_file_than_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept, and named: the recorded checksum is the only proof of what was paid for."""
    async with Bench.on(tmp_path) as bench:
        await bench.carry_out(JOB)
        with bench.out.opened() as store:
            first, second, _ = [record.outputs[0] for record in store.finished()]
        for output in (first, second):
            (bench.out.path / output.path).unlink()
        pictures = bench.service._cdn._outputs
        picture = pictures.picture

        async def changed(task: Made, number: int) -> bytes:
            return await picture(task, number + (task.folder in str(first.url)))

        monkeypatch.setattr(pictures, "picture", changed)
        found = await look_at(bench, repair=True)
        assert (found.repaired, found.replaced, found.to_json()["replaced"]) == (2, (first.path,), 1)
        told = verification_text(found, bench.out.path)
        assert f"{first.path} is another file than was recorded" in told
        assert "2 repaired, 1 of them with other content than was recorded" in told
        lines = [json.loads(line) for line in bench.out.manifest.read_text().splitlines()]
        assert [first.sha256 in "".join(line["warnings"]) for line in lines] == [True, False, False]
        found = await look_at(bench)
        assert (found.ok, found.replaced) == (TASKS, ())


async def test_a_folder_in_the_place_of_a_file_is_left_to_its_owner(tmp_path: Path) -> None:
    """It is damage that a repair passes over and explains; once it is moved away, the file is fetched."""
    async with Bench.on(tmp_path) as bench:
        await bench.carry_out(JOB)
        folder = bench.out
        path = next(path for path in folder.files.iterdir() if path.is_file())
        path.unlink()
        path.mkdir()
        found = await look_at(bench, repair=True)
        assert (found.ok, found.damaged, found.repaired, found.halt) == (TASKS - 1, 1, 0, None)
        assert "move it away" in found.problems[0]
        path.rmdir()
        assert (await look_at(bench, repair=True)).well


@pytest.mark.parametrize(
    "damage", ["UPDATE attempts SET cost = 9223372036854775807", "UPDATE tasks SET state = 'lost' WHERE place = 0"]
)
async def test_a_damaged_ledger_is_not_well(tmp_path: Path, damage: str) -> None:
    """What no sum can hold, or in a state that there is not, is passed over by nobody."""
    async with Bench.on(tmp_path) as bench:
        await bench.carry_out(JOB)
        with closing(sqlite3.connect(bench.out.ledger, isolation_level=None)) as ledger:
            ledger.execute(damage)
        with pytest.raises(DamagedLedgerError, match="orchestrator recover"):
            await look_at(bench)
        with pytest.raises(DamagedLedgerError, match="orchestrator recover"):
            read_status(bench.out)


async def test_a_file_in_the_place_of_the_emulators_state_is_refused(tmp_path: Path) -> None:
    """With a sentence, not as a bug."""
    (tmp_path / "emulator").write_text("mine")
    with pytest.raises(RefusedError, match="cannot be used"):
        async with reached(Settings(), 1.0, SystemClock(), emulate=True, folder=RunFolder(tmp_path)):
            pass
