"""End what runs on the service: by the process that is at work, or here where none is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from orchestrator import logs
from orchestrator.clock import Clock
from orchestrator.commands.carrying import Watcher
from orchestrator.commands.options import Options
from orchestrator.commands.resume import resume
from orchestrator.commands.status import read_status
from orchestrator.config import Settings
from orchestrator.engines.control import Control
from orchestrator.engines.local import Orders
from orchestrator.errors import StoppedError
from orchestrator.facts import resolved_job
from orchestrator.ledger import Fact, SqliteLedger
from orchestrator.runs import RunFolder
from orchestrator.status import Status
from orchestrator.wording import many

PATIENCE_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 0.25

IN_DOUBT: Final = (
    "{tasks} may have been accepted without our knowing: waiting until the service's list tells, which may take"
    " {seconds:.0f} s and more. Ctrl-C leaves them to the next run."
)


def silently(_text: str) -> None:
    """Tell nobody."""


async def cancel(
    folder: RunFolder,
    settings: Settings,
    *,
    control: Control,
    clock: Clock,
    watcher: Watcher,
    tell: Callable[[str], None] = silently,
    screen: logs.Screen | None = None,
) -> Status:
    """Cancel or kill every task that runs on the service; pending ones stay pending.

    Args:
        folder: The run folder.
        settings: Whom to ask.
        control: Stops it.
        clock: Time.
        watcher: Follows it.
        tell: Told in a sentence what is waited for.
        screen: Where the log's warnings are shown as they come, None for nowhere.

    Raises:
        StoppedError: The process at work has not ended its tasks within two minutes.
        OrchestratorError: The folder holds no run, or its service cannot be used.
    """
    read_status(folder)  # refuses what is no run folder before anything is written
    if folder.is_held():
        with folder.written() as store, store.transaction(durable=True):
            store.state({Fact.CANCEL: repr(clock.now())})
        tell("The process at work in the folder was told: waiting until it has ended its tasks.")
        await _until_obeyed(folder, clock)
        return read_status(folder)

    def before(store: SqliteLedger) -> None:
        number, seconds = len(store.intents()), resolved_job(store.facts()).limits.settle_after_seconds
        if number:
            tell(IN_DOUBT.format(tasks=many(number, "task"), seconds=seconds))

    control.cancel()
    orders = Orders(submits=False)
    result = await resume(
        folder,
        Options(),
        settings,
        orders=orders,
        before=before,
        control=control,
        clock=clock,
        watcher=watcher,
        screen=screen,
    )
    return result.status


async def _until_obeyed(folder: RunFolder, clock: Clock) -> None:
    until = clock.monotonic() + PATIENCE_SECONDS
    while folder.is_held():
        if clock.monotonic() > until:
            raise StoppedError(f"The process at work in {folder.path} has been told, but is still ending its tasks.")
        await clock.sleep(LOOK_SECONDS)
