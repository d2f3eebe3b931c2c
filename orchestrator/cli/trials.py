"""Commands that try things out on this machine."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import arguments
from orchestrator.cli.invoking import clock, stoppable, wait
from orchestrator.errors import Exit

# ruff: noqa: PLC0415 - what a command needs is imported when it runs: `orchestrator --help` has to be there at once
# ruff: noqa: T201 - this is where results are printed

app = typer.Typer()


@app.command()
def emulator(  # noqa: PLR0917 - as above
    port: Annotated[int, typer.Option(min=0, max=65535, help="The API's port, 0 for any free one.")] = 8750,
    cdn_port: Annotated[int, typer.Option(min=0, max=65535, help="The port of the outputs, 0 for any free one.")] = 0,
    state: Annotated[Path | None, typer.Option(help="Keep its state in this folder.", metavar="DIR")] = None,
    key: Annotated[str, typer.Option(help="The API key that it accepts.")] = "emulated-key",
    secret: arguments.Secret = "emulated-secret",  # noqa: S107 - it opens nothing but the emulator
    profile: arguments.Behaviour = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Replace the profile's seed.")] = None,
    balance: Annotated[str | None, typer.Option(help="The account's money.", metavar="USD")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Tasks at a time; follows the balance if not given.")] = None,
    rate: Annotated[int | None, typer.Option(help="Calls a second; no limit if not given.")] = None,
    run_seconds: Annotated[float | None, typer.Option(min=0, help="Median run time of a task.")] = None,
    failures: Annotated[float | None, typer.Option(min=0, max=1, help="Share of tasks that fail.")] = None,
) -> None:
    """Emulate the service on this machine, until Ctrl-C."""
    from orchestrator.commands.emulator import behaviour, emulate

    chosen = behaviour(
        profile,
        api_key=key,
        api_secret=secret,
        balance_usd=arguments.usd("--balance", balance),
        concurrency=concurrency,
        rate=rate,
        run_seconds_median=run_seconds,
        failure_share=failures,
        seed=seed,
    )
    wait(lambda: emulate(chosen, port=port, cdn_port=cdn_port, state_dir=state))


@app.command()
def selftest(chaos: arguments.Chaos = 0, seed: arguments.Seed = None, as_json: arguments.Json = False) -> None:
    """Check on this machine that the promises hold. It takes a minute, needs no key, and leaves nothing behind."""
    from orchestrator.selftest import prove

    say = None if as_json else partial(print, flush=True)
    found, _ = stoppable(lambda _: prove(chaos, seed, os.environ, clock=clock(), say=say))
    print(json.dumps(found.to_json()) if as_json else found.summary())
    raise typer.Exit(Exit.DONE if found.held else Exit.SOME_FAILED)
