"""Keeps the manifest while a run goes on: appends what has ended, and puts it in order at the end."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

import anyio

from orchestrator.clock import Clock
from orchestrator.ledger import Fact, Ledger, SqliteLedger
from orchestrator.lifecycle import FINAL, Record
from orchestrator.output import manifest
from orchestrator.threads import Hop, in_thread
from orchestrator.waiting import Turn

GATHER_SECONDS: Final = 0.25
"""How long lines may gather before they are written: a kill loses no more than the next start mends."""

AT_ONCE: Final = 1000
"""As many lines are mended first of all, in a tenth of a second; where there are more, the run starts before that."""

FIRST_SECONDS: Final = 1.0
"""How long it is left alone then, unless somebody waits for the manifest: a thread that is at work all the time slows
the others down."""


class ManifestKeeper:
    """Writes the manifest of one run folder from what the engine finishes and from the ledger."""

    def __init__(self, path: Path, model: str, ledger: Ledger, clock: Clock, hop: Hop = in_thread) -> None:
        self._path = path
        self._model = model
        self._ledger = ledger
        self._clock = clock
        self._hop = hop
        self._lines: list[str] = []
        self._waiting: list[Turn] = []
        self._written: str | None = None
        self._told = Turn()
        self._wanted = Turn()
        self._closing = Turn()

    def finished(self, record: Record) -> None:
        """A task has ended: its line is on its way."""
        self._lines.append(manifest.line(record, self._model))
        self._told.set()

    async def synced(self) -> None:
        """Return when all that has ended by now stands in the manifest, on the disk."""
        written = Turn()
        self._waiting.append(written)
        self._wanted.set()
        self._told.set()
        await written.wait()

    async def run(self) -> None:
        """Write until `close` is called; begins by mending what a kill left behind.

        What ends while that goes on comes after it: the ledger is read as it was at the first moment.
        """
        stale = await self._ledger.read(self._stale)
        if stale is not None:
            await self._mend(stale)
        while True:
            if not self._lines and not self._waiting and not self._closing.is_set():
                await self._told.wait()
            await self._clock.wait(self._closing, GATHER_SECONDS)
            self._told = Turn()
            lines, self._lines = self._lines, []
            waiting, self._waiting = self._waiting, []
            if lines or waiting:
                await self._hop(partial(self._append, lines, durable=bool(waiting)))
                for written in waiting:
                    written.set()
            elif self._closing.is_set():
                break
        if not await self._ledger.read(self._in_order):
            stamp = await self._hop(self._put_in_order)
            await self._ledger.state({Fact.MANIFEST: stamp})

    def close(self) -> None:
        """Nothing more will end: let `run` put the manifest in order and return."""
        self._closing.set()
        self._wanted.set()
        self._told.set()

    async def _mend(self, stale: SqliteLedger) -> None:
        """Write the manifest anew from the ledger of the first moment, and close that."""
        try:
            if sum(self._ledger.totals.counts[state] for state in FINAL) > AT_ONCE:
                await self._clock.wait(self._wanted, FIRST_SECONDS)
            await self._hop(partial(self._rewrite, stale))
        finally:
            with anyio.CancelScope(shield=True):
                await self._hop(stale.close)

    def _in_order(self, store: SqliteLedger) -> bool:
        return store.fact(Fact.MANIFEST) == manifest.stamp(self._path)

    def _stale(self, store: SqliteLedger) -> SqliteLedger | None:
        """Return the ledger as it is now where the manifest does not tell what it holds."""
        self._written = manifest.stamp(self._path)
        return None if store.fact(Fact.MANIFEST) == self._written else store.frozen()

    def _append(self, lines: list[str], *, durable: bool) -> None:
        is_ours = self._written == manifest.stamp(self._path)
        manifest.append(self._path, lines)
        if durable:
            manifest.sync(self._path)
        self._written = manifest.stamp(self._path) if is_ours else None

    def _put_in_order(self) -> str:
        """Put the lines in order as they are, or where that cannot be, write them anew; return the new stamp."""
        with SqliteLedger(self._ledger.store.path, read_only=True) as ledger:
            if self._written == manifest.stamp(self._path) and manifest.put_in_order(self._path, ledger.places()):
                return manifest.stamp(self._path)
            self._rewrite(ledger)
        return manifest.stamp(self._path)

    def _rewrite(self, source: SqliteLedger) -> None:
        manifest.rewrite(self._path, source.finished(), self._model)
        self._written = manifest.stamp(self._path)
