from __future__ import annotations

import threading

import anyio
import anyio.from_thread
import pytest

from orchestrator.threads import crew, in_thread

pytestmark = pytest.mark.anyio


async def test_blocking_work_is_done_elsewhere() -> None:
    assert await in_thread(threading.get_ident) != threading.get_ident()


async def test_work_that_has_begun_is_waited_for() -> None:
    """Whoever is cancelled meanwhile goes on only once it is done."""
    begun, go_on, done = anyio.Event(), threading.Event(), []

    def work() -> None:
        anyio.from_thread.run_sync(begun.set)
        go_on.wait(10)
        done.append("work")

    async with anyio.create_task_group() as group:
        group.start_soon(in_thread, work)
        await begun.wait()
        group.cancel_scope.cancel()
        go_on.set()
    assert done == ["work"]


async def test_a_crew_does_all_that_is_asked_of_it() -> None:
    """Each gets its own answer, and what fails fails for the one who asked."""
    answers: dict[int, int] = {}

    async def ask(number: int) -> None:
        answers[number] = await hop(lambda: 12 // number)

    async with crew(3) as hop:
        async with anyio.create_task_group() as group:
            for number in range(1, 101):
                group.start_soon(ask, number)
        with pytest.raises(ZeroDivisionError):
            await ask(0)
    assert answers == {number: 12 // number for number in range(1, 101)}


async def test_a_crew_works_elsewhere_and_at_the_same_time() -> None:
    """Two pieces of work that wait for each other come to their ends, in threads that go with the crew."""
    meeting = threading.Barrier(2)

    def work() -> int:
        meeting.wait(10)
        return threading.get_ident()

    found = set()

    async def ask() -> None:
        found.add(await hop(work))

    async with crew(2) as hop, anyio.create_task_group() as group:
        group.start_soon(ask)
        group.start_soon(ask)
    assert len(found) == 2
    assert threading.get_ident() not in found
    while any(thread.name.startswith("crew") for thread in threading.enumerate()):
        await in_thread(lambda: None)


async def test_what_a_crew_has_begun_is_waited_for() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        go_on.wait(10)
        done.append("work")

    async with crew(1) as hop:
        async with anyio.create_task_group() as group:
            group.start_soon(hop, work)
            await in_thread(lambda: begun.wait(10))
            group.cancel_scope.cancel()
            go_on.set()
        assert done == ["work"]


async def test_others_may_work_instead_of_a_crew() -> None:
    async with crew(1, in_thread) as hop:
        assert hop is in_thread
