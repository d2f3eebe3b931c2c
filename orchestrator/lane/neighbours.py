"""The other runs of a lane, asked before a remote task is taken for ours: their ledgers say what is theirs.

A ledger holds each request before it is sent, and its remote task right after the reply. So whatever the service's
list shows belongs to nobody, or stands in one of the ledgers that are read after it; nothing is announced twice.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import anyio
import filelock

from orchestrator.engines.doubts import LONGEST_REQUEST_SECONDS
from orchestrator.errors import OrchestratorError
from orchestrator.facts import resolved_job
from orchestrator.lane.file import LaneFile, Member
from orchestrator.ledger import Fact, SqliteLedger
from orchestrator.lifecycle import Attempt, Record
from orchestrator.runs import RunFolder
from orchestrator.steps.elsewhere import Elsewhere, Foreign
from orchestrator.steps.upload import as_sent, known_urls
from orchestrator.threads import Hop, in_thread

CHUNK: Final = 500
PATIENCE_SECONDS: Final = 5.0
"""How long another run may take to decide before this one tries again later."""

LAG_SECONDS: Final = 300.0
"""How long after a run was last at work a request of its own may still come to be shown by the service."""


def known_as(file: LaneFile, run: str | None, here: Path) -> str:
    """Return the id of the run in a folder: the one that its ledger holds, unless it has none or is a copy.

    A copy's begins with the id of the run that it was copied from in the end.

    Raises:
        LaneError: The lane cannot be read.
    """
    if run is None:
        return secrets.token_hex(8)
    return f"{_origin(run)}-{secrets.token_hex(8)}" if _is_copied(file, run, here) else run


def copy_at_work(file: LaneFile, run: str) -> Path | None:
    """Return a folder in which a process is at work on the same tasks as a run: its copy, or what it is a copy of.

    Raises:
        LaneError: The lane cannot be read.
    """
    related = (member for member in file.members(0.0) if member.run != run and _origin(member.run) == _origin(run))
    return next((each.folder for each in related if RunFolder(each.folder).is_held() and _holds(each)), None)


class Neighbours:
    """The other runs, see `orchestrator.steps.elsewhere.Others`."""

    def __init__(self, file: LaneFile, run: str, model: str, hop: Hop = in_thread) -> None:
        self._file = file
        self._run = run
        self._model = model
        self._hop = hop

    @asynccontextmanager
    async def consulted(self, remote_ids: Collection[str], since: float) -> AsyncIterator[Elsewhere | None]:
        """See `Others.consulted`."""
        lock = filelock.FileLock(self._file.folder / "settling.lock", mode=0o600, thread_local=False)
        try:
            try:
                await self._hop(partial(lock.acquire, PATIENCE_SECONDS))
            except filelock.Timeout:
                yield None
                return
            yield await self._hop(partial(self._ask, remote_ids, since))
        finally:
            with anyio.CancelScope(shield=True):
                await self._hop(lock.release)

    def _ask(self, remote_ids: Collection[str], since: float) -> Elsewhere:
        claimed: set[str] = set()
        requests: list[Foreign] = []
        unread = []
        for member in self._file.members(since - LAG_SECONDS):
            if member.run == self._run:
                continue
            said = self._read(member, remote_ids)
            if said is not None:
                requests += said[0]
                claimed |= said[1]
                continue
            word = self._file.word_of(member.run, since - LAG_SECONDS)
            if word is None:
                unread.append(str(member.folder))
            else:
                claimed |= word.intersection(remote_ids)
        return Elsewhere(claimed, requests, unread)

    def _read(self, member: Member, remote_ids: Collection[str]) -> tuple[list[Foreign], set[str]] | None:
        """Return a run's open requests and which remote tasks are its own; None where its ledger cannot be read."""
        folder = RunFolder(member.folder)
        try:
            with folder.opened() as store:
                if store.fact(Fact.RUN) != member.run:
                    return None
                requests = list(self._requests(folder, store, member.run))
                return requests, _claimed(store, remote_ids)  # last: a request that is settled meanwhile is in it
        except (OrchestratorError, OSError):
            return None

    def _requests(self, folder: RunFolder, store: SqliteLedger, run: str) -> Iterator[Foreign]:
        """Give a run's requests that may have been accepted; a process that is gone waits for no reply any more."""
        at_work = folder.is_held()
        records = store.intents()
        at_work = at_work or folder.is_held()
        facts = store.facts()
        if not records or facts[Fact.MODEL].casefold() != self._model.casefold():
            return
        uploads, urls = resolved_job(facts).files, known_urls(facts)
        for record in records:
            parameters = as_sent(record.task.parameters, uploads, urls)
            yield Foreign(f"{run} {record.task.id}", parameters, record.sent if at_work else _given_up(record))


def _given_up(record: Record) -> Attempt:
    attempt = record.sent
    until = attempt.intent_at + LONGEST_REQUEST_SECONDS
    return replace(attempt, gave_up_at=attempt.gave_up_at or until)


def _claimed(store: SqliteLedger, remote_ids: Collection[str]) -> set[str]:
    claimed: set[str] = set()
    ids = iter(remote_ids)
    while part := list(islice(ids, CHUNK)):
        claimed |= store.claimed(part)
    return claimed


def _is_copied(file: LaneFile, run: str, here: Path) -> bool:
    """Return whether the folder in which a run was last at work still holds it: then this one is a copy."""
    known = file.folder_of(run)
    return known is not None and known != here and _holds(Member(run, known, 0.0))


def _holds(member: Member) -> bool:
    """Return whether a run still lies in its folder."""
    try:
        with RunFolder(member.folder).opened() as store:
            return store.fact(Fact.RUN) == member.run
    except (OrchestratorError, OSError):
        return False


def _origin(run: str) -> str:
    return run.partition("-")[0]
