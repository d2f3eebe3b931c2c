"""The question before money is spent."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from typing import Final, TextIO

import anyio
import anyio.to_thread

from orchestrator.commands.options import Options
from orchestrator.commands.plan import plan
from orchestrator.commands.prepare import Prepared
from orchestrator.telling import plan_text

RESUBMITTING: Final = (
    "What may have been accepted unseen, and the service's list does not settle, is sent again: it may be paid twice.\n"
)


def asking(options: Options, stream: TextIO) -> Callable[[Prepared], Awaitable[bool]]:
    """Return what shows the plan of a run and asks whether to go on; it does not ask where nothing is to be paid."""

    async def agreed(prepared: Prepared) -> bool:
        planned = await anyio.to_thread.run_sync(plan, prepared, options)
        if planned.cost_usd == 0 and not options.resubmit_uncertain:
            return True
        twice = RESUBMITTING if options.resubmit_uncertain else ""
        print(f"{plan_text(planned)}\n{twice}Go on? [y/N] ", end="", file=stream, flush=True)
        return (await _line(sys.stdin)).strip().lower() in {"y", "yes"}

    return agreed


async def _line(terminal: TextIO) -> str:
    """Return what is typed; a thread that waits for it would keep a process alive that was told to stop."""
    if os.name == "posix":
        await anyio.wait_readable(terminal.fileno())
        return terminal.readline()
    return await anyio.to_thread.run_sync(terminal.readline, abandon_on_cancel=True)
