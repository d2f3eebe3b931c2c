"""Tasks in doubt wait for certainty: for how long, and what is told when it does not come."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator.clock import VirtualClock
from orchestrator.engines.control import Control
from orchestrator.engines.doubts import INSISTENCE_SECONDS, LONGEST_REQUEST_SECONDS, PATIENCE_SECONDS, Doubts
from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.logs import Entry, Log, silent
from orchestrator.steps.calls import Calls, First, Urgency
from orchestrator.steps.elsewhere import Alone, Elsewhere, Others
from orchestrator.steps.outcomes import Stop
from orchestrator.steps.settle import Settler
from orchestrator.steps.submit import Frontier
from orchestrator.tasks import Task
from orchestrator.wiro import Client, CredentialsRefused, RemoteTask, ReplyLost, TaskPage, WiroError

MODEL = "acme/model"
SETTLE_AFTER = 60.0


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The ledger writes in the one thread there is, so that time stands still meanwhile."""


def task(number: int) -> Task:
    return Task(f"task-{number}", number, {"seed": str(number)}, {}, {}, "x")


class Service(Client):
    """Lists the tasks that it has, newest first; or fails."""

    def __init__(self) -> None:
        self.seeds: list[int | None] = [0]
        self.error: WiroError | None = None

    async def tasks(self, *, start: int, limit: int, model: str | None = None) -> TaskPage:
        assert model is None
        if self.error is not None:
            raise self.error
        shown = [shows(number, seed) for number, seed in enumerate(self.seeds)]
        return TaskPage(tuple(shown[::-1][start : start + limit]), None)

    async def task(
        self, *, token: str | None = None, task_id: str | None = None, seconds: float = math.inf
    ) -> RemoteTask:
        assert seconds > 0
        assert token
        return shows(int(task_id or token), None)


def shows(number: int, seed: int | None) -> RemoteTask:
    parameters = None if seed is None else {"seed": str(seed)}
    none = (None, None)
    return RemoteTask(str(number), str(number), MODEL, parameters, "task_queue", "", None, (), "", "", *none)


class Open:
    @asynccontextmanager
    async def turn(self, _urgency: Urgency, first: First | None = None) -> AsyncIterator[None]:
        assert first is None
        yield

    def refused(self, _retry_after_seconds: float | None) -> None:
        raise AssertionError


@dataclass
class Scene:
    """Doubts, what they need, and when which task was certain again, in seconds."""

    clock: VirtualClock
    ledger: Ledger
    doubts: Doubts
    service: Service
    control: Control
    begin: float
    settled: list[tuple[State, float]] = field(default_factory=list)

    async def lost(self, number: int, *, ago: float | None = 0.0) -> Record:
        """A task whose request was given up so many seconds ago; None for one that was out when a kill came."""
        record = Record(task(number))
        await self.ledger.enter([record.task], 1, number)
        intended = record.intended(self.clock.now() - (ago or 0.0) - 1, Decimal("0.01"), 0)
        await self.ledger.save(record, intended, durable=False)
        if ago is None:
            return intended
        given_up = intended.given_up(self.clock.now() - ago)
        await self.ledger.save(intended, given_up, durable=False)
        return given_up

    async def note(self, record: Record) -> None:
        self.settled.append((record.state, round(self.clock.monotonic() - self.begin)))

    async def held(self) -> dict[str, State]:
        return await self.ledger.read(lambda store: {record.task.id: record.state for record in store.everything()})


def in_virtual_time(
    folder: Path,
    work: Callable[[Scene], Awaitable[None]],
    *,
    insists: bool = False,
    others: Others | None = None,
    said: list[Entry] | None = None,
) -> None:
    async def inline(hop: Callable[[], Any]) -> Any:
        return hop()

    async def main(store: SqliteLedger) -> None:
        clock, control, service = VirtualClock(), Control(), Service()
        ledger = Ledger(store, clock, inline)
        settler = Settler(MODEL, {}, lambda p: p, SETTLE_AFTER, Calls(service, Open(), clock), ledger, clock)
        doubts = Doubts(
            replace(settler, insists=insists, others=others or Alone()),
            frontier=Frontier(0),
            control=control,
            ledger=ledger,
            clock=clock,
            random=lambda: 0.999,
            log=silent() if said is None else Log(said.append),
        )
        scene = Scene(clock, ledger, doubts, service, control, clock.monotonic())
        async with anyio.create_task_group() as group:
            group.start_soon(clock.run)
            group.start_soon(ledger.run)
            group.start_soon(doubts.run, scene.note)
            try:
                await work(scene)
            finally:
                ledger.close()
            group.cancel_scope.cancel()

    with SqliteLedger(folder / "ledger.sqlite") as store:
        anyio.run(main, store)


def test_one_that_is_found_goes_on_within_a_second_or_two(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        scene.doubts.add(await scene.lost(7))
        scene.service.seeds.append(7)
        await scene.clock.sleep(2)
        assert [state for state, _ in scene.settled] == [State.RUNNING]
        assert len(scene.doubts) == 0
        assert await scene.held() == {"task-7": State.RUNNING}

    in_virtual_time(tmp_path, work)


@pytest.mark.parametrize("ago", [0.0, 40.0, 100_000.0])
def test_one_that_is_not_found_goes_on_when_it_is_time(tmp_path: Path, ago: float) -> None:
    """How long an earlier process has been gone counts for nothing: the clock may have been set meanwhile."""

    async def work(scene: Scene) -> None:
        scene.doubts.add(await scene.lost(7, ago=ago))
        await scene.clock.sleep(100)
        [(state, seconds)] = scene.settled
        assert state is State.PENDING
        assert SETTLE_AFTER <= seconds <= SETTLE_AFTER + 16

    in_virtual_time(tmp_path, work)


def test_many_are_looked_up_together_and_later_ones_join(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        for number in range(5):
            scene.doubts.add(await scene.lost(number))
        scene.service.seeds += [3, 1]
        await scene.clock.sleep(30)
        assert [state for state, _ in scene.settled] == [State.RUNNING] * 2
        scene.service.seeds.append(9)
        scene.doubts.add(await scene.lost(9))
        await scene.clock.sleep(100)
        assert sorted(state for state, _ in scene.settled) == [State.PENDING] * 3 + [State.RUNNING] * 3

    in_virtual_time(tmp_path, work)


@pytest.mark.parametrize(("since", "given_up"), [(10.0, 10.0), (5000.0, LONGEST_REQUEST_SECONDS)])
def test_what_a_kill_left_is_in_doubt_since_its_time_out_at_the_latest(
    tmp_path: Path, since: float, given_up: float
) -> None:
    async def work(scene: Scene) -> None:
        record = await scene.lost(7, ago=None)
        intent_at = record.sent.intent_at
        await scene.clock.sleep(intent_at + since - scene.clock.now())
        after = await scene.doubts.recovered(record)
        assert after.sent.gave_up_at == pytest.approx(intent_at + given_up)
        assert scene.ledger.totals.counters == {"uncertain": 1}
        assert await scene.doubts.recovered(after) is after
        running = record.accepted("1", None, 2.0)
        assert await scene.doubts.recovered(running) is running
        assert scene.ledger.totals.counters == {"uncertain": 1}

    in_virtual_time(tmp_path, work)


def test_nothing_is_settled_with_an_equal_request_while_that_is_out(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        lost = await scene.lost(7)
        scene.service.seeds.append(7)
        with scene.doubts.posting(lost):
            scene.doubts.add(lost)
            await scene.clock.sleep(200)
            assert scene.settled == []
        await scene.clock.sleep(20)
        assert [state for state, _ in scene.settled] == [State.RUNNING]

    in_virtual_time(tmp_path, work)


def unlisted(service: Service) -> None:
    service.error = ReplyLost("/Task/List", "the connection dropped")


def unclear(service: Service) -> None:
    service.seeds.append(None)  # a newer task, whose parameters nobody shows


@dataclass
class Archived(Others):
    """Another run, whose folder is not where it was."""

    unread: list[str]

    @asynccontextmanager
    async def consulted(self, _remote_ids: Collection[str], _since: float) -> AsyncIterator[Elsewhere]:
        yield Elsewhere(unread=self.unread)


def test_who_waits_for_a_folder_is_told_once_which(tmp_path: Path) -> None:
    """It is back: what it was waited for goes on."""
    said, others = list[Entry](), Archived(["/runs/one"])

    async def work(scene: Scene) -> None:
        for number in (7, 8):
            scene.doubts.add(await scene.lost(number))
        scene.service.seeds.append(7)
        await scene.clock.sleep(200)
        assert scene.settled == []
        others.unread.clear()
        await scene.clock.sleep(20)
        assert sorted(state for state, _ in scene.settled) == [State.PENDING, State.RUNNING]

    in_virtual_time(tmp_path, work, others=others, said=said)
    [entry] = said
    assert (entry["level"], entry["tasks"]) == ("warning", 2)
    assert entry["why"].startswith("A run in /runs/one ")
    assert "Bring it back" in entry["why"]


@pytest.mark.parametrize(
    ("spoil", "why"), [(unlisted, "no usable reply to /Task/List"), (unclear, "does not show what became of them")]
)
def test_when_only_doubts_are_left_the_run_is_left_after_a_while(
    tmp_path: Path, spoil: Callable[[Service], None], why: str
) -> None:
    """As long as other tasks are carried it goes on; nothing in doubt is ever sent again."""

    async def work(scene: Scene) -> None:
        spoil(scene.service)
        scene.control.live = 1
        for number in (7, 8):
            scene.doubts.add(await scene.lost(number))
        await scene.clock.sleep(3 * PATIENCE_SECONDS)
        assert not scene.control.closed
        scene.control.live = 0
        await scene.clock.sleep(PATIENCE_SECONDS - 20)
        assert not scene.control.closed
        await scene.clock.sleep(60)
        assert scene.control.left
        assert scene.control.halt is not None
        assert scene.control.halt.stop is Stop.UNSETTLED
        assert scene.control.halt.message.startswith("2 tasks may have been accepted without our knowing.")
        assert why in scene.control.halt.message
        assert set((await scene.held()).values()) == {State.SUBMITTING}

    in_virtual_time(tmp_path, work)


def test_who_insists_goes_on_without_a_list_after_a_minute(tmp_path: Path) -> None:
    """Only what is due is sent again; a list that is back goes before."""

    async def work(scene: Scene) -> None:
        unlisted(scene.service)
        scene.doubts.add(await scene.lost(7, ago=SETTLE_AFTER))
        await scene.clock.sleep(INSISTENCE_SECONDS - 20)
        assert scene.settled == []
        scene.doubts.add(await scene.lost(8))
        await scene.clock.sleep(40)
        assert [state for state, _ in scene.settled] == [State.PENDING]
        scene.service.seeds.append(8)
        scene.service.error = None
        await scene.clock.sleep(20)
        assert [state for state, _ in scene.settled] == [State.PENDING, State.RUNNING]

    in_virtual_time(tmp_path, work, insists=True)


def test_a_list_that_can_be_had_again_starts_patience_anew(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        unlisted(scene.service)
        scene.doubts.add(await scene.lost(7))
        await scene.clock.sleep(PATIENCE_SECONDS - 100)
        scene.service.error = None
        await scene.clock.sleep(20)
        assert [state for state, _ in scene.settled] == [State.PENDING]
        await scene.clock.sleep(1000)
        assert not scene.control.closed

    in_virtual_time(tmp_path, work)


def test_what_stops_a_run_is_heard_here_too(tmp_path: Path) -> None:
    async def work(scene: Scene) -> None:
        scene.service.error = CredentialsRefused("/Task/List", "not valid")
        scene.doubts.add(await scene.lost(7))
        await scene.clock.sleep(5)
        assert scene.control.halt is not None
        assert (scene.control.halt.stop, scene.control.left) == (Stop.CREDENTIALS, False)

    in_virtual_time(tmp_path, work)
