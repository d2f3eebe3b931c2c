"""What a look at a remote task means for ours, and how one is ended."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from orchestrator.clock import SystemClock
from orchestrator.emulator import Emulator, Profile
from orchestrator.engines.pacing import Pacer
from orchestrator.lifecycle import Failure, Record, State
from orchestrator.money import FREE
from orchestrator.steps.calls import Calls, Urgency
from orchestrator.steps.outcomes import Outcome, Verdict
from orchestrator.steps.track import ask, concluded, end, reason
from orchestrator.tasks import Task
from orchestrator.wiro import Client, Credentials, RemoteTask
from orchestrator.wiro.errors import MESSAGE_LENGTH
from orchestrator.wiro.wire import parse, read_page

RECORDINGS = Path(__file__).parent / "recordings"
NOW = 1_800_000_000.0
RUNNING = Record(Task("a", 0, {}, {}, {}, "x")).intended(1.0, Decimal("0.014"), None).accepted("2221", "token", 2.0)
OVERDUE = Failure("timeout", "too long")


def recorded(name: str) -> RemoteTask:
    page = read_page(parse((RECORDINGS / f"{name}.json").read_bytes()))
    assert page is not None
    return page.tasks[0]


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("task_detail_running", State.RUNNING),
        ("task_detail_done", State.FETCHING),
        ("task_detail_older_form", State.FETCHING),
        ("task_detail_language_model", State.FETCHING),
        ("task_detail_failed", State.PENDING),
        ("task_detail_ended_before_it_ran", State.PENDING),
        ("task_detail_cancelled", State.CANCELLED),
    ],
)
def test_what_each_recorded_reply_means(name: str, state: State) -> None:
    after = concluded(RUNNING, recorded(name), attempts=3, now=NOW)
    assert after.state is state
    assert (after is RUNNING) == (state is State.RUNNING)
    if state is State.CANCELLED or state is State.PENDING:
        assert after.sent.cost_usd == FREE


def test_a_success_carries_its_price() -> None:
    remote = recorded("task_detail_done")
    after = concluded(RUNNING, remote, attempts=3, now=NOW)
    assert (after.sent.cost_usd, after.sent.exit_code, after.sent.ended_at) == (remote.cost_usd, 0, NOW)


def test_a_failure_is_tried_again_as_often_as_wanted() -> None:
    remote, record = recorded("task_detail_failed"), RUNNING
    for number in (1, 2):
        record = concluded(record, remote, attempts=3, now=NOW)
        assert (record.state, record.failures) == (State.PENDING, number)
        record = record.intended(3.0, FREE, None).accepted(f"99{number}", "token", 4.0)
    record = concluded(record, remote, attempts=3, now=NOW)
    assert record.failure is not None
    assert (record.state, record.failures, record.failure.kind) == (State.FAILED, 3, "failed")


def test_a_failure_that_was_billed_is_not_paid_for_again() -> None:
    remote = replace(recorded("task_detail_failed"), cost_usd=Decimal("0.01"))
    after = concluded(RUNNING, remote, attempts=3, now=NOW)
    assert (after.state, after.sent.cost_usd) == (State.FAILED, Decimal("0.01"))


@pytest.mark.parametrize("cost", [None, Decimal("0.014")])
def test_one_that_ended_without_a_word_is_never_tried_again(cost: Decimal | None) -> None:
    """No `pexit`, no outputs yet: it may be paid for, so its outputs are asked for, and its money stays aside."""
    silent = replace(recorded("task_detail_older_form"), outputs=(), cost_usd=cost)
    after = concluded(RUNNING, silent, attempts=3, now=NOW)
    assert (after.state, after.sent.cost_usd) == (State.FETCHING, cost)
    early = concluded(RUNNING, replace(silent, cost_usd=FREE), attempts=3, now=NOW)
    assert (early.state, early.sent.cost_usd) == (State.FETCHING, None)


def test_a_price_that_is_fixed_counts_where_the_service_does_not_say_what_it_was() -> None:
    """The older form of replies: the cost is the price, of what was made alone; what is said goes before."""
    silent = replace(recorded("task_detail_done"), cost_usd=None)
    price = Decimal("0.0035")
    assert concluded(RUNNING, silent, 3, NOW, price_usd=price).sent.cost_usd == price
    assert concluded(RUNNING, recorded("task_detail_done"), 3, NOW, price_usd=price).sent.cost_usd == Decimal("0.014")
    unclear = replace(silent, exit_text="", outputs=())
    assert concluded(RUNNING, unclear, 3, NOW, price_usd=price).sent.cost_usd is None
    failed = replace(recorded("task_detail_failed"), cost_usd=None)
    assert concluded(RUNNING, failed, 1, NOW, price_usd=price).sent.cost_usd == FREE


def test_one_that_we_had_killed_is_a_timeout_unless_it_succeeded_after_all() -> None:
    """A success is fetched: it is paid for."""
    killed = concluded(RUNNING, recorded("task_detail_cancelled"), 3, NOW, overdue=OVERDUE)
    assert (killed.state, killed.failure) == (State.FAILED, OVERDUE)
    assert concluded(RUNNING, recorded("task_detail_failed"), 3, NOW, overdue=OVERDUE).failure == OVERDUE
    assert concluded(RUNNING, recorded("task_detail_done"), 3, NOW, overdue=OVERDUE).state is State.FETCHING
    assert concluded(RUNNING, recorded("task_detail_running"), 3, NOW, overdue=OVERDUE) is RUNNING


@pytest.mark.parametrize("status", ["", "task_paused", "TASK_END", "0", "task_postprocess_end "])
def test_an_unknown_status_is_under_way(status: str) -> None:
    assert concluded(RUNNING, replace(recorded("task_detail_done"), status=status), 3, NOW) is RUNNING


def test_the_reason_is_the_last_line_that_says_something() -> None:
    failed = recorded("task_detail_failed")
    assert (
        reason(replace(failed, error_text="Traceback:\n  line 1\nOutOfMemory: 24 GB\n\n  \n")) == "OutOfMemory: 24 GB"
    )
    assert len(reason(replace(failed, error_text="x" * 9999))) == MESSAGE_LENGTH
    assert (
        reason(replace(failed, error_text="\x1b[2J\x1b]0;title\x07 bad \x9bthing\n\x1b\n")) == "[2J ]0;title bad thing"
    )
    bare = reason(replace(failed, error_text="", exit_text=""))
    assert bare == f"the service gave no reason (status {failed.status}, exit code none)"


@asynccontextmanager
async def serving(profile: Profile) -> AsyncIterator[tuple[Emulator, Calls, Record]]:
    """A service on which one task was just accepted."""
    clock = SystemClock()
    pacer = Pacer(1000, clock)
    credentials = Credentials(profile.api_key, profile.api_secret)
    async with Emulator(profile) as service, Client(credentials, service.base_url, before_send=pacer.gate) as client:
        calls = Calls(client, pacer, clock)
        accepted = await calls.make(Urgency.SUBMIT, lambda client: client.run("Hevok/Studio-Trigger", {"prompt": "x"}))
        record = Record(RUNNING.task).intended(1.0, FREE, None).accepted(accepted.task_id, accepted.token, 2.0)
        yield service, calls, record


QUEUED = Profile(queue_seconds=(600, 600))
AT_WORK = Profile(queue_seconds=(0, 0), run_seconds_median=600)


async def seen(record: Record, calls: Calls) -> RemoteTask:
    said = await ask(record, Urgency.ROUTINE, calls)
    assert isinstance(said, RemoteTask)
    return said


@pytest.mark.anyio
@pytest.mark.parametrize(("profile", "endpoint"), [(QUEUED, "Task/Cancel"), (AT_WORK, "Task/Kill")])
async def test_a_task_is_cancelled_in_the_queue_and_killed_at_work(profile: Profile, endpoint: str) -> None:
    async with serving(profile) as (service, calls, record):
        await end(record, calls, queued=(await seen(record, calls)).queued)
        assert dict(service.stats.calls) == {"Run": 1, "Task/Detail": 1, endpoint: 1}
        assert concluded(record, await seen(record, calls), 3, NOW).state is State.CANCELLED
        assert service.active == 0


@pytest.mark.anyio
async def test_one_that_has_left_the_queue_meanwhile_is_killed() -> None:
    async with serving(AT_WORK) as (service, calls, record):
        assert await end(record, calls, queued=True)
        assert service.stats.calls["Task/Cancel"] == service.stats.calls["Task/Kill"] == 1
        assert service.active == 0


@pytest.mark.anyio
async def test_what_the_service_answers_to_ending_settles_nothing() -> None:
    """A lost reply, or a task that has ended already: no error; a look will tell."""
    async with serving(AT_WORK) as (service, calls, record):
        service.lose_replies = lambda endpoint, _: "after" if endpoint == "Task/Kill" else None
        assert not await end(record, calls, queued=False)
        assert not await end(record, calls, queued=False)
        assert service.stats.calls["Task/Kill"] == 2


@pytest.mark.anyio
async def test_a_task_is_asked_for_by_its_id_where_there_is_no_token() -> None:
    async with serving(AT_WORK) as (_, calls, record):
        bare = replace(record, attempt=replace(record.sent, token=None))
        assert (await seen(bare, calls)).task_id == record.sent.remote_id


@pytest.mark.anyio
async def test_a_task_whose_token_nobody_knows_is_asked_for_by_its_id() -> None:
    async with serving(AT_WORK) as (_, calls, record):
        renamed = replace(record, attempt=replace(record.sent, token="nobodys"))
        assert (await seen(renamed, calls)).task_id == record.sent.remote_id
        assert isinstance(await ask(renamed, Urgency.ROUTINE, calls, by_id=False), Outcome)


@pytest.mark.anyio
async def test_a_task_that_nobody_knows_is_gone() -> None:
    async with serving(AT_WORK) as (_, calls, record):
        strange = replace(record, attempt=replace(record.sent, token="nobodys", remote_id="1"))
        said = await ask(strange, Urgency.ROUTINE, calls)
        assert isinstance(said, Outcome)
        assert said.verdict is Verdict.GONE
        assert "nobodys" not in json.dumps(said.message)
