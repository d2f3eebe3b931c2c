"""The command line: reads options, calls one function, and turns what comes back into text and an exit code."""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator import arguments
from orchestrator.errors import Exit
from orchestrator.invoking import carry_out, clock, leave, mode, signalled, stoppable, wait

if TYPE_CHECKING:
    from orchestrator.config import Settings

# ruff: noqa: PLC0415 - what a command needs is imported when it runs: `orchestrator --help` has to be there at once
# ruff: noqa: T201 - this is where results are printed

FIRST_TASKS = 3

app = typer.Typer(
    name="orchestrator",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"orchestrator {version('orchestrator')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Run a grid of prompts, seeds and schedulers on a hosted image model, and get every picture back."""


@app.command()
def run(  # noqa: PLR0917 - the command line passes each option by name
    job: arguments.Job,
    out: arguments.Out = None,
    sets: arguments.Sets = [],  # noqa: B006 - typer reads the default and changes nothing
    only: arguments.Only = [],  # noqa: B006 - as above
    limit: arguments.Limit = None,
    budget: arguments.Budget = None,
    rate: arguments.Rate = None,
    concurrency: arguments.Concurrency = None,
    emulate: arguments.Emulate = False,
    profile: arguments.Behaviour = None,
    new: arguments.New = False,
    rebind: arguments.Rebind = False,
    refresh: arguments.Refresh = False,
    resubmit: arguments.Resubmit = False,
    allow: arguments.Allow = [],  # noqa: B006 - as above
    state: arguments.State = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Submit no more once a task has failed.")] = False,
    insecure: arguments.Insecure = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before money is spent.")] = False,
    as_json: arguments.Json = False,
    progress: arguments.Shown = "auto",
) -> None:
    """Run a job, or go on with it: only what is new or unfinished is submitted."""
    from orchestrator.commands import run as command
    from orchestrator.commands.options import Options
    from orchestrator.display import asking, terminal

    budget_usd, rate = arguments.usd("--budget", budget), arguments.positive(rate)
    most = arguments.concurrency(concurrency)
    options = Options(
        out,
        sets,
        only,
        limit,
        budget_usd,
        rate,
        most,
        emulate,
        new,
        rebind,
        allow,
        state,
        fail_fast,
        arguments.emulated(profile, emulate),
        refresh,
        resubmit_uncertain=resubmit,
    )
    settings = _settings(insecure)
    asks = not (yes or emulate) and sys.stdin.isatty() and sys.stderr.isatty()
    carry_out(
        lambda control, watcher: command.run(
            job,
            options,
            settings,
            control=control,
            clock=clock(),
            watcher=watcher,
            agreed=asking(options, sys.stderr) if asks else None,
            screen=terminal(mode(progress)),
        ),
        progress,
        as_json,
    )


@app.command()
def plan(  # noqa: PLR0917 - as above
    job: arguments.Job,
    out: arguments.Out = None,
    sets: arguments.Sets = [],  # noqa: B006 - as above
    only: arguments.Only = [],  # noqa: B006 - as above
    limit: arguments.Limit = None,
    budget: arguments.Budget = None,
    rate: arguments.Rate = None,
    concurrency: arguments.Concurrency = None,
    emulate: arguments.Emulate = False,
    new: arguments.New = False,
    refresh: arguments.Refresh = False,
    allow: arguments.Allow = [],  # noqa: B006 - as above
    insecure: arguments.Insecure = False,
    tasks: Annotated[bool, typer.Option("--tasks", help="Print every task, one a line.")] = False,
    as_json: arguments.Json = False,
) -> None:
    """Show what a run would do and cost; nothing is submitted."""
    from orchestrator import display
    from orchestrator.commands import plan as command
    from orchestrator.commands.options import Options

    budget_usd, rate = arguments.usd("--budget", budget), arguments.positive(rate)
    most = arguments.concurrency(concurrency)
    options = Options(
        out, sets, only, limit, budget_usd, rate, most, emulate, new, allowed=allow, refresh_schema=refresh
    )
    ready = wait(lambda: command.prepared(job, options, _settings(insecure), clock()))
    if not tasks:
        planned = command.plan(ready, options)
        first = islice(command.tasks(ready, options), FIRST_TASKS)
        print(json.dumps(planned.to_json()) if as_json else display.plan_text(planned, list(first)))
        return
    encode = json.JSONEncoder(ensure_ascii=False).encode
    for task in command.tasks(ready, options):
        line = encode(command.describe(task)) if as_json else f"{task.index:>7}  {task.path}"
        sys.stdout.write(f"{line}\n")


@app.command()
def status(
    run_folder: arguments.Run,
    as_json: arguments.Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every second until it stands still.")] = False,
) -> None:
    """Show where a run stands, also while another process is at work in it."""
    import time

    from orchestrator import display
    from orchestrator.commands.status import read_status
    from orchestrator.runs import RunFolder

    while True:
        found = read_status(RunFolder(run_folder))
        print(json.dumps(found.to_json()) if as_json else display.status_text(found), flush=True)
        if not watch or found.state != "running":
            return
        time.sleep(1)


@app.command()
def retry(  # noqa: PLR0917 - as above
    run_folder: arguments.Run,
    only: arguments.Only = [],  # noqa: B006 - as above
    limit: arguments.Limit = None,
    pay_again: arguments.PayAgain = False,
    insecure: arguments.Insecure = False,
    as_json: arguments.Json = False,
    progress: arguments.Shown = "auto",
) -> None:
    """Give failed and cancelled tasks another try, and go on with the run."""
    from orchestrator import display
    from orchestrator.commands import retry as command
    from orchestrator.commands.options import Options
    from orchestrator.runs import RunFolder

    options = Options(only=only, limit=limit)
    settings = _settings(insecure)
    carry_out(
        lambda control, watcher: command.retry(
            RunFolder(run_folder),
            options,
            settings,
            pay_again=pay_again,
            control=control,
            clock=clock(),
            watcher=watcher,
            screen=display.terminal(mode(progress)),
        ),
        progress,
        as_json,
    )


@app.command()
def cancel(run_folder: arguments.Run, insecure: arguments.Insecure = False, as_json: arguments.Json = False) -> None:
    """End what runs on the service; tasks that were not submitted stay pending."""
    from orchestrator import display
    from orchestrator.commands import cancel as command
    from orchestrator.display import watching
    from orchestrator.lifecycle import ACTIVE
    from orchestrator.runs import RunFolder

    tell = partial(print, file=sys.stderr, flush=True)
    ask = partial(
        command.cancel, RunFolder(run_folder), _settings(insecure), tell=tell, screen=display.terminal("auto")
    )
    with watching("off", sys.stderr) as watcher:
        found, number = stoppable(lambda control: ask(control=control, clock=clock(), watcher=watcher))
    left = sum(found.counts[state] for state in ACTIVE)
    answer = json.dumps(found.to_json()) if as_json else display.status_text(found)
    leave(answer, signalled(number) or (Exit.STOPPED if left else Exit.DONE))


@app.command()
def verify(
    run_folder: arguments.Run,
    repair: Annotated[bool, typer.Option("--repair", help="Fetch again what is missing or damaged.")] = False,
    insecure: arguments.Insecure = False,
    as_json: arguments.Json = False,
) -> None:
    """Check every file against the manifest; with --repair fetch again, without paying again."""
    from orchestrator import display
    from orchestrator.commands import verify as command
    from orchestrator.display import watching
    from orchestrator.runs import RunFolder

    settings = _settings(insecure)
    with watching("off", sys.stderr) as watcher:
        found, number = stoppable(
            lambda control: command.verify(
                RunFolder(run_folder),
                settings,
                repair=repair,
                control=control,
                clock=clock(),
                watcher=watcher,
            )
        )
    answer = json.dumps(found.to_json()) if as_json else display.verification_text(found, run_folder)
    leave(answer, signalled(number) or (Exit.DONE if found.well else Exit.SOME_FAILED))


@app.command()
def recover(  # noqa: PLR0917 - as above
    run_folder: arguments.Run,
    job: arguments.LostJob = None,
    sets: arguments.Sets = [],  # noqa: B006 - as above
    allow: arguments.Allow = [],  # noqa: B006 - as above
    insecure: arguments.Insecure = False,
    as_json: arguments.Json = False,
    progress: arguments.Shown = "auto",
) -> None:
    """Make a damaged ledger anew from all that is left of the run; nothing is submitted."""
    from orchestrator import display
    from orchestrator.commands import recover as command
    from orchestrator.commands.options import Options
    from orchestrator.runs import RunFolder

    settings, options = _settings(insecure), Options(sets=sets, allowed=allow)
    with display.watching(mode(progress), sys.stderr) as watcher:
        found, number = stoppable(
            lambda control: command.recover(
                RunFolder(run_folder), job, options, settings, control=control, clock=clock(), watcher=watcher
            )
        )
    answer = json.dumps(found.to_json()) if as_json else display.recovery_text(found)
    leave(answer, signalled(number) or (Exit.DONE if found.settled else Exit.STOPPED))


@app.command()
def gallery(run_folder: arguments.Run, as_json: arguments.Json = False) -> None:
    """Build the page of a run folder, index.html, anew; a run keeps it up to date by itself."""
    from orchestrator.commands.gallery import gallery as build
    from orchestrator.runs import RunFolder

    built = build(RunFolder(run_folder), clock())
    shown = f"{built.page}: {built.outputs:,} outputs of {built.tasks:,} tasks. Open it in a browser."
    print(json.dumps(built.to_json()) if as_json else shown)


@app.command()
def init(
    model: Annotated[str, typer.Argument(help="The model.", metavar="OWNER/MODEL", show_default=False)],
    emulate: arguments.Emulate = False,
    insecure: arguments.Insecure = False,
) -> None:
    """Print a commented job file for a model, made from its schema: `orchestrator init OWNER/MODEL > job.yaml`."""
    from orchestrator.commands.models import first_job

    text, warnings = wait(lambda: first_job(model, _settings(insecure), emulate=emulate, clock=clock()))
    sys.stderr.writelines(f"warning: {warning}\n" for warning in warnings)
    sys.stdout.write(text)


@app.command()
def models(
    words: Annotated[list[str], typer.Argument(help="What to search for.", metavar="WORDS")] = [],  # noqa: B006 - as above
    emulate: arguments.Emulate = False,
    insecure: arguments.Insecure = False,
    as_json: arguments.Json = False,
) -> None:
    """Search the service's catalogue."""
    from orchestrator import display
    from orchestrator.commands.models import models as search

    found = wait(lambda: search(" ".join(words), _settings(insecure), emulate=emulate, clock=clock()))
    if not found:
        sys.stderr.write("No model fits these words.\n")
    for model in found:
        print(json.dumps(model.to_json(), ensure_ascii=False) if as_json else display.model_text(model))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the job file, for editors."""
    from orchestrator.sweep import job_schema

    print(json.dumps(job_schema(), indent=2, ensure_ascii=False))


@app.command()
def emulator(  # noqa: PLR0917 - as above
    port: Annotated[int, typer.Option(help="The API's port, 0 for any free one.")] = 8750,
    cdn_port: Annotated[int, typer.Option(help="The port of the outputs, 0 for any free one.")] = 0,
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
    """Try on this machine what is promised, in about a minute: no key, no network, and nothing stays behind."""
    from orchestrator.selftest import prove

    say = None if as_json else partial(print, flush=True)
    found, _ = stoppable(lambda _: prove(chaos, seed, os.environ, clock=clock(), say=say))
    print(json.dumps(found.to_json()) if as_json else found.summary())
    raise typer.Exit(Exit.DONE if found.held else Exit.SOME_FAILED)


def main() -> None:
    """Run the command line and leave with its exit code."""
    from orchestrator.reporting import reported
    from orchestrator.streams import prepare

    prepare()
    sys.exit(reported(lambda: app(standalone_mode=False), os.environ))


def _settings(insecure: bool) -> Settings:
    from orchestrator import config

    return config.read(os.environ, Path.cwd(), insecure=insecure)
