"""Getting a task accepted: what is free to be sent again is, and neither a place nor money is lost on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator.clock import VirtualClock
from orchestrator.engines.budget import Budget
from orchestrator.engines.control import Control
from orchestrator.engines.doubts import Doubts
from orchestrator.engines.lobby import PLACES
from orchestrator.engines.slots import Capacity, Slots
from orchestrator.engines.submitting import FAULTS, SENDINGS, Submitter
from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.lifecycle import Ending, Record, State
from orchestrator.logs import silent
from orchestrator.money import FREE
from orchestrator.steps.calls import Calls, First, Urgency
from orchestrator.steps.outcomes import SILENCE_SECONDS, Stop
from orchestrator.steps.settle import Settler
from orchestrator.steps.submit import Frontier
from orchestrator.steps.upload import Uploader
from orchestrator.sweep import LocalFile, Uploads
from orchestrator.tasks import Task
from orchestrator.wiro import (
    Accepted,
    BalanceUsedUp,
    Client,
    ConcurrencyLimit,
    InvalidRequest,
    NotSent,
    RateLimited,
    ReplyLost,
    ServerFault,
    WiroError,
)

MODEL = "acme/model"
PRICE = Decimal("0.01")
FULL = ConcurrencyLimit("/Run", "you can run up to 3 tasks at the same time", code=96)
FAULT = ServerFault("/Run", "The machines are asleep")


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The ledger writes in the one thread there is, so that time stands still meanwhile."""


class Service(Client):
    """Answers each request with the next one of its answers, None being an acceptance; then accepts all."""

    def __init__(self, answers: Iterable[WiroError | None]) -> None:
        self.answers: Iterator[WiroError | None] = chain(answers, repeat(None))
        self.called = 0

    async def run(self, _model: str, _parameters: Mapping[str, Any]) -> Accepted:
        self.called += 1
        answer = next(self.answers)
        if answer is not None:
            raise answer
        return Accepted(str(self.called), "token")


class Open:
    @asynccontextmanager
    async def turn(self, _urgency: Urgency, first: First | None = None) -> AsyncIterator[None]:
        if first is not None:
            await first()
        yield

    def refused(self, _retry_after_seconds: float | None) -> None:
        """The pace is not what is tested here."""


@dataclass
class Scene:
    clock: VirtualClock
    ledger: Ledger
    submitter: Submitter
    service: Service
    begin: float

    @property
    def control(self) -> Control:
        return self.submitter.control

    @property
    def slots(self) -> Slots:
        return self.submitter.slots

    @property
    def seconds(self) -> float:
        return self.clock.monotonic() - self.begin

    async def submit(self, number: int = 0, **parameters: Any) -> Record:
        record = Record(Task(f"task-{number}", number, {"seed": str(number)} | parameters, {}, {}, "x"))
        await self.ledger.enter([record.task], 1, number)
        return await self.submitter.submit(record)

    def assert_given_back(self) -> None:
        """Neither a place nor money is kept for what is not with the service."""
        assert (self.slots.active, self.submitter.budget.held_usd) == (0, FREE)
        assert self.ledger.totals.reserved_usd == 0


def in_virtual_time(
    folder: Path,
    answers: Iterable[WiroError | None],
    work: Callable[[Scene], Awaitable[None]],
    *,
    cap_usd: Decimal | None = None,
    uploads: Uploads | None = None,
) -> None:
    async def inline(hop: Callable[[], Any]) -> Any:
        return hop()

    async def main(store: SqliteLedger) -> None:
        clock, control, service, frontier = VirtualClock(), Control(), Service(answers), Frontier(0)
        ledger = Ledger(store, clock, inline)
        calls = Calls(service, Open(), clock)
        uploader = Uploader(uploads or Uploads(), {}, calls, ledger)
        shared: dict[str, Any] = {"control": control, "ledger": ledger, "clock": clock, "random": lambda: 0.5}
        settler = Settler(MODEL, {}, uploader.sent, 60.0, calls, ledger, clock)
        submitter = Submitter(
            model=MODEL,
            reserve_usd=lambda *_: PRICE,
            budget=Budget(cap_usd),
            slots=Slots(Capacity(None), clock),
            doubts=Doubts(settler, frontier=frontier, log=silent(), **shared),
            uploader=uploader,
            sent_along=lambda _: {},
            frontier=frontier,
            calls=calls,
            **shared,
        )
        async with anyio.create_task_group() as group:
            group.start_soon(clock.run)
            group.start_soon(ledger.run)
            try:
                await work(Scene(clock, ledger, submitter, service, clock.monotonic()))
            finally:
                ledger.close()
            group.cancel_scope.cancel()

    with SqliteLedger(folder / "ledger.sqlite") as store:
        anyio.run(main, store)


@pytest.mark.parametrize(
    ("answers", "at_least"),
    [
        ([], 0),
        ([FAULT], 0.3),
        ([FAULT] * (FAULTS - 1), 20),
        ([NotSent("/Run", "no connection")] * 12, 60),
        ([NotSent("/Run", "no connection")] * (FAULTS - 1) + [FAULT], 20),
        ([FULL], 5),
        ([RateLimited("/Run", "slow", http_status=429, retry_after_seconds=None)] * 20, 0),
        ([FAULT, FULL] * FAULTS, 5),
    ],
)
def test_what_can_pass_is_waited_for(tmp_path: Path, answers: list[WiroError], at_least: float) -> None:
    """Only faults in a row are counted against a task, not what was never sent, nor being told to wait."""

    async def work(scene: Scene) -> None:
        after = await scene.submit()
        assert (after.state, after.tries, scene.service.called) == (State.RUNNING, 1, len(answers) + 1)
        assert (scene.slots.active, scene.submitter.budget.held_usd) == (1, FREE)
        assert scene.ledger.totals.reserved_usd == PRICE
        assert at_least <= scene.seconds < 600
        assert not scene.control.closed

    in_virtual_time(tmp_path, answers, work)


def test_one_that_waits_after_a_fault_waits_in_the_lobby(tmp_path: Path) -> None:
    """So where the service fails over all, no more tasks meet that than fit in there; sent again, it makes room."""

    async def work(scene: Scene) -> None:
        lobby, entered = scene.submitter.lobby, list[float]()
        await lobby.enter("task-0")
        for each in range(1, PLACES):
            await lobby.enter(f"another {each}")
        for _ in range(2 * PLACES):
            lobby.answered(well=True)

        async def enter() -> None:
            await lobby.enter("new")
            entered.append(scene.seconds)

        async with anyio.create_task_group() as group:
            group.start_soon(scene.submit)
            await scene.clock.sleep(0.1)
            assert scene.service.called == 1
            group.start_soon(enter)
        assert entered[0] > 0.3

    in_virtual_time(tmp_path, [FAULT], work)


@pytest.mark.parametrize(
    ("answers", "kind", "called"),
    [([FAULT] * 99, "service", FAULTS), ([InvalidRequest("/Run", "[width] is wrong")], "invalid", 1)],
)
def test_what_does_not_pass_fails_the_task_alone(
    tmp_path: Path, answers: list[WiroError], kind: str, called: int
) -> None:
    async def work(scene: Scene) -> None:
        after = await scene.submit()
        assert after.failure is not None
        assert (after.state, after.failure.kind, scene.service.called) == (State.FAILED, kind, called)
        scene.assert_given_back()
        assert not scene.control.closed

    in_virtual_time(tmp_path, answers, work)


def test_one_that_is_never_accepted_is_not_sent_without_end(tmp_path: Path) -> None:
    """Each doubt is settled as not accepted, and the next request is a doubt again; 429 and 96 do not count."""
    lost = ReplyLost("/Run", "a refusal without a reason")

    async def work(scene: Scene) -> None:
        record = await scene.submit()
        while record.state is State.SUBMITTING:
            after = record.unlisted(scene.clock.now())
            await scene.ledger.save(record, after, durable=True)
            scene.slots.release()
            record = await scene.submitter.submit(after)
        assert record.failure is not None
        assert (record.state, record.failure.kind, scene.service.called) == (State.FAILED, "service", SENDINGS + 5)
        assert "a refusal without a reason" in record.failure.message
        scene.assert_given_back()

    in_virtual_time(tmp_path, [FULL] * 5 + [lost] * SENDINGS, work)


def test_one_in_doubt_keeps_its_place_and_its_money(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        after = await scene.submit()
        assert (after.state, after.sent.uncertain, scene.service.called) == (State.SUBMITTING, True, 1)
        assert (scene.slots.active, scene.ledger.totals.reserved_usd) == (1, PRICE)

    in_virtual_time(tmp_path, [ReplyLost("/Run", "the connection dropped")], work)


def test_an_empty_account_closes_the_run(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        after = await scene.submit()
        assert after.state is State.PENDING
        assert scene.control.halt is not None
        assert (scene.control.halt.stop, scene.control.left) == (Stop.BALANCE, False)
        scene.assert_given_back()
        assert (await scene.submit(1)).state is State.PENDING
        assert scene.service.called == 1

    in_virtual_time(tmp_path, [BalanceUsedUp("/Run", "Insufficient balance", code=97)], work)


def test_a_service_that_is_silent_for_long_is_left(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        after = await scene.submit()
        assert after.state is State.PENDING
        assert scene.control.halt is not None
        assert (scene.control.halt.stop, scene.control.left) == (Stop.SERVICE, True)
        assert SILENCE_SECONDS < scene.seconds < SILENCE_SECONDS + 60
        scene.assert_given_back()

    in_virtual_time(tmp_path, repeat(NotSent("/Run", "no connection")), work)


@pytest.mark.parametrize(("cost", "closed"), [(FREE, False), (None, True)])
def test_money_that_may_come_back_is_waited_for(tmp_path: Path, cost: Decimal | None, closed: bool) -> None:
    """With a cap of one task the second waits for the end of the first: if that was free it follows, else none can."""

    async def work(scene: Scene) -> None:
        first = await scene.submit()

        async def end() -> None:
            await scene.clock.sleep(100)
            ending = Ending("task_cancel", None, cost, None, scene.clock.now())
            await scene.ledger.save(first, first.cancelled(ending), durable=False)
            scene.slots.release()
            scene.control.changed.notify()

        async with anyio.create_task_group() as group:
            group.start_soon(end)
            second = await scene.submit(1)
        assert scene.seconds == pytest.approx(100)
        assert (second.state, scene.control.closed) == (State.PENDING if closed else State.RUNNING, closed)
        assert (scene.control.halt and scene.control.halt.stop) == (Stop.BUDGET if closed else None)

    in_virtual_time(tmp_path, [], work, cap_usd=PRICE)


def test_nobody_waits_for_a_place_once_the_run_is_closed(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        scene.slots.take()
        scene.slots.capacity.refused(1, 1, scene.clock.monotonic())

        async def close() -> None:
            await scene.clock.sleep(3)
            scene.control.close(Stop.INTERRUPTED, "Interrupted.")

        async with anyio.create_task_group() as group:
            group.start_soon(close)
            after = await scene.submit()
        assert (after.state, scene.service.called, scene.slots.active) == (State.PENDING, 0, 1)
        assert scene.seconds == pytest.approx(3)
        assert scene.submitter.budget.held_usd == 0

    in_virtual_time(tmp_path, [], work)


def test_a_file_that_has_changed_fails_its_task_before_anything_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "boat.png"
    path.write_bytes(b"another picture")
    file = LocalFile("ab" * 32, str(path), path.name, 4)
    uploads = Uploads({"image": "imageUrl"}, {file.sha256: file})

    async def work(scene: Scene) -> None:
        after = await scene.submit(image=f"sha256:{file.sha256}")
        assert after.failure is not None
        assert (after.state, after.failure.kind) == (State.FAILED, "invalid")
        assert "has changed since" in after.failure.message
        assert scene.service.called == 0
        scene.assert_given_back()
        [held] = await scene.ledger.read(lambda store: list(store.everything()))
        assert held == after

    in_virtual_time(tmp_path, [], work, uploads=uploads)
