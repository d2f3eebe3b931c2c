"""Waiting for each other: nobody is forgotten, nobody comes in who must not, and a cancellation breaks neither."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from hypothesis import given, strategies as st

from orchestrator.waiting import Room, Turn

pytestmark = pytest.mark.anyio


async def test_a_turn_is_waited_for_or_passed_at_once() -> None:
    turn, passed = Turn(), []

    async def wait() -> None:
        await turn.wait()
        passed.append(turn.is_set())

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert (passed, turn.is_set()) == ([], False)
        turn.set()
        turn.set()
    await turn.wait()
    assert passed == [True]


async def test_one_alone_waits_for_a_turn() -> None:
    """Of two, one would never be woken; whoever has given up is no other one."""
    turn = Turn()
    with anyio.move_on_after(0.001):
        await turn.wait()
    async with anyio.create_task_group() as group:
        group.start_soon(turn.wait)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="two wait"):
            await turn.wait()
        turn.set()


async def test_a_turn_that_nobody_waits_for_any_more_may_still_come() -> None:
    turn = Turn()
    with anyio.move_on_after(0):
        await turn.wait()
    turn.set()
    assert turn.is_set()


async def test_one_who_outlasts_is_cancelled_when_the_wait_is_over() -> None:
    turn, order = Turn(), []

    async def outlast() -> None:
        try:
            await turn.outlast()
        finally:
            order.append("let go")

    async with anyio.create_task_group() as group:
        group.start_soon(outlast)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
            order.append("over")
            turn.set()
    assert order == ["over", "let go"]


async def test_a_room_serves_in_the_order_of_coming() -> None:
    room, order = Room(2), []

    async def enter(number: int) -> None:
        async with room:
            order.append(number)
            await anyio.wait_all_tasks_blocked()

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(enter, number)
    assert order == list(range(6))
    assert room.free == 2


async def test_a_room_lets_the_lowest_rank_in_first() -> None:
    room, order = Room(1), []

    async def enter(rank: float) -> None:
        await room.enter(rank)
        order.append(rank)
        room.leave()

    assert room.enter_now()
    async with anyio.create_task_group() as group:
        for rank in (3.0, 1.0, 2.0, 0.5):
            group.start_soon(enter, rank)
        await anyio.wait_all_tasks_blocked()
        room.leave()
    assert (order, room.free) == ([0.5, 1.0, 2.0, 3.0], 1)


async def test_one_who_is_let_in_and_cancelled_at_once_leaves_again() -> None:
    room = Room(1)
    assert room.enter_now()
    visitor = asyncio.ensure_future(room.enter())
    await anyio.wait_all_tasks_blocked()
    room.leave()
    visitor.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visitor
    assert room.free == 1


@given(st.lists(st.sampled_from(["come", "leave", "give up"]), max_size=40), st.integers(1, 3))
async def test_there_are_never_too_many(steps: list[str], places: int) -> None:
    """Whatever comes, leaves and is cancelled: nobody waits while there is room, and all places come back."""
    room, inside, scopes = Room(places), [], []

    async def visit(scope: anyio.CancelScope) -> None:
        with scope:
            await room.enter()
            inside.append(scope)

    async with anyio.create_task_group() as group:
        for step in steps:
            if step == "come":
                scopes.append(anyio.CancelScope())
                group.start_soon(visit, scopes[-1])
            elif step == "leave" and inside:
                scopes.remove(inside.pop(0))
                room.leave()
            elif step == "give up" and len(scopes) > len(inside):
                waiting = next(scope for scope in scopes if scope not in inside)
                scopes.remove(waiting)
                waiting.cancel()
            await anyio.wait_all_tasks_blocked()
            assert len(inside) == min(places, len(scopes))
            assert room.free == places - len(inside)
        for scope in scopes:
            scope.cancel()


async def test_a_room_grows_at_once_and_shrinks_as_people_leave() -> None:
    room, order = Room(1), list[str]()

    async def stay(name: str, until: anyio.Event) -> None:
        async with room:
            order.append(name)
            await until.wait()

    over = anyio.Event()
    async with anyio.create_task_group() as group:
        for name in "abcd":
            group.start_soon(stay, name, over)
        await anyio.wait_all_tasks_blocked()
        assert order == ["a"]
        room.resize(3)
        await anyio.wait_all_tasks_blocked()
        assert order == ["a", "b", "c"]
        room.resize(1)
        assert (room.free, room.enter_now()) == (-2, False)
        over.set()
    assert (order, room.free) == (["a", "b", "c", "d"], 1)
