"""Every task is carried to its end by the engine: hours with a service that loses replies, in virtual time."""

from __future__ import annotations

import math
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.clock import Clock, VirtualClock
from orchestrator.engines.budget import Budget
from orchestrator.engines.control import Control, Halt
from orchestrator.engines.delays import Delay
from orchestrator.engines.doubts import Doubts
from orchestrator.engines.downloading import Downloads
from orchestrator.engines.feed import Feed
from orchestrator.engines.forecast import Forecast
from orchestrator.engines.listening import Listener
from orchestrator.engines.local import BACKLOG, FETCHES, LocalEngine, Orders
from orchestrator.engines.rounds import Rounds
from orchestrator.engines.slots import Capacity, Slots
from orchestrator.engines.submitting import Submitter
from orchestrator.engines.tracking import Tracker
from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.lifecycle import ACTIVE, Ending, Failure, Output, Record, State
from orchestrator.logs import Log, silent
from orchestrator.money import FREE
from orchestrator.steps.calls import Calls, First, Urgency
from orchestrator.steps.fetch import LATE_SECONDS, NotNowError
from orchestrator.steps.outcomes import Stop
from orchestrator.steps.settle import Settler
from orchestrator.steps.submit import Frontier
from orchestrator.steps.upload import Uploader
from orchestrator.sweep import Uploads
from orchestrator.tasks import Task
from orchestrator.wiro import Accepted, Client, ConcurrencyLimit, RemoteTask, ReplyLost, TaskPage
from orchestrator.wiro.arrivals import Arrivals

MODEL = "acme/model"
PRICE = Decimal("0.01")
DONE = "task_postprocess_end"


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The ledger writes in the one thread there is, so that time stands still meanwhile."""


def task(number: int, kinds: int = 10**6) -> Task:
    """A task; those of one kind are sent alike."""
    return Task(f"task-{number:04}", number, {"prompt": "a boat", "seed": str(number % kinds)}, {}, {}, "x")


class Service(Client):
    """An account of the service in this process, and in the time of the clock that it is given.

    Attributes:
        fates: Which calls to `/Run`, counted from 1, lose their connection, and when; or are silent for a minute.
        made: What was accepted, oldest first, and when.
        peak: How many ran at once at most.
    """

    def __init__(self, clock: Clock, fates: Mapping[int, str], places: float, seconds: float) -> None:
        self.clock, self.fates, self.places, self.seconds = clock, fates, places, seconds
        self.called = self.peak = 0
        self.latency = 0.1
        self.made: list[tuple[float, dict[str, Any]]] = []

    async def run(self, _model: str, parameters: Mapping[str, Any]) -> Accepted:
        self.called += 1
        fate = self.fates.get(self.called)
        await self.clock.sleep(self.latency / 2)
        active = sum(self._runs(at) for at, _ in self.made)
        if active >= self.places:
            raise ConcurrencyLimit("/Run", f"you can run up to {self.places} tasks at the same time", code=96)
        if fate != "before":
            self.made.append((self.clock.monotonic(), dict(parameters)))
            self.peak = max(self.peak, active + 1)
        number = len(self.made)
        await self.clock.sleep(60.0 if fate == "silent" else self.latency / 2)
        if fate is not None:
            raise ReplyLost("/Run", "the connection dropped")
        return Accepted(str(number), f"token-{number}")

    async def task(
        self, *, token: str | None = None, task_id: str | None = None, seconds: float = math.inf
    ) -> RemoteTask:
        assert seconds > 0
        await self.clock.sleep(0.05)
        return self._shown(int((task_id or token or "").rpartition("-")[2]))

    async def tasks(self, *, start: int, limit: int, model: str | None = None) -> TaskPage:
        assert model is None
        await self.clock.sleep(0.05)
        numbers = range(len(self.made), 0, -1)[start : start + limit]
        return TaskPage(tuple(map(self._shown, numbers)), None)

    def _runs(self, at: float) -> bool:
        return self.clock.monotonic() - at < self.seconds

    def _shown(self, number: int) -> RemoteTask:
        at, parameters = self.made[number - 1]
        runs = self._runs(at)
        return RemoteTask(
            task_id=str(number),
            token=f"token-{number}",
            model=MODEL,
            parameters=parameters,
            status="task_output" if runs else DONE,
            exit_text="" if runs else "0",
            cost_usd=None if runs else PRICE,
            outputs=(),
            error_text="",
            debug_output="",
            created_at=None,
            elapsed_seconds=None,
        )


class Open:
    """Lets everybody in at once."""

    @asynccontextmanager
    async def turn(self, _urgency: Urgency, first: First | None = None) -> AsyncIterator[None]:
        if first is not None:
            await first()
        yield

    def refused(self, _retry_after_seconds: float | None) -> None:
        raise AssertionError


async def inline(work: Callable[[], Any]) -> Any:
    return work()


@dataclass
class Play:
    """One process that carries tasks, in virtual time; after it, what became of them.

    Attributes:
        earlier: What an earlier process left, with the moves that led there.
        unproven_until: Up to when requests may have been sent that the ledger lacks.
        fetches: What fetching a task does before it is delivered.
        warnings: What is told of it then.
        seconds: How long it took.
        ages: How long ago the task had ended that was fetched, for each time.
    """

    tasks: Sequence[Task]
    orders: Orders = field(default_factory=Orders)
    fates: Mapping[int, str] = field(default_factory=dict)
    places: float = math.inf
    run_seconds: float = 10.0
    latency: float = 0.1
    made_before: Sequence[Task] = ()
    earlier: Sequence[Sequence[Record]] = ()
    fetches: Callable[[Record], None] = lambda _: None
    warnings: Callable[[Record], tuple[str, ...]] = lambda _: ()
    unproven_until: float = -math.inf
    control: Control = field(default_factory=Control)
    seconds: float = 0.0
    active: int = 0
    fetched: list[str] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    log: Log = field(default_factory=silent)
    clock: VirtualClock = field(init=False)
    service: Service = field(init=False)
    records: dict[str, Record] = field(init=False)

    def play(self) -> Halt | None:
        with tempfile.TemporaryDirectory() as folder, SqliteLedger(Path(folder) / "ledger.sqlite") as store:
            halt = anyio.run(self._main, store)
            self.records = {record.task.id: record for record in store.everything()}
        return halt

    def states(self) -> dict[int, State]:
        return {int(name[-4:]): record.state for name, record in self.records.items()}

    async def _main(self, store: SqliteLedger) -> Halt | None:
        self.clock = clock = VirtualClock()
        self.service = Service(clock, self.fates, self.places, self.run_seconds)
        self.service.latency = self.latency
        for each in self.made_before:
            self.service.made.append((clock.monotonic(), dict(each.parameters)))
        ledger = Ledger(store, clock, inline)
        async with anyio.create_task_group() as group:
            group.start_soon(clock.run)
            group.start_soon(ledger.run)
            try:
                for moves in self.earlier:
                    await ledger.enter([moves[0].task], 1, moves[0].task.index)
                    for before, after in pairwise(moves):
                        await ledger.save(before, after, durable=False)
                begin = clock.monotonic()
                engine = self._engine(ledger, clock)
                halt = await engine.run(await ledger.read(lambda held: held.unfinished()))
                self.seconds = clock.monotonic() - begin
                self.active = engine.slots.active
            finally:
                ledger.close()
            group.cancel_scope.cancel()
        return halt

    async def _note(self, record: Record) -> None:
        self.finished.append(record.task.id)

    def _engine(self, ledger: Ledger, clock: Clock) -> LocalEngine:
        calls, frontier = Calls(self.service, Open(), clock), Frontier(len(self.service.made))
        uploader = Uploader(Uploads(), {}, calls, ledger)
        settler = Settler(MODEL, {}, uploader.sent, 60.0, calls, ledger, clock)
        shared: dict[str, Any] = {"control": self.control, "ledger": ledger, "clock": clock, "random": lambda: 0.5}
        doubts = Doubts(settler, frontier=frontier, log=silent(), unproven_until=self.unproven_until, **shared)
        slots = Slots(Capacity(None), clock, active=sum(ledger.totals.counts[state] for state in ACTIVE))

        async def fetching(record: Record, _: RemoteTask | None, age: float) -> Record:
            self.fetched.append(record.task.id)
            self.ages.append(age)
            await clock.sleep(0.1)
            self.fetches(record)
            output = Output("files/x-0.png", None, "image/png", 1, "0" * 64)
            done = record.delivered((output,), self.warnings(record), clock.now())
            await ledger.save(record, done, durable=False)
            return done

        return LocalEngine(
            orders=self.orders,
            feed=Feed(lambda start: iter(self.tasks[start:]), 0, 2, ledger),
            submitter=Submitter(
                model=MODEL,
                reserve_usd=lambda *_: PRICE,
                budget=Budget(None),
                slots=slots,
                doubts=doubts,
                uploader=uploader,
                sent_along=lambda _: {},
                frontier=frontier,
                calls=calls,
                **shared,
            ),
            tracker=Tracker(
                attempts=3,
                timeout_seconds=1800,
                price_usd=lambda _: None,
                slots=slots,
                forecast=Forecast(5.0),
                rounds=Rounds(1000, calls, clock, lambda: 0.5),
                listener=Listener(clock, lambda: 0.5, silent()),
                calls=calls,
                log=self.log,
                **shared,
            ),
            doubts=doubts,
            fetching=fetching,
            downloads=Downloads(Arrivals(), clock),
            slots=slots,
            control=self.control,
            clock=clock,
            random=lambda: 0.5,
            log=self.log,
            finished=self._note,
        )


@given(
    st.integers(1, 14),
    st.integers(1, 14),
    st.dictionaries(st.integers(1, 14), st.sampled_from(["before", "after"]), max_size=8),
    st.sampled_from([1, 3, math.inf]),
    st.sampled_from([0.0, 1.0, 40.0, 900.0]),
)
@settings(max_examples=15)  # the simulation plays thousands of such histories
def test_whatever_is_lost_all_is_done_and_paid_for_once(
    count: int, kinds: int, fates: dict[int, str], places: float, run_seconds: float
) -> None:
    """Also where tasks are sent alike: each has a remote task of its own, with its parameters; there are no others."""
    tasks = [task(number, kinds) for number in range(count)]
    world = Play(tasks, fates=fates, places=places, run_seconds=run_seconds)
    assert world.play() is None
    assert set(world.states().values()) == {State.DONE}
    remote = {int(record.sent.remote_id or 0): record for record in world.records.values()}
    assert sorted(remote) == list(range(1, len(world.service.made) + 1))
    for number, record in remote.items():
        assert world.service.made[number - 1][1] == record.task.parameters
    assert (world.active, sorted(world.finished)) == (0, [each.id for each in tasks])
    assert world.service.peak <= places


def test_requests_that_are_not_answered_keep_nobody_from_being_sent() -> None:
    """A third of all: the others waited until the first of these were given up."""
    world = Play([task(number) for number in range(120)], fates=dict.fromkeys(range(3, 120, 3), "silent"))
    assert world.play() is None
    assert set(world.states().values()) == {State.DONE}
    assert len(world.service.made) == 120
    assert world.service.made[-1][0] - world.service.made[0][0] < 10


def test_a_slow_answer_makes_the_others_no_later() -> None:
    """As many are sent as may be, and not sixteen in the time that an answer takes."""
    world = Play([task(number) for number in range(400)], latency=2.0)
    assert world.play() is None
    assert world.service.made[-1][0] - world.service.made[0][0] < 20


def test_places_are_not_exceeded_however_many_are_on_their_way() -> None:
    world = Play([task(number) for number in range(100)], places=30, latency=2.0)
    assert world.play() is None
    assert (world.service.peak, len(world.service.made)) == (30, 100)
    assert world.service.called < 130


def unreachable(record: Record) -> None:
    """The outputs of the first hundred tasks cannot be had."""
    if record.task.index < 100:
        raise NotNowError("The address is dead.")


def test_dead_addresses_hold_nobody_up_and_are_left_after_two_minutes() -> None:
    """More of them than downloads may wait: all tasks are submitted, the others are done, and the run says so."""
    assert BACKLOG < 100
    world = Play([task(number) for number in range(120)], places=20, fetches=unreachable)
    halt = world.play()
    assert halt is not None
    assert (halt.stop, halt.message) == (Stop.SERVICE, "Some outputs could not be had. The address is dead.")
    assert world.states() == {number: State.FETCHING if number < 100 else State.DONE for number in range(120)}
    assert world.service.made[-1][0] - world.service.made[0][0] < 75
    assert world.seconds < 240
    assert max(world.fetched.count(f"task-{number:04}") for number in range(100)) >= 5


def test_what_is_late_is_asked_for_until_it_comes_and_keeps_nobody_waiting() -> None:
    """More of them than downloads may wait, for longer than what cannot be reached is asked for in one run."""
    asked: dict[str, list[float]] = {}

    def late(record: Record) -> None:
        times = asked.setdefault(record.task.id, [])
        times.append(world.service.clock.monotonic())
        if record.task.index < 100 and times[-1] - times[0] < 290:
            raise NotNowError("It is not there yet.", late=True)

    world = Play([task(number) for number in range(120)], places=20, fetches=late)
    assert world.play() is None
    assert set(world.states().values()) == {State.DONE}
    assert world.service.made[-1][0] - world.service.made[0][0] < 75
    assert all(FETCHES < len(asked[f"task-{number:04}"]) < 16 for number in range(100))
    assert max(later - sooner for times in asked.values() for sooner, later in pairwise(times)) <= 62


def test_what_was_in_vain_for_others_is_waited_for_as_long_and_asked_for_seldom() -> None:
    """A model lists fewer outputs than it bills; then one list comes four minutes late, and it is had all the same."""
    asked: dict[str, list[float]] = {}
    lack = "4 outputs were ordered, and the service lists 3."

    def is_long(record: Record) -> bool:
        return list(asked).index(record.task.id) == 15

    def short(record: Record) -> None:
        times = asked.setdefault(record.task.id, [])
        times.append(world.service.clock.now() - (record.sent.ended_at or 0.0))
        if times[-1] < (240 if is_long(record) else LATE_SECONDS):
            raise NotNowError(lack, late=True)

    def warnings(record: Record) -> tuple[str, ...]:
        return () if is_long(record) else (lack,)

    world = Play([task(number) for number in range(20)], places=1, run_seconds=60.0, fetches=short, warnings=warnings)
    assert world.play() is None
    assert set(world.states().values()) == {State.DONE}
    ages = list(asked.values())
    whole = ages.pop(15)
    assert [len(each) for each in ages[:3]] == [12, 12, 12]
    assert max(len(each) for each in ages[12:15]) <= 5
    assert all(LATE_SECONDS <= each[-1] < LATE_SECONDS + 2 for each in ages)
    assert 240 <= whole[-1] < LATE_SECONDS
    assert world.service.made[-1][0] - world.service.made[0][0] < 20 * 65  # it holds no place meanwhile


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_a_clock_that_is_set_makes_nothing_older(seconds: float) -> None:
    """Whoever has seen a task's end knows how long ago that was, and when it is too late to ask."""

    def late(_: Record) -> None:
        if len(world.ages) == 2:
            world.clock.jump(seconds)
        if world.ages[-1] < LATE_SECONDS:
            raise NotNowError("It is not there yet.", late=True)

    world = Play([task(1)], fetches=late)
    assert world.play() is None
    assert world.ages[0] == 0
    assert LATE_SECONDS <= world.ages[-1] < LATE_SECONDS + 2
    assert max(later - sooner for sooner, later in pairwise(world.ages)) <= 62


def test_of_what_an_earlier_run_has_left_the_wall_clock_tells_the_age() -> None:
    left = left_by_a_kill(task(1), accepted="1")
    left.append(left[-1].succeeded(Ending("task_postprocess_end", 0, None, None, VirtualClock().now() - 100.0)))
    world = Play([task(1)], earlier=[left], made_before=[task(1)])
    assert world.play() is None
    assert world.ages == [pytest.approx(100.0, abs=1.0)]


def test_what_is_late_is_told_while_it_is() -> None:
    """Why, and of how many; of what has come nothing is told."""
    world = Play([task(number) for number in range(9)])
    told = []

    def late(record: Record) -> None:
        told.append(world.control.delays.told(world.service.clock.monotonic()))
        if record.task.index < 4 and world.fetched.count(record.task.id) < 6:
            raise NotNowError("The list is short.", late=True)

    world.fetches = late
    assert world.play() is None
    assert Delay(4, "The list is short.") in {wait for waits in told for wait in waits}
    assert {wait.why for waits in told for wait in waits} == {"The list is short."}
    assert world.control.delays.told(math.inf) == ()


def test_who_leaves_leaves_what_is_late_to_the_next_run() -> None:
    def late(_: Record) -> None:
        if len(world.fetched) == 9:
            world.control.leave(Stop.INTERRUPTED, "Enough.")
        raise NotNowError("It is not there yet.", late=True)

    world = Play([task(number) for number in range(3)], places=3, fetches=late)
    assert world.play() == Halt(Stop.INTERRUPTED, "Enough.")
    assert set(world.states().values()) == {State.FETCHING}
    assert len(world.fetched) == 9


def test_a_full_disk_stops_what_is_not_begun() -> None:
    def full(_: Record) -> None:
        raise NotNowError("The disk is full.", disk=True)

    world = Play([task(number) for number in range(300)], places=5, fetches=full)
    halt = world.play()
    assert halt == Halt(Stop.DISK, "The disk is full.")
    states = list(world.states().values())
    assert states.count(State.PENDING) + states.count(State.FETCHING) == len(states)
    assert len(world.service.made) < 20
    assert len(world.fetched) == len(set(world.fetched))


def test_what_stands_at_the_place_of_one_s_files_holds_up_nobody_else() -> None:
    """Its task is asked for once and left, and the run says why at its end."""

    def blocked(record: Record) -> None:
        if record.task.index == 2:
            raise NotNowError("Something stands there.", blocked=True)

    world = Play([task(number) for number in range(9)], places=2, fetches=blocked)
    assert world.play() == Halt(Stop.DISK, "Something stands there.")
    assert world.states() == {number: State.FETCHING if number == 2 else State.DONE for number in range(9)}
    assert world.fetched.count("task-0002") == 1
    assert world.control.downloads == 0


def test_no_more_are_begun_than_are_ordered() -> None:
    world = Play([task(number) for number in range(9)], Orders(lambda each: each.index % 2 == 1, most=3))
    halt = world.play()
    assert halt == Halt(Stop.LIMIT, "--limit 3 is reached.")
    assert {number for number, state in world.states().items() if state is State.DONE} == {1, 3, 5}


def test_orders_that_leave_everything_out_say_so() -> None:
    world = Play([task(number) for number in range(9)], Orders(lambda _: False))
    halt = world.play()
    assert halt == Halt(Stop.LIMIT, "--only leaves out all 9 pending tasks.")
    assert world.service.called == 0


def left_by_a_kill(each: Task, *, accepted: str | None = None, newest: int = 0) -> list[Record]:
    """The moves of a task whose request was about to be sent, or was accepted, when the process was killed."""
    moves = [Record(each)]
    moves.append(moves[-1].intended(1_800_000_000.0 - 300, PRICE, newest))
    if accepted is not None:
        moves.append(moves[-1].accepted(accepted, f"token-{accepted}", 1_800_000_000.0 - 300))
    return moves


@pytest.mark.parametrize("submits", [True, False])
def test_what_an_earlier_process_left_is_carried_on(submits: bool) -> None:
    """One was accepted, of two nobody knew: one of these was, too; it is adopted, the other one is sent again."""
    tasks = [task(number) for number in range(3)]
    earlier = [left_by_a_kill(tasks[0], accepted="1"), *(left_by_a_kill(each, newest=1) for each in tasks[1:])]
    world = Play(tasks, Orders(submits=submits), earlier=earlier, made_before=tasks[:2])
    world.play()
    last = State.DONE if submits else State.PENDING
    assert world.active == 0
    assert world.states() == {0: State.DONE, 1: State.DONE, 2: last}
    assert [made["seed"] for _, made in world.service.made] == ["0", "1", "2"][: 3 if submits else 2]
    assert [world.records[each.id].sent.remote_id for each in tasks[:2]] == ["1", "2"]


@pytest.mark.parametrize(("unproven", "sent"), [(True, ["0", "0"]), (False, ["0", "0", "0"])])
def test_what_a_ledger_made_anew_saw_fail_is_looked_for_before_it_is_sent_again(
    unproven: bool, sent: list[str]
) -> None:
    """Its second try has been accepted already, for all that the ledger knows of the first one alone."""
    [one] = tasks = [task(0)]
    fell = left_by_a_kill(one, accepted="1")
    fell.append(fell[-1].fell_through(Ending("task_postprocess_end", 1, FREE, None, 0.0), Failure("failed", "x")))
    until = 1_800_000_000.0 if unproven else -math.inf
    world = Play(tasks, earlier=[fell], made_before=[one, one], unproven_until=until)
    assert world.play() is None
    assert (world.states(), world.active) == ({0: State.DONE}, 0)
    assert [made["seed"] for _, made in world.service.made] == sent


def test_who_only_fetches_waits_for_nothing_else() -> None:
    """What runs, and what is in doubt, is left to the next run as it is."""
    tasks = [task(number) for number in range(3)]
    running = left_by_a_kill(tasks[1], accepted="1")
    fetching = left_by_a_kill(tasks[2], accepted="2")
    fetching.append(fetching[-1].succeeded(Ending("task_postprocess_end", 0, None, None, 1_800_000_000.0)))
    earlier = [left_by_a_kill(tasks[0], newest=1), running, fetching]
    world = Play(tasks, Orders(submits=False, follows=False), earlier=earlier, made_before=tasks[1:])
    assert world.play() is None
    assert world.states() == {0: State.SUBMITTING, 1: State.RUNNING, 2: State.DONE}
    assert world.seconds < 1
    assert world.service.called == 0


def test_what_an_earlier_process_left_is_not_taken_up_a_second_time() -> None:
    """It is found out that it was not accepted while the file is still being read: it waits for its place once."""
    tasks = [task(number) for number in range(40)]
    world = Play(tasks, places=1, earlier=[left_by_a_kill(tasks[-1], newest=0)])
    assert world.play() is None
    assert set(world.states().values()) == {State.DONE}
    assert (len(world.service.made), sorted(world.finished)) == (40, [each.id for each in tasks])


def test_what_the_file_has_dropped_is_not_sent_again() -> None:
    """Its request was not accepted: the ledger forgets it. What was accepted is brought home all the same."""
    kept, lost, made = (task(number) for number in range(3))
    earlier = [left_by_a_kill(lost, newest=1), left_by_a_kill(made, accepted="1")]
    world = Play([kept], earlier=earlier, made_before=[made])
    assert world.play() is None
    assert world.states() == {0: State.DONE, 2: State.DONE}
    assert [sent["seed"] for _, sent in world.service.made] == ["2", "0"]
