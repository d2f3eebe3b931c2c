"""Filling a fresh ledger with all that is known of a run whose own is damaged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from orchestrator.commands.evidence import (
    UNSENT,
    Doubtful,
    completed,
    latest,
    paid_unseen,
    reconciled,
    requested,
    unrequested,
)
from orchestrator.commands.pricing import reserves
from orchestrator.engines.doubts import LONGEST_REQUEST_SECONDS
from orchestrator.facts import frozen_tool, resolved_job
from orchestrator.ledger import ClaimedError, Fact, SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.money import FREE
from orchestrator.output import manifest
from orchestrator.output.checked import Condition, condition_of
from orchestrator.runs import RunFolder
from orchestrator.status import Status
from orchestrator.steps.upload import known_urls, logged_urls
from orchestrator.sweep import Job
from orchestrator.tasks import Parameters

CHUNK: Final = 500
_NAME: Final = re.compile(r"-([a-z2-7]{8})-\d+\.\w+$")
"""The end of a file's name: its task's short id, its number, its ending."""

FORMAT: Final = 1

T = TypeVar("T")


@dataclass(slots=True)
class Recovery:
    """What a damaged run folder was made into.

    Attributes:
        kept: Where the damaged ledger is now, None where there was none left.
        read: Tasks that could be read of it.
        listed: Tasks of which the manifest told more.
        whole: Done tasks whose files were found as they were recorded.
        again: Done tasks whose files were not, and are fetched again.
        unpriced: Done tasks of which nobody knows any more what they have cost.
        in_doubt: Tasks that may have been sent for all that is known.
        adopted: Those that the service's list has shown.
        status: Where the run stands now.
        halt: Why not all could be settled, None if it was.
    """

    kept: Path | None = None
    read: int = 0
    listed: int = 0
    whole: int = 0
    again: int = 0
    unpriced: int = 0
    in_doubt: int = 0
    adopted: int = 0
    status: Status | None = None
    halt: str | None = None

    @property
    def settled(self) -> bool:
        """Whether it is certain of every task where it stands."""
        return self.halt is None and self.status is not None and not self.status.counts[State.SUBMITTING]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `recover --json` prints."""
        names = ("read", "listed", "whole", "again", "unpriced", "in_doubt", "adopted")
        return {
            "format": FORMAT,
            "kept": None if self.kept is None else str(self.kept),
            **{name: getattr(self, name) for name in names},
            "status": None if self.status is None else self.status.to_json(),
            "halt": self.halt,
        }


@dataclass(slots=True)
class Rebuilding:
    """Fills a fresh ledger with all that is known; it blocks."""

    folder: RunFolder
    fresh: SqliteLedger
    facts: dict[str, str]
    evidence: Doubtful
    found: Recovery
    job: Job = field(init=False)
    _made: frozenset[str] = field(init=False)
    _reserve: Callable[[Parameters, Decimal], Decimal] = field(init=False)
    _looked_for: dict[str, int] = field(default_factory=dict)

    def run(self) -> None:
        """Write down every task of the job and what became of it.

        Raises:
            RefusedError: The job cannot be read.
            LedgerError: The fresh ledger cannot be written.
        """
        self.job = resolved_job(self.facts)
        self._reserve = reserves(frozen_tool(self.facts), self.job.limits)
        edition = int(self.facts.get(Fact.EDITION, "1"))
        with self.fresh.transaction(durable=False):
            self.fresh.state(dict.fromkeys(self.fresh.facts().keys() - self.facts.keys()))
        total = 0
        for chunk in _chunks(self.job.tasks()):
            with self.fresh.transaction(durable=False):
                self.fresh.enter(chunk, edition, total)
            total += len(chunk)
        heard = manifest.stamp(self.folder.manifest)
        for lines in _chunks(manifest.read(self.folder.manifest)):
            self._hear(lines, edition)
        self._made = frozenset(_made(self.folder))
        for records in _chunks(self.fresh.everything()):
            self._judge(records)
        with self.fresh.transaction(durable=True):
            self.fresh.drop_all_but(edition)
            self.fresh.count({"uncertain": self.found.in_doubt})
            self.fresh.state(
                {
                    **self.facts,
                    Fact.EDITION: str(edition),
                    Fact.ENTERED: str(total),
                    Fact.TOTAL: str(total),
                    Fact.STARTED_AT: self.facts.get(Fact.STARTED_AT, repr(self.evidence.since)),
                    **dict.fromkeys((Fact.AT_WORK, Fact.MANIFEST, Fact.CANCEL)),
                    **self._addresses(),
                    Fact.ANEW: "1",
                    Fact.HEARD: heard,
                    Fact.UNPROVEN: repr(max(self.evidence.until, float(self.facts.get(Fact.UNPROVEN, 0)))),
                }
            )
        self.found.adopted = self.fresh.totals().counters.get("adopted", 0)

    def doubt_again(self, ledger: SqliteLedger) -> bool:
        """Doubt once more what has failed or been cancelled since: that was one try, and a later one may have followed.

        Returns:
            Whether there was any.

        Raises:
            LedgerError: The ledger cannot be written.
        """
        ended = [
            record
            for record in ledger.finished(undone=True)
            if record.tries > self._looked_for.get(record.task.id, 0) and not record.dropped
        ]
        with ledger.transaction(durable=True):
            for record in ended:
                ledger.save(record, self.evidence.of(record, self._reserve(record.task.parameters, FREE)))
            ledger.count({"uncertain": len(ended)})
        self._looked_for |= {record.task.id: record.tries for record in ended}
        return bool(ended)

    def _addresses(self) -> dict[str, str]:
        """Return as facts where uploaded files are, and which of the job's files nobody knows that of any more."""
        urls = logged_urls(_events(self.folder.log)) | known_urls(self.facts)
        lost = self.job.files.files.keys() - urls.keys()
        found = {f"{Fact.UPLOAD}{digest}": url for digest, url in urls.items()}
        return found | {f"{Fact.LOST_UPLOAD}{digest}": "1" for digest in lost}

    def _hear(self, lines: Sequence[Record], edition: int) -> None:
        """Take over what the manifest knows better; what the job does not hold is kept as dropped."""
        held = self.fresh.records([line.task.id for line in lines])
        known = self.fresh.claimed([line.sent.remote_id or "" for line in lines if line.attempt])
        with self.fresh.transaction(durable=False):
            for line in map(self._priced, lines):
                record = held.get(line.task.id)
                after = reconciled(None if record is None else completed(record), line)
                if record is None:
                    self.fresh.enter([line.task], edition - 1, line.task.index)
                    record = Record(line.task)
                if line.attempt and line.attempt.number < latest(after) and line.attempt.remote_id not in known:
                    self._save(record, replace(record, attempt=line.attempt))
                if after != record and self._save(record, after):
                    self.found.listed += 1
                    record = after
                held[line.task.id] = record

    def _priced(self, line: Record) -> Record:
        """Return a line with its price kept aside where it tells no cost."""
        if line.attempt is None or line.attempt.cost_usd is not None:
            return line
        return replace(line, attempt=replace(line.attempt, reserved_usd=self._reserve(line.task.parameters, FREE)))

    def _judge(self, records: Sequence[Record]) -> None:
        """Look at the files of what is done, and doubt what nobody knows anything of."""
        with self.fresh.transaction(durable=False):
            for record in records:
                after = completed(record)
                if after.state is State.DONE:
                    found = [condition_of(self.folder.path, output) is Condition.OK for output in after.outputs]
                    whole = bool(found) and all(found)  # what is done has made something
                    self.found.whole += whole
                    self.found.again += not whole
                    after = after if whole else after.refetched()
                if after.state is State.DONE and requested(after) is None:
                    after = paid_unseen(after, self._reserve(after.task.parameters, FREE))
                    self.found.unpriced += 1
                if after.state is State.PENDING and after.task.short_id in self._made:
                    after = replace(after, state=State.FETCHING)  # it has been paid for, whatever else is lost
                if unrequested(after) or (after.state in UNSENT and not after.dropped):
                    self._looked_for |= {after.task.id: after.tries} if after.tries else {}
                    after = self.evidence.of(after, self._reserve(after.task.parameters, FREE))
                    self.found.in_doubt += 1
                if after is not record:
                    self._save(record, after)

    def _save(self, before: Record, after: Record) -> bool:
        try:
            self.fresh.save(before, after)
        except ClaimedError:  # two rows that cannot both be right: the first one stands, and this one is in doubt
            return False
        return True


def doubtful(folder: RunFolder, now: float) -> Doubtful:
    """Return between which moments requests can have been sent, and what was there before the first one."""
    side = folder.ledger.with_name(f"{folder.ledger.name}-wal")
    written = [path.stat().st_mtime for path in (folder.ledger, side, folder.manifest, folder.log) if path.is_file()]
    until = min(now, max(written, default=now) + LONGEST_REQUEST_SECONDS)
    since, newest = 0.0, None
    for event in _events(folder.log):
        with suppress(KeyError, ValueError, TypeError):
            since = since or datetime.fromisoformat(event["timestamp"]).timestamp()
            newest = newest if newest is not None else int(event["newest"])
        if since and newest is not None:
            break
    return Doubtful(since, until, newest)


def last_model(log: Path) -> str | None:
    """Return the model of the latest run that a log tells of, None where it tells of none."""
    found = None
    for event in _events(log):
        match event:
            case {"event": "run started", "model": str(model)}:
                found = model
    return found


def _made(folder: RunFolder) -> Iterator[str]:
    """Give the short ids of the tasks of which a file is there, be it whole or not."""
    for path in folder.files.rglob("*"):
        if match := _NAME.search(path.name):
            yield match[1]


def _events(log: Path) -> Iterator[dict[str, Any]]:
    if log.is_file():
        with log.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                with suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict):
                        yield event


def _chunks(source: Iterable[T]) -> Iterator[list[T]]:
    whole = iter(source)
    while chunk := list(islice(whole, CHUNK)):
        yield chunk
