"""Bring home what a task made: every output verified, or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from orchestrator.clock import Clock
from orchestrator.ledger import Ledger
from orchestrator.lifecycle import Failure, Output, Record
from orchestrator.names import file_stem
from orchestrator.steps.calls import Calls, Urgency
from orchestrator.steps.clearing import Clearing
from orchestrator.steps.download import Downloaded, DownloadFailed, Wanted, download, save_content, sha256_of
from orchestrator.steps.outcomes import Outcome, Verdict
from orchestrator.steps.track import ask, reason
from orchestrator.threads import Hop, in_thread
from orchestrator.wiro import RemoteOutput, RemoteTask
from orchestrator.wiro.files import Files

LOOKS_FOR_OUTPUTS: Final = 3
QUESTIONS: Final = 5
"""How often the service is asked for a task before its silence is taken for an answer."""

WAIT_SECONDS: Final = 2.0
ADDRESSES: Final = 3
"""How many addresses are tried for one output: a new one is asked for when one has expired."""

FAILED_AS: Final = {"expired": "lost", "misled": "refused"}
"""What it is called in the end when no address is any good: kinds of downloads that another address may mend."""

LATE_SECONDS: Final = 300.0
"""How long after a task's end its files may be late before they are given up.

The list of outputs and the servers of the files follow the task's end when they come to it. No page says how long that
takes; what is given up was paid for, and waiting costs next to nothing.
"""


class NotNowError(Exception):
    """The outputs cannot be had just now: the task stays as it is, and a later run goes on with it.

    Attributes:
        disk: Whether it is our disk that cannot take them.
        blocked: Whether only something that stands at their place is in the way, which the user has to move.
        late: Whether the task has ended so short a time ago that they may yet come: ask until this is no longer said.
    """

    def __init__(self, message: str, *, disk: bool = False, blocked: bool = False, late: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.disk = disk
        self.blocked = blocked
        self.late = late


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches the outputs of tasks that the service has made.

    Attributes:
        run_folder: Paths in the records are relative to it.
        outputs_folder: Where the outputs go, right inside of it.
        clearing: Deletes the service's copies once ours are verified and recorded; None leaves them.
    """

    run_folder: Path
    outputs_folder: Path
    clearing: Clearing | None
    files: Files
    calls: Calls
    ledger: Ledger
    clock: Clock
    hop: Hop = in_thread

    async def fetch(self, record: Record, remote: RemoteTask | None) -> Record:
        """Fetch every output of a task.

        Args:
            record: A fetching task.
            remote: What the service last said of it; None to ask first.

        Returns:
            The record: done, or failed because what was paid for cannot be had.

        Raises:
            NotNowError: It may be had later.
        """
        recorded = {_number(output): output for output in record.outputs}
        kept = await self.hop(partial(self._intact, recorded)) if recorded else {}
        got: list[Output] = []
        warnings: list[str] = []
        failures: list[Failure] = []
        young, may_come = self._is_young(record), False
        try:
            remote = await self._with_outputs(record, remote, young=young)
        except DownloadFailed as error:
            if young:
                raise NotNowError(error.message, late=True) from error
            return await self._concluded(record, tuple(kept.values()), (), [_failure(error)])
        for number in range(max(len(remote.outputs), max(recorded, default=-1) + 1)):
            if number in kept:
                got.append(kept[number])
                continue
            try:
                output, said = await self._output(record, remote, number, recorded.get(number), young=young)
            except DownloadFailed as error:
                may_come = may_come or error.kind != "refused"
                failures.append(_failure(error))
                warnings += [f"What came is kept in {error.kept}."] if error.kept else []
            else:
                got.append(output)
                warnings += [f"{output.path}: {warning}" for warning in said]
        if not remote.outputs and not kept:
            words = f" It says: {reason(remote)}" if remote.error_text.strip() else ""
            failures.append(Failure("no_outputs", f"The task has ended, and the service lists no outputs.{words}"))
            may_come = True
        if young and may_come:
            raise NotNowError(failures[0].message, late=True)
        return await self._concluded(record, tuple(got), tuple(warnings), failures)

    def _is_young(self, record: Record) -> bool:
        """Return whether the task ended a moment ago; the wall clock may have been set back a little since."""
        ended_at = record.sent.ended_at
        return ended_at is not None and abs(self.clock.now() - ended_at) < LATE_SECONDS

    async def _concluded(
        self, record: Record, got: tuple[Output, ...], warnings: tuple[str, ...], failures: list[Failure]
    ) -> Record:
        now = self.clock.now()
        if failures:
            after = replace(record.undelivered(failures[0], now, got), warnings=warnings)
        else:
            after = record.delivered(got, warnings, now)
        clearing = None if failures else self.clearing
        if clearing is not None:
            await clearing.owe(record)
        await self.ledger.save(record, after, durable=bool(failures or clearing))
        if clearing is not None:
            await clearing.clear(after)
        return after

    async def _output(
        self, record: Record, remote: RemoteTask, number: int, recorded: Output | None, *, young: bool
    ) -> tuple[Output, tuple[str, ...]]:
        if number >= len(remote.outputs):
            raise DownloadFailed("expired", "The service does not list this output any more.")
        stem = self._stem(record, number, recorded)
        landed, url = await self._land(record, remote.outputs[number], number, stem, young=young)
        path = f"{self.outputs_folder.name}/{landed.path}"
        return Output(path, url, landed.content_type, landed.bytes, landed.sha256), landed.warnings

    def _intact(self, recorded: Mapping[int, Output]) -> dict[int, Output]:
        """Return those of the recorded outputs that stand as they were recorded, by their numbers."""
        return {
            number: output
            for number, output in recorded.items()
            if (path := self.run_folder / output.path).is_file() and sha256_of(path) == output.sha256
        }

    def _stem(self, record: Record, number: int, recorded: Output | None) -> str:
        """Return the output's place without its ending: where it was first recorded, it stays for good."""
        if recorded is not None:
            stem = (self.run_folder / recorded.path).with_suffix("")
            return stem.relative_to(self.outputs_folder).as_posix()
        return file_stem(record.task.path, record.task.short_id, number)

    async def _land(
        self, record: Record, output: RemoteOutput, number: int, stem: str, *, young: bool
    ) -> tuple[Downloaded, str | None]:
        """Bring one output home; where its address leads nowhere, ask for a new one."""
        addresses = 1
        while True:
            try:
                return await self._take(output, stem, keep=not young), output.url
            except DownloadFailed as error:
                if error.kind in {"unavailable", "disk", "blocked"}:
                    disk, blocked = error.kind == "disk", error.kind == "blocked"
                    raise NotNowError(error.message, disk=disk, blocked=blocked) from error
                if error.kind not in FAILED_AS or addresses == (2 if young else ADDRESSES):
                    raise
            await self.clock.sleep(WAIT_SECONDS * (addresses - 1))
            outputs = (await self._ask(record)).outputs
            output = outputs[number] if number < len(outputs) else output
            addresses += 1

    async def _take(self, output: RemoteOutput, stem: str, *, keep: bool) -> Downloaded:
        if output.url is not None:
            wanted = Wanted(output.url, stem, output.content_type, output.size)
            return await download(self.files, wanted, self.outputs_folder, self.clock, keep=keep, hop=self.hop)
        if output.content is not None:
            return await save_content(output.content, stem, self.outputs_folder, hop=self.hop)
        raise DownloadFailed("refused", "The service lists an output without an address or a text.")

    async def _with_outputs(self, record: Record, remote: RemoteTask | None, *, young: bool) -> RemoteTask:
        """Ask for the task until it shows outputs, a few times: they may come a little after its end."""
        for attempt in range(1 if young else LOOKS_FOR_OUTPUTS):
            if remote is not None and remote.outputs:
                return remote
            if attempt:
                await self.clock.sleep(WAIT_SECONDS)
            remote = await self._ask(record)
        assert remote is not None  # noqa: S101 - it was asked for at least once
        return remote

    async def _ask(self, record: Record) -> RemoteTask:
        """Ask for the task; what stands in the way may pass, up to a point.

        Raises:
            DownloadFailed: The service does not know the task any more.
            NotNowError: It does not say.
        """
        questions = 0
        while True:
            said = await ask(record, Urgency.LIKELY_DONE, self.calls, by_id=questions == QUESTIONS - 1)
            if not isinstance(said, Outcome):
                return said
            questions += said.verdict is not Verdict.WAIT
            if said.stop is not None or questions == QUESTIONS:
                if said.verdict is Verdict.GONE:
                    raise DownloadFailed("expired", "The service does not know the task any more.")
                raise NotNowError(said.message)
            await self.clock.sleep(WAIT_SECONDS)


def _number(output: Output) -> int:
    """Return which output of its task it is: its name says it for good."""
    return int(PurePosixPath(output.path).stem.rpartition("-")[2])


def _failure(error: DownloadFailed) -> Failure:
    return Failure(FAILED_AS.get(error.kind, error.kind), error.message)
