"""Lets what holds many tasks or bytes hold few: a history of some tasks goes over edges that long runs go over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Final
from unittest import mock

from orchestrator.engines import feed, lobby, local
from orchestrator.simulation.history import History, chance
from orchestrator.steps import download, settle

SIZES: Final[tuple[tuple[ModuleType, str, tuple[int, ...]], ...]] = (
    (feed, "FIRST_CHUNK", (1, 2, 5)),
    (feed, "CHUNK", (2, 3, 8)),
    (feed, "BATCH", (1, 2, 5)),
    (lobby, "PLACES", (2, 3, 8)),
    (lobby, "MOST", (8, 12, 16)),
    (local, "BACKLOG", (2, 3, 8)),
    (settle, "CHUNK", (1, 2, 5)),
    (download, "GATHER_BYTES", (20, 50, 80)),
)
"""What is made small, and how small.

They are put in their places by name, as nobody who runs a job has a reason to choose them.
"""


@contextmanager
def scaled(history: History) -> Iterator[None]:
    """Let a history be played on a small scale, if it is such a one."""
    with ExitStack() as stack:
        for module, name, few in SIZES if history.small else ():
            luck = chance(history.seed, "size", module.__name__, name)
            stack.enter_context(mock.patch.object(module, name, few[int(len(few) * luck)]))
        yield
