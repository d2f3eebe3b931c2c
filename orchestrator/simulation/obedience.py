"""What the user has said to the process that is alive: that is done, and nothing ends that nobody wants ended."""

from __future__ import annotations

from typing import Final

from orchestrator.simulation.history import TASK_TIMEOUT_SECONDS
from orchestrator.simulation.service import Remote
from orchestrator.simulation.world import World

OBEYED_SECONDS: Final = 2.0
"""How soon after the user's word no task is begun any more; a commit takes a third of a second at most."""

DEAF: Final = frozenset({"end lost", "end unreachable", "hour outage", "hour storm"})
"""What has the service not hear that a task is to be ended."""


class Obedience:
    """Watches how one world's processes follow the user's word."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_deaf = any(event.what in DEAF or event.kind == "throttled" for event in world.history.events)
        self._is_set = any(event.victim == "clock" or event.kind == "skewed" for event in world.history.events)
        self.begun()

    def begun(self) -> None:
        """A new process has been told nothing yet."""
        self._began_at = self._world.now()
        self._told_at: float | None = None
        self._cancelled = self._left = False

    def told(self, *, cancelled: bool) -> None:
        """The user says that what runs is to be ended, or else to be left alone."""
        self._told_at = self._world.now() if self._told_at is None else self._told_at
        self._cancelled |= cancelled
        self._left |= not cancelled

    def intended(self) -> None:
        """A task is begun."""
        if self._told_at is not None and self._world.now() > self._told_at + OBEYED_SECONDS:
            self._world.violate(f"a task is begun {self._world.now() - self._told_at:.1f} s after the user said stop")

    def ends(self, remote: Remote) -> None:
        """The service is told to end a task: the user wants that, or the task has run too long.

        How long ago the task was sent that an earlier process has left, or whose reply was lost, is told by the wall
        clock alone, which may have been set.
        """
        is_overdue = self._world.now() - remote.accepted_at >= TASK_TIMEOUT_SECONDS
        is_left = remote.accepted_at < self._began_at or (remote.request and remote.request.given_up_at is not None)
        is_misjudged = self._is_set and is_left
        if not (self._cancelled or is_overdue or is_misjudged):
            self._world.violate(f"{remote.number} is ended, and nobody has asked for that")

    def rested(self) -> None:
        """The process has ended in peace: what the user wanted to be ended has been."""
        if self._cancelled and not self._left and not self._is_deaf:
            for remote in self._world.service.ours:
                if remote.request and remote.request.owner and remote.runs(self._world.now()):
                    self._world.violate(f"{remote.number} runs on, and the user has cancelled it")
