from __future__ import annotations

import threading

import anyio
import anyio.from_thread
import pytest

from orchestrator.threads import in_thread

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
