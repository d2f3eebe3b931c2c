"""Local files of a job: uploaded once, for every task and every later run, and settled by their addresses."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from anyio import to_thread
from bench import Bench
from blockbuster import BlockBuster
from PIL import Image

from orchestrator.commands.carrying import Result
from orchestrator.commands.options import Options
from orchestrator.commands.rebuilding import Recovery
from orchestrator.commands.recover import recover
from orchestrator.engines import doubts
from orchestrator.errors import Exit, RefusedError
from orchestrator.lifecycle import State
from orchestrator.runs import RunFolder

pytestmark = pytest.mark.anyio

FILES = {"inputImage": {"files": "inputs/*.png"}}


JOB = {
    "model": "acme/fresh-coat",
    "parameters": {"prompt": "the same place at dawn"},
    "limits": {"requests_per_second": 1000, "settle_after": 2},
}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors(blocking_calls_are_errors: BlockBuster) -> BlockBuster:
    """But for a file that is changed while the service is asked."""
    for function in blocking_calls_are_errors.functions.values():
        function.can_block_in("tests/test_run_uploads.py", "draw")
    return blocking_calls_are_errors


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with Bench.on(tmp_path) as found:
        yield found


def draw(path: Path, colour: str) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)


def strip(folder: RunFolder) -> None:
    """Leave nothing but the log that says what was done."""
    for path in (folder.ledger, folder.manifest):
        path.unlink()
    shutil.rmtree(folder.files)


async def run_with(bench: Bench, seeds: list[int], pictures: dict[str, Any] = FILES) -> Result:
    return await bench.carry_out(JOB | {"sweep": {**pictures, "seed": seeds}})


async def recovered(bench: Bench, job: Path | None) -> Recovery:
    return await recover(bench.out, job, Options(), bench.settings, **bench.go)


def lost(endpoint: str, when: Literal["before", "after"], calls: set[int]) -> Callable[[str, int], object]:
    return lambda name, nth: when if name == endpoint and nth in calls else None


async def test_a_file_is_uploaded_once_for_all_tasks_and_all_later_runs(tmp_path: Path, bench: Bench) -> None:
    draw(tmp_path / "inputs" / "harbour.png", "navy")
    draw(tmp_path / "inputs" / "hill.png", "green")
    first = await run_with(bench, [1, 2, 3])
    assert first.status.counts[State.DONE] == 6
    assert bench.service.stats.calls["File/Upload"] == 2
    second = await run_with(bench, [1, 2, 3, 4])
    assert second.status.counts[State.DONE] == 8
    assert bench.service.stats.calls["File/Upload"] == 2
    assert all(task.parameters["inputImageUrl"] for task in bench.service.stats.accepted)


async def test_a_lost_reply_is_settled_although_the_list_shows_addresses(tmp_path: Path, bench: Bench) -> None:
    draw(tmp_path / "inputs" / "harbour.png", "navy")
    bench.service.lose_replies = lost("Run", "after", {2})  # type: ignore[assignment]  # a function of the same form
    result = await run_with(bench, [1, 2, 3])
    assert result.status.counts[State.DONE] == 3
    assert (result.status.adopted, len(bench.service.stats.accepted)) == (1, 3)


@pytest.mark.parametrize("pictures", [FILES, {"inputImageUrl": ["https://example.com/another.png"]}])
async def test_what_is_in_doubt_is_found_although_the_job_has_its_file_no_longer(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch, pictures: dict[str, Any]
) -> None:
    monkeypatch.setattr(doubts, "PATIENCE_SECONDS", 2.0)
    draw(tmp_path / "inputs" / "harbour.png", "navy")
    draw(tmp_path / "inputs" / "hill.png", "green")
    bench.service.lose_replies = lambda name, nth: (  # the list is had once, to begin with
        "after" if name == "Run" else "before" if name == "Task/List" and nth > 1 else None
    )
    first = await run_with(bench, [1])
    assert first.status.counts[State.SUBMITTING] == 2
    bench.service.lose_replies = None
    (tmp_path / "inputs" / "harbour.png").unlink()
    second = await run_with(bench, [1], pictures)
    assert (second.exit_code, second.status.adopted) == (Exit.DONE, 2)
    assert {line["remote"]["task_id"] for line in bench.manifest()} == {
        str(task.id) for task in bench.service.stats.accepted
    }


async def test_what_was_sent_at_addresses_that_are_lost_is_never_sent_again(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its ledger a run loses where its files were; a later upload gives them other addresses."""
    monkeypatch.setattr(doubts, "PATIENCE_SECONDS", 4.0)
    draw(tmp_path / "inputs" / "harbour.png", "navy")
    await run_with(bench, [1, 2])
    await to_thread.run_sync(strip, bench.out)
    await to_thread.run_sync(bench.out.log.unlink)
    found = await recovered(bench, bench.path)
    assert found.status
    assert (found.status.counts[State.SUBMITTING], found.settled) == (2, False)
    result = await run_with(bench, [1, 2, 3])
    assert (result.status.counts[State.SUBMITTING], result.status.counts[State.DONE]) == (2, 1)
    assert len(bench.service.stats.accepted) == 3


async def test_the_log_tells_where_the_files_are(tmp_path: Path, bench: Bench) -> None:
    """So what was sent with them is found although the ledger that held their addresses is lost."""
    draw(tmp_path / "inputs" / "harbour.png", "navy")
    draw(tmp_path / "inputs" / "hill.png", "green")
    await run_with(bench, [1, 2])
    await to_thread.run_sync(strip, bench.out)
    found = await recovered(bench, bench.path)
    assert (found.in_doubt, found.adopted, found.settled) == (4, 4, True)
    result = await run_with(bench, [1, 2, 3])
    assert result.status.counts[State.DONE] == 6
    assert (len(bench.service.stats.accepted), bench.service.stats.calls["File/Upload"]) == (6, 2)


async def test_the_run_folder_s_copy_says_that_files_lie_beside_the_job_file(tmp_path: Path, bench: Bench) -> None:
    draw(tmp_path / "inputs" / "harbour.png", "navy")
    await run_with(bench, [1])
    await to_thread.run_sync(strip, bench.out)
    with pytest.raises(
        RefusedError, match=r"inputs/\*\.png(.|\n)*Hint: This is the run folder's copy, .* add --job with"
    ):
        await recovered(bench, None)
    assert (await recovered(bench, bench.path)).settled


async def test_a_file_that_changed_since_the_job_was_read_is_not_sent(tmp_path: Path, bench: Bench) -> None:
    """What is sent has to be what the task's id says."""
    picture = tmp_path / "inputs" / "harbour.png"
    draw(picture, "navy")

    def change(name: str, _nth: int) -> None:
        if name == "Task/List":  # asked after the job was read and before the first submit
            draw(picture, "red")

    bench.service.lose_replies = change
    result = await run_with(bench, [1])
    assert result.status.counts[State.FAILED] == 1
    failure = result.failures[0].failure
    assert (failure.kind, "has changed" in failure.message) == ("invalid", True)
    assert not bench.service.stats.accepted
