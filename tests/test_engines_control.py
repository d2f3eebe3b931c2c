"""The words by which a run is closed, left or cancelled, and what they do to those who wait."""

from __future__ import annotations

import anyio
import pytest

from orchestrator.engines.control import Control, Halt, Signal
from orchestrator.steps.outcomes import Stop

pytestmark = pytest.mark.anyio


async def until_over(control: Control, *, left: bool) -> None:
    with control.until_left() if left else control.until_closed():
        await anyio.sleep_forever()


async def test_closing_ends_waits_to_submit_and_nothing_else() -> None:
    control = Control()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: until_over(control, left=True))
        async with anyio.create_task_group() as submitting:
            submitting.start_soon(lambda: until_over(control, left=False))
            await anyio.wait_all_tasks_blocked()
            control.close(Stop.BALANCE, "No money.")
        assert (control.closed, control.left, control.cancelling) == (True, False, False)
        control.leave(Stop.INTERRUPTED, "Interrupted.")
    assert control.left


async def test_the_first_reason_to_close_is_told_but_leaving_goes_before_it() -> None:
    control = Control()
    control.close(Stop.BALANCE, "No money.")
    control.close(Stop.CREDENTIALS, "No key.")
    assert control.halt == Halt(Stop.BALANCE, "No money.")
    control.leave(Stop.SERVICE, "No service.")
    control.leave(Stop.INTERRUPTED, "Interrupted.")
    control.close(Stop.LIMIT, "Enough.")
    assert control.halt == Halt(Stop.SERVICE, "No service.")


async def test_who_began_to_wait_first_ends_first() -> None:
    """Else a simulated run that is left would go on otherwise each time it is played."""
    control, ended = Control(), list[int]()

    async def wait(number: int) -> None:
        try:
            await until_over(control, left=number % 2 == 0)
        finally:
            ended.append(number)

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(wait, number)
        await anyio.wait_all_tasks_blocked()
        control.leave(Stop.INTERRUPTED, "Interrupted.")
    assert ended == [*range(1, 100, 2), *range(0, 100, 2)]


async def test_a_wait_that_begins_too_late_does_not_wait() -> None:
    control = Control()
    control.leave(Stop.INTERRUPTED, "Interrupted.")
    await until_over(control, left=True)
    await until_over(control, left=False)


async def test_cancelling_hurries_everybody_and_ends_no_wait() -> None:
    """Everybody looks at once; what has to wait for the service's answer afterwards still can."""
    control = Control()
    hurried: list[str] = []
    control.on_hurry(lambda: hurried.append("rounds"))
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: until_over(control, left=True))
        await anyio.wait_all_tasks_blocked()
        control.close(Stop.BALANCE, "No money.")
        assert hurried == []
        control.cancel()
        assert (control.cancelling, control.closed, control.left) == (True, True, False)
        assert hurried == ["rounds"]
        control.leave(Stop.INTERRUPTED, "Interrupted.")
        assert hurried == ["rounds", "rounds"]


async def test_what_is_noted_stops_nothing() -> None:
    """A reason why no further task is begun; those that are go on."""
    control = Control()
    control.note(Stop.LIMIT, "Enough.")
    assert (control.closed, control.left) == (False, False)
    control.close(Stop.BALANCE, "No money.")
    assert control.halt == Halt(Stop.LIMIT, "Enough.")


async def test_a_signal_wakes_all_that_wait_and_none_that_come_later() -> None:
    signal = Signal()
    woken = 0

    async def wait() -> None:
        nonlocal woken
        await signal.wait()
        woken += 1

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        signal.notify()
        await anyio.wait_all_tasks_blocked()
        assert woken == 3
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert woken == 3
        group.cancel_scope.cancel()
