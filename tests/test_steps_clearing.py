"""The service's copies are deleted where that is wanted, once everything is ours, and not before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fetched import GROWS, handed_over, refetched, rigged, young

from orchestrator.ledger import Fact
from orchestrator.lifecycle import State
from orchestrator.steps import fetch
from orchestrator.steps.calls import TurnLostError
from orchestrator.steps.clearing import Clearing
from orchestrator.wiro import Client

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "WAIT_SECONDS", 0.01)


async def test_what_is_listed_is_delivered_in_the_end_and_the_copies_stay(tmp_path: Path) -> None:
    async with rigged(tmp_path, GROWS, delete_remote=True) as rig:
        done = await rig.fetch(await rig.made(samples=3), None)
        assert (done.state, len(done.outputs)) == (State.DONE, 2)
        assert done.warnings == ("3 outputs were ordered, and the service lists 2.",)
        assert (rig.remote.deleted, await rig.owed()) == (False, [])
        assert rig.service.stats.calls["Task/Detail"] == fetch.LOOKS_FOR_OUTPUTS
        rig.remote.life = replace(rig.remote.life, last_after_seconds=0)
        whole = await refetched(rig, done)
        assert [output.path[-6:] for output in whole.outputs] == ["-0.png", "-1.png", "-2.png"]
        assert whole.outputs[:2] == done.outputs


async def test_a_deletion_that_loses_its_turn_asks_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns, delete = iter([False, False, True]), Client.delete_outputs

    async def overtaken(self: Client, token: str) -> None:
        if not next(turns):
            raise TurnLostError
        await delete(self, token)

    monkeypatch.setattr(Client, "delete_outputs", overtaken)
    async with rigged(tmp_path, delete_remote=True) as rig:
        done = await rig.fetch(await rig.made(samples=1), None)
        assert (done.state, rig.remote.deleted, await rig.owed()) == (State.DONE, True, [])


@pytest.mark.parametrize(("delete_remote", "looks"), [(True, 3), (False, 1)])
async def test_where_nobody_counts_them_there_is_one_more_look_before_they_are_deleted(
    tmp_path: Path, delete_remote: bool, looks: int
) -> None:
    async with rigged(tmp_path, GROWS, delete_remote=delete_remote) as rig:
        rig.fetcher = replace(rig.fetcher, ordered=lambda *_: None)
        record = young(await rig.made(samples=3))
        seen = await rig.shown(record)
        rig.remote.life = replace(rig.remote.life, last_after_seconds=0)
        done = await rig.fetch(record, seen)
        assert (done.state, len(done.outputs)) == (State.DONE, 3 if delete_remote else 2)
        assert rig.remote.deleted is delete_remote
        assert rig.service.stats.calls["Task/Detail"] == looks


async def test_where_nobody_says_whether_there_are_more_the_copies_stay(tmp_path: Path) -> None:
    async with rigged(tmp_path, delete_remote=True) as rig:
        rig.fetcher = replace(rig.fetcher, ordered=lambda *_: None)
        record = await rig.made(samples=2)
        seen = await rig.shown(record)
        rig.service.lose_replies = lambda endpoint, _: "before" if endpoint == "Task/Detail" else None
        done = await rig.fetch(record, seen)
        assert (done.state, len(done.outputs), rig.remote.deleted) == (State.DONE, 2, False)
        [warning] = done.warnings
        assert warning.startswith("The service's copies are left")


async def test_the_ordinary_task_is_looked_at_no_more_than_before(tmp_path: Path) -> None:
    async with rigged(tmp_path, delete_remote=True) as rig:
        record = await rig.made(samples=3)
        await rig.fetch(record, await rig.shown(record))
        assert (rig.service.stats.calls["Task/Detail"], rig.remote.deleted) == (1, True)


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_services_copy_is_deleted_only_where_that_is_wanted(tmp_path: Path, wanted: bool) -> None:
    async with rigged(tmp_path, delete_remote=wanted) as rig:
        done = await rig.fetch(await rig.made(samples=1), None)
        assert (done.state, rig.remote.deleted) == (State.DONE, wanted)


async def test_nothing_is_deleted_before_the_manifest_tells_of_it(tmp_path: Path) -> None:
    """Neither what has just been done nor what an earlier run owed."""
    async with rigged(tmp_path) as rig:
        deleted = []

        async def handed_over() -> None:
            deleted.append(rig.remote.deleted)

        clearing = Clearing(rig.fetcher.calls, rig.ledger, handed_over)
        record = await rig.made(samples=1)
        await clearing.clear(record)
        assert deleted == [], "nothing is owed"
        await clearing.owe(record)
        done = await rig.fetch(record, None)
        await clearing.clear(done)
        assert (deleted, rig.remote.deleted) == ([False], True)
        second = await rig.made(samples=1)
        await clearing.owe(second)
        await rig.fetch(second, None)
        await Clearing(rig.fetcher.calls, rig.ledger, handed_over).finish()
        assert (deleted, rig.remote.deleted) == ([False, False], True)


async def test_nothing_is_deleted_before_everything_is_ours(tmp_path: Path) -> None:
    async with rigged(tmp_path, loopback=False, delete_remote=True) as rig:
        failed = await rig.fetch(await rig.made(samples=1), None)
        assert (failed.state, rig.remote.deleted) == (State.FAILED, False)
        assert not await rig.owed()


async def test_what_a_crash_kept_from_being_deleted_is_deleted_by_the_next_run(tmp_path: Path) -> None:
    """Owed from before the record says done, so that nothing is forgotten; deleted only where it says so."""
    async with rigged(tmp_path) as rig:
        clearing = Clearing(rig.fetcher.calls, rig.ledger, handed_over)
        record = await rig.made(samples=1)
        await clearing.owe(record)
        await clearing.finish()
        assert (await rig.owed(), rig.remote.deleted) == ([record.task.id], False)
        assert await rig.ledger.read(lambda store: store.done_with(Fact.OWED)) == 0  # it is not done
        await rig.fetch(record, None)
        await clearing.finish()
        assert (await rig.owed(), rig.remote.deleted) == ([], True)


async def test_a_lost_deletion_is_owed_and_a_refused_one_is_not(tmp_path: Path) -> None:
    async with rigged(tmp_path, delete_remote=True) as rig:
        rig.service.lose_replies = lambda endpoint, _: "before" if endpoint == "Task/InputOutputDelete" else None
        done = await rig.fetch(await rig.made(samples=1), None)
        assert (await rig.owed(), rig.remote.deleted) == ([done.task.id], False)
        assert await rig.ledger.read(lambda store: store.done_with(Fact.OWED)) == 1
        rig.service.lose_replies = None
        await rig.ledger.state({Fact.OWED + done.task.id: "a token that nobody knows"})
        await Clearing(rig.fetcher.calls, rig.ledger, handed_over).finish()
        assert (await rig.owed(), rig.remote.deleted) == ([], False)
