"""Running a job from Python, as the command line does it."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import anyio

from orchestrator import config
from orchestrator.clock import SystemClock
from orchestrator.commands import run as command, status as command_status
from orchestrator.commands.carrying import Result
from orchestrator.commands.options import Options
from orchestrator.display import watching
from orchestrator.engines.control import Control
from orchestrator.reporting import root
from orchestrator.runs import RunFolder
from orchestrator.status import Status

__all__ = ["Result", "Status", "read_status", "run", "run_async"]


async def run_async(
    job: str | Path,
    *,
    out: str | Path | None = None,
    emulate: bool = False,
    limit: int | None = None,
    budget_usd: Decimal | None = None,
) -> Result:
    """Run a job file, or go on with its run; credentials come from the environment or a `.env` file.

    Args:
        job: The job file.
        out: The run folder, `outputs/<name>` if not given.
        emulate: Use the built-in emulated service.
        limit: How many tasks may be started.
        budget_usd: Replaces `limits.budget_usd`.

    Returns:
        How it ended: `exit_code` as on the command line, `status` with the counts, `folder`.

    Raises:
        OrchestratorError: It cannot start; the message says why and what to do.
    """
    settings = config.read(os.environ, Path.cwd())
    options = Options(out=None if out is None else Path(out), emulate=emulate, limit=limit, budget_usd=budget_usd)
    with watching("off", None) as watcher:
        try:
            return await command.run(
                Path(job), options, settings, control=Control(), clock=SystemClock(), watcher=watcher
            )
        except BaseExceptionGroup as group:
            raise root(group) from group


def run(
    job: str | Path,
    *,
    out: str | Path | None = None,
    emulate: bool = False,
    limit: int | None = None,
    budget_usd: Decimal | None = None,
) -> Result:
    """Run a job file from code that is not asynchronous; see `run_async`."""
    return anyio.run(lambda: run_async(job, out=out, emulate=emulate, limit=limit, budget_usd=budget_usd))


def read_status(folder: str | Path) -> Status:
    """Return where a run stands, also while another process is at work in it.

    Raises:
        RefusedError: There is no run in the folder.
    """
    return command_status.read_status(RunFolder(Path(folder)))
