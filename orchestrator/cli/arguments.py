"""Arguments and options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from orchestrator.errors import RefusedError

if TYPE_CHECKING:
    from orchestrator.commands.options import Options
    from orchestrator.emulator import Profile

Job = Annotated[Path, typer.Argument(help="The job file.", metavar="JOB", show_default=False)]
Run = Annotated[Path, typer.Argument(help="The run folder.", metavar="RUN", show_default=False)]
Out = Annotated[Path | None, typer.Option(help="The run folder; outputs/<name> if not given.", metavar="DIR")]
Sets = Annotated[list[str], typer.Option("--set", help="Replace a variable or a parameter.", metavar="K=V")]
Only = Annotated[list[str], typer.Option(help="Only tasks with these values or labels.", metavar="K=V,W")]
Limit = Annotated[int | None, typer.Option(min=0, help="Start at most this many tasks.", metavar="N")]
Budget = Annotated[str | None, typer.Option(help="Replace limits.budget_usd.", metavar="USD")]
Rate = Annotated[float | None, typer.Option(help="Replace limits.requests_per_second.", metavar="R")]
Concurrency = Annotated[str | None, typer.Option(help="Replace limits.concurrency.", metavar="N|auto")]
Emulate = Annotated[bool, typer.Option("--emulate", help="Use the built-in emulated service: no key, no costs.")]
Behaviour = Annotated[
    str | None, typer.Option("--profile", help="How the emulated service behaves.", metavar="FILE|NAME")
]
New = Annotated[bool, typer.Option("--new", help="Start another run instead of resuming this one.")]
Resubmit = Annotated[
    bool,
    typer.Option("--resubmit-uncertain", help="Send again what may have been accepted unseen: it may be paid twice."),
]
Rebind = Annotated[bool, typer.Option("--rebind", help="Accept that the service has moved or the key is new.")]
Allow = Annotated[
    list[Path],
    typer.Option(
        "--allow-files",
        help="The job file may name files of this folder too.",
        metavar="DIR",
        exists=True,
        file_okay=False,
    ),
]
Refresh = Annotated[bool, typer.Option("--refresh-schema", help="Ask for the model's schema again.")]
Insecure = Annotated[bool, typer.Option("--insecure", help="Allow plain http beyond this machine.")]
PayAgain = Annotated[bool, typer.Option("--pay-again", help="Send tasks again that were paid for and not delivered.")]
LostJob = Annotated[
    Path | None, typer.Option("--job", help="The job file, where the ledger has lost it.", metavar="JOB")
]
Chaos = Annotated[float, typer.Option(min=0, help="Keep going for this long.", metavar="SECONDS")]
Seed = Annotated[int | None, typer.Option(min=0, help="Chooses what goes wrong.", metavar="N")]
Secret = Annotated[str, typer.Option(help="Its secret; empty for a project without one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Shown = Annotated[str, typer.Option("--progress", help="auto, live, plain, json or off.", metavar="HOW")]
State = Annotated[
    Path | None,
    typer.Option("--state", help="Keep the ledger in a folder below this one, on a local disk.", metavar="DIR"),
]


def options(  # noqa: PLR0917 - the commands that take these pass them on in this order
    out: Path | None,
    sets: Sequence[str],
    only: Sequence[str],
    limit: int | None,
    budget: str | None,
    rate: float | None,
    concurrency: str | None,
    emulate: bool,
    new: bool,
    refresh: bool,
    allow: Sequence[Path],
) -> Options:
    """Read what both a plan and a run of a job file can be asked for.

    Raises:
        RefusedError: One of them is none of its kind.
    """
    from orchestrator.commands.options import Options  # noqa: PLC0415 - it brings along what reads job files

    return Options(
        out=out,
        sets=sets,
        only=only,
        limit=limit,
        budget_usd=usd("--budget", budget),
        rate=positive(rate),
        concurrency=tasks_at_once(concurrency),
        emulate=emulate,
        new=new,
        refresh_schema=refresh,
        allowed=allow,
    )


def usd(option: str, text: str | None) -> Decimal | None:
    """Read an option's amount of money.

    Raises:
        RefusedError: It is none.
    """
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise RefusedError(f"{option} {text} is not an amount of money: write it like 2.50.")
    return amount


def positive(rate: float | None) -> float | None:
    """Read `--rate`.

    Raises:
        RefusedError: It is not a number of calls a second.
    """
    if rate is not None and not 0 < rate < float("inf"):
        raise RefusedError(f"--rate {rate} is not a number of calls a second: write a number above 0.")
    return rate


def tasks_at_once(text: str | None) -> int | Literal["auto"] | None:
    """Read `--concurrency`.

    Raises:
        RefusedError: It is neither `auto` nor a number of tasks.
    """
    from orchestrator.tasks import MOST_AT_ONCE  # noqa: PLC0415 - it brings OpenSSL along, which `--help` has no use for

    if text is None:
        return None
    if text == "auto":
        return "auto"
    wanted = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
    if not 1 <= wanted <= MOST_AT_ONCE:
        raise RefusedError(
            f"--concurrency {text} is not a number of tasks: write auto or a whole number from 1 to {MOST_AT_ONCE:,}."
        )
    return wanted


def emulated(profile: str | None, emulate: bool) -> Profile | None:
    """Read `--profile` of a command that has `--emulate` too.

    Raises:
        RefusedError: There is no such profile, something is wrong with it, or nothing is emulated.
    """
    if profile is None:
        return None
    if not emulate:
        raise RefusedError("--profile says how the emulated service behaves: it goes with --emulate.")
    from orchestrator.commands import profiles  # noqa: PLC0415 - the emulator takes long to import, and few need it

    return profiles.load(profile)


def listed(text: str) -> list[str]:
    """Read several words with commas between them."""
    return [word for word in map(str.strip, text.split(",")) if word]


def one_of(option: str, word: str, known: Sequence[str]) -> str:
    """Read an option that takes one of a few words.

    Raises:
        RefusedError: It is none of them.
    """
    if word not in known:
        raise RefusedError(f"{option} {word} is not known: choose one of {', '.join(known)}.")
    return word
