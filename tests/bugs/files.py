"""Bugs in files, in the manifest that names them, and in what a power cut leaves of both."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bugs import Bugs
from orchestrator.lifecycle import Record, State
from orchestrator.output import manifest
from orchestrator.output.keeper import ManifestKeeper
from orchestrator.simulation import Event
from orchestrator.steps import download, fetch, identity, landing
from orchestrator.steps.clearing import Clearing
from orchestrator.steps.fetch import Fetcher
from orchestrator.steps.landing import Landing
from orchestrator.steps.recognise import Kind
from orchestrator.wiro import RemoteTask

BUGS = Bugs()

CUTS = tuple(Event("process unplugged", number) for number in range(70, 400, 45))
CLEARED = {"seeds": 1, "repeat": 1, "samples": 1, "rate": 10.0, "earlier": 1, "run_seconds": 4.0, "delete_remote": True}
KILLS = (Event("process killed", 46), Event("process killed", 49))
"""About when such a task is done and the service's copies are not deleted yet."""


@BUGS.planted(seeds=6, concurrency=1, run_seconds=0.5, events=CUTS)
def a_file_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    def sync(handle: int) -> None:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.fsync(handle)

    patch.setattr(landing, "os", SimpleNamespace(**{**vars(os), "fsync": sync}))


@BUGS.planted(seeds=6, concurrency=1, run_seconds=0.5, events=CUTS)
def a_file_s_name_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(landing, "sync_folder", lambda _: None)


@BUGS.planted(seeds=6, concurrency=1, run_seconds=0.5, events=CUTS)
def a_folder_s_name_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    def make(root: Path, parts: Any) -> Path:
        folder = root.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    patch.setattr(landing, "_make_folder", make)


@BUGS.planted(events=(Event("file page", 1),))
def any_bytes_are_a_picture(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Landing, "_look", lambda _: (Kind("png", "image/png", lambda _: True), True))


@BUGS.planted(seeds=4, events=tuple(Event("hour outage", at=at, seconds=20.0) for at in (6.0, 9.0, 12.0)))
def files_that_cannot_be_reached_are_lost(patch: pytest.MonkeyPatch) -> None:
    reason = download._reason
    patch.setattr(fetch, "LATE_SECONDS", 0.0)
    patch.setattr(download, "_reason", lambda error: "broken" if reason(error) == "unavailable" else reason(error))


@BUGS.planted(events=(Event("task unfinished", 1),))
def outputs_that_come_later_are_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fetch, "LOOKS_FOR_OUTPUTS", 1)
    patch.setattr(fetch, "LATE_SECONDS", 0.0)


LATE = tuple(Event("file gone", number) for number in range(1, 6))


@BUGS.planted(seeds=1, repeat=1, samples=1, events=(*LATE, Event("clock jumps", at=10.0, seconds=3600.0)))
def a_clock_that_is_set_makes_what_has_ended_old(patch: pytest.MonkeyPatch) -> None:
    brought = Fetcher.fetch

    async def by_wall_clock(self: Fetcher, record: Record, remote: RemoteTask | None, _: float) -> Record:
        return await brought(self, record, remote, fetch.age_by_wall_clock(record, self.clock.now()))

    patch.setattr(Fetcher, "fetch", by_wall_clock)


@BUGS.planted(samples=2)
def the_last_output_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    concluded = Fetcher._concluded

    async def short(self: Fetcher, record: Record, remote: Any, haul: Any) -> Record:
        haul.got = {0: haul.got[0]}
        return await concluded(self, record, remote, haul)

    patch.setattr(Fetcher, "_concluded", short)


@BUGS.planted(samples=2, growing_seconds=2.5)
def a_list_that_still_grows_counts_as_complete(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Fetcher, "_ordered", lambda *_: None)


@BUGS.planted(samples=3, turning=True, events=tuple(Event("file gone", number) for number in (1, 4, 7, 10)))
def outputs_are_known_by_their_places(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(identity, "KEYS", ())


@BUGS.planted(samples=2, events=(Event("task torn", 1),))
def what_lacks_an_output_is_done(patch: pytest.MonkeyPatch) -> None:
    concluded = Fetcher._concluded

    async def content(self: Fetcher, record: Record, remote: Any, haul: Any) -> Record:
        if haul.got:
            haul.failures.clear()
        return await concluded(self, record, remote, haul)

    patch.setattr(Fetcher, "_concluded", content)


@BUGS.planted(**CLEARED, events=KILLS)
def what_is_owed_is_deleted_though_the_task_is_not_done(patch: pytest.MonkeyPatch) -> None:
    async def always(*_: object) -> bool:
        return True

    patch.setattr(Clearing, "_is_done", always)


@BUGS.planted(delete_remote=True)
def copies_are_deleted_before_ours_are_recorded(patch: pytest.MonkeyPatch) -> None:
    owe = Clearing.owe

    async def hasty(self: Clearing, record: Record) -> None:
        await owe(self, record)
        await self.clear(record)

    patch.setattr(Clearing, "owe", hasty)


@BUGS.planted(delete_remote=True)
def copies_are_deleted_before_the_manifest_tells_of_ours(patch: pytest.MonkeyPatch) -> None:
    async def hasty(_: object) -> None:
        return

    patch.setattr(ManifestKeeper, "synced", hasty)


@BUGS.planted(delete_remote=True, events=CUTS)
def the_manifest_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(manifest, "sync", lambda _: None)


@BUGS.planted(events=(Event("task fails", 1),), attempts=1)
def the_manifest_leaves_out_what_has_failed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(manifest, "FINAL", {State.DONE})


@BUGS.planted(seeds=1, repeat=1, events=(Event("task fails", 1), Event("run invalid", 2)))
def a_line_forgets_the_request_before_the_one_that_was_refused(patch: pytest.MonkeyPatch) -> None:
    finished = ManifestKeeper.finished

    def forgetful(self: ManifestKeeper, record: Record) -> None:
        is_refused = record.failure is not None and record.failure.kind == "invalid"
        finished(self, replace(record, attempt=None) if is_refused else record)

    patch.setattr(ManifestKeeper, "finished", forgetful)


@BUGS.planted()
def the_manifest_is_never_mended(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ManifestKeeper, "_in_order", lambda *_: True)


@BUGS.planted()
def a_file_s_size_is_told_wrong(patch: pytest.MonkeyPatch) -> None:
    told = download._told

    def more(landed: landing.Landed, *stated: Any) -> download.Downloaded:
        return told(replace(landed, bytes=landed.bytes + 1), *stated)

    patch.setattr(download, "_told", more)


@BUGS.planted()
def every_line_is_written_twice(patch: pytest.MonkeyPatch) -> None:
    append = manifest.append
    patch.setattr(manifest, "append", lambda path, lines: append(path, [*lines, *lines]))
    patch.setattr(ManifestKeeper, "_in_order", lambda *_: True)


@BUGS.planted()
def a_line_tells_no_cost(patch: pytest.MonkeyPatch) -> None:
    entry = manifest.entry
    patch.setattr(manifest, "entry", lambda *told: {**entry(*told), "cost_usd": "0"})


@BUGS.planted(events=(Event("task fails", 1),), attempts=2)
def a_line_tells_of_one_attempt(patch: pytest.MonkeyPatch) -> None:
    entry = manifest.entry
    patch.setattr(manifest, "entry", lambda *told: {**entry(*told), "attempts": 1})


@BUGS.planted(samples=2, events=(Event("task torn", 1),))
def what_came_of_a_torn_task_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    undelivered = Record.undelivered
    patch.setattr(Record, "undelivered", lambda record, failure, at, _: undelivered(record, failure, at))


@BUGS.planted(delete_remote=True)
def copies_are_never_deleted(patch: pytest.MonkeyPatch) -> None:
    async def settled(*_: object) -> bool:
        return True

    patch.setattr(Clearing, "_delete", settled)


@BUGS.planted(**CLEARED, events=KILLS)
def what_a_kill_left_to_be_deleted_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    async def idle(_: object) -> None:
        return

    patch.setattr(Clearing, "finish", idle)


@BUGS.planted(small=True, events=(Event("file page", 1), Event("file page", 3)))
def the_sum_goes_on_where_a_file_begins_anew(patch: pytest.MonkeyPatch) -> None:
    restart = Landing.restart

    def forgetful(self: Landing) -> None:
        digest = getattr(self, "_digest", None)
        restart(self)
        if digest is not None:
            self._digest = digest

    patch.setattr(Landing, "restart", forgetful)
