"""What tasks made: drawn once while it is kept, and kept within bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest

from orchestrator.clock import VirtualClock
from orchestrator.emulator import outputs as module
from orchestrator.emulator.account import Account
from orchestrator.emulator.fates import Fates
from orchestrator.emulator.models import find_model
from orchestrator.emulator.outputs import Outputs
from orchestrator.emulator.profile import Profile
from orchestrator.emulator.stats import Stats
from orchestrator.emulator.task import Task

PROFILE = Profile(balance_usd=Decimal(1000), picture_side=16)
NO_FAULTS = Fates((), 0, VirtualClock().now, Counter())


@pytest.fixture
def outputs() -> Iterator[Outputs]:
    made = Outputs(PROFILE)
    yield made
    made.close()


def a_task(samples: int) -> Task:
    account = Account(PROFILE, Stats(), NO_FAULTS, VirtualClock().now)
    return account.accept(find_model("Hevok", "Studio-Trigger"), {"prompt": "a pier", "samples": samples})[0]


@pytest.mark.anyio
async def test_sizes_match_the_bytes(outputs: Outputs) -> None:
    task = a_task(samples=3)
    pictures = [await outputs.picture(task, number) for number in range(3)]
    assert await outputs.sizes(task) == [len(picture) for picture in pictures]
    assert len(set(pictures)) == 3


@pytest.mark.anyio
async def test_a_kept_picture_is_not_drawn_again(outputs: Outputs) -> None:
    task = a_task(samples=1)
    first = await outputs.picture(task, 0)
    assert await outputs.picture(task, 0) is first


@pytest.mark.anyio
async def test_the_pictures_seen_last_are_kept_within_bounds(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    task = a_task(samples=3)
    sizes = await outputs.sizes(task)
    first, second = await outputs.picture(task, 0), await outputs.picture(task, 1)
    assert await outputs.picture(task, 0) is first
    monkeypatch.setattr(module, "KEPT_BYTES", sizes[0] + sizes[2] + 1)
    other = a_task(samples=1)
    other.id += 1
    await outputs.picture(other, 0)
    redrawn = await outputs.picture(task, 1)
    assert redrawn is not second
    assert redrawn == second
    assert await outputs.sizes(task) == sizes
