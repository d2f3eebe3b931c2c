"""A run from its beginning to its end, gone on with, edited, cut short: on the emulator, through `commands.run`."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio.to_thread
import bench
import pytest
from bench import INSTANT, MODEL

from orchestrator.commands.carrying import HEARTBEAT_SECONDS, Result
from orchestrator.engines import ending
from orchestrator.engines.control import Control
from orchestrator.engines.forecast import Forecast
from orchestrator.errors import Exit, RefusedError, StoppedError
from orchestrator.ledger import Fact, SqliteLedger
from orchestrator.lifecycle import State
from orchestrator.reporting import root
from orchestrator.simulation.disk import Disk
from orchestrator.status import Status
from orchestrator.steps.outcomes import Stop

pytestmark = pytest.mark.anyio

SLOW = replace(INSTANT, run_seconds_median=600)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instant service is looked at soon."""
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 0.4)
    monkeypatch.setattr(ending, "ENDING_SECONDS", 0.4)


@dataclass
class Bench(bench.Bench):
    """A bench whose watcher may do something when it sees enough."""

    control: Control = field(default_factory=Control)
    when: Callable[[Status], bool] = lambda _: False
    then: Callable[[Control], None] = lambda _: None
    changed: dict[str, Any] = field(default_factory=dict)

    async def run(
        self,
        *,
        seeds: Any = (1, 2, 3),
        limits: dict[str, Any] | None = None,
        model: str = MODEL,
        **options: Any,
    ) -> Result:
        """Run the job with these seeds, or go on with it."""
        job = {
            "model": model,
            "parameters": {"samples": 2, "prompt": "a lighthouse at dusk"},
            "limits": {"requests_per_second": 1000, "settle_after": 1} | (limits or {}),
            "sweep": {"seed": list(seeds)},
        }
        self.control = Control()
        settings = replace(self.settings, **self.changed)
        return await self.carry_out(job, settings=settings, control=self.control, watcher=self, **options)

    def show(self, status: Status) -> None:
        if self.when(status):
            self.then(self.control)

    @property
    def accepted(self) -> int:
        return len(self.service.stats.accepted)


@pytest.fixture(name="bench")
async def on_bench(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with Bench.on(tmp_path, getattr(request, "param", INSTANT)) as found:
        yield found


on_slow_service = pytest.mark.parametrize("bench", [SLOW], indirect=True, ids=["slow"])


async def test_everything_is_made_fetched_and_told(bench: Bench) -> None:
    """Every task done, every file as its line says, and what it cost."""
    result = await bench.run(seeds=range(12))
    assert (result.exit_code, result.halt, result.status.state) == (Exit.DONE, None, "finished")
    assert result.status.cost_usd == bench.service.stats.billed_usd == Decimal("0.007") * 12
    lines = bench.manifest()
    assert [line["index"] for line in lines] == list(range(12))
    assert {line["state"] for line in lines} == {"done"}
    outputs = [output for line in lines for output in line["outputs"]]
    assert len(outputs) == 24
    for output in outputs:
        assert hashlib.sha256((bench.out.path / output["path"]).read_bytes()).hexdigest() == output["sha256"]
    files = [path for path in bench.out.files.rglob("*") if path.is_file()]
    assert len(files) == 24
    assert result.status.calls == bench.service.stats.calls


async def test_the_job_file_outlasts_a_power_cut(bench: Bench) -> None:
    """It came back empty, and is what `recover` falls back on."""

    def spoilt(disk: Disk) -> str:
        disk.unplugged(lambda _: 0.3)()
        return bench.out.job.read_text("utf-8")

    await bench.run()
    disk = await anyio.to_thread.run_sync(Disk, bench.out.path)
    with disk.watched():
        await bench.run(seeds=(1, 2, 3, 4))
    assert await anyio.to_thread.run_sync(spoilt, disk) == bench.path.read_text("utf-8")


async def test_secrets_stay_where_they_belong(bench: Bench) -> None:
    """Key and secret are in no file of the run folder, tokens in the ledger alone, none of it at the CDN."""
    bench.service.lose_replies = lambda endpoint, call: "after" if endpoint == "Run" and call == 2 else None
    await bench.run()
    profile = bench.service.profile
    assert profile.api_secret is not None
    tokens = [task.token for task in bench.service.stats.accepted]
    for path in bench.out.path.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert profile.api_key.encode() not in content
        assert profile.api_secret.encode() not in content
        if not path.name.startswith("ledger.sqlite"):
            assert not any(token.encode() in content for token in tokens), path
    assert bench.service.stats.leaks == 0
    assert (bench.out.path / "ledger.sqlite").stat().st_mode & 0o077 == 0


async def test_a_second_run_asks_the_service_for_nothing(bench: Bench) -> None:
    await bench.run()
    manifest, calls = bench.manifest(), dict(bench.service.stats.calls)
    result = await bench.run()
    assert (result.exit_code, result.status.counts[State.DONE]) == (Exit.DONE, 3)
    assert bench.service.stats.calls == calls
    assert bench.manifest() == manifest


async def test_a_deleted_file_costs_nothing(bench: Bench) -> None:
    await bench.run()
    for output in bench.manifest()[0]["outputs"]:
        (bench.out.path / output["path"]).unlink()
    await bench.run()
    assert bench.accepted == 3


async def test_seeds_that_are_added_are_the_only_ones_submitted(bench: Bench) -> None:
    await bench.run(seeds=[1, 3])
    result = await bench.run(seeds=[1, 2, 3, 4])
    assert (result.exit_code, result.status.total) == (Exit.DONE, 4)
    assert [task.parameters["seed"] for task in bench.service.stats.accepted[2:]] == ["2", "4"]
    assert [line["parameters"]["seed"] for line in bench.manifest()] == ["1", "2", "3", "4"]


async def test_a_seed_that_is_taken_out_is_dropped_and_its_file_kept(bench: Bench) -> None:
    await bench.run(seeds=[1, 2, 3])
    result = await bench.run(seeds=[1, 3])
    assert (result.exit_code, result.status.dropped) == (Exit.DONE, 1)
    lines = {line["parameters"]["seed"]: line["index"] for line in bench.manifest()}
    assert lines == {"1": 0, "3": 1, "2": None}
    assert (await bench.run(seeds=[1, 3])).exit_code is Exit.DONE
    assert (await bench.run(seeds=[1, 2, 3])).exit_code is Exit.DONE
    assert bench.accepted == 3


async def test_what_an_edited_file_leaves_out_does_not_hide_what_it_adds(bench: Bench) -> None:
    """As many are done as the file holds, but they are others: the run is not done."""
    await bench.run(seeds=[1, 2])
    result = await bench.run(seeds=[3, 4, 5], limit=1)
    assert result.exit_code is Exit.STOPPED
    assert (await bench.run(seeds=[3, 4, 5])).exit_code is Exit.DONE


async def test_no_two_lines_have_one_index_after_an_edit_cut_short(bench: Bench) -> None:
    """What the file holds no longer loses its place even where the run stops before it has read all of the file."""
    await bench.run(seeds=[1, 2, 3])
    result = await bench.run(seeds=[7, 8, 2, *range(100, 200)], limit=1)
    assert result.exit_code is Exit.STOPPED
    places = {line["parameters"]["seed"]: line["index"] for line in bench.manifest()}
    assert places == {"7": 0, "2": 2, "1": None, "3": None}


async def test_only_that_fits_nothing_says_so(bench: Bench) -> None:
    with pytest.raises(RefusedError, match="no task has the value 99"):
        await bench.run(seeds=[1, 2, 3], only=["seed=99"])
    await bench.run(seeds=[1, 2, 3], only=["seed=1"])
    result = await bench.run(seeds=[1, 2, 3], only=["seed=1"])
    assert (result.exit_code, bench.accepted) == (Exit.STOPPED, 1)
    assert result.halt is not None
    assert result.halt.message == "--only leaves out all 2 pending tasks."


async def test_only_and_limit_leave_the_rest_for_later(bench: Bench) -> None:
    """Neither drops anything, and both say that something is left."""
    result = await bench.run(seeds=[1, 2, 3, 4], only=["seed=2,4"])
    assert (result.exit_code, result.status.counts[State.DONE]) == (Exit.STOPPED, 2)
    assert [task.parameters["seed"] for task in bench.service.stats.accepted] == ["2", "4"]
    result = await bench.run(seeds=[1, 2, 3, 4], limit=1)
    assert (result.exit_code, result.halt and result.halt.stop) == (Exit.STOPPED, Stop.LIMIT)
    assert bench.accepted == 3
    result = await bench.run(seeds=[1, 2, 3, 4], limit=1)
    assert (result.exit_code, result.halt) == (Exit.DONE, None)


@on_slow_service
async def test_what_runs_is_picked_up_by_the_next_run(bench: Bench) -> None:
    """Leaving submits no more and ends nothing on the service; the next run pays for nothing again."""
    bench.when = lambda status: status.counts[State.RUNNING] == 3
    bench.then = lambda control: control.leave(Stop.INTERRUPTED, "Interrupted.")
    result = await bench.run()
    assert (result.exit_code, result.status.state) == (Exit.INTERRUPTED, "stopped")
    assert (result.status.counts[State.RUNNING], bench.service.active) == (3, 3)
    bench.clock.skip(3600)
    bench.when = lambda _: False
    result = await bench.run()
    assert result.exit_code is Exit.DONE
    assert bench.accepted == 3


@on_slow_service
async def test_a_cancel_request_in_the_ledger_is_obeyed_within_a_second(bench: Bench) -> None:
    """What runs is killed and told as cancelled, unbilled; what is pending stays; the request is then forgotten."""
    asked, written = threading.Event(), threading.Event()
    beats = 0

    def ask(_control: Control) -> None:
        asked.set()
        threading.Thread(target=write).start()

    def write() -> None:
        with SqliteLedger(bench.out.ledger) as store, store.transaction(durable=False):
            store.state({"cancel": "now"})
        written.set()

    def begun(status: Status) -> bool:
        nonlocal beats
        beats += written.is_set() and not bench.control.cancelling
        return status.counts[State.RUNNING] == 2 and not asked.is_set()

    bench.when = begun
    bench.then = ask
    result = await bench.run(limits={"concurrency": 2})
    assert beats * HEARTBEAT_SECONDS < 1
    assert (result.exit_code, result.halt and result.halt.stop) == (Exit.STOPPED, Stop.CANCELLED)
    counts = result.status.counts
    assert (counts[State.CANCELLED], counts[State.PENDING]) == (2, 1)
    assert (bench.service.active, bench.service.stats.billed) == (0, [])
    assert [line["state"] for line in bench.manifest()] == ["cancelled"] * 2
    bench.when = lambda status: status.counts[State.RUNNING] == 1
    bench.then = lambda control: control.leave(Stop.INTERRUPTED, "Interrupted.")
    assert (await bench.run()).exit_code is Exit.INTERRUPTED


@on_slow_service
async def test_a_deadline_kills_and_is_told_as_a_timeout(bench: Bench) -> None:
    """A task that takes too long is ended, once; it is not tried again, and not billed."""
    result = await bench.run(limits={"task_timeout": 6})
    assert result.exit_code is Exit.SOME_FAILED
    assert {line["error"]["kind"] for line in bench.manifest()} == {"timeout"}
    assert {line["remote"]["status"] for line in bench.manifest()} == {"task_cancel"}
    assert (bench.accepted, bench.service.active, bench.service.stats.billed) == (3, 0, [])


async def test_refused_credentials_stop_at_once_and_are_not_repeated(bench: Bench) -> None:
    """One call, one plain sentence, exit 3, nothing submitted, no secret in the words."""
    bench.changed = {"api_secret": "not-the-secret"}
    with pytest.raises(StoppedError, match="refused the credentials") as stopped:
        await bench.run()
    assert stopped.value.exit_code is Exit.STOPPED
    assert "secret" not in str(stopped.value).replace("WIRO_API_SECRET", "")
    assert bench.service.stats.calls.total() == 1


async def test_a_model_that_is_not_there_is_refused(bench: Bench) -> None:
    """The file is wrong, so it is exit 2, the sentence names it, and no folder is made."""
    with pytest.raises(RefusedError, match=r"job\.yaml:1:11: model: The service has no model Hevok/No-Such"):
        await bench.run(model="Hevok/No-Such")
    assert not bench.out.path.exists()


async def test_credentials_refused_half_way_leave_the_rest(bench: Bench) -> None:
    """A run that goes on with a wrong secret is stopped, and changes nothing."""
    await bench.run(limit=1)
    bench.changed = {"api_secret": "not-the-secret"}
    with pytest.raises(BaseExceptionGroup) as group:
        await bench.run()
    assert isinstance(root(group.value), StoppedError)
    bench.changed = {}
    assert (await bench.run()).exit_code is Exit.DONE
    assert bench.accepted == 3


async def test_a_folder_belongs_to_one_account(bench: Bench) -> None:
    await bench.run(limit=1)
    bench.changed = {"api_key": "another-key"}
    with pytest.raises(RefusedError, match="belongs to the account"):
        await bench.run()
    assert bench.accepted == 1


async def test_the_time_of_a_run_is_not_spent_asking(bench: Bench) -> None:
    """One call to submit, one look, one list before the first submit, one schema: nothing else on an instant day."""
    result = await bench.run(seeds=range(30))
    assert result.status.calls == {"Run": 30, "Task/Detail": 30, "Task/List": 1, "Tool/Detail": 1}


async def test_a_job_without_tasks_is_refused(bench: Bench) -> None:
    rules = {"exclude": [{"seed": [1, 2]}], "sweep": {"seed": [1, 2]}, "parameters": {"prompt": "a boat"}}
    with pytest.raises(RefusedError, match="no tasks"):
        await bench.carry_out(rules)


async def test_ids_that_once_did_not_grow_order_nothing_in_later_runs(bench: Bench) -> None:
    def distrust() -> None:
        with bench.out.written() as store, store.transaction(durable=True):
            store.state({Fact.UNORDERED: "1"})

    def placed() -> list[bool]:
        with bench.out.opened() as store:
            return [record.sent.newest_known is not None for record in store.everything()]

    await bench.run(limit=1)
    await anyio.to_thread.run_sync(distrust)
    await bench.run()
    assert await anyio.to_thread.run_sync(placed) == [True, False, False]
