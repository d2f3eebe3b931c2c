"""One history from its beginning to its end, through as many processes as it takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.commands.carrying import Result
from orchestrator.commands.retry import reopen
from orchestrator.errors import Exit, OrchestratorError
from orchestrator.ledger import DamagedLedgerError, SqliteLedger
from orchestrator.lifecycle import State
from orchestrator.reporting import root
from orchestrator.runs import RunFolder
from orchestrator.simulation.history import History
from orchestrator.simulation.process import job, live, quietly
from orchestrator.simulation.rules import Rules
from orchestrator.simulation.scale import scaled
from orchestrator.simulation.service import Service
from orchestrator.simulation.world import World
from orchestrator.steps.outcomes import Stop

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
"""Where files cost nothing, on systems that have it."""

MOST_STARTS: Final = 60
REST_SECONDS: Final = 30.0
"""How long after a process has ended the next one is started, at most, at first."""

AFTERWARDS_SECONDS: Final = 3600.0
"""How long after the end requests may still arrive that were given up."""


@dataclass(frozen=True, slots=True)
class Played:
    """How a history went.

    Attributes:
        history: What was played.
        violation: The promise that was broken, None if all were kept.
        story: What happened, each with its seconds since the beginning.
        starts: How many processes it took.
        steps: How many steps they took.
        paid: How many requests the service accepted.
    """

    history: History
    violation: str | None
    story: tuple[tuple[float, str], ...]
    starts: int
    steps: int
    paid: int


def play(history: History, service: Callable[[History, float], Service] = Service) -> Played:
    """Let a history take place.

    Args:
        history: What is to happen.
        service: Makes the account, of a history and the moment at which it begins.
    """
    with quietly():
        return _played(history, service)  # nothing but the verdict is left of it when the block ends


def _played(history: History, service: Callable[[History, float], Service]) -> Played:
    memory = MEMORY if MEMORY.is_dir() else None
    with scaled(history), tempfile.TemporaryDirectory(prefix="simulated-", dir=memory) as name:
        folder = RunFolder(Path(name))
        folder.files.mkdir()
        world = World(history, folder, service)
        rules = Rules(world, job(history))
        starts = _through(world, rules)
        if world.violation is None:
            world.rest(AFTERWARDS_SECONDS)
            rules.arrived()
            with SqliteLedger(folder.ledger) as store:
                rules.ended(store)
    return Played(history, world.violation, tuple(world.story), starts, world.steps, len(world.service.ours))


def _through(world: World, rules: Rules) -> int:
    """Start processes until nothing is left to do; return how many."""
    endings = 0
    for start in range(1, MOST_STARTS + 1):
        world.tell(f"process {start} starts")
        ending = live(world, rules)
        rules.arrived()
        rules.rested(in_peace=isinstance(ending, Result))
        if world.violation is not None:
            return start
        if isinstance(ending, Result):
            world.tell(f"it ends: {ending.halt.message if ending.halt else ending.exit_code.name}")
            with SqliteLedger(world.folder.ledger) as store:
                rules.books.told(ending.status, store)
            if _is_over(ending):
                if endings == world.history.retries:
                    return start
                endings += 1
                _retry(world)
        elif ending is not None:
            cause = root(ending)
            world.tell(f"it ends: {type(cause).__name__}")
            if not isinstance(cause, OrchestratorError) or isinstance(cause, DamagedLedgerError):
                world.violate(f"the program breaks: {cause!r}")
                return start
        world.rest(REST_SECONDS * world.chance("rest") ** 2 * start)
    world.violate(f"{MOST_STARTS} processes have not brought it to an end")
    return MOST_STARTS


def _is_over(result: Result) -> bool:
    spent = result.halt is not None and result.halt.stop is Stop.BUDGET
    begun = sum(result.status.counts[state] for state in (State.SUBMITTING, State.RUNNING, State.FETCHING))
    return (spent and not begun) or result.exit_code in {Exit.DONE, Exit.SOME_FAILED}


def _retry(world: World) -> None:
    """Let the user ask for another try of what has failed."""
    with SqliteLedger(world.folder.ledger) as store, store.transaction(durable=True):
        reopen(store, lambda _: True, pay_again=False)
    world.tell("the user asks for another try")
