"""Calls are spaced as the limit says, whatever comes at once, and slowed down when the service says so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Literal, TypeAlias

import anyio
import pytest
from hypothesis import given, settings, strategies as st
from paced import assert_within

from orchestrator.clock import SystemClock, VirtualClock
from orchestrator.emulator import Emulator, Profile
from orchestrator.engines.pacing import Pacer
from orchestrator.steps.calls import TurnLostError, Urgency
from orchestrator.wiro import Client, Credentials, RateLimited

RATES = st.floats(0.1, 100, allow_nan=False)
Fate: TypeAlias = Literal["answered", "refused", "cancelled"]


@dataclass(frozen=True)
class Caller:
    """Comes at a moment, connects for a while, is answered after another one."""

    arrives: float = 0.0
    urgency: Urgency = Urgency.SUBMIT
    fate: Fate = "answered"
    connects: float = 0.0
    answered: float = 0.05
    retry_after: float | None = None
    patience: float = 1.0


@dataclass
class Seen:
    """What the service saw of it, in monotonic seconds."""

    written: list[tuple[float, Caller]] = field(default_factory=list)
    lost: int = 0
    turns: int = 0

    @property
    def starts(self) -> list[float]:
        return [moment for moment, _ in self.written]


def drive(rate: float, callers: Sequence[Caller]) -> Seen:
    """Let all of them call in virtual time, and return when their calls were written."""
    seen, clock = Seen(), VirtualClock()
    pacer = Pacer(rate, clock)
    begin = clock.monotonic()

    async def call(caller: Caller) -> None:
        while True:
            seen.turns += 1
            try:
                async with pacer.turn(caller.urgency):
                    await clock.sleep(caller.connects)
                    await pacer.gate()
                    seen.written.append((clock.monotonic() - begin, caller))
                    await clock.sleep(caller.answered)
                    if caller.fate == "refused":
                        pacer.refused(caller.retry_after)
            except TurnLostError:
                seen.lost += 1
            else:
                return

    async def live(caller: Caller) -> None:
        await clock.sleep(caller.arrives)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(call, caller)
                if caller.fate == "cancelled":
                    await clock.sleep(caller.patience)
                    scope.cancel()

    async def main() -> None:
        async with anyio.create_task_group() as outer:
            outer.start_soon(clock.run)
            async with anyio.create_task_group() as group:
                for caller in callers:
                    group.start_soon(live, caller)
            outer.cancel_scope.cancel()

    anyio.run(main)
    return seen


CALLERS = st.lists(
    st.builds(
        Caller,
        arrives=st.floats(0, 10),
        urgency=st.sampled_from(Urgency),
        fate=st.sampled_from(("answered", "answered", "answered", "refused", "cancelled")),
        connects=st.floats(0, 3),
        answered=st.floats(0, 3),
        retry_after=st.none() | st.floats(0, 30),
        patience=st.floats(0, 5),
    ),
    max_size=25,
)


@given(RATES, CALLERS)
@settings(max_examples=150)
def test_the_limit_holds_whatever_happens(rate: float, callers: list[Caller]) -> None:
    """At most max(1, ⌊R⌋) starts in any half-open second, with 2 % to spare, never closer than 1.02/R; all come in."""
    seen = drive(rate, callers)
    assert_within(rate, seen.starts)
    patient = [caller for caller in callers if caller.fate != "cancelled"]
    assert all(any(caller is other for _, other in seen.written) for caller in patient)


@given(st.sampled_from((0.1, 0.3, 1.0, 2.5, 20.0, 100.0)), st.integers(1, 60))
@settings(max_examples=30)
def test_a_burst_uses_all_that_is_allowed(rate: float, count: int) -> None:
    """A burst is spread without a gap: spacing and window are the only waits."""
    starts = drive(rate, [Caller() for _ in range(count)]).starts
    assert_within(rate, starts)
    assert starts[-1] <= (count - 1) * 1.02 / min(rate, max(1, math.floor(rate))) + 1e-3


@pytest.mark.parametrize("rate", [0.1, 0.5, 3.0])
def test_low_rates_neither_spin_nor_throw_turns_away(rate: float) -> None:
    """Who waits long keeps its place: no connection is made in vain, no intent written in vain."""
    seen = drive(rate, [Caller() for _ in range(30)])
    assert (len(seen.starts), seen.turns, seen.lost) == (30, 30, 0)


def test_a_hold_does_not_make_those_in_the_queue_come_again() -> None:
    """During a hold only those that already had a connection lose their turn, and each of them once."""
    refused = Caller(fate="refused", retry_after=40.0, answered=0.0)
    seen = drive(10, [refused, *(Caller(arrives=0.01) for _ in range(200))])
    assert seen.lost <= 10
    assert seen.starts[1] >= 40.0
    assert len(seen.starts) == 201


def test_the_likely_done_go_first_and_routine_is_not_starved() -> None:
    """A look at a task that is done passes a queue of submits; a routine look has its turn within it."""
    submits = [Caller(arrives=0.1 * number) for number in range(100)]
    hurried = Caller(arrives=3.0, urgency=Urgency.LIKELY_DONE)
    routine = Caller(arrives=3.0, urgency=Urgency.ROUTINE)
    written = drive(5, [*submits, hurried, routine]).written
    moments = {urgency: [at for at, caller in written if caller.urgency is urgency] for urgency in Urgency}
    assert moments[Urgency.LIKELY_DONE][0] < 7.0  # behind the submits of the first two seconds only
    assert moments[Urgency.LIKELY_DONE][0] < moments[Urgency.ROUTINE][0] < moments[Urgency.SUBMIT][-20]


def test_who_comes_first_is_seen_among_those_that_are_connected_too() -> None:
    """Fifteen routine looks wait to be written, with room for more: a submit is written next."""
    looks = [Caller(urgency=Urgency.ROUTINE) for _ in range(15)]
    written = drive(20, [*looks, Caller(arrives=0.2, urgency=Urgency.SUBMIT)]).written
    [submitted] = [at for at, caller in written if caller.urgency is Urgency.SUBMIT]
    assert submitted < 0.2 + 2.5 * 1.02 / 20
    assert len(written) == 16


def test_a_cancelled_call_gives_its_room_back() -> None:
    """Whoever is cancelled between turn and write, or in the queue, leaves nothing behind."""
    gone = [Caller(fate="cancelled", patience=0.01 * number, connects=5.0) for number in range(50)]
    seen = drive(2, [*gone, Caller(arrives=1.0)])
    assert [caller.fate for _, caller in seen.written] == ["answered"]
    assert seen.starts[0] == pytest.approx(1.0, abs=0.01)


@pytest.mark.anyio
async def test_the_service_sees_what_is_promised() -> None:
    """Through sockets: of a burst no more than 20 are written in a second, and they arrive spread out."""
    profile = Profile()
    clock = SystemClock()
    pacer = Pacer(20, clock)
    written: list[float] = []

    def note(_endpoint: str) -> None:
        written.append(clock.monotonic())

    async with Emulator(profile) as emulator:
        credentials = Credentials(profile.api_key, profile.api_secret)

        async def look(client: Client) -> None:
            async with pacer.turn(Urgency.ROUTINE):
                await client.tasks(start=0, limit=1)

        async with (
            Client(credentials, emulator.base_url, before_send=pacer.gate, on_send=note) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(50):
                group.start_soon(look, client)
        arrivals = [moment for moment, _ in emulator.stats.arrivals]
    assert len(arrivals) == 50
    assert arrivals[-1] - arrivals[0] >= 0.75 * 49 / 20
    assert all(later - earlier >= 1.0 for earlier, later in zip(written, written[20:], strict=False))


@pytest.mark.anyio
async def test_a_refusal_by_the_service_slows_the_pacer() -> None:
    profile = replace(Profile(), rate=1, retry_after_seconds=0.25)
    pacer = Pacer(50, SystemClock())
    async with Emulator(profile) as emulator:
        credentials = Credentials(profile.api_key, profile.api_secret)
        async with Client(credentials, emulator.base_url, before_send=pacer.gate) as client:
            async with pacer.turn(Urgency.ROUTINE):
                await client.tasks(start=0, limit=1)
            async with pacer.turn(Urgency.ROUTINE):
                with pytest.raises(RateLimited) as refusal:
                    await client.tasks(start=0, limit=1)
                pacer.refused(refusal.value.retry_after_seconds)
            now = SystemClock().monotonic()
            assert pacer.schedule.rate == pytest.approx(38)
            assert 0.2 < pacer.schedule.earliest(now) - now <= 0.25


def test_what_comes_first_is_done_shortly_before_the_write() -> None:
    """However long the queue is, an intent is written down when its turn has all but come; one that fails stops it."""
    firsts: list[float] = []
    written: list[float] = []

    async def main() -> None:
        clock = VirtualClock()
        pacer = Pacer(10, clock)

        async def call(number: int) -> None:
            async def first() -> None:
                if number % 5 == 4:
                    raise TurnLostError
                firsts.append(clock.monotonic())

            with suppress(TurnLostError):
                async with pacer.turn(Urgency.SUBMIT, first):
                    await pacer.gate()
                    written.append(clock.monotonic())

        async with anyio.create_task_group() as outer:
            outer.start_soon(clock.run)
            async with anyio.create_task_group() as group:
                for number in range(50):
                    group.start_soon(call, number)
            outer.cancel_scope.cancel()

    anyio.run(main)
    assert len(firsts) == len(written) == 40
    assert written[-1] - written[0] < 39 * 0.102 + 0.01
    assert all(0 <= write - first < 0.11 for first, write in zip(firsts, written, strict=True))


class Disk:
    """Commits together what is asked for while it commits, and takes its time for it."""

    def __init__(self, seconds: float, clock: VirtualClock) -> None:
        self._seconds, self._clock = seconds, clock
        self._asked = anyio.Event()
        self._waiting: list[anyio.Event] = []

    async def commit(self) -> None:
        done = anyio.Event()
        self._waiting.append(done)
        self._asked.set()
        await done.wait()

    async def run(self) -> None:
        while True:
            await self._asked.wait()
            self._asked, batch, self._waiting = anyio.Event(), self._waiting, []
            await self._clock.sleep(self._seconds)
            for done in batch:
                done.set()


def drive_slow_disk(
    rate: float, commit_seconds: float, submits: int, looks: Sequence[float]
) -> tuple[list[tuple[float, float]], list[float]]:
    """Return when intents began to be written down and their calls were written; and when the looks were."""
    submitted: list[tuple[float, float]] = []
    looked: list[float] = []

    async def main() -> None:
        clock = VirtualClock()
        pacer, disk, begin = Pacer(rate, clock), Disk(commit_seconds, clock), clock.monotonic()

        async def submit() -> None:
            begun: list[float] = []

            async def first() -> None:
                begun.append(clock.monotonic() - begin)
                await disk.commit()

            while True:
                with suppress(TurnLostError):
                    async with pacer.turn(Urgency.SUBMIT, first):
                        await pacer.gate()
                        submitted.append((begun[-1], clock.monotonic() - begin))
                        return

        async def look(at: float) -> None:
            await clock.sleep(at)
            async with pacer.turn(Urgency.LIKELY_DONE):
                await pacer.gate()
                looked.append(clock.monotonic() - begin)

        async with anyio.create_task_group() as outer:
            outer.start_soon(clock.run)
            outer.start_soon(disk.run)
            async with anyio.create_task_group() as group:
                for _ in range(submits):
                    group.start_soon(submit)
                for at in looks:
                    group.start_soon(look, at)
            outer.cancel_scope.cancel()

    anyio.run(main)
    return submitted, looked


@pytest.mark.parametrize("rate", [1, 5, 20, 60])
@pytest.mark.parametrize("commit_seconds", [0.005, 0.1, 0.2])
def test_a_slow_disk_costs_no_calls(rate: float, commit_seconds: float) -> None:
    """Intents are committed together, as many as it takes; none of them grows old."""
    count = math.ceil(30 * rate)
    submitted, _ = drive_slow_disk(rate, commit_seconds, count, [])
    written = [at for _, at in submitted]
    assert_within(rate, written)
    assert (count - 1) * 1.02 / rate / written[-1] >= 0.95
    assert all(at - begun < max(1.1 / rate, 0.06, 6 * commit_seconds) for begun, at in submitted)


def test_what_has_nothing_to_do_first_does_not_wait_for_what_has() -> None:
    """A commit takes two seconds: a look waits for those before it whose turn it is, not for those that commit."""
    looks = [0.3 * number for number in range(1, 60)]
    submitted, looked = drive_slow_disk(20, 2.0, 200, looks)
    assert len(submitted) == 200
    waits = [written - came for came, written in zip(looks, sorted(looked), strict=True)]
    assert median(waits) < 0.06
    assert max(waits) < 1.2
    assert_within(20, sorted([*looked, *(at for _, at in submitted)]))


def test_calls_wait_while_there_is_no_limit_to_go_by() -> None:
    """However long, and without being let in only to be sent away again and again."""
    turns, done = 0, list[float]()

    async def main() -> None:
        clock = VirtualClock()
        pacer = Pacer(10, clock)
        begin = clock.monotonic()

        async def call() -> None:
            nonlocal turns
            while not done:
                turns += 1
                with suppress(TurnLostError):
                    async with pacer.turn(Urgency.SUBMIT):
                        await pacer.gate()
                        done.append(clock.monotonic() - begin)

        async with anyio.create_task_group() as running, anyio.create_task_group() as group:
            running.start_soon(clock.run)
            pacer.schedule.change(0, math.inf)
            group.start_soon(call)
            await clock.sleep(60)
            pacer.schedule.change(10, math.inf)
            await clock.sleep(1)
            running.cancel_scope.cancel()

    anyio.run(main)
    assert turns == 1
    assert done == [pytest.approx(60, abs=0.3)]
