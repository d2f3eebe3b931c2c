"""How the command line carries out a command: with settings, a clock and an event loop, stoppable, shown as it goes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

import typer

from orchestrator.errors import Exit, RefusedError

if TYPE_CHECKING:
    from orchestrator.clock import Clock
    from orchestrator.commands.carrying import Result, Watcher
    from orchestrator.commands.stopping import Notice
    from orchestrator.config import Settings
    from orchestrator.display import Mode
    from orchestrator.engines.control import Control

# ruff: noqa: PLC0415 - what is needed is imported when it is: `orchestrator --help` has to be there at once

T = TypeVar("T")
GARBAGE: Final = 10_000
"""How many more objects there are than before when garbage that refers to itself is looked for. A task makes hundreds
and next to none of that kind."""


def clock() -> Clock:
    """Return the clock of this machine."""
    from orchestrator.clock import SystemClock

    return SystemClock()


def read_settings(insecure: bool) -> Settings:
    """Read whom to call, from the environment and a `.env` file of the current folder.

    Raises:
        RefusedError: They cannot be used.
    """
    from orchestrator import config

    return config.read(os.environ, Path.cwd(), insecure=insecure)


def wait(work: Callable[[], Awaitable[T]]) -> T:
    """Do the work in an event loop: the faster one, where there is one for this platform."""
    import gc
    from importlib.util import find_spec

    import anyio

    found: list[T] = []

    async def keep() -> None:
        found.append(await work())  # what is returned is spelt out at the end, where asyncio looks for its own handler

    gc.freeze()  # what is loaded by now stays: there is no garbage to look for among it
    gc.set_threshold(GARBAGE, 20, 20)
    anyio.run(keep, backend_options={"use_uvloop": find_spec("uvloop") is not None})
    return found[0]


def stoppable(
    work: Callable[[Control], Awaitable[T]], tell: Callable[[Notice], None] | None = None
) -> tuple[T, int | None]:
    """Do the work in an event loop, and let signals stop it; see `orchestrator.commands.stopping.stoppable`."""
    from orchestrator.commands import stopping

    return wait(lambda: stopping.stoppable(work, tell or stopping.say))


def see_through(
    work: Callable[[Control, Watcher], Awaitable[Result]],
    progress: str,
    as_json: bool,
) -> None:
    """Let a run go on to its end, show how it does and how it ended, and leave with its exit code."""
    from dataclasses import replace
    from functools import partial

    from orchestrator.display import Remembering, watching
    from orchestrator.reporting import answered
    from orchestrator.streams import linked
    from orchestrator.telling import standing, summary

    with watching(mode(progress), sys.stderr) as shown:
        watcher = Remembering(shown)
        try:
            result, number = stoppable(lambda control: work(control, watcher), shown.stopping)
        except BaseException:
            if watcher.latest is not None:  # whoever waits for it is told where the run stands, however it ends
                latest = replace(watcher.latest, state="stopped")
                answered(json.dumps(latest.to_json()) if as_json else standing(latest), Exit.STOPPED)
            raise
    link = partial(linked, environment=os.environ)
    answer = json.dumps(result.status.to_json()) if as_json else summary(result, link)
    leave(answer, signalled(number) or result.exit_code)


def leave(answer: str, code: int) -> NoReturn:
    """Print how it ended and leave with the exit code, which holds even where nobody is there to read."""
    from orchestrator.reporting import answered

    raise typer.Exit(answered(answer, code))


def signalled(number: int | None) -> int | None:
    """Return the exit code that goes with the signal that came, if one did."""
    from orchestrator.commands.stopping import exit_code

    return None if number is None else exit_code(number)


def mode(progress: str) -> Mode:
    """Read `--progress`.

    Raises:
        RefusedError: There is no such way to show it.
    """
    from orchestrator.display import MODES

    for known in MODES:
        if known == progress:
            return known
    raise RefusedError(f"--progress {progress} is not known: choose one of {', '.join(MODES)}.")
