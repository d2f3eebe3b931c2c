"""The service's files as a process reaches them: on time, late, broken, or gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, cast

from orchestrator.simulation.service import HOST, picture
from orchestrator.simulation.world import World
from orchestrator.wiro.arrivals import Arrivals
from orchestrator.wiro.files import Body, FileGone, Files, FileUnavailable

PAGE = b"<!doctype html><title>Sorry</title>"
LARGEST = 2**20
PIECE = 40
"""How much of a file comes at a time: each is of some pieces."""


class SimulatedFiles(Files):
    """See `orchestrator.wiro.files.Files`."""

    def __init__(self, world: World) -> None:
        self.arrivals = Arrivals()
        self._world = world

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return

    @asynccontextmanager
    async def _open(self, url: str, offset: int, validator: str | None, answer_seconds: float) -> AsyncIterator[Body]:
        world = self._world
        event = world.befalls("file")
        kind = event.kind if event else ""
        late_seconds = world.history.latency_seconds * world.chance("file")
        await world.clock.sleep(min(late_seconds, answer_seconds))
        await world.step(f"{url} is asked for")
        number, output = map(int, url.rsplit("/", 2)[1:])
        if late_seconds > answer_seconds:
            raise FileUnavailable(HOST, "it took too long to answer")
        if kind == "unavailable" or world.weather("outage"):
            raise FileUnavailable(HOST, "it could not be reached")
        if kind == "gone" or not world.service.tasks[number].has_file(output):
            raise FileGone(HOST, "it answered HTTP 404")
        data = PAGE if kind == "page" else picture(number, output)
        version = f'"{kind == "page"}"'
        first = offset if validator == version else 0
        arrives = data[first : len(data) // 2] if kind == "broken" else data[first:]
        status = 206 if first else 200
        validator, stream = version, _wire(arrives)
        line = self.arrivals.open()
        try:
            yield Body(HOST, status, first, len(data), validator, "image/png", stream, LARGEST, line)
        finally:
            line.close()


class _Stream:
    """Bytes on their way."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def readany(self) -> bytes:
        """Give the next few, and at last none."""
        data, self._data = self._data[:PIECE], self._data[PIECE:]
        return data


def _wire(data: bytes) -> Any:
    return cast("Any", _Stream(data))
