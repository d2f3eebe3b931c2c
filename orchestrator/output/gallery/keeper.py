"""Keeps the page up to date while a run goes on, with little of the machine, and never at the run's expense."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import anyio

from orchestrator.clock import Clock
from orchestrator.ledger import Fact, Ledger, SqliteLedger
from orchestrator.lifecycle import Record
from orchestrator.logs import Log
from orchestrator.output.gallery.data import FORMAT
from orchestrator.output.gallery.writer import PageWriter
from orchestrator.runs import RunFolder
from orchestrator.status import Status
from orchestrator.threads import Hop, in_thread
from orchestrator.waiting import Turn

FIRST_SECONDS: Final = 2.0
"""How long the page leaves a run alone: to start is what matters then."""
BEAT_SECONDS: Final = 2.0
SLICE_SECONDS: Final = 0.05
SHARE: Final = 0.25
"""The part of one core that the page may take while the run goes on."""
MOST_WAITING: Final = 256
"""How many ended tasks may wait for their thumbnails before rows are written without."""
PATIENCE_SECONDS: Final = 3.0
"""How long the end of a run may be held up by thumbnails that are missing, and then again by rows."""
HURRIED_SECONDS: Final = 0.5
"""The same for a run that is interrupted."""


class PageKeeper:
    """Writes the page of one run folder from what the engine finishes and from the ledger.

    Whatever goes wrong with the page is told in the log, and `orchestrator gallery` makes up for it.
    """

    def __init__(self, folder: RunFolder, ledger: Ledger, clock: Clock, log: Log, hop: Hop = in_thread) -> None:
        self._folder = folder
        self._ledger = ledger
        self._clock = clock
        self._log = log
        self._hop = hop
        self._ended: deque[Record] = deque()
        self._status: Status | None = None
        self._active: list[list[Any]] = []
        self._moves = -1
        self._closing = Turn()
        self._patience = PATIENCE_SECONDS
        self._complete = False
        self._given_up = False

    def finished(self, record: Record) -> None:
        """A task has ended: its row is on its way."""
        if not self._given_up:
            self._ended.append(record)

    def show(self, status: Status) -> None:
        """Take note of where the run stands."""
        self._status = status

    def close(self, *, hurried: bool = False) -> None:
        """Nothing more will end: let `run` write what is left and return; `hurried` says that somebody waits for it."""
        self._patience = HURRIED_SECONDS if hurried else PATIENCE_SECONDS
        self._closing.set()

    async def run(self) -> None:
        """Write until `close` is called; nothing that goes wrong here leaves it."""
        try:
            await self._keep()
        except Exception as error:  # noqa: BLE001 - results are worth more than the page that shows them
            self._given_up = True
            self._ended.clear()
            self._log.warning("the page is not up to date: `orchestrator gallery` builds it", reason=str(error))

    async def seal(self) -> None:
        """Once the manifest is in order too: remember that the page tells the same, so that it need not be rebuilt."""
        if self._complete:
            manifest = await self._ledger.read(lambda store: store.fact(Fact.MANIFEST))
            await self._ledger.state({Fact.PAGE: _stamp(manifest)})

    async def _keep(self) -> None:
        frozen = await self._ledger.read(SqliteLedger.frozen)  # what ends from here on is told to `finished`
        try:
            await self._clock.wait(self._closing, FIRST_SECONDS)
            writer, missing = await self._hop(lambda: _begun(self._folder, frozen, self._clock.now()))
            await self._write(writer, missing)
        finally:
            with anyio.CancelScope(shield=True):
                await self._hop(frozen.close)

    async def _write(self, writer: PageWriter, missing: Iterator[None]) -> None:
        """Write slice by slice, resting in between, until the end; then all that is left, as long as it may take."""
        told_at = self._clock.monotonic() - BEAT_SECONDS
        while not self._closing.is_set():
            draws = len(self._ended) <= MOST_WAITING
            spent, done = await self._hop(partial(self._slice, writer, missing, draws))
            if done and self._clock.monotonic() - told_at >= BEAT_SECONDS:
                told_at = self._clock.monotonic()
                await self._tell(writer)
            await self._clock.wait(self._closing, BEAT_SECONDS if done else spent / SHARE)
        ends_at = self._clock.monotonic() + self._patience
        done = False
        while not done and self._clock.monotonic() < ends_at + self._patience:
            draws = self._clock.monotonic() < ends_at
            _, done = await self._hop(partial(self._slice, writer, missing, draws))
        if not done:
            raise TimeoutError("the run ended before all of its rows were written")
        await self._tell(writer)
        self._complete = True

    def _slice(self, writer: PageWriter, missing: Iterator[None], draws: bool) -> tuple[float, bool]:
        """Write rows for a moment; return the processor seconds that it took, and whether all of them are written."""
        started = time.thread_time()
        while time.thread_time() - started < SLICE_SECONDS:
            if self._ended:
                record = self._ended[0]
                writer.add(record, writer.previews(record, draws=draws))
                self._ended.popleft()
            elif next(missing, True):
                return time.thread_time() - started, True
        return time.thread_time() - started, False

    async def _tell(self, writer: PageWriter) -> None:
        status = self._status
        if status is None:
            return
        if self._moves != (moves := self._ledger.moves):  # to read hundreds of tasks again would tell nothing new
            self._active = await self._ledger.read(writer.under_way)
            self._moves = moves
        now = self._clock.now()
        await self._hop(lambda: writer.tell(status, self._active, now))


def _begun(folder: RunFolder, ledger: SqliteLedger, now: float) -> tuple[PageWriter, Iterator[None]]:
    """Go on behind the page that stands, if it tells all that has ended; otherwise it has to be written anew.

    Returns:
        What writes the page, and what writes the rows that it lacks.
    """
    writer = PageWriter.begun(folder.path, ledger, now)
    stamp = _stamp(ledger.fact(Fact.MANIFEST))
    stands = stamp is not None and ledger.fact(Fact.PAGE) == stamp and writer.resumed()
    return writer, _nothing(ledger) if stands else _missing(writer, ledger)


def _missing(writer: PageWriter, ledger: SqliteLedger) -> Iterator[None]:
    """Write what ended before this process; stops after each row.

    The ledger is let go of at the end: as long as anybody reads it as it was, its side file only grows.
    """
    yield from writer.plan()
    for record in ledger.finished():
        writer.add(record, writer.previews(record))
        yield
    writer.shards.trim()
    ledger.close()


def _nothing(ledger: SqliteLedger) -> Iterator[None]:
    ledger.close()
    yield from ()


def _stamp(manifest: str | None) -> str | None:
    return None if manifest is None else f"{FORMAT} {manifest}"
