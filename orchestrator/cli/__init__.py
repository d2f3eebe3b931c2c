"""The command line: reads options, calls one function, and turns what comes back into text and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from orchestrator.cli import models, results, runs, trials

# ruff: noqa: PLC0415 - what a command needs is imported when it runs: `orchestrator --help` has to be there at once


class Interruptible(TyperGroup):
    """Lets Ctrl-C be told: typer makes a bare exit code of it, as if everything had been said."""

    def make_context(self, *args: Any, **named: Any) -> Any:
        """Read the arguments."""
        with _told():
            return super().make_context(*args, **named)

    def invoke(self, ctx: Any) -> Any:
        """Carry out the command that was asked for."""
        with _told():
            return super().invoke(ctx)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise typer.Abort from error


app = typer.Typer(
    name="orchestrator",
    cls=Interruptible,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"orchestrator {version('orchestrator')}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Run a grid of prompts, seeds and schedulers on a hosted image model, and get every picture back."""


for theme in (runs, results, models, trials):
    app.add_typer(theme.app)


def main() -> None:
    """Run the command line and leave with its exit code."""
    from orchestrator.reporting import reported
    from orchestrator.streams import prepare

    prepare()
    sys.exit(reported(lambda: app(standalone_mode=False), os.environ))
