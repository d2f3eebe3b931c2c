"""Runs on a service that loses replies, refuses, fails and runs dry: all gets done, and is paid for once."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import anyio
import anyio.to_thread
import pytest
from bench import INSTANT, MODEL, Bench
from faulty import BRISK, PRICE, Faulty, look_soon

from orchestrator.commands.status import read_status
from orchestrator.emulator import Profile
from orchestrator.emulator.faults import Fault
from orchestrator.emulator.models import CATALOGUE
from orchestrator.engines import doubts
from orchestrator.errors import Exit, RefusedError, StoppedError
from orchestrator.lifecycle import Record, State
from orchestrator.output import manifest
from orchestrator.reporting import root
from orchestrator.runs import RunFolder
from orchestrator.status import Status
from orchestrator.steps import insist
from orchestrator.steps.outcomes import Stop

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    look_soon(monkeypatch)


def losing(fates: Mapping[int, Literal["before", "after"]], endpoint: str = "Run") -> Any:
    """Lose these calls to an endpoint, counted from 1."""
    return lambda called, number: fates.get(number) if called == endpoint else None


FORMS = [
    INSTANT,
    replace(INSTANT, form="older"),
    replace(INSTANT, quirks=frozenset({"run_under_data", "errors_as_text", "parameters_as_text"})),
    replace(INSTANT, form="older", quirks=frozenset({"parameters_as_text"}), api_secret=None),
]


@pytest.mark.parametrize("profile", FORMS, ids=["newer", "older", "quirks", "older as text, key only"])
async def test_lost_replies_are_settled_in_every_form_of_replies(tmp_path: Path, profile: Profile) -> None:
    """Lost after acceptance: found in the list and adopted. Lost before: sent again once it is sure. Paid once."""
    async with Faulty.on(tmp_path, profile) as bench:
        bench.service.lose_replies = losing({1: "after", 3: "before", 4: "after"})
        result = await bench.run(seeds=5)
        assert result.exit_code is Exit.DONE
        status = result.status
        assert (status.uncertain, status.adopted, status.resubmitted) == (3, 2, 1)
        assert status.cost_usd + status.reserved_usd == 5 * PRICE  # the older form does not state the cost
        bench.assert_paid_once(5)


async def test_without_a_list_only_who_insists_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was never accepted waits as long as nobody can say so; the user decides."""
    monkeypatch.setattr(insist, "TRIES", 1)
    monkeypatch.setattr(doubts, "INSISTENCE_SECONDS", 2.0)
    monkeypatch.setattr(doubts, "PATIENCE_SECONDS", 2.0)
    async with Faulty.on(tmp_path) as bench:
        bench.service.lose_replies = lambda called, number: (
            "before" if (called, number) == ("Run", 1) or (called == "Task/List" and number > 1) else None
        )
        result = await bench.run(seeds=2)
        assert (result.exit_code, result.status.counts[State.SUBMITTING]) == (Exit.STOPPED, 1)
        assert result.halt is not None
        assert "--resubmit-uncertain" in result.halt.message
        with pytest.raises(ExceptionGroup) as raised:
            await bench.run(seeds=2)
        assert isinstance(root(raised.value), StoppedError)
        result = await bench.run(seeds=2, insists=True)
        assert (result.exit_code, result.status.resubmitted) == (Exit.DONE, 1)
        bench.assert_paid_once(2)


async def test_nothing_is_sent_again_before_settle_after(tmp_path: Path) -> None:
    """A request that left no trace is repeated only when the list has not shown it for long enough."""
    async with Faulty.on(tmp_path) as bench:
        bench.service.lose_replies = losing({1: "before"})
        result = await bench.run(seeds=1, settle_after=10, concurrency=1)
        sent = [at for at, endpoint in bench.service.stats.arrivals if endpoint == "Run"]
        assert (result.exit_code, result.status.resubmitted) == (Exit.DONE, 1)
        assert len(sent) == 2
        assert 10 <= sent[1] - sent[0] < 40


async def test_equal_tasks_in_doubt_are_told_apart(tmp_path: Path) -> None:
    """Two tasks with equal parameters, one reply lost each way: two payments, neither more nor less."""
    async with Faulty.on(tmp_path) as bench:
        bench.service.lose_replies = losing({1: "after", 2: "before"})
        result = await bench.run(prompts=["a lighthouse"], seeds=1)
        assert result.exit_code is Exit.DONE
        assert len(bench.service.stats.billed) == 1
        bench.service.lose_replies = losing({2: "after", 3: "before"})
        result = await bench.run(prompts=["a lighthouse"], seeds=1, repeat=3)
        assert (result.exit_code, result.status.total) == (Exit.DONE, 3)
        assert len(bench.service.stats.billed) == 3


async def test_looks_and_lists_that_are_lost_are_made_again(tmp_path: Path) -> None:
    async with Faulty.on(tmp_path) as bench:
        lost = {"Task/Detail": (1, 2, 4), "Task/List": (2,), "Run": (2,)}
        bench.service.lose_replies = lambda name, number: "after" if number in lost.get(name, ()) else None
        result = await bench.run()
        assert result.exit_code is Exit.DONE
        bench.assert_paid_once(4)


async def test_what_cannot_be_settled_is_never_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list cannot be had: nothing is repeated, exit 3 when only such tasks are left; the next run adopts them."""
    monkeypatch.setattr(doubts, "PATIENCE_SECONDS", 2.0)
    async with Faulty.on(tmp_path) as bench:
        lost = losing({2: "after"})
        bench.service.lose_replies = lambda name, number: (
            "before" if name == "Task/List" and number > 1 else lost(name, number)
        )
        result = await bench.run()
        assert (result.exit_code, result.halt and result.halt.stop) == (Exit.STOPPED, Stop.UNSETTLED)
        counts = result.status.counts
        assert (counts[State.DONE], counts[State.SUBMITTING], result.status.reserved_usd) == (3, 1, PRICE)
        bench.service.lose_replies = None
        result = await bench.run()
        assert (result.exit_code, result.status.adopted) == (Exit.DONE, 1)
        bench.assert_paid_once(4)


async def test_what_is_sent_again_after_a_restart_is_not_taken_for_an_older_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An equal task of another run is on the service: a reply that is lost again is not settled with that one."""
    monkeypatch.setattr(doubts, "PATIENCE_SECONDS", 2.0)
    async with Faulty.on(tmp_path) as bench:
        bench.folder = tmp_path / "another"
        bench.folder.mkdir()
        await bench.run(seeds=1)
        bench.folder = tmp_path
        asked = bench.service.stats.calls["Task/List"] + 1
        bench.service.lose_replies = lambda name, number: (
            "before" if name == "Run" or (name == "Task/List" and number > asked) else None
        )
        result = await bench.run(seeds=1)
        assert result.halt is not None
        assert result.halt.stop is Stop.UNSETTLED
        bench.service.lose_replies = losing({3: "after"})
        result = await bench.run(seeds=1)
        assert (result.exit_code, result.status.resubmitted, result.status.adopted) == (Exit.DONE, 1, 1)
        assert bench.manifest()[0]["remote"]["task_id"] == str(bench.service.stats.billed[1].id)


async def test_a_dropped_task_in_doubt_that_was_never_accepted_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job file has lost it meanwhile: it is not sent again, and nothing is left that is pending."""
    monkeypatch.setattr(doubts, "PATIENCE_SECONDS", 2.0)
    async with Faulty.on(tmp_path) as bench:
        lost = losing({2: "before"})
        bench.service.lose_replies = lambda name, number: (
            "before" if name == "Task/List" and number > 1 else lost(name, number)
        )
        assert (await bench.run(seeds=2)).exit_code is Exit.STOPPED
        bench.service.lose_replies = None
        result = await bench.run(seeds=1)
        assert (result.exit_code, result.status.state) == (Exit.DONE, "finished")
        assert (result.status.counts[State.PENDING], result.status.counts[State.SUBMITTING]) == (0, 0)
        bench.assert_paid_once(1)


async def test_what_is_in_doubt_is_not_looked_for_under_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubts, "PATIENCE_SECONDS", 2.0)
    async with Faulty.on(tmp_path) as bench:
        bench.service.lose_replies = lambda name, number: (
            "after" if name == "Run" else "before" if name == "Task/List" and number > 1 else None
        )
        assert (await bench.run(seeds=2)).exit_code is Exit.STOPPED
        bench.service.lose_replies = None
        bench.model, bench.parameters = "acme/paper-cut", {}
        with pytest.raises(RefusedError, match=r"2 tasks of Hevok/Studio-Trigger may have been accepted"):
            await bench.run(seeds=2)
        assert bench.asked == 1  # who is refused anyway is not asked before
        bench.model, bench.parameters = MODEL, {"samples": 1}
        assert (await bench.run(seeds=2)).status.adopted == 2
        bench.assert_paid_once(2)


async def test_another_model_is_taken_as_the_service_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is the one whose entry is built in: the service's may have changed."""
    seed = CATALOGUE[MODEL.lower()]
    tool = deepcopy(seed.tool)
    for item in (item for group in tool["parameters"] for item in group["items"] if item["id"] == "width"):
        item["default"] = 512
    monkeypatch.setitem(CATALOGUE, MODEL.lower(), replace(seed, tool=tool))
    async with Faulty.on(tmp_path) as bench:
        bench.model, bench.parameters = "acme/paper-cut", {}
        assert (await bench.run(seeds=1)).exit_code is Exit.DONE
        bench.model, bench.parameters = MODEL, {"samples": 1}
        assert (await bench.run(seeds=1)).exit_code is Exit.DONE
        assert bench.service.stats.accepted[-1].parameters["width"] == 512
        assert [line["model"] for line in bench.manifest()] == [MODEL, "acme/paper-cut"]


async def test_failures_are_tried_again_and_then_told(tmp_path: Path) -> None:
    """Three tries in all for what failed unbilled; the others are not touched by it; a second run leaves it."""
    async with Faulty.on(tmp_path) as bench:
        result = await bench.run(["a [fail] boat", "a [error] boat", "a boat"], seeds=1)
        assert result.exit_code is Exit.SOME_FAILED
        failed, never_ran, done = bench.manifest()
        assert (failed["state"], failed["attempts"], failed["cost_usd"]) == ("failed", 3, "0")
        assert failed["error"] == {"kind": "failed", "message": "RuntimeError: out of memory"}
        assert (never_ran["state"], never_ran["error"]["message"]) == ("failed", "Output folder creation failed")
        assert (done["state"], done["attempts"], done["cost_usd"]) == ("done", 1, "0.0035")
        accepted = len(bench.service.stats.accepted)
        assert accepted == 7
        assert (await bench.run(["a [fail] boat", "a [error] boat", "a boat"], seeds=1)).exit_code is Exit.SOME_FAILED
        assert len(bench.service.stats.accepted) == accepted


async def test_a_wrong_request_fails_its_task_alone(tmp_path: Path) -> None:
    """What the service calls invalid is not sent again, and does not end the run."""
    async with Faulty.on(tmp_path) as bench:
        job = {"parameters": {"prompt": "a boat", "samples": 1}, "sweep": {"width": [512, 9000]}}
        result = await bench.carry_out(job)
        assert result.exit_code is Exit.SOME_FAILED
        good, wrong = bench.manifest()
        assert (good["state"], wrong["state"], wrong["error"]["kind"]) == ("done", "failed", "invalid")
        assert "[width] must be between" in wrong["error"]["message"]
        assert bench.service.stats.calls["Run"] == 2


async def test_fail_fast_stops_at_the_first_failure(tmp_path: Path) -> None:
    """Once a task has failed nothing more is submitted, what runs is finished, and the same command goes on."""
    async with Faulty.on(tmp_path) as bench:
        prompts = ["a boat", "a [fail] boat", "a lighthouse"]
        result = await bench.run(prompts, seeds=4, attempts=1, concurrency=1, fail_fast=True)
        assert (result.exit_code, result.halt and result.halt.stop) == (Exit.STOPPED, Stop.FAILURE)
        counts = result.status.counts
        assert (counts[State.DONE], counts[State.RUNNING], counts[State.FETCHING]) == (4, 0, 0)
        assert 1 <= counts[State.FAILED] <= 2
        assert (await bench.run(prompts, seeds=4, attempts=1, concurrency=1)).exit_code is Exit.SOME_FAILED
        bench.assert_paid_once(8)


async def test_twenty_alike_failures_stop_the_run(tmp_path: Path) -> None:
    """When the first twenty all fail with one cause, nobody has to watch the other ones fail."""
    async with Faulty.on(tmp_path) as bench:
        result = await bench.run(["a [fail] boat"], seeds=80, concurrency=4)
        assert (result.exit_code, result.halt and result.halt.stop) == (Exit.STOPPED, Stop.SAME_FAILURE)
        assert result.halt is not None
        assert "out of memory" in result.halt.message
        assert 20 <= result.status.counts[State.FAILED] <= 40
        assert len(bench.service.stats.accepted) < 240


async def test_nineteen_alike_do_not(tmp_path: Path) -> None:
    async with Faulty.on(tmp_path) as bench:
        result = await bench.run(["a boat", "a [fail] boat"], seeds=21, attempts=1, concurrency=1)
        assert (result.exit_code, result.halt) == (Exit.SOME_FAILED, None)
        assert result.status.counts[State.DONE] == 21


@pytest.mark.parametrize("seed", range(2))
async def test_all_at_once(tmp_path: Path, seed: int) -> None:
    """Lost replies, failures, a tight rate, a moving number of places: everything is done and paid for once."""
    dice = random.Random(seed)  # noqa: S311 - chooses faults

    def lose(_endpoint: str, _number: int) -> Literal["before", "after"] | None:
        return dice.choice(("before", "after")) if dice.random() < 0.12 else None

    async def move(bench: Bench) -> None:
        while True:
            await bench.clock.sleep(2)
            bench.service.concurrency = dice.randrange(2, 9)

    profile = replace(BRISK, failure_share=0.1, rate=12, seed=seed, retry_after_seconds=2.0)
    async with Faulty.on(tmp_path, profile) as bench:
        bench.service.lose_replies = lose
        async with anyio.create_task_group() as group:
            group.start_soon(move, bench)
            result = await bench.run(seeds=20, requests_per_second=10)
            group.cancel_scope.cancel()
        assert {line["error"] and line["error"]["kind"] for line in bench.manifest()} <= {None, "failed"}
        counts = result.status.counts
        assert counts[State.DONE] + counts[State.FAILED] == 20
        bench.assert_paid_once(counts[State.DONE])
        assert result.status.cost_usd == bench.service.stats.billed_usd
        assert result.status.reserved_usd == 0
        assert bench.service.stats.leaks == 0


async def test_what_a_run_waits_for_and_what_it_leaves_behind_is_told(tmp_path: Path) -> None:
    """Files that are late while they are, and copies that cannot be deleted at the end; the next run deletes them."""
    gone = Fault(place="file", kind="error", until=60)
    stays = Fault(place="reply", kind="error", at=frozenset({"Task/InputOutputDelete"}), until=100_000)
    told: list[Status] = []
    async with Faulty.on(tmp_path, replace(BRISK, faults=(gone, stays))) as bench:
        job = {"parameters": {"samples": 1}, "sweep": {"prompt": ["a boat"], "seed": [1, 2]}}
        result = await bench.carry_out(
            {**job, "outputs": {"delete_remote": True}}, watcher=SimpleNamespace(show=told.append)
        )
        assert {wait["tasks"] for status in told for wait in status.to_json()["waiting"]} <= {1, 2}
        assert any("HTTP 503" in wait.why for status in told for wait in status.waiting)
        assert (result.exit_code, result.status.waiting, result.status.undeleted) == (Exit.DONE, (), 2)
        held = await anyio.to_thread.run_sync(read_status, bench.out)
        assert (held.undeleted, held.waiting) == (2, ())
        bench.clock.skip(100_000)
        result = await bench.carry_out({**job, "outputs": {"delete_remote": True}})
        assert (result.exit_code, result.status.undeleted) == (Exit.DONE, 0)


def held_by(folder: RunFolder) -> list[Record]:
    with folder.opened() as store:
        return list(store.everything())


async def test_a_task_that_is_refused_after_an_unbilled_failure_is_told_of_with_its_request(tmp_path: Path) -> None:
    """The line that is appended says what the ledger holds: the request that the service accepted."""
    fails = Fault(place="task", kind="fails", first=1)
    refused = Fault(place="reply", kind="refused", at=frozenset({"Run"}), since=1000, status=200, text="size invalid")
    async with Faulty.on(tmp_path, replace(BRISK, faults=(fails, refused))) as bench:

        def later(endpoint: str, number: int) -> None:
            if (endpoint, number) == ("Task/Detail", 1):
                bench.clock.skip(1200)

        bench.service.lose_replies = later
        assert (await bench.run(seeds=1)).exit_code is Exit.SOME_FAILED
        [line] = bench.manifest()
        [held] = await anyio.to_thread.run_sync(held_by, bench.out)
    assert line == json.loads(manifest.line(held, MODEL))
    assert (line["error"]["kind"], line["attempts"], line["cost_usd"]) == ("invalid", 1, "0")
    assert line["remote"]["task_id"] == str(bench.service.stats.accepted[0].id)
