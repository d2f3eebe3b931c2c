"""Hints are heeded as long as they are worth it, and cost a few looks at most."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import pytest

from orchestrator.clock import VirtualClock
from orchestrator.engines.listening import CONNECTIONS, HINTS, LOOKS, Ear, Listener
from orchestrator.engines.trust import FIRST_REST_SECONDS, STRIKES, Trust
from orchestrator.lifecycle import Record
from orchestrator.logs import Entry, Log
from orchestrator.money import FREE
from orchestrator.tasks import Task
from orchestrator.wiro import Event

UNDER_WAY, ENDED = Event("task_output", 0.4), Event("task_postprocess_end")
Say = Callable[[Event], None]


@dataclass
class Server:
    """A socket whose connections do what `serve` does.

    Attributes:
        opened: The token of each connection that was tried.
    """

    clock: VirtualClock
    serve: Callable[[Server, Callable[[], None], Say], Awaitable[str]]
    opened: list[str] = field(default_factory=list)
    now: int = 0
    peak: int = 0

    async def listen(self, token: str, *, opened: Callable[[], None], tell: Say) -> str:
        self.opened.append(token)
        self.now += 1
        self.peak = max(self.peak, self.now)
        try:
            return await self.serve(self, opened, tell)
        finally:
            self.now -= 1


async def talks(_server: Server, opened: Callable[[], None], tell: Say) -> str:
    opened()
    tell(UNDER_WAY)
    await anyio.sleep_forever()
    return ""


async def is_silent(_server: Server, opened: Callable[[], None], _tell: Say) -> str:
    opened()
    await anyio.sleep_forever()
    return ""


async def refuses(_server: Server, _opened: Callable[[], None], _tell: Say) -> str:
    return "it answers with HTTP 503"


async def drops(server: Server, opened: Callable[[], None], tell: Say) -> str:
    opened()
    tell(UNDER_WAY)
    await server.clock.sleep(0.1)
    return "the connection closed"


def running(number: int, *, opens: bool = True) -> Record:
    sent = Record(Task(f"task-{number}", number, {}, {}, {}, "x")).intended(0.0, FREE, None)
    return sent.accepted(str(number), f"token-{number}" if opens else None, 0.0)


def in_virtual_time(
    serve: Callable[[Server, Callable[[], None], Say], Awaitable[str]],
    work: Callable[[VirtualClock, Listener, Server], Awaitable[None]],
    *,
    insists: bool = False,
) -> list[Entry]:
    told: list[Entry] = []

    async def main() -> None:
        clock = VirtualClock()
        server = Server(clock, serve)
        listener = Listener(clock, lambda: 1.0, Log(told.append), server.listen, insists=insists)
        async with anyio.create_task_group() as group:
            group.start_soon(clock.run)
            group.start_soon(listener.run)
            await anyio.lowlevel.checkpoint()
            await work(clock, listener, server)
            group.cancel_scope.cancel()

    anyio.run(main)
    return told


def test_a_hint_brings_two_looks_forward_and_no_more_than_two_hints_do() -> None:
    changes = list[int]()
    ear, looks = Ear(lambda: changes.append(1)), list[float]()
    for _ in range(50):
        ear.hint(1.0)
        ear.hint(1.0)  # twice the same
        while ear.wait_seconds is not None:
            looks.append(ear.wait_seconds)
            ear.runs_on()
    assert looks == list(LOOKS) * HINTS
    assert len(changes) == HINTS


def test_a_hint_is_refuted_only_by_the_second_look() -> None:
    """What the socket knows the API may learn a moment later."""
    ear = Ear(lambda: None)
    assert not ear.runs_on()
    ear.hint(5.0)
    assert [ear.runs_on(), ear.told_at] == [False, 5.0]
    assert [ear.runs_on(), ear.told_at] == [True, None]


def test_each_task_with_a_token_is_listened_for_while_it_runs() -> None:
    async def work(clock: VirtualClock, listener: Listener, server: Server) -> None:
        with (
            listener.following(running(1), lambda: None) as ear,
            listener.following(running(2, opens=False), lambda: None) as deaf,
        ):
            await clock.sleep(1.0)
            assert server.opened == ["token-1"]
            assert (ear.expecting, deaf.expecting) == (True, False)
            assert (ear.progress, listener.progress) == (0.4, 0.4)
        await clock.sleep(1.0)
        assert (server.now, listener.progress) == (0, None)

    in_virtual_time(talks, work)


def test_there_are_no_more_connections_than_is_decent() -> None:
    async def one(clock: VirtualClock, listener: Listener, number: int) -> None:
        with listener.following(running(number), lambda: None):
            await clock.sleep(10.0)

    async def work(clock: VirtualClock, listener: Listener, server: Server) -> None:
        async with anyio.create_task_group() as group:
            for number in range(3 * CONNECTIONS):
                group.start_soon(one, clock, listener, number)
        assert server.peak == CONNECTIONS

    in_virtual_time(talks, work)


def test_a_look_waits_the_longer_the_more_ends_were_told() -> None:
    async def work(clock: VirtualClock, listener: Listener, _server: Server) -> None:
        for number in range(50):
            with listener.following(running(number), lambda: None) as ear:
                await clock.sleep(1.0)
                assert listener.patience(ear) == number + Trust().patience
                ear.heard(ENDED, clock.monotonic())
                listener.ended(ear)
        assert listener.patience(Ear(lambda: None)) == 1  # nobody listens for this one

    in_virtual_time(talks, work)


def test_an_end_that_was_not_told_has_all_others_consider_anew() -> None:
    async def work(clock: VirtualClock, listener: Listener, _server: Server) -> None:
        changes = list[int]()
        listener.trust.told = 40
        with (
            listener.following(running(1), lambda: None) as ear,
            listener.following(running(2), lambda: changes.append(1)),
        ):
            await clock.sleep(1.0)
            changes.clear()
            listener.ended(ear)
            assert (changes, listener.trust.patience) == ([1], 21)
            for _ in range(20):  # soon nothing is put off any more, and nobody has to think again
                listener.ended(ear)
            assert (len(changes), listener.trust.patience) == (6, 1)

    in_virtual_time(talks, work)


def test_a_server_that_says_nothing_is_left_alone_after_a_few_tasks() -> None:
    async def work(clock: VirtualClock, listener: Listener, server: Server) -> None:
        for number in range(3 * STRIKES):
            with listener.following(running(number), lambda: None) as ear:
                await clock.sleep(5.0)
                assert listener.patience(ear) == 1
                listener.ended(ear)
        assert len(server.opened) <= STRIKES + 3

    told = in_virtual_time(is_silent, work)
    assert [event["level"] for event in told][:1] == ["info"]


def test_quick_tasks_are_no_proof_of_silence() -> None:
    async def work(clock: VirtualClock, listener: Listener, server: Server) -> None:
        for number in range(50):
            with listener.following(running(number), lambda: None) as ear:
                await clock.sleep(0.5)
                listener.ended(ear)
        assert len(server.opened) == 50

    in_virtual_time(is_silent, work)


@pytest.mark.parametrize("serve", [refuses, drops])
def test_one_that_refuses_or_drops_is_tried_less_and_less_often(
    serve: Callable[[Server, Callable[[], None], Say], Awaitable[str]],
) -> None:
    async def one(clock: VirtualClock, listener: Listener, number: int) -> None:
        with listener.following(running(number), lambda: None):
            await clock.sleep(3600.0)

    async def work(clock: VirtualClock, listener: Listener, server: Server) -> None:
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(one, clock, listener, number)
        assert len(server.opened) < 10 * 9

    told = in_virtual_time(serve, work, insists=True)
    assert {event["level"] for event in told} == {"warning"}
    assert len(told) < 8


def test_while_it_is_cut_off_an_end_is_not_expected_to_be_told() -> None:
    async def work(clock: VirtualClock, listener: Listener, _server: Server) -> None:
        listener.trust.told, seen = 40, list[tuple[float, float]]()
        with listener.following(running(1), lambda: seen.append((clock.monotonic(), listener.patience(ear)))) as ear:
            began = clock.monotonic()
            await clock.sleep(0.5)
        assert [(round(at - began, 1), patience) for at, patience in seen] == [(0.0, 41), (0.1, 1)]

    in_virtual_time(drops, work)


def test_a_liar_is_left_alone() -> None:
    async def work(clock: VirtualClock, listener: Listener, server: Server) -> None:
        looks = 0
        for number in range(STRIKES * 3):
            with listener.following(running(number), lambda: None) as ear:
                await clock.sleep(1.0)
                for _ in range(20):
                    ear.heard(ENDED, clock.monotonic())
                    while ear.wait_seconds is not None:
                        looks += 1
                        listener.runs_on(ear, None)
        assert listener.trust.rests_until > clock.monotonic()
        assert len(server.opened) < STRIKES

    in_virtual_time(talks, work)


def test_when_nobody_is_to_listen_any_more_all_connections_are_closed_and_opened_again_after_the_rest() -> None:
    async def work(clock: VirtualClock, listener: Listener, server: Server) -> None:
        with (
            listener.following(running(1), lambda: None) as ear,
            listener.following(running(2), lambda: None) as other,
        ):
            listener.trust.strikes = STRIKES - 1
            await clock.sleep(1.0)
            assert (ear.expecting, other.expecting) == (True, True)
            for _ in LOOKS:
                ear.hint(clock.monotonic())
                listener.runs_on(ear, None)
            await clock.sleep(FIRST_REST_SECONDS / 2)
            assert (ear.expecting, other.expecting, server.now) == (False, False, 0)
            await clock.sleep(FIRST_REST_SECONDS)
            assert (ear.expecting, other.expecting, server.now) == (True, True, 2)

    in_virtual_time(talks, work)


def test_a_server_that_closes_old_connections_is_none_that_drops() -> None:
    async def closes(server: Server, opened: Callable[[], None], tell: Say) -> str:
        opened()
        tell(UNDER_WAY)
        await server.clock.sleep(60.0)
        return "the connection closed"

    async def work(clock: VirtualClock, listener: Listener, _server: Server) -> None:
        with listener.following(running(1), lambda: None):
            await clock.sleep(3600.0)
        assert listener.trust.strikes == 0

    in_virtual_time(closes, work)


def test_a_callback_is_a_hint_for_its_task_alone() -> None:
    async def work(clock: VirtualClock, listener: Listener, server: Server) -> None:
        listener.listen, listener.address = None, lambda task: {"callbackUrl": f"http://here/{task}"}
        assert listener.sent_along("task-1") == {"callbackUrl": "http://here/task-1"}
        with (
            listener.following(running(1), lambda: None) as ear,
            listener.following(running(2), lambda: None) as other,
        ):
            assert ear.expecting
            listener.called_back("task-1")
            listener.called_back("task-9")
            await clock.sleep(1.0)
            assert (ear.told_at is None, other.told_at is None) == (False, True)
        assert server.opened == []

    in_virtual_time(talks, work)


def test_without_hints_nothing_is_sent_along() -> None:
    async def work(_clock: VirtualClock, listener: Listener, _server: Server) -> None:
        assert listener.sent_along("task-1") == {}

    in_virtual_time(talks, work)


def test_callbacks_that_come_too_early_are_heeded_no_more_after_a_few_tasks() -> None:
    async def work(_clock: VirtualClock, listener: Listener, _server: Server) -> None:
        listener.listen, listener.address = None, lambda _: {}
        looks = 0
        for number in range(3 * STRIKES):
            with listener.following(running(number), lambda: None) as ear:
                listener.called_back(f"task-{number}")
                while ear.wait_seconds is not None:
                    looks += 1
                    listener.runs_on(ear, None)
                assert listener.patience(ear) == Trust().patience  # nothing has ended untold yet
        assert looks == STRIKES * len(LOOKS)

    told = in_virtual_time(talks, work)
    assert told == []
