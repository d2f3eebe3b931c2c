"""The lobby: where tasks wait for their turn to be sent, few at a time, in the order of the job."""

from __future__ import annotations

from typing import Final

from orchestrator.waiting import Room

PLACES: Final = 16
"""How many tasks at once may wait for money, a place on the service and their turn."""

MOST: Final = 256
"""How many tasks at once may be on their way to being accepted: these, and those whose requests are not answered yet.

They are no more than were accepted before, less those whose answers were lost, or than there are places here: a service
that has no place refuses few, and one that never answers has few of them in doubt.
"""


class Lobby:
    """Lets tasks in, out when their requests leave, and in again where these were in vain.

    So requests without an answer, which may take a minute each, hold up nobody who could be sent; and where the
    service fails over all, no more tasks meet that than fit in here. A task that has not been let in by `enter` is
    neither in nor out.
    """

    def __init__(self) -> None:
        self._waiting = Room(PLACES)
        self._under_way = Room(PLACES)
        self._tasks: dict[str, bool] = {}
        self._trust = 0

    async def enter(self, task: str) -> None:
        """Wait until a task may be on its way, and is let in."""
        await self._under_way.enter()
        try:
            await self._waiting.enter()
        except BaseException:
            self._under_way.leave()
            raise
        self._tasks[task] = True

    def sent(self, task: str) -> None:
        """A request is about to be written: another task may come in."""
        if self._tasks.get(task):
            self._tasks[task] = False
            self._waiting.leave()

    async def back(self, task: str) -> None:
        """Wait until a task is let in again whose request was in vain, before all that are new."""
        if self._tasks.get(task) is False:
            await self._waiting.enter(-1.0)
            self._tasks[task] = True

    def answered(self, *, well: bool) -> None:
        """A task was accepted, or the answer to its request was lost."""
        self._trust = min(MOST, max(0, self._trust + (1 if well else -1)))
        self._under_way.resize(max(PLACES, self._trust))

    def over(self, task: str) -> None:
        """A task is no longer on its way."""
        if task in self._tasks:
            self.sent(task)
            del self._tasks[task]
            self._under_way.leave()
