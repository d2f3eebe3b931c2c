"""What was made and paid for is brought home, or it is said loudly why not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread
import pytest
from fetched import GROWS, refetched, rigged, young

from orchestrator.clock import VirtualClock
from orchestrator.emulator.faults import Fault
from orchestrator.lifecycle import Failure, State
from orchestrator.money import FREE
from orchestrator.steps import fetch
from orchestrator.steps.download import Downloaded, DownloadFailed, Wanted, download
from orchestrator.steps.fetch import NotNowError
from orchestrator.wiro import RemoteTask
from orchestrator.wiro.files import Files

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "WAIT_SECONDS", 0.01)


@pytest.mark.parametrize("knows", [True, False])
async def test_every_output_is_fetched_and_recorded(tmp_path: Path, knows: bool) -> None:
    """From what was just seen of the task, or, after a restart, from asking for it."""
    async with rigged(tmp_path) as rig:
        record = await rig.made(samples=3)
        done = await rig.fetch(record, await rig.shown(record) if knows else None)
        assert (done.state, len(done.outputs)) == (State.DONE, 3)
        held = await rig.ledger.read(lambda store: list(store.finished()))
        assert held == [done]
    files = rig.files()
    assert {output.path: output.sha256 for output in done.outputs} == {
        path: hashlib.sha256(content).hexdigest() for path, content in files.items()
    }
    assert sorted(files) == [f"files/dusk/boat-task-0-l-{number}.png" for number in range(3)]


async def test_text_becomes_a_file_without_an_address(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        record = await rig.made(model="acme/word-smith")
        done = await rig.fetch(record, None)
        [output] = done.outputs
        assert (done.state, output.url, output.path[-5:]) == (State.DONE, None, ".json")
        assert json.loads(rig.files()[output.path])["answer"]


async def test_outputs_that_are_not_listed_are_told_as_paid_and_missing(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        record = await rig.made(samples=1)
        rig.remote.deleted = True
        failed = await rig.fetch(record, None)
        assert failed.failure is not None
        assert (failed.state, failed.failure.kind, failed.attempt) == (State.FAILED, "no_outputs", record.attempt)


async def test_one_that_ended_without_a_word_is_told_with_the_services_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No outputs come: it is paid for and missing as far as we know, with what the service wrote of it."""
    async with rigged(tmp_path) as rig:
        record = await rig.made()
        error_text = "\nRuntimeError: no memory\n"
        silent = replace(await rig.shown(record), exit_text="", outputs=(), error_text=error_text)

        async def ask(*_: object, **__: object) -> RemoteTask:
            return silent

        monkeypatch.setattr(fetch, "ask", ask)
        failed = await rig.fetch(record, silent)
        assert failed.failure is not None
        assert (failed.state, failed.failure.kind) == (State.FAILED, "no_outputs")
        assert failed.failure.message.endswith("It says: RuntimeError: no memory")


@pytest.mark.parametrize("asked_before", [True, False])
async def test_what_plainly_failed_is_a_failure_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_before: bool
) -> None:
    """A moment after its end, too: a failure has no outputs that may be late."""
    async with rigged(tmp_path) as rig:
        record = young(await rig.made())
        failed = replace(await rig.shown(record), exit_text="1", outputs=(), error_text="out of memory")
        asked = []

        async def ask(*_: object, **__: object) -> RemoteTask:
            asked.append(1)
            return failed

        monkeypatch.setattr(fetch, "ask", ask)
        after = await rig.fetch(record, failed if asked_before else None)
        assert (after.state, after.failure) == (State.FAILED, Failure("failed", "out of memory"))
        assert len(asked) == (not asked_before)


async def test_outputs_that_come_a_little_later_are_waited_for(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        record = await rig.made(samples=1)
        empty = replace(await rig.shown(record), outputs=())
        assert (await rig.fetch(record, empty)).state is State.DONE


async def test_an_address_that_has_expired_is_asked_for_again(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        record = await rig.made(samples=1)
        seen = await rig.shown(record)
        old = replace(seen.outputs[0], url=f"{rig.service.cdn_url}/gone/0.png")
        done = await rig.fetch(record, replace(seen, outputs=(old,)))
        assert (done.state, done.outputs[0].url) == (State.DONE, seen.outputs[0].url)


async def test_files_that_are_gone_are_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few addresses are tried; what could be had of the other outputs is kept, and the rest may come later."""
    async with rigged(tmp_path) as rig:
        record = await rig.made(samples=2)
        with monkeypatch.context() as gone:
            gone.setattr(rig.service._cdn, "_has_output", lambda _, number: number == "1")
            failed = await rig.fetch(record, None)
        assert failed.failure is not None
        assert (failed.state, failed.failure.kind) == (State.FAILED, "lost")
        assert rig.service.stats.downloads["404"] == fetch.ADDRESSES
        assert [output.path for output in failed.outputs] == ["files/dusk/boat-task-0-l-1.png"]
        done = await refetched(rig, failed)
        assert done.state is State.DONE
        assert [output.path[-6:] for output in done.outputs] == ["-0.png", "-1.png"]
        assert sorted(rig.files()) == [output.path for output in done.outputs]
        assert rig.service.stats.downloads["200"] == 2


async def test_only_what_is_missing_or_damaged_is_fetched_again(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        done = await rig.fetch(await rig.made(samples=3), None)
        (tmp_path / done.outputs[0].path).unlink()
        (tmp_path / done.outputs[2].path).write_bytes(b"damaged")
        again = await refetched(rig, done)
        assert again == replace(done, finished_at=again.finished_at)
        files = rig.files()
        assert [hashlib.sha256(files[output.path]).hexdigest() for output in again.outputs] == [
            output.sha256 for output in done.outputs
        ]
        assert rig.service.stats.downloads["200"] == 5


async def test_another_file_in_the_place_of_one_that_was_recorded_is_told_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had been there is proved by its SHA-256 alone: neither another repair nor one in vain drops it."""
    async with rigged(tmp_path) as rig:
        done = await rig.fetch(await rig.made(samples=2), None)
        first, second = (tmp_path / output.path for output in done.outputs)
        picture = rig.service._cdn._outputs.picture
        with monkeypatch.context() as changed:
            changed.setattr(rig.service._cdn._outputs, "picture", lambda task, number: picture(task, number + 7))
            first.unlink()
            other = await refetched(rig, done)
            was = f"{done.outputs[0].path}: {fetch.RECORDED} {done.outputs[0].sha256}."
            assert (other.state, other.warnings) == (State.DONE, (was,))
            assert [output.sha256 for output in other.outputs] == [
                hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, second)
            ]
            first.unlink()
            rig.remote.deleted = True
            lost = await refetched(rig, other)
            assert (lost.state, lost.outputs, lost.warnings[0]) == (State.FAILED, other.outputs[1:], was)
            lost = await refetched(rig, lost)
            rig.remote.deleted = False
            again = await refetched(rig, lost)
            assert (again.outputs, again.warnings) == (other.outputs, (was,))
        second.unlink()
        mended = await refetched(rig, other)
        assert (mended.outputs, mended.warnings) == (other.outputs, (was,))
        first.unlink()
        back = await refetched(rig, mended)
        assert (back.outputs, [other.outputs[0].sha256 in warning for warning in back.warnings]) == (
            done.outputs,
            [True],
        )


TURNS = Fault(place="task", kind="turns")


async def test_a_list_that_still_grows_is_late_while_the_task_is_young(tmp_path: Path) -> None:
    """Three were ordered and billed, and two are listed: nothing is done before the third is there too."""
    async with rigged(tmp_path, GROWS, delete_remote=True) as rig:
        record = young(await rig.made(samples=3))
        with pytest.raises(NotNowError, match="3 outputs were ordered, and the service lists 2") as late:
            await rig.fetch(record, await rig.shown(record))
        assert (late.value.late, rig.remote.deleted) == (True, False)
        rig.remote.life = replace(rig.remote.life, last_after_seconds=0)
        done = await rig.fetch(record, None)
        assert (done.state, len(done.outputs), done.warnings, rig.remote.deleted) == (State.DONE, 3, (), True)


@pytest.mark.parametrize("form", ["newer", "older"])
async def test_each_output_is_found_again_in_whatever_order_they_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Each first address leads nowhere, so that each is asked for again: none is fetched twice, and none forgotten."""
    faults = [TURNS, *([Fault(place="task", kind="older")] if form == "older" else [])]
    expired: set[str] = set()

    async def once(files: Files, wanted: Wanted, *rest: Any, **words: Any) -> Downloaded:
        if wanted.path_stem not in expired:
            expired.add(wanted.path_stem)
            raise DownloadFailed("expired", "It answered HTTP 404.")
        return await download(files, wanted, *rest, **words)

    monkeypatch.setattr(fetch, "download", once)
    async with rigged(tmp_path, *faults) as rig:
        done = await rig.fetch(await rig.made(samples=5), None)
        assert done.state is State.DONE
        assert len({output.sha256 for output in done.outputs}) == 5
        assert rig.service.stats.downloads == {"200": 5}


async def test_what_is_repaired_is_the_output_that_it_was(tmp_path: Path) -> None:
    async with rigged(tmp_path, TURNS) as rig:
        done = await rig.fetch(await rig.made(samples=4), None)
        for damaged in (1, 2, 3):
            (tmp_path / done.outputs[damaged].path).write_bytes(b"damaged")
            again = await refetched(rig, done)
            assert again.outputs == done.outputs


async def test_the_end_that_nobody_had_seen_is_recorded_with_what_it_cost(tmp_path: Path) -> None:
    """A task that was taken for lost keeps nothing aside any more when its outputs are fetched after all."""
    async with rigged(tmp_path) as rig:
        made = await rig.made(samples=2)
        unseen = replace(made.sent, status=None, exit_code=None, cost_usd=None, elapsed_seconds=None, ended_at=None)
        lost = replace(made, state=State.FAILED, failure=Failure("lost", "It was not shown."), attempt=unseen)
        await rig.ledger.save(made, lost, durable=True)
        done = await refetched(rig, lost)
        sent = done.sent
        assert (done.state, sent.status, sent.exit_code) == (State.DONE, "task_postprocess_end", 0)
        assert (sent.cost_usd, sent.elapsed_seconds, sent.ended_at) == (Decimal("0.007"), 0.0, done.finished_at)
        assert (rig.ledger.totals.spent_usd, rig.ledger.totals.reserved_usd) == (Decimal("0.007"), FREE)


async def test_outputs_of_what_still_runs_are_not_all_of_them(tmp_path: Path) -> None:
    async with rigged(tmp_path, Fault(place="task", kind="stuck")) as rig:
        made = await rig.made(samples=1)
        unseen = replace(made, attempt=replace(made.sent, status=None, cost_usd=None, ended_at=None))
        with pytest.raises(NotNowError, match="has not ended yet"):
            await rig.fetch(unseen, None)


async def test_what_has_ended_a_moment_ago_may_be_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are not there yet, outputs that are not listed, a task that is not known: none of them is given up."""
    async with rigged(tmp_path) as rig:
        record = young(await rig.made(samples=2))
        with monkeypatch.context() as gone:
            gone.setattr(rig.service._cdn, "_has_output", lambda _, number: number == "1")
            with pytest.raises(NotNowError, match="404") as late:
                await rig.fetch(record, None)
        assert (late.value.late, late.value.disk, late.value.blocked) == (True, False, False)
        assert rig.service.stats.downloads["404"] == 2, "a new address is tried at once, and nobody is kept waiting"
        unknown = replace(record, attempt=replace(record.sent, token="no-such-token", remote_id="1"))
        with pytest.raises(NotNowError) as late:
            await rig.fetch(unknown, None)
        assert late.value.late
        empty = replace(await rig.shown(record), outputs=())
        rig.remote.deleted = True
        with pytest.raises(NotNowError, match="lists no outputs") as late:
            await rig.fetch(record, empty)
        assert late.value.late
        rig.remote.deleted = False
        assert (await rig.fetch(record, None)).state is State.DONE


@pytest.mark.parametrize(("age", "is_late"), [(299, True), (301, False), (-299, True), (-301, False)])
async def test_it_is_so_for_five_minutes_by_a_clock_that_may_jump_a_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: float, is_late: bool
) -> None:
    kept = []

    async def broken(*_: object, keep: bool, **__: object) -> Downloaded:
        kept.append(keep)
        raise DownloadFailed("broken", "It lacks its end.")

    monkeypatch.setattr(fetch, "download", broken)
    async with rigged(tmp_path) as rig:
        record = await rig.made(samples=1)
        clock = VirtualClock()
        rig.fetcher = replace(rig.fetcher, clock=clock)
        aged = replace(record, attempt=replace(record.sent, ended_at=clock.now() - age))
        if is_late:
            with pytest.raises(NotNowError, match="It lacks its end"):
                await rig.fetch(aged, None)
        else:
            assert (await rig.fetch(aged, None)).failure == Failure("broken", "It lacks its end.")
        assert kept == [not is_late]


@pytest.mark.parametrize("faults", [1, fetch.ADDRESSES])
async def test_a_redirect_astray_is_asked_again_and_never_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: int
) -> None:
    asked = []

    async def astray(files: Files, wanted: Wanted, *rest: Any, **words: Any) -> Downloaded:
        asked.append(wanted.url)
        if len(asked) <= faults:
            raise DownloadFailed("misled", "Its address is not a public one.")
        return await download(files, wanted, *rest, **words)

    monkeypatch.setattr(fetch, "download", astray)
    async with rigged(tmp_path) as rig:
        after = await rig.fetch(await rig.made(samples=1), None)
        kind = after.failure and after.failure.kind
        assert (after.state, kind) == ((State.DONE, None) if faults == 1 else (State.FAILED, "refused"))


async def test_a_refused_address_is_never_only_late(tmp_path: Path) -> None:
    async with rigged(tmp_path, loopback=False) as rig:
        failed = await rig.fetch(young(await rig.made(samples=1)), None)
        assert failed.failure is not None
        assert (failed.state, failed.failure.kind) == (State.FAILED, "refused")


async def test_a_refused_address_is_told(tmp_path: Path) -> None:
    """Outputs on loopback of a service that is not: nothing is fetched from there."""
    async with rigged(tmp_path, loopback=False) as rig:
        failed = await rig.fetch(await rig.made(samples=1), None)
        assert failed.failure is not None
        assert (failed.state, failed.failure.kind) == (State.FAILED, "refused")
        assert not rig.service.stats.downloads


async def test_a_task_that_the_service_forgot_is_lost(tmp_path: Path) -> None:
    """It is asked for a few times, and does not stay unfinished for ever."""
    async with rigged(tmp_path) as rig:
        record = await rig.made(samples=1)
        unknown = replace(record, attempt=replace(record.sent, token="no-such-token", remote_id="1"))
        failed = await rig.fetch(unknown, None)
        assert failed.failure is not None
        assert (failed.state, failed.failure.kind) == (State.FAILED, "lost")
        assert rig.service.stats.calls["Task/Detail"] == fetch.QUESTIONS + 1  # by its id, at last


async def test_a_question_that_is_lost_is_asked_again_and_silence_waits_for_another_run(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:

        def lose(endpoint: str, number: int) -> Literal["before"] | None:
            return "before" if endpoint == "Task/Detail" and number != 3 else None

        rig.service.lose_replies = lose
        record = await rig.made(samples=1)
        other = await rig.made(samples=1)
        assert (await rig.fetch(record, None)).state is State.DONE
        with pytest.raises(NotNowError):
            await rig.fetch(other, None)
        assert rig.ledger.totals.counts[State.FETCHING] == 1


async def test_a_disk_that_takes_nothing_leaves_the_task_for_another_run(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await anyio.Path(tmp_path / "files").write_text("in the way of a folder")
        with pytest.raises(NotNowError) as not_now:
            await rig.fetch(await rig.made(samples=1), None)
        assert (not_now.value.disk, not_now.value.blocked) == (True, False)
        assert rig.ledger.totals.counts[State.FETCHING] == 1


async def test_what_stands_at_its_place_keeps_the_task_alone_for_another_run(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        await anyio.Path(tmp_path / "files").mkdir()
        await anyio.Path(tmp_path / "files" / "dusk").write_text("in the way of a folder")
        with pytest.raises(NotNowError, match="Move away what stands at its place") as not_now:
            await rig.fetch(await rig.made(samples=1), None)
        assert (not_now.value.disk, not_now.value.blocked) == (False, True)
        assert rig.ledger.totals.counts[State.FETCHING] == 1


async def test_what_stays_broken_fails_for_a_reason_that_others_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is kept is a warning of its own, so that tasks that fail alike are told together."""

    async def broken(_files: Files, wanted: Wanted, *_: object, **__: object) -> Downloaded:
        raise DownloadFailed("broken", "It lacks its end.", kept=f"files/.suspect/{wanted.path_stem}.png")

    monkeypatch.setattr(fetch, "download", broken)
    async with rigged(tmp_path) as rig:
        failed = await rig.fetch(await rig.made(samples=1), None)
        assert failed.failure == Failure("broken", "It lacks its end.")
        assert failed.warnings == ("What came is kept in files/.suspect/dusk/boat-task-0-l-0.png.",)
