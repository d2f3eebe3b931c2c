"""Commands that show what runs have made."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import arguments
from orchestrator.cli.invoking import clock, wait

# ruff: noqa: PLC0415 - what a command needs is imported when it runs: `orchestrator --help` has to be there at once
# ruff: noqa: T201 - this is where results are printed

app = typer.Typer()


@app.command()
def gallery(run_folder: arguments.Run, as_json: arguments.Json = False) -> None:
    """Rebuild the page of a run folder. A run keeps it, index.html, up to date by itself."""
    from orchestrator.commands.gallery import gallery as build
    from orchestrator.runs import RunFolder

    built = build(RunFolder(run_folder), clock())
    shown = f"{built.page}: {built.outputs:,} outputs of {built.tasks:,} tasks. Open it in a browser."
    print(json.dumps(built.to_json()) if as_json else shown)


@app.command()
def export(  # noqa: PLR0917 - the command line passes each option by name
    run_folder: arguments.Run,
    to: Annotated[str, typer.Option(help="What to write: csv, json, parquet, zip, sheet.", metavar="KIND,…")],
    out: Annotated[Path | None, typer.Option(help="The file, or a folder for several.", metavar="PATH")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there already.")] = False,
    only: arguments.Only = [],  # noqa: B006 - typer reads the default and changes nothing
    state: Annotated[str, typer.Option(help="Only tasks in these states.", metavar="STATE,…")] = "",
    min_rating: Annotated[
        int, typer.Option(min=0, max=5, help="Only pictures with at least this many stars.", metavar="N")
    ] = 0,
    pictures: Annotated[str, typer.Option(help="zip: full or reduced.", metavar="HOW")] = "full",
    pixels: Annotated[
        int, typer.Option(min=64, max=8192, help="zip: the longer side of reduced ones.", metavar="N")
    ] = 1600,
    embed: Annotated[bool, typer.Option("--embed", help="zip: write the parameters into the copies.")] = False,
    x: Annotated[str | None, typer.Option(help="sheet: the axes across.", metavar="AXIS,…")] = None,
    y: Annotated[str | None, typer.Option(help="sheet: the axes down.", metavar="AXIS,…")] = None,
    size: Annotated[
        int | None, typer.Option(min=32, max=2048, help="sheet: how many pixels wide a cell is.", metavar="N")
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="sheet: light on dark.")] = False,
    font: Annotated[Path | None, typer.Option(help="sheet: a font for its labels.", metavar="FILE")] = None,
    as_json: arguments.Json = False,
) -> None:
    """Write tables, an archive or contact sheets. They go into the folder exports/ of the run."""
    from orchestrator.commands.export import ExportOptions, export as write
    from orchestrator.output.export import Pictures
    from orchestrator.output.sheet import Look
    from orchestrator.runs import RunFolder

    listed = arguments.listed
    across, down = (None if axes is None else listed(axes) for axes in (x, y))
    look = Look(across, down, size, "dark" if dark else "light", font)
    kept = Pictures(
        pixels if arguments.one_of("--pictures", pictures, ("full", "reduced")) == "reduced" else None, embed
    )
    wanted = ExportOptions(listed(to), out, force, only, listed(state), min_rating, kept, look)
    done = write(RunFolder(run_folder), wanted)
    sys.stderr.writelines(f"warning: {warning}\n" for warning in done.warnings(run_folder))
    print(json.dumps(done.to_json(), ensure_ascii=False) if as_json else done.summary())


@app.command()
def serve(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders, or folders that hold some; outputs if not given.", metavar="RUN")
    ] = [],  # noqa: B006 - typer reads the default and changes nothing
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port, 0 for any free one.")] = 8080,
    token: Annotated[str | None, typer.Option(help="Show nothing to anybody without this token.")] = None,
    opens: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Show runs in a browser while they go on, until Ctrl-C."""
    from orchestrator.commands.serve import Door, serve

    say, tell = partial(print, flush=True), partial(print, file=sys.stderr, flush=True)
    wait(lambda: serve(runs, Door(host, port, token, opens), clock=clock(), say=say, tell=tell))
    print("Stopped serving.")
