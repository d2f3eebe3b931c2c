"""From a job file and options to a run that can start: everything that can be refused is refused here."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from orchestrator.commands.options import Options
from orchestrator.config import Settings
from orchestrator.errors import RefusedError
from orchestrator.facts import forgotten, frozen_tool, tasks_of
from orchestrator.ledger import DamagedLedgerError, Fact, LedgerError, NotALedgerError, SqliteLedger, UnbegunLedgerError
from orchestrator.lifecycle import FINAL
from orchestrator.names import safe_part
from orchestrator.runs import EMULATOR, Binding, RunFolder
from orchestrator.sweep import Job, JobFile, Schema, load
from orchestrator.wiro import Credentials, NoSuchModel, seed_model
from orchestrator.wording import many

OUTPUTS: Final = "outputs"
EMULATED: Final = "-emulated"
TRY_IT: Final = " Or try it without an account: add --emulate."
OTHER_FOLDER: Final = "Choose another folder with --out, or add --rebind if it has only moved or the key was renewed."


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked job and where it runs.

    Attributes:
        tool: The model's catalogue entry, frozen in the folder from the first run on.
        facts: What the folder's ledger holds already; empty for a new one.
        warnings: What the user should know of the entry.
    """

    file: JobFile
    job: Job
    tool: Mapping[str, Any]
    folder: RunFolder
    facts: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def read_job(path: Path, options: Options, settings: Settings, now: float) -> tuple[JobFile, RunFolder]:
    """Read a job file and say which folder its run belongs into.

    Raises:
        JobFileError: The file is wrong.
    """
    today = datetime.fromtimestamp(now, UTC).astimezone()
    file = load(path, today=today, sets=options.sets, secrets=settings.secrets, allowed=options.allowed)
    return file, RunFolder(_folder(file, options))


def facts_of(folder: RunFolder) -> dict[str, str]:
    """Return what a folder's ledger says of its run; empty where there is none yet.

    Raises:
        NotALedgerError: What stands there is no ledger that this version can read.
    """
    folder.check_presence()
    if not folder.exists() or not folder.ledger.stat().st_size:  # a kill can leave an empty file
        return {}
    try:
        with folder.opened() as store:
            return store.facts()
    except UnbegunLedgerError:  # or one that is a little further
        if folder.has_traces():
            raise
        return {}


def prepare(
    file: JobFile,
    folder: RunFolder,
    facts: Mapping[str, str],
    tool: Mapping[str, Any],
    warnings: tuple[str, ...] = (),
) -> Prepared:
    """Check the file against the model's schema.

    Raises:
        JobFileError: A parameter does not fit the model.
    """
    return Prepared(file, file.resolve(Schema.from_tool(tool)), tool, folder, facts, warnings)


def kept_tool(file: JobFile, facts: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return the catalogue entry that a run folder keeps of the file's model, None where it keeps none or another's."""
    return frozen_tool(facts) if Fact.TOOL in facts and facts.get(Fact.MODEL) == file.model else None


def known_tool(file: JobFile, facts: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return the model's catalogue entry as far as it is known without asking the service."""
    if (kept := kept_tool(file, facts)) is not None:
        return kept
    tool = seed_model()
    return tool if f"{tool['slugowner']}/{tool['slugproject']}" == file.model else None


@contextmanager
def wrong_model_told(file: JobFile) -> Iterator[None]:
    """Ask the service for the file's model in the block; what is wrong with the file anyway is said before.

    Raises:
        JobFileError: Something is wrong with the file, or the service has no such model.
    """
    file.check()
    try:
        yield
    except NoSuchModel as error:
        raise file.wrong_model(
            f"The service has no model {file.model} ({error.message.rstrip('.')}).",
            "Check the name: it is the last two parts of the model's address. `orchestrator models` searches.",
        ) from error


def credentials(settings: Settings, hint: str = "") -> Credentials:
    """Return the credentials in use; `hint` says what else the user could do.

    Raises:
        RefusedError: There is no key, or none that can be sent.
    """
    if not settings.api_key:
        raise RefusedError(
            "WIRO_API_KEY is not set. Put WIRO_API_KEY (and WIRO_API_SECRET for a project that signs) into the"
            f" environment or a .env file in this folder.{hint}"
        )
    try:
        return Credentials(settings.api_key, settings.api_secret)
    except ValueError as error:
        raise RefusedError(f"WIRO_API_KEY cannot be used: {error}") from error


def check_size(job: Job) -> None:
    """Refuse a job of more tasks than its file allows.

    Raises:
        RefusedError: It is too large.
    """
    total = job.total()
    if total > job.limits.max_tasks:
        raise RefusedError(
            f"The job has {total:,} tasks, and limits.max_tasks allows {job.limits.max_tasks:,}."
            " Raise it in the job file if that many are meant."
        )


def binding(file: JobFile, settings: Settings, options: Options) -> Binding:
    """Return what a run of this file belongs to."""
    service = EMULATOR if options.emulate else settings.base_url
    return Binding(str(file.path.resolve()), service, credentials(settings).fingerprint)


def bind(prepared: Prepared, bound: Binding, store: SqliteLedger, options: Options, since: float) -> int:
    """Write the job into the folder's ledger and return its edition, which grows when the job changes.

    Args:
        prepared: The job.
        bound: What its run belongs to.
        store: The folder's ledger.
        options: What the user asks for beside the job file.
        since: When this process took hold of the folder, unix seconds.

    Raises:
        RefusedError: See `check_bound`.
    """
    check_bound(prepared, bound, store, options)
    facts = store.facts()
    job = json.dumps(prepared.job.to_json(), ensure_ascii=False)
    edition = int(facts.get(Fact.EDITION, "0"))
    changed = tasks_of(facts.get(Fact.JOB)) != tasks_of(job)
    with store.transaction(durable=True):
        store.state(
            {
                **bound.facts(),
                Fact.JOB: job,
                Fact.TOOL: json.dumps(prepared.tool, ensure_ascii=False, default=str),
                Fact.MODEL: prepared.file.model,
                Fact.TOTAL: str(prepared.job.total()),
                Fact.STARTED_AT: facts.get(Fact.STARTED_AT, repr(since)),
                Fact.UPDATED_AT: repr(since),
                **forgotten(store.facts(), since),
            }
        )
        if changed:
            edition += 1
            store.state({Fact.EDITION: str(edition), Fact.ENTERED: "0"})
    return edition


def check_bound(prepared: Prepared, bound: Binding, store: SqliteLedger, options: Options) -> None:
    """See that a run may go on in its folder.

    Raises:
        RefusedError: The folder belongs to another job file, service or account, or something is in doubt that was
            sent to another model.
    """
    facts = store.facts()
    if Fact.SOURCE in facts and not options.rebind:
        bound.check(facts, prepared.folder.path, OTHER_FOLDER)
    _check_doubts(store, facts.get(Fact.MODEL, prepared.file.model), prepared.file.model)


def _check_doubts(store: SqliteLedger, before: str, now: str) -> None:
    """Refuse another model while requests are in doubt: they are looked for among the tasks of the job's model.

    Raises:
        RefusedError: There are some.
    """
    doubts = len(store.intents()) if before.casefold() != now.casefold() else 0
    if doubts:
        raise RefusedError(
            f"{many(doubts, 'task')} of {before} may have been accepted without our knowing, and the job file's `model`"
            f" is {now} now. Set it back and run the same command until that is settled, or choose another folder with"
            " --out."
        )


def _folder(file: JobFile, options: Options) -> Path:
    if options.out is not None:
        return options.out
    base = Path(OUTPUTS)
    name = safe_part(file.name) + (EMULATED if options.emulate else "")
    if options.new:
        return next(path for path in _numbered(base / name) if not RunFolder(path).exists())
    unfinished = _newest_unfinished(base, file, emulated=options.emulate) if file.dated else None
    return unfinished or base / name


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.name}-{number}")


def _newest_unfinished(base: Path, file: JobFile, *, emulated: bool) -> Path | None:
    """Return the folder of this job file's latest run that still has something to do."""
    source = str(file.path.resolve())
    found: list[tuple[float, Path]] = []
    for path in base.iterdir() if base.is_dir() else ():
        try:
            facts = facts_of(RunFolder(path))
            ours = facts.get(Fact.SOURCE) == source and (facts.get(Fact.SERVICE) == EMULATOR) is emulated
            if ours and _is_open(path):
                found.append((float(facts[Fact.STARTED_AT]), path))
        except (NotALedgerError, LedgerError) as error:  # whatever lies there, it is no run to go on with
            if isinstance(error, DamagedLedgerError) and _is_of(RunFolder(path), file):
                raise
    return max(found)[1] if found else None


def _is_of(folder: RunFolder, file: JobFile) -> bool:
    return folder.job.is_file() and folder.job.read_text("utf-8", errors="replace") == file.text


def _is_open(path: Path) -> bool:
    with RunFolder(path).opened() as store:
        return store.totals().kept(*FINAL) < int(store.fact(Fact.TOTAL) or 0)
