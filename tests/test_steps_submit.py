"""A task is sent once: what is about to happen is on the disk before it does, and what happened right after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from orchestrator.clock import SystemClock
from orchestrator.emulator import Emulator, Profile
from orchestrator.emulator.refusal import RefusalError
from orchestrator.engines.pacing import Pacer
from orchestrator.ledger import Fact, Ledger, SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.steps.calls import Calls
from orchestrator.steps.outcomes import Outcome, Stop, Verdict
from orchestrator.steps.submit import Frontier, has_grown, submit
from orchestrator.tasks import Task
from orchestrator.wiro import Client, Credentials

pytestmark = pytest.mark.anyio
PROFILE = Profile(plain_bytes=100, queue_seconds=(0, 0), run_seconds_median=600)
RESERVE = Decimal("0.014")


def task(name: str = "a", **parameters: Any) -> Task:
    return Task(name, 0, {"prompt": "a boat", "seed": name} | parameters, {}, {}, "x")


@dataclass
class Rig:
    """A ledger, the service, and what a step needs of both."""

    service: Emulator
    calls: Calls
    ledger: Ledger
    frontier: Frontier = field(default_factory=lambda: Frontier(0))
    wanted: bool = True

    async def entered(self, *tasks: Task) -> list[Record]:
        await self.ledger.enter(tasks, 1, 0)
        return [Record(each) for each in tasks]

    async def submit(self, record: Record, *, last: bool = False) -> tuple[Record, Outcome | None]:
        return await submit(
            record,
            model="Hevok/Studio-Trigger",
            parameters=record.task.parameters,
            reserve_usd=RESERVE,
            last=last,
            wanted=lambda: self.wanted,
            frontier=self.frontier,
            calls=self.calls,
            ledger=self.ledger,
            clock=SystemClock(),
        )

    async def held(self, name: str = "a") -> Record:
        """The task as the ledger has it."""
        records = await self.ledger.read(lambda store: list(store.everything()))
        return next(record for record in records if record.task.id == name)


@asynccontextmanager
async def rigged(folder: Path, profile: Profile = PROFILE) -> AsyncIterator[Rig]:
    clock = SystemClock()
    pacer = Pacer(1000, clock)
    store = await anyio.to_thread.run_sync(SqliteLedger, folder / "ledger.sqlite")
    ledger = await anyio.to_thread.run_sync(Ledger, store, clock)
    credentials = Credentials(profile.api_key, profile.api_secret)
    async with Emulator(profile) as service, anyio.create_task_group() as group:
        group.start_soon(ledger.run)
        try:
            async with Client(credentials, service.base_url, before_send=pacer.gate) as client:
                yield Rig(service, Calls(client, pacer, clock), ledger)
        finally:
            ledger.close()
    await anyio.to_thread.run_sync(store.close)


async def test_an_accepted_task_runs_and_its_token_is_on_file(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        [record] = await rig.entered(task())
        after, outcome = await rig.submit(record)
        accepted = rig.service.stats.accepted[0]
        assert (after.state, outcome, after.tries) == (State.RUNNING, None, 1)
        assert (after.sent.remote_id, after.sent.token) == (str(accepted.id), accepted.token)
        assert await rig.held() == after
        assert rig.frontier.newest == accepted.id


async def test_the_intent_is_committed_before_the_request_arrives(tmp_path: Path) -> None:
    """When the service sees the request, the ledger says that it is being sent, with what is kept aside for it."""
    seen: list[tuple[int, Decimal]] = []
    async with rigged(tmp_path) as rig:

        def look(_endpoint: str, _number: int) -> None:
            totals = rig.ledger.totals  # they follow what is committed
            seen.append((totals.counts[State.SUBMITTING], totals.reserved_usd))

        rig.service.lose_replies = look
        rig.frontier.saw(77)
        [record] = await rig.entered(task())
        after, _ = await rig.submit(record)
    assert seen == [(1, RESERVE)]
    assert after.sent.newest_known == 77


async def test_a_lost_reply_is_uncertain_whether_it_was_accepted_or_not(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        rig.service.lose_replies = lambda _, number: "after" if number == 1 else "before"
        for record in await rig.entered(task("a"), task("b")):
            after, outcome = await rig.submit(record)
            assert outcome is not None
            assert (after.state, after.sent.uncertain, outcome.verdict) == (State.SUBMITTING, True, Verdict.SETTLE)
            assert await rig.held(record.task.id) == after
        assert rig.ledger.totals.counters["uncertain"] == 2
        assert rig.ledger.totals.reserved_usd == 2 * RESERVE
        assert len(rig.service.stats.accepted) == 1


@pytest.mark.parametrize(
    ("profile", "verdict", "stop"),
    [
        (replace(PROFILE, balance_usd=Decimal(0)), Verdict.STOP, Stop.BALANCE),
        (replace(PROFILE, concurrency=0), Verdict.WAIT, None),
        (replace(PROFILE, rate=0), Verdict.WAIT, None),
    ],
    ids=["97", "96", "429"],
)
async def test_what_is_certainly_not_accepted_is_pending_again(
    tmp_path: Path, profile: Profile, verdict: Verdict, stop: Stop | None
) -> None:
    """Free to be sent again, and as if it had never been sent: no attempt, no money kept aside."""
    async with rigged(tmp_path, profile) as rig:
        [record] = await rig.entered(task())
        after, outcome = await rig.submit(record)
        assert outcome is not None
        assert (after.state, after.attempt, outcome.verdict, outcome.stop) == (State.PENDING, None, verdict, stop)
        assert await rig.held() == after
        assert rig.ledger.totals.reserved_usd == 0
        again, _ = await rig.submit(after)
        assert again.state is State.PENDING


async def test_a_wrong_request_has_failed_for_good(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        [record] = await rig.entered(task(width=9000))
        after, _ = await rig.submit(record)
        assert after.failure is not None
        assert (after.state, after.failure.kind, after.tries) == (State.FAILED, "invalid", 0)
        assert "[width]" in after.failure.message
        assert await rig.held() == after


async def test_a_fault_is_told_as_one_when_it_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A code that nobody knows may pass; at the last try the task fails, as the service's doing."""
    async with rigged(tmp_path) as rig:
        [record] = await rig.entered(task())
        monkeypatch.setattr(rig.service._account, "_admit", fault)
        after, outcome = await rig.submit(record)
        assert outcome is not None
        assert (after.state, outcome.verdict) == (State.PENDING, Verdict.AGAIN)
        after, _ = await rig.submit(after, last=True)
        assert after.failure is not None
        assert (after.state, after.failure.kind) == (State.FAILED, "service")


def fault(_price: Decimal) -> None:
    raise RefusalError(0, "The machines are asleep.")


async def test_what_is_not_wanted_any_more_is_not_sent(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        rig.wanted = False
        [record] = await rig.entered(task())
        after, outcome = await rig.submit(record)
        assert after is record
        assert outcome is not None
        assert rig.service.stats.calls.total() == 0
        assert (await rig.held()).state is State.PENDING


async def test_cancelled_while_the_request_is_out_it_is_uncertain_on_file(tmp_path: Path) -> None:
    """Whoever stops the run in that moment learns later what became of it, and pays once."""
    async with rigged(tmp_path) as rig, anyio.create_task_group() as group:

        def cancel(_endpoint: str, _number: int) -> None:
            group.cancel_scope.cancel()

        rig.service.lose_replies = cancel
        [record] = await rig.entered(task())
        await rig.submit(record)
    [held] = await anyio.to_thread.run_sync(unfinished, tmp_path)
    assert (held.state, held.sent.uncertain) == (State.SUBMITTING, True)


def unfinished(folder: Path) -> list[Record]:
    with SqliteLedger(folder / "ledger.sqlite", read_only=True) as store:
        return store.unfinished()


async def test_an_id_that_is_taken_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service names a task that belongs to another of ours: it stays in doubt, and the other one keeps it."""
    async with rigged(tmp_path) as rig:
        first, second = await rig.entered(task("a"), task("b"))
        running, _ = await rig.submit(first)
        shown = rig.service.stats.accepted[0]
        reply = rig.service._replies.accepted(shown)
        monkeypatch.setattr(rig.service._replies, "accepted", lambda _: reply)
        after, outcome = await rig.submit(second)
        assert outcome is not None
        assert (after.state, after.sent.uncertain, outcome.verdict) == (State.SUBMITTING, True, Verdict.SETTLE)
        assert await rig.held("a") == running
        assert await rig.held("b") == after


def test_ids_that_do_not_grow_tell_nothing_any_more() -> None:
    """A request was accepted under a smaller id than one that was there before it was sent."""
    for number, known in ((7, 5), (6, 5), (None, 7), (7, None)):  # replies that overtake each other are no sign of it
        assert has_grown(number, known)
    assert not has_grown(7, 7)
    frontier = Frontier(5)
    frontier.distrust()
    frontier.saw(900)
    assert (frontier.newest, frontier.ordered) == (None, False)


async def test_ids_that_once_did_not_grow_are_never_trusted_again(tmp_path: Path) -> None:
    """The ledger holds it in the same commit as the reply that has shown it."""
    async with rigged(tmp_path) as rig:
        rig.frontier.saw(10**15)
        first, second = await rig.entered(task("a"), task("b"))
        assert await rig.ledger.read(lambda store: store.fact(Fact.UNORDERED)) is None
        running, _ = await rig.submit(first)
        assert (running.state, rig.frontier.ordered) == (State.RUNNING, False)
        assert await rig.ledger.read(lambda store: store.fact(Fact.UNORDERED)) is not None
        after, _ = await rig.submit(second)
        assert after.sent.newest_known is None


def test_the_frontier_only_moves_on() -> None:
    frontier = Frontier()
    for number in (None, 5, 3, None, 9, 7):
        frontier.saw(number)
    assert frontier.newest == 9
