"""Commands that make a run and look after it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Annotated

import typer

from orchestrator.cli import arguments
from orchestrator.cli.invoking import clock, leave, mode, read_settings, see_through, signalled, stoppable, wait
from orchestrator.errors import Exit

# ruff: noqa: PLC0415 - what a command needs is imported when it runs: `orchestrator --help` has to be there at once
# ruff: noqa: T201 - this is where results are printed

FIRST_TASKS = 3

app = typer.Typer()


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
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop submitting once a task has failed.")] = False,
    insecure: arguments.Insecure = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before money is spent.")] = False,
    as_json: arguments.Json = False,
    progress: arguments.Shown = "auto",
) -> None:
    """Run a job, or resume it. Only what is new or unfinished is submitted."""
    from orchestrator.cli.asking import asking
    from orchestrator.commands import run as command
    from orchestrator.display import terminal

    options = replace(
        arguments.options(out, sets, only, limit, budget, rate, concurrency, emulate, new, refresh, allow),
        profile=arguments.emulated(profile, emulate),
        rebind=rebind,
        state=state,
        fail_fast=fail_fast,
        resubmit_uncertain=resubmit,
    )
    settings = read_settings(insecure)
    asks = not (yes or emulate) and sys.stdin.isatty() and sys.stderr.isatty()
    see_through(
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
    """Show what a run would do and cost. Nothing is submitted."""
    from orchestrator import telling
    from orchestrator.commands import plan as command

    options = arguments.options(out, sets, only, limit, budget, rate, concurrency, emulate, new, refresh, allow)
    ready = wait(lambda: command.prepared(job, options, read_settings(insecure), clock()))
    if not tasks:
        planned = command.plan(ready, options)
        if as_json:
            print(json.dumps(planned.to_json()))
            return
        first = [task for task, _ in islice(command.tasks(ready, options), FIRST_TASKS)]
        print(telling.plan_text(planned, first))
        return
    for warning in (*ready.warnings, *ready.job.warnings):
        print(f"warning: {warning}", file=sys.stderr)
    encode = json.JSONEncoder(ensure_ascii=False).encode
    for task, state in command.tasks(ready, options):
        named = f"{task.index:>7}  {command.called(state):<10}  {task.path}"
        line = encode(command.describe(task, state)) if as_json else named
        sys.stdout.write(f"{line}\n")


@app.command()
def status(
    run_folder: arguments.Run,
    as_json: arguments.Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every second until it stands still.")] = False,
) -> None:
    """Show where a run stands. Another process may be at work in it."""
    import time

    from orchestrator import telling
    from orchestrator.commands.status import read_status
    from orchestrator.runs import RunFolder

    while True:
        found = read_status(RunFolder(run_folder))
        print(json.dumps(found.to_json()) if as_json else telling.status_text(found), flush=True)
        if not watch or found.state != "running":
            return
        time.sleep(1)


@app.command()
def retry(  # noqa: PLR0917 - as above
    run_folder: arguments.Run,
    only: arguments.Only = [],  # noqa: B006 - as above
    limit: arguments.Limit = None,
    budget: arguments.Budget = None,
    pay_again: arguments.PayAgain = False,
    insecure: arguments.Insecure = False,
    as_json: arguments.Json = False,
    progress: arguments.Shown = "auto",
) -> None:
    """Give failed and cancelled tasks another try. The run goes on with them."""
    from orchestrator import display
    from orchestrator.commands import retry as command
    from orchestrator.commands.options import Options
    from orchestrator.runs import RunFolder

    options = Options(only=only, limit=limit, budget_usd=arguments.usd("--budget", budget))
    settings = read_settings(insecure)
    see_through(
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
    """End what runs on the service. Tasks that were not submitted stay pending."""
    from orchestrator import display, telling
    from orchestrator.commands import cancel as command
    from orchestrator.display import watching
    from orchestrator.lifecycle import ACTIVE
    from orchestrator.runs import RunFolder

    tell = partial(print, file=sys.stderr, flush=True)
    ask = partial(
        command.cancel, RunFolder(run_folder), read_settings(insecure), tell=tell, screen=display.terminal("auto")
    )
    with watching("off", sys.stderr) as watcher:
        found, number = stoppable(lambda control: ask(control=control, clock=clock(), watcher=watcher))
    left = sum(found.counts[state] for state in ACTIVE)
    answer = json.dumps(found.to_json()) if as_json else telling.status_text(found)
    leave(answer, signalled(number) or (Exit.STOPPED if left else Exit.DONE))


@app.command()
def verify(
    run_folder: arguments.Run,
    repair: Annotated[bool, typer.Option("--repair", help="Fetch again what is missing or damaged.")] = False,
    insecure: arguments.Insecure = False,
    as_json: arguments.Json = False,
) -> None:
    """Check every file against the manifest. With --repair, fetch what is missing or damaged, without paying again."""
    from orchestrator import telling
    from orchestrator.commands import verify as command
    from orchestrator.display import watching
    from orchestrator.runs import RunFolder

    settings = read_settings(insecure)
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
    answer = json.dumps(found.to_json()) if as_json else telling.verification_text(found, run_folder)
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
    """Rebuild a damaged ledger from all that is left of the run. Nothing is submitted."""
    from orchestrator import display, telling
    from orchestrator.commands import recover as command
    from orchestrator.commands.options import Options
    from orchestrator.runs import RunFolder

    settings, options = read_settings(insecure), Options(sets=sets, allowed=allow)
    with display.watching(mode(progress), sys.stderr) as watcher:
        found, number = stoppable(
            lambda control: command.recover(
                RunFolder(run_folder), job, options, settings, control=control, clock=clock(), watcher=watcher
            ),
            watcher.stopping,
        )
    answer = json.dumps(found.to_json()) if as_json else telling.recovery_text(found)
    leave(answer, signalled(number) or (Exit.DONE if found.settled else Exit.STOPPED))
