"""A run enters its lane before it sends anything, and goes on alone where it has none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from orchestrator.clock import VirtualClock
from orchestrator.commands.sharing import SEEN_SECONDS, among_others
from orchestrator.config import Settings
from orchestrator.engines.slots import Capacity, Slots
from orchestrator.lane import WORD_SECONDS, LaneFile, Neighbours, lane_folder
from orchestrator.ledger import Fact, Ledger, SqliteLedger
from orchestrator.lifecycle import Record
from orchestrator.logs import Entry, Log
from orchestrator.money import FREE
from orchestrator.runs import RunFolder
from orchestrator.steps.elsewhere import Alone, Others
from orchestrator.tasks import Task
from orchestrator.wiro import Credentials

pytestmark = pytest.mark.anyio

T = TypeVar("T")
URL = "http://127.0.0.1:1/v1"


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """What is asked about is made in the one thread there is."""


@asynccontextmanager
async def sharing(
    folder: Path, state: Path | None, said: list[Entry], clock: VirtualClock, slots: Slots | None = None
) -> AsyncIterator[Others]:
    run = RunFolder(folder)
    run.make()
    settings = Settings("key", None, URL, state=state)
    with SqliteLedger(run.ledger) as store:
        ledger = Ledger(store, clock, inline)
        slots = slots or Slots(Capacity(None), clock)
        async with anyio.create_task_group() as group:
            group.start_soon(ledger.run)
            try:
                async with among_others(
                    run, ledger, "a/b", slots, settings=settings, clock=clock, log=Log(said.append), hop=inline
                ) as it:
                    yield it
            finally:
                ledger.close()


async def test_a_run_is_known_to_the_others_as_long_as_it_is_at_work(tmp_path: Path) -> None:
    said, clock = list[Entry](), VirtualClock()
    place = lane_folder(tmp_path / "state", URL, Credentials("key", None).fingerprint)
    ids = set()
    for _ in range(2):
        begun = clock.now()
        async with sharing(tmp_path / "run", tmp_path / "state", said, clock) as others:
            assert isinstance(others, Neighbours)
            with closing(LaneFile(place)) as file:
                assert file.members(begun + SEEN_SECONDS) == []
                await moved(clock, SEEN_SECONDS + 1)
                [member] = file.members(begun + SEEN_SECONDS)
        assert member.folder == tmp_path / "run"
        with SqliteLedger(tmp_path / "run" / "ledger.sqlite", read_only=True) as store:
            assert store.fact(Fact.RUN) == member.run
        ids.add(member.run)
    assert len(ids) == 1
    assert said == []


def word_left(state: Path) -> set[str] | None:
    """What the only run there is has left."""
    with closing(LaneFile(lane_folder(state, URL, Credentials("key", None).fingerprint))) as file:
        [member] = file.members(0.0)
        return file.word_of(member.run, member.seen_at)


@pytest.mark.parametrize("accepted", [True, False])
async def test_a_run_leaves_word_of_what_is_its_own_unless_a_request_is_open(tmp_path: Path, accepted: bool) -> None:
    clock, folder, state = VirtualClock(), tmp_path / "run", tmp_path / "state"
    async with sharing(folder, state, [], clock):
        assert word_left(state) is None
        with SqliteLedger(folder / "ledger.sqlite") as store, store.transaction(durable=False):
            for number in (1, 2):
                before = Record(Task(str(number), number, {}, {}, {}, "x"))
                store.enter([before.task], 1, number)
                intended = before.intended(clock.now(), FREE, 100)
                store.save(before, intended)
                if accepted or number == 1:
                    store.save(intended, intended.accepted(f"20{number}", "token", clock.now()))
    assert word_left(state) == ({"201", "202"} if accepted else None)


async def test_a_run_that_breaks_off_leaves_no_word(tmp_path: Path) -> None:
    with pytest.RaisesGroup(ValueError, flatten_subgroups=True):
        async with sharing(tmp_path / "run", tmp_path / "state", [], VirtualClock()):
            raise ValueError
    assert word_left(tmp_path / "state") is None


async def test_a_run_begins_with_the_places_that_the_one_before_was_told(tmp_path: Path) -> None:
    """By a refusal that named them, within a day."""
    clock, bounded = VirtualClock(), []
    for stated in (None, 3, None):
        slots = Slots(Capacity(None), clock)
        async with sharing(tmp_path / "run", tmp_path / "state", [], clock, slots):
            bounded.append(not slots.capacity.fits(3, clock.monotonic()))
            slots.capacity.refused(3, stated, clock.monotonic())
    assert bounded == [False, False, True]
    slots, later = Slots(Capacity(None), clock), VirtualClock(clock.now() + WORD_SECONDS + 1)
    async with sharing(tmp_path / "run", tmp_path / "state", [], later, slots):
        assert slots.capacity.fits(3, clock.monotonic())


async def moved(clock: VirtualClock, seconds: float) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(clock.run)
        await clock.sleep(seconds)
        group.cancel_scope.cancel()


async def inline(work: Callable[[], T]) -> T:
    return work()


async def test_without_a_place_it_goes_on_alone(tmp_path: Path) -> None:
    said: list[Entry] = []
    async with sharing(tmp_path / "run", None, said, VirtualClock()) as others:
        assert isinstance(others, Alone)
    (tmp_path / "file").touch()
    async with sharing(tmp_path / "run", tmp_path / "file", said, VirtualClock()) as others:
        assert isinstance(others, Alone)
    [entry] = said
    assert entry["level"] == "warning"
    assert "ORCHESTRATOR_HOME" in entry["event"]


async def test_whether_a_run_went_alone_is_kept_until_one_does_not(tmp_path: Path) -> None:
    """The log tells why; who looks at the run later learns that it was so."""
    (tmp_path / "file").touch()
    for home, alone in ((None, None), (tmp_path / "file", "1"), (tmp_path / "state", None)):
        async with sharing(tmp_path / "run", home, [], VirtualClock()):
            pass
        with SqliteLedger(tmp_path / "run" / "ledger.sqlite", read_only=True) as store:
            assert store.fact(Fact.ALONE) == alone


@pytest.mark.parametrize("anew", [True, False])
async def test_a_ledger_that_was_made_anew_speaks_for_all_that_was_there(tmp_path: Path, anew: bool) -> None:
    """A new run in the place of one that was moved away does not; and that it was made anew is said once."""
    clock, folder = VirtualClock(), tmp_path / "run"
    place = lane_folder(tmp_path / "state", URL, Credentials("key", None).fingerprint)
    with closing(LaneFile(place)) as file:
        file.enter("before", folder, clock.now())
        RunFolder(folder).make()
        with SqliteLedger(folder / "ledger.sqlite") as store, store.transaction(durable=False):
            store.state({Fact.ANEW: "1" if anew else None})
        async with sharing(folder, tmp_path / "state", [], clock):
            assert ("before" in {member.run for member in file.members(0.0)}) is not anew
    with SqliteLedger(folder / "ledger.sqlite", read_only=True) as store:
        assert store.fact(Fact.ANEW) is None
