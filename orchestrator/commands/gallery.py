"""The page of a run folder, built anew from its ledger."""

from __future__ import annotations

from orchestrator.clock import Clock
from orchestrator.commands.status import read_status
from orchestrator.errors import RefusedError
from orchestrator.output.gallery import Built, build
from orchestrator.runs import RunFolder


def gallery(folder: RunFolder, clock: Clock) -> Built:
    """Write the page and every thumbnail that does not stand; it blocks.

    Raises:
        LockedError: A process is at work in the folder: it keeps the page up to date itself.
        RefusedError: The page cannot be written, or `marks.json` belongs to another run.
        OrchestratorError: There is no run in the folder.
    """
    status = read_status(folder)
    with folder.held(), folder.opened() as ledger:
        try:
            return build(folder.path, ledger, status, clock.now())
        except OSError as error:
            raise RefusedError(f"The page in {folder.path} cannot be written: {error.strerror}.") from error
