"""Bring home what a task made: every output verified, or the reason why not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

from orchestrator.clock import Clock
from orchestrator.ledger import Ledger
from orchestrator.lifecycle import Failure, Output, Record
from orchestrator.names import file_stem
from orchestrator.steps.calls import Calls, Urgency
from orchestrator.steps.clearing import Clearing
from orchestrator.steps.download import Downloaded, DownloadFailed, Wanted, download, save_content
from orchestrator.steps.identity import Numbered, by_number, distinct
from orchestrator.steps.landing import sha256_of
from orchestrator.steps.outcomes import Outcome, Verdict
from orchestrator.steps.track import PATIENCE_SECONDS, ask, ending_of, reason
from orchestrator.tasks import Parameters
from orchestrator.threads import Hop, in_thread
from orchestrator.wiro import Phase, RemoteOutput, RemoteTask
from orchestrator.wiro.files import Files

LOOKS_FOR_OUTPUTS: Final = 3
QUESTIONS: Final = 5
"""How often the service is asked for a task before its silence is taken for an answer."""

WAIT_SECONDS: Final = 2.0
ADDRESSES: Final = 3
"""How many addresses are tried for one output: a new one is asked for when one has expired."""

RECORDED: Final = "What was recorded here before had the SHA-256"
"""How the warning begins that proves of a place what had been there, while that is not there again."""

FAILED_AS: Final = {"expired": "lost", "misled": "refused"}
"""What it is called in the end when no address is any good: kinds of downloads that another address may mend."""

LATE_SECONDS: Final = 300.0
"""How long after a task's end its files may be late before they are given up.

The list of outputs and the servers of the files follow the task's end when they come to it. No page says how long that
takes; what is given up was paid for, and waiting costs next to nothing.
"""


def age_by_wall_clock(record: Record, now: float) -> float:
    """Return how many seconds ago a task ended by the wall clock, infinite where nobody knows.

    It is for ends that another process has seen. The clock may have been set back a little since.
    """
    ended_at = record.sent.ended_at
    return math.inf if ended_at is None else abs(now - ended_at)


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
        clearing: Is told whose copies on the service are to be deleted, once ours are verified; None leaves them.
        ordered: Tells how many outputs a task was billed for, by its parameters and its cost; None where it cannot.
        price_usd: What a task costs if it succeeds, where that is fixed beforehand.
    """

    run_folder: Path
    outputs_folder: Path
    clearing: Clearing | None
    ordered: Callable[[Parameters, Decimal | None], int | None]
    price_usd: Callable[[Parameters], Decimal | None]
    files: Files
    calls: Calls
    ledger: Ledger
    clock: Clock
    hop: Hop = in_thread

    async def fetch(self, record: Record, remote: RemoteTask | None, age: float) -> Record:
        """Fetch every output of a task.

        Args:
            record: A fetching task.
            remote: What the service last said of it; None to ask first.
            age: How many seconds ago it ended.

        Returns:
            The record: done, or failed because what was paid for cannot be had.

        Raises:
            NotNowError: It may be had later.
        """
        recorded = by_number(record.outputs)
        haul = _Haul(await self.hop(partial(self._intact, recorded)) if recorded else {})
        haul.warnings += _remembered(record, recorded, haul.got)
        young = age < LATE_SECONDS
        try:
            remote = await self._with_outputs(record, remote, young=young)
        except DownloadFailed as error:
            if young:
                raise NotNowError(error.message, late=True) from error
            haul.failures.append(_failure(error))
            return await self._concluded(record, None, haul)
        if record.sent.status is None and remote.known_status and remote.phase is Phase.UNDER_WAY:
            raise NotNowError("The task has not ended yet.")
        young = young and not remote.has_failed  # of a failure nothing more is to come
        numbered = Numbered(recorded)
        numbered.see(distinct(remote.outputs))
        ordered = self._ordered(record, remote)
        if ordered is not None and 0 < len(numbered) < ordered:
            haul.lack = f"{_counted(ordered)} ordered, and the service lists {len(numbered)}."
            if young:
                raise NotNowError(haul.lack, late=True)
        await self._bring(record, numbered, recorded, haul, young=young)
        if not remote.outputs and not haul.got:
            haul.failures.append(_nothing_made(remote))
            haul.may_come = haul.may_come or not remote.has_failed
        elif self.clearing is not None and ordered is None and not haul.failures:
            await self._look_again(record, numbered, haul, young=young)
        if young and haul.may_come:
            raise NotNowError(haul.failures[0].message, late=True)
        return await self._concluded(record, remote, haul)

    def _ordered(self, record: Record, remote: RemoteTask) -> int | None:
        """Return how many outputs the service says by its price that it was asked for, None where it does not."""
        return self.ordered(record.task.parameters, remote.cost_usd)

    async def _bring(
        self, record: Record, numbered: Numbered, recorded: Mapping[int, Output], haul: _Haul, *, young: bool
    ) -> None:
        """Bring home what is not here yet; a look for a new address may show further outputs."""
        number = haul.tried
        while number < len(numbered):
            if number not in haul.got:
                try:
                    await self._output(record, numbered, number, recorded.get(number), haul, young=young)
                except DownloadFailed as error:
                    haul.may_come = haul.may_come or error.kind != "refused"
                    haul.failures.append(_failure(error))
                    haul.warnings += [f"What came is kept in {error.kept}."] if error.kept else []
            number += 1
        haul.tried = number

    async def _look_again(self, record: Record, numbered: Numbered, haul: _Haul, *, young: bool) -> None:
        """Before copies are deleted that nobody has counted, look whether there are more by now, and fetch these."""
        try:
            while haul.tried == len(numbered) and not haul.failures:
                numbered.see(distinct((await self._ask(record)).outputs))
                if haul.tried == len(numbered):
                    return
                await self._bring(record, numbered, {}, haul, young=young)
        except (DownloadFailed, NotNowError) as error:
            haul.lack = f"The service's copies are left, since it does not say whether there are more: {error.message}"

    async def _concluded(self, record: Record, remote: RemoteTask | None, haul: _Haul) -> Record:
        now = self.clock.now()
        got = tuple(output for _, output in sorted(haul.got.items()))
        warnings = (*haul.warnings, *([haul.lack] if haul.lack else []))
        known = record if remote is None else self._learnt(record, remote, now)
        if haul.failures:
            after = replace(known.undelivered(haul.failures[0], now, got), warnings=warnings)
        else:
            after = known.delivered(got, warnings, now)
        clearing = None if haul.failures or haul.lack else self.clearing
        if clearing is not None:
            await clearing.owe(record)
        await self.ledger.save(record, after, durable=bool(haul.failures or clearing))
        return after

    def _learnt(self, record: Record, remote: RemoteTask, now: float) -> Record:
        """Return the record with how the task ended, where that was not known, or not what it cost."""
        sent = record.sent
        if (sent.status is not None and sent.cost_usd is not None) or remote.phase is Phase.UNDER_WAY:
            return record
        ending = ending_of(remote, now, self.price_usd(record.task.parameters))
        return record.learnt(ending if sent.ended_at is None else replace(ending, at=sent.ended_at))

    async def _output(
        self, record: Record, numbered: Numbered, number: int, recorded: Output | None, haul: _Haul, *, young: bool
    ) -> None:
        stem = self._stem(record, number, recorded)
        landed, url = await self._land(record, numbered, number, stem, young=young)
        path = f"{self.outputs_folder.name}/{landed.path}"
        haul.got[number] = Output(path, url, landed.content_type, landed.bytes, landed.sha256)
        haul.warnings = [warning for warning in haul.warnings if warning != _proof(haul.got[number])]
        haul.warnings += [f"{path}: {warning}" for warning in landed.warnings]

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
        self, record: Record, numbered: Numbered, number: int, stem: str, *, young: bool
    ) -> tuple[Downloaded, str | None]:
        """Bring one output home; where its address leads nowhere, ask for a new one."""
        addresses = 1
        while True:
            output = numbered.shown(number)
            if output is None:
                raise DownloadFailed("expired", "The service does not list this output any more.")
            try:
                return await self._take(output, stem, keep=not young), output.url
            except DownloadFailed as error:
                if error.kind in {"unavailable", "disk", "blocked"}:
                    disk, blocked = error.kind == "disk", error.kind == "blocked"
                    raise NotNowError(error.message, disk=disk, blocked=blocked) from error
                if error.kind not in FAILED_AS or addresses == (2 if young else ADDRESSES):
                    raise
            await self.clock.sleep(WAIT_SECONDS * (addresses - 1))
            numbered.see(distinct((await self._ask(record)).outputs))
            addresses += 1

    async def _take(self, output: RemoteOutput, stem: str, *, keep: bool) -> Downloaded:
        if output.url is not None:
            wanted = Wanted(output.url, stem, output.content_type, output.size)
            return await download(self.files, wanted, self.outputs_folder, self.clock, keep=keep, hop=self.hop)
        if output.content is not None:
            return await save_content(output.content, stem, self.outputs_folder, hop=self.hop)
        raise DownloadFailed("refused", "The service lists an output without an address or a text.")

    async def _with_outputs(self, record: Record, remote: RemoteTask | None, *, young: bool) -> RemoteTask:
        """Ask for the task until it shows its outputs, a few times: they may come a little after its end."""
        for attempt in range(1 if young else LOOKS_FOR_OUTPUTS):
            if remote and _is_complete(remote, self._ordered(record, remote) or 0):
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
            said = await ask(
                record,
                Urgency.LIKELY_DONE,
                self.calls,
                patience_seconds=PATIENCE_SECONDS * 2**questions,
                by_id=questions == QUESTIONS - 1,
            )
            if not isinstance(said, Outcome):
                return said
            questions += said.verdict is not Verdict.WAIT
            if said.stop is not None or questions == QUESTIONS:
                if said.verdict is Verdict.GONE:
                    raise DownloadFailed("expired", "The service does not know the task any more.")
                raise NotNowError(said.message)
            await self.clock.sleep(WAIT_SECONDS)


@dataclass(slots=True)
class _Haul:
    """What has come of a task's outputs.

    Attributes:
        got: What stands in the run folder, by number.
        lack: Why there may be more of them; nothing is deleted then. Empty where there are not.
        may_come: Whether what has failed may only be late.
        tried: How many were brought home, or failed.
    """

    got: dict[int, Output]
    warnings: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    lack: str = ""
    may_come: bool = False
    tried: int = 0


def was_another(record: Record, output: Output) -> bool:
    """Return whether another file was recorded at an output's place before."""
    stem = output.path.rpartition(".")[0]
    return any(warning.startswith(f"{stem}.") and RECORDED in warning for warning in record.warnings)


def _remembered(record: Record, recorded: Mapping[int, Output], got: Mapping[int, Output]) -> list[str]:
    """Return what stays to be said: what was strange about the files that are here, and what the others had been."""
    here = tuple(f"{output.path}: " for output in got.values())
    kept = [warning for warning in record.warnings if warning.startswith(here) or RECORDED in warning]
    gone = [_proof(output) for number, output in recorded.items() if number not in got]
    return list(dict.fromkeys((*kept, *gone)))


def _proof(output: Output) -> str:
    return f"{output.path}: {RECORDED} {output.sha256}."


def _is_complete(remote: RemoteTask, ordered: int) -> bool:
    """Return whether a task shows all the outputs that it will ever have."""
    return (bool(remote.outputs) and len(distinct(remote.outputs)) >= ordered) or remote.has_failed


def _nothing_made(remote: RemoteTask) -> Failure:
    """Return why a task that has ended has no outputs."""
    if remote.has_failed:
        return Failure("failed", reason(remote))
    words = f" It says: {reason(remote)}" if remote.error_text.strip() else ""
    return Failure("no_outputs", f"The task has ended, and the service lists no outputs.{words}")


def _counted(outputs: int) -> str:
    return "One output was" if outputs == 1 else f"{outputs} outputs were"


def _failure(error: DownloadFailed) -> Failure:
    return Failure(FAILED_AS.get(error.kind, error.kind), error.message)
