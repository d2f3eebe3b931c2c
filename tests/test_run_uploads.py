"""Local files of a job: uploaded once, for every task and every later run, and settled by their addresses."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from anyio import to_thread
from blockbuster import blockbuster_ctx
from PIL import Image

from orchestrator.clock import SystemClock
from orchestrator.commands.options import Options
from orchestrator.commands.recover import recover
from orchestrator.commands.run import Result, run
from orchestrator.config import Settings
from orchestrator.emulator import Emulator, Profile
from orchestrator.engines import doubts
from orchestrator.engines.control import Control
from orchestrator.engines.forecast import Forecast
from orchestrator.errors import Exit, RefusedError
from orchestrator.lifecycle import State
from orchestrator.runs import RunFolder
from orchestrator.status import Status

pytestmark = pytest.mark.anyio

FILES = {"inputImage": {"files": "inputs/*.png"}}
INSTANT = Profile(plain_bytes=300, queue_seconds=(0, 0), run_seconds_median=0)


class Nobody:
    def show(self, status: Status) -> None:
        """Look away."""


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> Iterator[None]:
    """Opening and closing a run may block; what goes on in between, in tasks of its own, must not."""
    with blockbuster_ctx("orchestrator") as blocking:
        for function in blocking.functions.values():
            function.can_block_in("orchestrator/commands/run.py", "run")
            function.can_block_in("orchestrator/commands/recover.py", "recover")
            function.can_block_in("orchestrator/commands/resume.py", "resume")
            function.can_block_in("tests/test_run_uploads.py", "draw")
        yield


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 0.02)


@pytest.fixture
async def service() -> AsyncIterator[Emulator]:
    async with Emulator(INSTANT) as emulator:
        yield emulator


def draw(path: Path, colour: str) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)


def strip(folder: RunFolder) -> None:
    """Leave nothing but the log that says what was done."""
    for path in (folder.ledger, folder.manifest):
        path.unlink()
    shutil.rmtree(folder.files)


async def run_with(folder: Path, service: Emulator, seeds: list[int], pictures: dict[str, Any] = FILES) -> Result:
    job = {
        "model": "acme/fresh-coat",
        "parameters": {"prompt": "the same place at dawn"},
        "sweep": {**pictures, "seed": seeds},
        "limits": {"requests_per_second": 1000, "settle_after": 1},
    }
    path = folder / "job.yaml"
    path.write_text(json.dumps(job))
    profile = service.profile
    settings = Settings(api_key=profile.api_key, api_secret=profile.api_secret, base_url=service.base_url)
    options = Options(out=folder / "out")
    return await run(path, options, settings, control=Control(), clock=SystemClock(), watcher=Nobody())


def lost(endpoint: str, when: Literal["before", "after"], calls: set[int]) -> Callable[[str, int], object]:
    return lambda name, nth: when if name == endpoint and nth in calls else None


async def test_a_file_is_uploaded_once_for_all_tasks_and_all_later_runs(tmp_path: Path, service: Emulator) -> None:
    draw(tmp_path / "inputs" / "harbour.png", "navy")
    draw(tmp_path / "inputs" / "hill.png", "green")
    first = await run_with(tmp_path, service, [1, 2, 3])
    assert first.status.counts[State.DONE] == 6
    assert service.stats.calls["File/Upload"] == 2
    second = await run_with(tmp_path, service, [1, 2, 3, 4])
    assert second.status.counts[State.DONE] == 8
    assert service.stats.calls["File/Upload"] == 2
    assert all(task.parameters["inputImageUrl"] for task in service.stats.accepted)


async def test_a_lost_reply_is_settled_although_the_list_shows_addresses(tmp_path: Path, service: Emulator) -> None:
    draw(tmp_path / "inputs" / "harbour.png", "navy")
    service.lose_replies = lost("Run", "after", {2})  # type: ignore[assignment]  # a function of the same form
    result = await run_with(tmp_path, service, [1, 2, 3])
    assert result.status.counts[State.DONE] == 3
    assert (result.status.adopted, len(service.stats.accepted)) == (1, 3)


@pytest.mark.parametrize("pictures", [FILES, {"inputImageUrl": ["https://example.com/another.png"]}])
async def test_what_is_in_doubt_is_found_although_the_job_has_its_file_no_longer(
    tmp_path: Path, service: Emulator, monkeypatch: pytest.MonkeyPatch, pictures: dict[str, Any]
) -> None:
    monkeypatch.setattr(doubts, "PATIENCE_SECONDS", 0.1)
    draw(tmp_path / "inputs" / "harbour.png", "navy")
    draw(tmp_path / "inputs" / "hill.png", "green")
    service.lose_replies = lambda name, nth: (  # the list is had once, to begin with
        "after" if name == "Run" else "before" if name == "Task/List" and nth > 1 else None
    )
    first = await run_with(tmp_path, service, [1])
    assert first.status.counts[State.SUBMITTING] == 2
    service.lose_replies = None
    (tmp_path / "inputs" / "harbour.png").unlink()
    second = await run_with(tmp_path, service, [1], pictures)
    assert (second.exit_code, second.status.adopted) == (Exit.DONE, 2)
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert {line["remote"]["task_id"] for line in lines} == {str(task.id) for task in service.stats.accepted}


async def test_what_was_sent_at_addresses_that_are_lost_is_never_sent_again(
    tmp_path: Path, service: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its ledger a run loses where its files were; a later upload gives them other addresses."""
    monkeypatch.setattr(doubts, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(doubts, "FIRST_WAIT_SECONDS", 0.1)
    draw(tmp_path / "inputs" / "harbour.png", "navy")
    await run_with(tmp_path, service, [1, 2])
    profile = service.profile
    settings = Settings(api_key=profile.api_key, api_secret=profile.api_secret, base_url=service.base_url)
    folder = RunFolder(tmp_path / "out")
    await to_thread.run_sync(strip, folder)
    await to_thread.run_sync(folder.log.unlink)
    go: dict[str, Any] = {"control": Control(), "clock": SystemClock(), "watcher": Nobody()}
    found = await recover(folder, tmp_path / "job.yaml", Options(), settings, **go)
    assert found.status
    assert (found.status.counts[State.SUBMITTING], found.settled) == (2, False)
    result = await run_with(tmp_path, service, [1, 2, 3])
    assert (result.status.counts[State.SUBMITTING], result.status.counts[State.DONE]) == (2, 1)
    assert len(service.stats.accepted) == 3


async def test_the_log_tells_where_the_files_are(tmp_path: Path, service: Emulator) -> None:
    """So what was sent with them is found although the ledger that held their addresses is lost."""
    draw(tmp_path / "inputs" / "harbour.png", "navy")
    draw(tmp_path / "inputs" / "hill.png", "green")
    await run_with(tmp_path, service, [1, 2])
    profile = service.profile
    settings = Settings(api_key=profile.api_key, api_secret=profile.api_secret, base_url=service.base_url)
    folder = RunFolder(tmp_path / "out")
    await to_thread.run_sync(strip, folder)
    go: dict[str, Any] = {"control": Control(), "clock": SystemClock(), "watcher": Nobody()}
    found = await recover(folder, tmp_path / "job.yaml", Options(), settings, **go)
    assert (found.in_doubt, found.adopted, found.settled) == (4, 4, True)
    result = await run_with(tmp_path, service, [1, 2, 3])
    assert result.status.counts[State.DONE] == 6
    assert (len(service.stats.accepted), service.stats.calls["File/Upload"]) == (6, 2)


async def test_the_run_folder_s_copy_says_that_files_lie_beside_the_job_file(tmp_path: Path, service: Emulator) -> None:
    draw(tmp_path / "inputs" / "harbour.png", "navy")
    await run_with(tmp_path, service, [1])
    profile = service.profile
    settings = Settings(api_key=profile.api_key, api_secret=profile.api_secret, base_url=service.base_url)
    folder = RunFolder(tmp_path / "out")
    await to_thread.run_sync(strip, folder)
    go: dict[str, Any] = {"control": Control(), "clock": SystemClock(), "watcher": Nobody()}
    with pytest.raises(
        RefusedError, match=r"inputs/\*\.png(.|\n)*Hint: This is the run folder's copy, .* add --job with"
    ):
        await recover(folder, None, Options(), settings, **go)
    found = await recover(folder, tmp_path / "job.yaml", Options(), settings, **go)
    assert found.settled


async def test_a_file_that_changed_since_the_job_was_read_is_not_sent(tmp_path: Path, service: Emulator) -> None:
    """What is sent has to be what the task's id says."""
    picture = tmp_path / "inputs" / "harbour.png"
    draw(picture, "navy")

    def change(name: str, _nth: int) -> None:
        if name == "Task/List":  # asked after the job was read and before the first submit
            draw(picture, "red")

    service.lose_replies = change
    result = await run_with(tmp_path, service, [1])
    assert result.status.counts[State.FAILED] == 1
    [(failure, _)] = result.failures
    assert (failure.kind, "has changed" in failure.message) == ("invalid", True)
    assert not service.stats.accepted
