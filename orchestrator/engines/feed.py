"""From the job to the ledger: tasks are written down a chunk at a time, just ahead of being submitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from orchestrator.ledger import Ledger
from orchestrator.lifecycle import Record
from orchestrator.steps.saving import shielded
from orchestrator.tasks import Task

FIRST_CHUNK: Final = 64
CHUNK: Final = 512
BATCH: Final = 64


class Feed:
    """Gives pending tasks in the order of the grid, each once, without ever holding the grid."""

    def __init__(self, tasks: Callable[[int], Iterator[Task]], entered: int, edition: int, ledger: Ledger) -> None:
        """Continue where the ledger stands.

        Args:
            tasks: The expansion of the job from its n-th task on.
            entered: How many tasks of this edition the ledger has.
            edition: Grows with each change of the job file.
            ledger: Where they are written down.
        """
        self._tasks = tasks
        self._source: Iterator[Task] | None = None
        self._entered = entered
        self._edition = edition
        self._ledger = ledger
        self._rank = -1
        self._batch: list[Record] = []
        self.exhausted = False

    async def next(self) -> Record | None:
        """Return the next pending task, None where there is none left."""
        while not self._batch:
            self._batch, self._rank = await self._ledger.read(
                lambda store: store.pending(self._edition, self._rank, BATCH)
            )
            self._batch.reverse()
            if not self._batch and not await self._enter():
                return None
        return self._batch.pop()

    async def holds(self, identity: str) -> bool:
        """Return whether the job file, as far as it is written down, holds a task."""
        return await self._ledger.read(lambda store: store.edition(identity) == self._edition)

    async def forget(self) -> None:
        """Forget the pending tasks that the job file, now read to its end, does not hold."""
        await self._ledger.drop_all_but(self._edition)

    async def finish(self) -> None:
        """Write down what is left, so that the ledger knows which tasks the job file holds."""
        while await self._enter():
            pass

    async def _enter(self) -> bool:
        if self.exhausted:
            return False
        if self._source is None:
            self._source = self._tasks(self._entered)
        chunk = list(islice(self._source, CHUNK if self._entered else FIRST_CHUNK))
        if chunk:
            entered = await shielded(self._ledger.enter(chunk, self._edition, self._entered))
            self._entered += len(chunk)
            if entered.new == len(chunk):  # they need not be read: nothing has happened to them
                self._batch, self._rank = [Record(task) for task in reversed(chunk)], self._entered - 1
        else:
            self.exhausted = True
            await self.forget()
        return bool(chunk)
