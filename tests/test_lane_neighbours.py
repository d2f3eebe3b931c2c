"""What the ledgers of other runs say before a remote task is taken for one of ours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from orchestrator.engines.doubts import LONGEST_REQUEST_SECONDS
from orchestrator.lane import LaneFile, Neighbours, copy_at_work, known_as
from orchestrator.lane.neighbours import LAG_SECONDS
from orchestrator.ledger import Fact, SqliteLedger
from orchestrator.lifecycle import Record
from orchestrator.money import FREE
from orchestrator.runs import RunFolder
from orchestrator.steps.elsewhere import Elsewhere
from orchestrator.sweep import Schema, load
from orchestrator.tasks import Task
from orchestrator.wiro import seed_model

pytestmark = pytest.mark.anyio

MODEL = "Hevok/Studio-Trigger"
NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """What is asked about is made in the one thread there is."""


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[LaneFile]:
    with closing(LaneFile(tmp_path / "lane")) as file:
        yield file


def job_text(folder: Path) -> str:
    path = folder / "job.yaml"
    path.write_text(f"model: {MODEL}\nparameters: {{prompt: a boat}}\n")
    return json.dumps(
        load(path, today=datetime(2026, 11, 22, tzinfo=UTC)).resolve(Schema.from_tool(seed_model())).to_json()
    )


def task(name: str) -> Task:
    return Task(name, int(name), {"prompt": "a boat", "seed": name}, {}, {}, "x")


def left(
    lane: LaneFile, folder: Path, *moves: Callable[[Record], Record], model: str = MODEL, name: str = ""
) -> RunFolder:
    """A run that is no more, whose tasks 1, 2, … it left as these moves of an intended task say."""
    run = RunFolder(folder)
    run.make()
    with SqliteLedger(run.ledger) as store, store.transaction(durable=False):
        facts = {Fact.RUN: name or folder.name, "model": model, "job": job_text(folder), "edition": "1", "total": "9"}
        store.state({**facts, "source": "", "service": "", "account": "", "tool": "{}", "started_at": repr(NOW)})
        for number, move in enumerate(moves, 1):
            store.enter([task(str(number))], 1, number)
            before = Record(task(str(number)))
            intended = before.intended(NOW, FREE, 100)
            store.save(before, intended)
            after = move(intended)
            if after is not intended:
                store.save(intended, after)
    lane.enter(name or folder.name, folder, NOW)
    return run


def as_it_was(record: Record) -> Record:
    return record


def in_doubt(record: Record) -> Record:
    return record.given_up(NOW + 5)


def accepted(record: Record) -> Record:
    return record.accepted(f"20{record.task.id}", "token", NOW + 1)


async def asked(lane: LaneFile, *, since: float = NOW, run: str = "ours") -> Elsewhere:
    neighbours = Neighbours(lane, run, MODEL)
    async with neighbours.consulted([str(number) for number in range(190, 2000)], since) as elsewhere:
        assert elsewhere is not None
        return elsewhere


async def test_alone_there_is_nobody_to_ask(lane: LaneFile) -> None:
    lane.enter("ours", lane.folder, NOW)
    assert await asked(lane) == Elsewhere(set(), [], [])


async def test_what_another_run_has_is_its_own(lane: LaneFile, tmp_path: Path) -> None:
    left(lane, tmp_path / "one", accepted, accepted)
    left(lane, tmp_path / "two", as_it_was, as_it_was, accepted)
    assert set((await asked(lane)).claimed) == {"201", "202", "203"}
    assert set((await asked(lane, run="one")).claimed) == {"203"}


async def test_what_another_run_does_not_know_of_itself(lane: LaneFile, tmp_path: Path) -> None:
    """A process that is gone waits for no reply; its request was given up when its time-out came at the latest."""
    run = left(lane, tmp_path / "one", in_doubt, as_it_was, accepted)
    doubt, out = (await asked(lane)).open
    assert doubt.parameters == {"prompt": "a boat", "seed": "1"}
    assert (doubt.attempt.newest_known, doubt.attempt.gave_up_at) == (100, NOW + 5)
    assert out.attempt.gave_up_at == NOW + LONGEST_REQUEST_SECONDS
    with run.held():
        doubt, out = (await asked(lane)).open
    assert (doubt.attempt.gave_up_at, out.attempt.gave_up_at) == (NOW + 5, None)


async def test_another_models_requests_do_not_matter(lane: LaneFile, tmp_path: Path) -> None:
    left(lane, tmp_path / "one", in_doubt, accepted, model="else/model")
    elsewhere = await asked(lane)
    assert (set(elsewhere.claimed), list(elsewhere.open)) == ({"202"}, [])


async def test_only_runs_that_were_at_work_by_then_matter(lane: LaneFile, tmp_path: Path) -> None:
    left(lane, tmp_path / "one", accepted)
    assert (await asked(lane, since=NOW + LAG_SECONDS)).claimed
    assert not (await asked(lane, since=NOW + LAG_SECONDS + 1)).claimed


def removed(folder: Path) -> None:
    shutil.rmtree(folder)


def damaged(folder: Path) -> None:
    (folder / "ledger.sqlite").write_bytes(b"no ledger" * 1000)


def replaced(folder: Path) -> None:
    with SqliteLedger(folder / "ledger.sqlite") as store, store.transaction(durable=False):
        store.state({Fact.RUN: "another"})


@pytest.mark.parametrize("spoil", [removed, damaged, replaced])
async def test_a_run_whose_ledger_cannot_be_read_is_named(
    lane: LaneFile, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    left(lane, tmp_path / "one", accepted)
    spoil(tmp_path / "one")
    assert await asked(lane) == Elsewhere(set(), [], [str(tmp_path / "one")])


@pytest.mark.parametrize("spoil", [removed, damaged, replaced])
async def test_a_run_that_ended_in_order_has_left_word(
    lane: LaneFile, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """It is read in place of its ledger, as far back as it goes, and no more once the run is at work again."""
    left(lane, tmp_path / "one", accepted)
    lane.leave_word("one", NOW - LAG_SECONDS, "201\n999999")
    spoil(tmp_path / "one")
    assert await asked(lane) == Elsewhere({"201"}, [], [])
    assert (await asked(lane, since=NOW - 1)).unread
    lane.enter("one", tmp_path / "elsewhere", NOW)
    assert (await asked(lane)).unread


async def test_a_run_that_was_moved_away_is_not_forgotten_for_the_one_in_its_place(
    lane: LaneFile, tmp_path: Path
) -> None:
    """What it has sent is its own, also where the service comes to show it only after the other one has begun."""
    left(lane, tmp_path / "one", accepted).path.rename(tmp_path / "archive")
    lane.enter("ours", tmp_path / "one", NOW + 10)
    assert (await asked(lane)).unread == [str(tmp_path / "one")]
    lane.enter("one", tmp_path / "archive", NOW + 20)
    assert await asked(lane) == Elsewhere({"201"}, [], [])


async def test_one_decides_at_a_time(lane: LaneFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not get its turn learns that, and tries again later."""
    monkeypatch.setattr("orchestrator.lane.neighbours.PATIENCE_SECONDS", 0.05)
    one, other = Neighbours(lane, "one", MODEL), Neighbours(lane, "other", MODEL)
    async with one.consulted([], NOW) as first:
        assert first is not None
        async with other.consulted([], NOW) as second:
            assert second is None
    async with other.consulted([], NOW) as second:
        assert second is not None


async def test_the_turn_is_given_back_when_the_decision_is_cancelled(lane: LaneFile) -> None:
    with anyio.CancelScope() as scope:
        async with Neighbours(lane, "one", MODEL).consulted([], NOW):
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert await asked(lane) is not None


def test_a_run_keeps_its_id_when_it_is_moved_and_a_copy_gets_its_own(lane: LaneFile, tmp_path: Path) -> None:
    run = left(lane, tmp_path / "one")
    assert known_as(lane, "one", run.path) == "one"
    assert len({known_as(lane, None, run.path) for _ in range(3)}) == 3
    assert known_as(lane, "one", tmp_path / "copy") != "one"
    run.path.rename(tmp_path / "moved")
    assert known_as(lane, "one", tmp_path / "moved") == "one"


def test_a_copy_that_is_at_work_is_found_from_either_side(lane: LaneFile, tmp_path: Path) -> None:
    """And from that of a copy's copy; other runs, and those where nobody is at work, are none of its business."""
    run, other = left(lane, tmp_path / "one"), left(lane, tmp_path / "two")
    known = ["one"]
    for name in ("copy", "copy of the copy"):
        known.append(known_as(lane, known[-1], tmp_path / name))
        left(lane, tmp_path / name, name=known[-1])
    with other.held():
        assert [copy_at_work(lane, name) for name in known] == [None] * 3
    with run.held():
        assert [copy_at_work(lane, name) for name in (*known, "two")] == [None, run.path, run.path, None]
    with RunFolder(tmp_path / "copy").held():
        assert [copy_at_work(lane, name) for name in known] == [tmp_path / "copy", None, tmp_path / "copy"]
        (tmp_path / "copy").rename(tmp_path / "moved")
        assert copy_at_work(lane, "one") is None
