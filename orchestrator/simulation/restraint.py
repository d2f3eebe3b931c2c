"""Whether the service is left alone for a while after it had no place, and nothing of ours was on it."""

from __future__ import annotations

import math
from typing import Final

from orchestrator.simulation.world import World

PAUSE_SECONDS: Final = 5.0
"""How long nobody asks for a place after that, at least."""

UNDER_WAY_SECONDS: Final = 1.0
"""How long after a refusal a request may still be written whose intent was on its way to the disk."""

SLACK: Final = 1e-6


class Restraint:
    """Watches one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.begun()

    def begun(self) -> None:
        """A new process knows of no refusal."""
        self._since = self._until = -math.inf

    def refused(self) -> None:
        """The service had no place for one of ours, when no other one was active or on its way."""
        now = self._world.now()
        if now - self._since >= PAUSE_SECONDS:
            self._since = now
        self._until = now + PAUSE_SECONDS

    def posted(self) -> None:
        """A task is sent: not right after that, unless what becomes of it was open when the refusal came."""
        now = self._world.now()
        if now <= self._since + UNDER_WAY_SECONDS:
            self._until = -math.inf
        elif now < self._until - SLACK:
            self._world.violate(f"/Run is called {self._until - now:.1f} s before a place is worth asking for")
