"""End what runs on the service: by the process that is at work, or here where none is."""

from __future__ import annotations

from typing import Final

from orchestrator.clock import Clock
from orchestrator.commands.options import Options
from orchestrator.commands.resume import resume
from orchestrator.commands.run import Watcher
from orchestrator.commands.status import read_status
from orchestrator.config import Settings
from orchestrator.engines.control import Control
from orchestrator.engines.local import Orders
from orchestrator.errors import StoppedError
from orchestrator.runs import RunFolder
from orchestrator.status import Status

PATIENCE_SECONDS: Final = 120.0
LOOK_SECONDS: Final = 0.25


async def cancel(folder: RunFolder, settings: Settings, *, control: Control, clock: Clock, watcher: Watcher) -> Status:
    """Cancel or kill every task that runs on the service; pending ones stay pending.

    Raises:
        StoppedError: The process at work has not ended its tasks within two minutes.
        OrchestratorError: The folder holds no run, or its service cannot be used.
    """
    read_status(folder)  # refuses what is no run folder before anything is written
    if folder.is_held():
        with folder.written() as store, store.transaction(durable=True):
            store.state({"cancel": repr(clock.now())})
        await _until_obeyed(folder, clock)
        return read_status(folder)
    control.cancel()
    orders = Orders(submits=False)
    result = await resume(
        folder,
        Options(),
        settings,
        orders=orders,
        before=lambda _: None,
        control=control,
        clock=clock,
        watcher=watcher,
    )
    return result.status


async def _until_obeyed(folder: RunFolder, clock: Clock) -> None:
    until = clock.monotonic() + PATIENCE_SECONDS
    while folder.is_held():
        if clock.monotonic() > until:
            raise StoppedError(f"The process at work in {folder.path} has been told, but is still ending its tasks.")
        await clock.sleep(LOOK_SECONDS)
