"""The files that tasks made: drawn when somebody first looks, off the event loop, and kept for a while."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from orchestrator.emulator import pictures
from orchestrator.emulator.profile import Profile
from orchestrator.emulator.task import Task

KEPT_BYTES = 64 * 1024 * 1024
QUICK_BYTES = 256 * 1024


class Outputs:
    """Pictures by task and number; sizes are remembered longer than pictures."""

    def __init__(self, profile: Profile) -> None:
        self._side = profile.picture_side
        self._plain_bytes = profile.plain_bytes
        self._executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="emulator-outputs")
        self._pictures: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._kept = 0
        self._sizes: dict[tuple[int, int], int] = {}

    async def picture(self, task: Task, number: int) -> bytes:
        """Return the bytes of one output."""
        key = (task.id, number)
        if key in self._pictures:
            self._pictures.move_to_end(key)
            return self._pictures[key]
        if self._plain_bytes is not None and self._plain_bytes <= QUICK_BYTES:
            return self._make(task, number)
        picture = await asyncio.get_running_loop().run_in_executor(self._executor, self._make, task, number)
        self._keep(key, picture)
        return picture

    async def sizes(self, task: Task) -> list[int]:
        """Return how many bytes each output of a task has."""
        numbers = range(task.model.count_outputs(task.parameters))
        if self._plain_bytes is not None:
            return [max(self._plain_bytes, pictures.LEAST_PLAIN_BYTES)] * len(numbers)
        missing = [number for number in numbers if (task.id, number) not in self._sizes]
        await self._draw_all(task, missing)
        return [self._sizes[task.id, number] for number in numbers]

    def close(self) -> None:
        """Let the drawing threads end."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _draw_all(self, task: Task, numbers: Iterable[int]) -> None:
        await asyncio.gather(*(self.picture(task, number) for number in numbers))

    def _make(self, task: Task, number: int) -> bytes:
        if self._plain_bytes is not None:
            return plain_output(task, number, self._plain_bytes)
        return pictures.draw(task.model.with_defaults(task.parameters), number, self._side)

    def _keep(self, key: tuple[int, int], picture: bytes) -> None:
        self._sizes[key] = len(picture)
        self._kept += len(picture) - len(self._pictures.pop(key, b""))
        self._pictures[key] = picture
        while self._kept > KEPT_BYTES and len(self._pictures) > 1:
            self._kept -= len(self._pictures.popitem(last=False)[1])


def plain_output(task: Task, number: int, size: int) -> bytes:
    """Return what a task has made where outputs are not drawn, see `Profile.plain_bytes`; each is another."""
    return pictures.plain(f"{task.uuid}/{number}", size)
