"""The lobby holds few who wait, and whose request is out holds up nobody."""

from __future__ import annotations

import anyio
import pytest

from orchestrator.engines.lobby import MOST, PLACES, Lobby

pytestmark = pytest.mark.anyio


async def fill(lobby: Lobby) -> list[str]:
    """Let in as many as there is room for, and return their names."""
    inside: list[str] = []
    with anyio.move_on_after(0):
        while True:
            name = f"{len(inside)} of {id(inside)}"
            await lobby.enter(name)
            inside.append(name)
    return inside


async def experienced() -> Lobby:
    """Return the lobby of a run most of whose tasks have been accepted."""
    lobby = Lobby()
    for _ in range(2 * MOST):
        lobby.answered(well=True)
    return lobby


async def test_whoever_is_sent_makes_room_up_to_a_bound() -> None:
    lobby, sent = await experienced(), 0
    while inside := await fill(lobby):
        assert len(inside) <= PLACES
        for each in inside:
            lobby.sent(each)
        sent += len(inside)
    assert sent == MOST


async def test_who_has_seen_nobody_accepted_sends_few() -> None:
    lobby = Lobby()
    first = await fill(lobby)
    for each in first:
        lobby.sent(each)
    assert (len(first), await fill(lobby)) == (PLACES, [])
    for _ in range(PLACES + 1):
        lobby.answered(well=True)
    lobby.over(first[0])
    assert len(await fill(lobby)) == 2
    for _ in range(2 * MOST):
        lobby.answered(well=False)
    for each in first[1:]:
        lobby.over(each)
    assert len(await fill(lobby)) == PLACES - 2


async def test_whose_request_was_in_vain_comes_in_before_the_others() -> None:
    lobby, came = await experienced(), list[str]()
    [first, second, *_] = await fill(lobby)
    lobby.sent(first)
    await lobby.enter("the one in its stead")

    async def new() -> None:
        await lobby.enter("new")
        came.append("new")

    async def back() -> None:
        await lobby.back(first)
        came.append("back")

    async with anyio.create_task_group() as group:
        group.start_soon(new)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(back)
        await anyio.wait_all_tasks_blocked()
        assert came == []
        lobby.sent(second)
        await anyio.wait_all_tasks_blocked()
        assert came == ["back"]
        lobby.over(first)
    assert came == ["back", "new"]


async def test_a_task_that_never_came_in_takes_and_gives_no_room() -> None:
    lobby = Lobby()
    inside = await fill(lobby)
    lobby.sent("stranger")
    await lobby.back("stranger")
    lobby.over("stranger")
    assert await fill(lobby) == []
    for each in inside:
        lobby.over(each)
        lobby.over(each)
    assert len(await fill(lobby)) == PLACES
