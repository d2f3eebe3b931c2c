"""Commands that show what runs have made."""

from __future__ import annotations

import json

import typer

from orchestrator import arguments
from orchestrator.invoking import clock

# ruff: noqa: PLC0415 - what a command needs is imported when it runs: `orchestrator --help` has to be there at once
# ruff: noqa: T201 - this is where results are printed

app = typer.Typer()


@app.command()
def gallery(run_folder: arguments.Run, as_json: arguments.Json = False) -> None:
    """Build the page of a run folder, index.html, anew; a run keeps it up to date by itself."""
    from orchestrator.commands.gallery import gallery as build
    from orchestrator.runs import RunFolder

    built = build(RunFolder(run_folder), clock())
    shown = f"{built.page}: {built.outputs:,} outputs of {built.tasks:,} tasks. Open it in a browser."
    print(json.dumps(built.to_json()) if as_json else shown)
