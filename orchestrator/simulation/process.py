"""One process: the real engine with the real ledger, in a world of its own, until it ends or is killed."""

from __future__ import annotations

import asyncio
import gc
import random
import selectors
import sys
import warnings
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
from anyio._backends import _asyncio as backend

from orchestrator.commands import calling, workshop
from orchestrator.commands.carrying import Result, carry_out
from orchestrator.config import Settings
from orchestrator.engines.control import Control
from orchestrator.engines.local import Orders
from orchestrator.engines.pacing import Pacer
from orchestrator.ledger import LedgerError, SqliteLedger
from orchestrator.lifecycle import Record
from orchestrator.logs import silent
from orchestrator.simulation.client import SimulatedClient
from orchestrator.simulation.files import SimulatedFiles
from orchestrator.simulation.history import TASK_TIMEOUT_SECONDS, History
from orchestrator.simulation.looks import SetLooks
from orchestrator.simulation.rules import Rules
from orchestrator.simulation.service import DEFAULTS, MODEL, PRICE_USD
from orchestrator.simulation.world import BEGAN_AT, World
from orchestrator.status import Status
from orchestrator.steps.calls import Calls
from orchestrator.steps.landing import Landing
from orchestrator.steps.outcomes import Stop
from orchestrator.sweep import Job, Limits, Outputs, Retry
from orchestrator.sweep.axes import Axis, Cell, Listed
from orchestrator.sweep.recipe import Recipe
from orchestrator.sweep.schema import Kind

T = TypeVar("T")
LONGEST_SECONDS: Final = 4 * 3600.0
"""A process that has not come to an end by then never will: stuck tasks are given up long before."""

MOST_TURNS: Final = 30_000
"""How often the event loop may go round within a minute of virtual time: most histories need some hundred turns, and
one that makes 25 calls in each second 20,000."""

MINUTE: Final = 60.0

HEARTBEAT_SECONDS: Final = 120.0
_SCOPES: Final[MutableMapping[asyncio.Task[Any], Any]] = getattr(backend, "_task_states", {})
"""What anyio knows of each task, among it the task itself: one that never leaves its scopes would stay for good."""
TOOL: Final = {
    "slugowner": "acme",
    "slugproject": "boats",
    "computingtime": "8 seconds",
    "dynamicprice": [{"inputs": {}, "price": str(PRICE_USD), "priceMethod": "cpo"}],
    "parameters": [{"items": [{"id": name, "type": "text", "default": value} for name, value in DEFAULTS.items()]}],
}


def job(history: History) -> Job:
    """Return what is to be done."""
    cells = tuple(Cell(str(seed), str(seed), str(seed)) for seed in range(1, history.seeds + 1))
    budget = None if history.affordable is None else history.affordable * history.samples * PRICE_USD
    return Job(
        "simulated",
        Recipe(
            MODEL,
            {"prompt": "a boat", "negative": "", "samples": history.samples},
            axes=(Axis("seed", Kind.TEXT, (Listed(cells),)),),
            path="{prompt}/{seed}",
            repeat=history.repeat,
        ),
        Limits(
            requests_per_second=history.rate,
            concurrency=history.concurrency or "auto",
            budget_usd=budget,
            task_timeout_seconds=TASK_TIMEOUT_SECONDS,
        ),
        Retry(history.attempts),
        outputs=Outputs("{seed}", history.delete_remote),
    )


class Store(SqliteLedger):
    """The ledger's file, which is looked at after each commit, and whose disk may be full."""

    def __init__(self, path: Path, world: World, rules: Rules) -> None:
        self._world = world
        self._rules = rules
        self._log = path.with_name(f"{path.name}-wal")
        self._promised = self._log.stat().st_size if self._log.exists() else 0
        self._moves: list[tuple[Record, Record]] = []
        super().__init__(path)

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[None]:
        """See `SqliteLedger.transaction`."""
        self._moves.clear()
        with super().transaction(durable=durable):
            yield
            if self._world.befalls("disk commit"):
                raise LedgerError(self.path, "database or disk is full")
        if durable:
            self._promised = self._log.stat().st_size
        self._rules.committed(self._moves)

    def save(self, before: Record, after: Record) -> bool:
        """See `SqliteLedger.save`."""
        dropped = super().save(before, after)
        self._moves.append((before, after))
        return dropped

    def unplugged(self) -> Callable[[], None]:
        """Return what brings the files back to what was certainly on the disk, once nobody has them open."""
        held, log = self.path.read_bytes(), self._log.read_bytes()[: self._promised]

        def restore() -> None:
            for path in (self.path, self._log, self.path.with_name(f"{self.path.name}-shm")):
                path.unlink(missing_ok=True)  # what the dead process may still have open is another file from now on
            self.path.write_bytes(held)
            self._log.write_bytes(log)

        return restore


class _Standstill(selectors.SelectSelector):
    """Moves time where the event loop would wait: nobody has anything left to do, and no wire brings anything."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._turns = 0
        self._minute_began_at = world.now()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors.BaseSelector.select`."""
        self._turns += 1
        if self._world.now() - self._minute_began_at >= MINUTE:
            self._turns, self._minute_began_at = 0, self._world.now()
        elif self._turns > MOST_TURNS:
            self._world.violate("the process turns in circles")
        if (timeout is None or timeout > 0) and not self._world.clock.tick():
            raise RuntimeError("everybody waits, and for nothing")
        return []


def live(world: World, rules: Rules) -> Result | BaseException | None:
    """Let a process run to its end.

    Returns:
        How it ended, or what broke it; None where it was killed.
    """
    loop = asyncio.SelectorEventLoop(_Standstill(world))
    loop.set_exception_handler(lambda *_: None)
    store = Store(world.folder.ledger, world, rules)
    rules.begun(store)
    disk = world.disk
    main = loop.create_task(_main(world, rules, store))
    main.add_done_callback(lambda _: loop.stop())
    restore = []
    try:
        with disk.watched() if disk else nullcontext():
            loop.run_forever()
        if not world.dead:
            return main.exception() or main.result()
        if disk and world.unplugged:
            restore = [store.unplugged(), disk.unplugged(world.chance)]
    finally:
        _bury(loop)
        store.close()
    for each in restore:
        each()
    return None


def _bury(loop: asyncio.AbstractEventLoop) -> None:
    """Put an end to whatever a killed process has left standing, without letting it do anything more."""
    left = asyncio.all_tasks(loop)
    loop.close()
    for coroutine in [task.get_coro() for task in left]:
        for _ in range(20):  # blocks that still want to wait for something while they are left
            with suppress(BaseException):
                coroutine.close()
                break
    for task in left:
        _SCOPES.pop(task, None)
    gc.collect(1)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep to yourself what dying coroutines complain of, and let none of them outlive the block.

    What lives on while a process is buried grows old, and much of it is dead soon after: only a look at everything
    finds it. That is no more than what the block has made, since all that was there before is frozen meanwhile.
    """
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    collecting = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
            gc.collect()
    finally:
        sys.unraisablehook = hook
        gc.unfreeze()
        if collecting:
            gc.enable()


async def _main(world: World, rules: Rules, store: Store) -> Result | None:
    control = Control()

    def hurry() -> None:
        rules.obedience.told(cancelled=False)
        control.leave(Stop.INTERRUPTED, "Interrupted.")
        control.forced.set()

    world.hurry = hurry
    result: Result | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(_watch, world)
        with anyio.CancelScope() as scope:
            group.start_soon(_befall, world, rules, control, scope)
            result = await _work(world, rules, store, control)
        group.cancel_scope.cancel()
    return result


async def _work(world: World, rules: Rules, store: Store, control: Control) -> Result:
    history, clock = world.history, world.clock
    pacer, tally = Pacer(history.rate, clock), calling.Tally()
    calls = Calls(SimulatedClient(world, rules, pacer.gate, tally.count), pacer, clock)
    work = job(history)

    async def hop(work: Callable[[], T]) -> T:
        kind = _kind(work)
        await world.step(f"{kind} begins")
        await clock.sleep(history.disk_seconds * world.chance("disk"))
        if kind != "commit" and world.befalls(f"disk {kind}"):
            raise OSError(28, "No space left on device")
        done = work()
        await world.step(f"{kind} ends")
        return done

    commission = workshop.Commission(work, work.limits, TOOL, edition=1)
    around = workshop.Surroundings(
        calling.Line(Settings(), calls, tally),
        control,
        clock,
        silent(),
        random=random.Random(history.seed).random,  # noqa: S311 - dice
        hop=hop,
        files=SimulatedFiles(world),
        forecast=None if history.forecasts else SetLooks(None),
    )
    async with workshop.opened(world.folder, store, commission, around) as shop:
        return await carry_out(shop, Orders(), _Blind(), heartbeat_seconds=HEARTBEAT_SECONDS)


def _kind(work: Callable[[], object]) -> str:
    """Return what blocking work touches."""
    if isinstance(getattr(work, "__self__", None), Landing):
        return "file"
    return "manifest" if isinstance(work, partial) else "commit"


async def _watch(world: World) -> None:
    await world.clock.sleep(LONGEST_SECONDS)
    world.violate("the process does not come to an end")


async def _befall(world: World, rules: Rules, control: Control, scope: anyio.CancelScope) -> None:
    """Let come what comes at a moment."""
    while world.coming:
        event = world.coming[0]
        await world.clock.sleep(BEGAN_AT + event.at - world.now())
        del world.coming[0]
        world.tell(event.what)
        match event.kind:
            case "jumps":
                world.jump(event.seconds)
            case "kill":
                world.die(event)
            case "cancel":
                rules.obedience.told(cancelled=True)
                control.cancel()
            case _ if not control.begun:
                scope.cancel()
            case "hurry":
                world.hurry()
            case _:
                rules.obedience.told(cancelled=False)
                control.leave(Stop.INTERRUPTED, "Interrupted.")


class _Blind:
    """Watches nothing."""

    def show(self, _status: Status) -> None:
        return
