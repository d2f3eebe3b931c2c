"""Commands that tell what a job file can hold."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from orchestrator.cli import arguments
from orchestrator.cli.invoking import clock, read_settings, wait

# ruff: noqa: PLC0415 - what a command needs is imported when it runs: `orchestrator --help` has to be there at once
# ruff: noqa: T201 - this is where results are printed

app = typer.Typer()


@app.command()
def init(
    model: Annotated[str, typer.Argument(help="The model.", metavar="OWNER/MODEL", show_default=False)],
    emulate: arguments.Emulate = False,
    insecure: arguments.Insecure = False,
) -> None:
    """Print a commented job file for a model. It is made from the model's schema: `init OWNER/MODEL > job.yaml`."""
    from orchestrator.commands.models import first_job

    text, warnings = wait(lambda: first_job(model, read_settings(insecure), emulate=emulate, clock=clock()))
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
    from orchestrator import telling
    from orchestrator.commands.models import models as search

    found = wait(lambda: search(" ".join(words), read_settings(insecure), emulate=emulate, clock=clock()))
    if not found:
        sys.stderr.write("No model fits these words.\n")
    for model in found:
        print(json.dumps(model.to_json(), ensure_ascii=False) if as_json else telling.model_text(model))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the job file, for editors."""
    from orchestrator.sweep import job_schema

    print(json.dumps(job_schema(), indent=2, ensure_ascii=False))
