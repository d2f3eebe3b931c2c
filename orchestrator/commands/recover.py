"""A ledger made anew: from what can be read of the damaged one, the manifest, the files and the service's list."""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio.to_thread

from orchestrator.clock import Clock
from orchestrator.commands import calling, schema
from orchestrator.commands.carrying import Result, Watcher
from orchestrator.commands.options import Options
from orchestrator.commands.prepare import credentials, wrong_model_told
from orchestrator.commands.rebuilding import Rebuilding, Recovery, doubtful, last_model
from orchestrator.commands.resume import resume
from orchestrator.commands.status import read_status
from orchestrator.config import Settings
from orchestrator.engines.control import Control
from orchestrator.engines.local import Orders
from orchestrator.errors import OrchestratorError, RefusedError
from orchestrator.facts import NEEDED, WRITTEN, readable
from orchestrator.ledger import MARK, DamagedLedgerError, Fact, SqliteLedger, salvage
from orchestrator.lifecycle import State
from orchestrator.output import witness
from orchestrator.reporting import root
from orchestrator.runs import EMULATOR, RunFolder
from orchestrator.sweep import JobFileError, Limits, Schema, load
from orchestrator.wording import many


async def recover(
    folder: RunFolder,
    job_file: Path | None,
    options: Options,
    settings: Settings,
    *,
    control: Control,
    clock: Clock,
    watcher: Watcher,
) -> Recovery:
    """Make the ledger of a run folder anew and settle with the service what is in doubt; nothing is submitted.

    Args:
        folder: The run folder.
        job_file: Says what the tasks are where the ledger does not any more; the folder's copy if not given.
        options: What was set, for that file.
        settings: Whom to ask.
        control: Stops it.
        clock: Time.
        watcher: Follows the settling.

    Raises:
        RefusedError: The ledger is not damaged, or nothing says what the tasks are, or the job file is another one.
        OrchestratorError: It cannot start, or the new ledger cannot be written.
    """
    if not folder.exists() and not folder.job.is_file():
        raise RefusedError(f"{folder.path} is not a run folder: there is nothing to recover in it.")
    folder.state.mkdir(parents=True, exist_ok=True)
    found = Recovery()
    with folder.held():
        rebuilding = await _made_anew(folder, job_file, options, settings, found, clock=clock)
    settle = partial(
        resume,
        folder,
        Options(),
        settings,
        orders=Orders(submits=False),
        before=lambda _: None,
        control=control,
        clock=clock,
        watcher=watcher,
    )
    found.halt = await _settled(settle, folder, rebuilding)
    found.status = read_status(folder)
    if found.settled and not found.status.counts[State.RUNNING]:
        await anyio.to_thread.run_sync(_proven, folder)
    found.adopted = found.status.adopted - found.adopted
    return found


async def _made_anew(
    folder: RunFolder,
    job_file: Path | None,
    options: Options,
    settings: Settings,
    found: Recovery,
    *,
    clock: Clock,
) -> Rebuilding:
    """Put a new ledger in the damaged one's place, and take note of what was found on the way.

    Raises:
        RefusedError: See `recover`.
    """
    draft = folder.ledger.with_name(".ledger.sqlite.new")
    _find_room(folder.ledger, draft)
    _remove(draft)  # one that was killed may have left it
    if (doubts := await anyio.to_thread.run_sync(_doubts_of_a_sound_one, folder)) is not None:
        left = f" `orchestrator run` with the job file settles what is in doubt: {many(doubts, 'task')}."
        raise RefusedError(
            f"The ledger {folder.ledger} is not damaged: there is nothing to recover.{left if doubts else ''}"
        )
    evidence = await anyio.to_thread.run_sync(doubtful, folder, clock.now())
    found.kept = await anyio.to_thread.run_sync(_keep, folder, clock.now())
    with SqliteLedger(draft, run_folder=folder.path) as fresh:
        found.read = await anyio.to_thread.run_sync(salvage, folder.ledger, fresh)
        facts = readable(fresh.facts())
        if not facts.keys() >= NEEDED:
            with nullcontext() if job_file else _told_as_a_copy(facts.get(Fact.SOURCE)):
                facts |= await _said_again(folder, facts, job_file, options, settings, clock=clock)
        rebuilding = Rebuilding(folder, fresh, facts, evidence, found)
        await anyio.to_thread.run_sync(rebuilding.run)
    _replace(folder, draft)
    return rebuilding


async def _settled(settle: Callable[[], Awaitable[Result]], folder: RunFolder, rebuilding: Rebuilding) -> str | None:
    """Settle what is in doubt; return why that stopped early, if it did."""
    try:
        result = await settle()
        while result.halt is None and await anyio.to_thread.run_sync(_doubted_again, folder, rebuilding):
            result = await settle()
    except (OrchestratorError, ExceptionGroup) as error:
        if not isinstance(cause := root(error), OrchestratorError):
            raise
        return str(cause)  # what could be saved is saved; `run` settles the rest
    return None if result.halt is None else result.halt.message


async def _said_again(
    folder: RunFolder,
    facts: Mapping[str, str],
    job_file: Path | None,
    options: Options,
    settings: Settings,
    *,
    clock: Clock,
) -> dict[str, str]:
    """Return the facts that the ledger has lost, from the job file and the settings."""
    path = job_file or folder.job
    if not path.is_file():
        raise RefusedError(f"The list of the tasks in {folder.path} is lost: add --job with its job file.")
    today = datetime.fromtimestamp(clock.now(), UTC).astimezone()
    file = load(path, today=today, sets=options.sets, secrets=settings.secrets, allowed=options.allowed)
    before = facts.get(Fact.MODEL) or await anyio.to_thread.run_sync(last_model, folder.log)
    if before is not None and before.casefold() != file.model.casefold():
        raise RefusedError(
            f"{path} is a job for {file.model}, and what {folder.path} holds was made by {before}: none of its tasks"
            " would be found again. Add --job with the job file as it was run."
        )
    emulate = folder.emulator.is_dir()
    rate = Limits().requests_per_second
    async with calling.reached(settings, rate, clock, emulate=emulate, folder=folder) as line:
        with wrong_model_told(file):  # its defaults decide which tasks there are, and its price what is kept aside
            tool = await schema.asked(file.model, line, clock)
    return {
        Fact.SOURCE: str(file.path.resolve()) if job_file else "",
        Fact.SERVICE: EMULATOR if emulate else line.settings.base_url,
        Fact.ACCOUNT: credentials(line.settings).fingerprint,
        Fact.JOB: json.dumps(file.resolve(Schema.from_tool(tool)).to_json(), ensure_ascii=False),
        Fact.TOOL: json.dumps(tool, ensure_ascii=False, default=str),
        Fact.MODEL: file.model,
    }


def _doubted_again(folder: RunFolder, rebuilding: Rebuilding) -> bool:
    with folder.held(), folder.written() as store:
        return rebuilding.doubt_again(store)


def _proven(folder: RunFolder) -> None:
    """Write down that nothing can have been sent any more that the ledger does not know."""
    with folder.held(), folder.written() as store, store.transaction(durable=True):
        store.state({Fact.UNPROVEN: None})


@contextmanager
def _told_as_a_copy(source: str | None) -> Iterator[None]:
    """Say with what is wrong with the run folder's copy of the job file that it may only lie elsewhere.

    Raises:
        RefusedError: It is wrong where it lies.
    """
    try:
        yield
    except JobFileError as error:
        place = f", {source}" if source else ""
        raise RefusedError(
            f"{error}\n  Hint: This is the run folder's copy, and what it names lies beside the job file itself: add"
            f" --job with that one{place}."
        ) from error


def _doubts_of_a_sound_one(folder: RunFolder) -> int | None:
    """Return how many tasks are in doubt in a ledger, None where it is damaged."""
    try:
        with folder.opened() as store:
            store.check()
            for _ in store.everything():
                pass
            store.unfinished()
            store.totals()
            witness.hear(folder.manifest, store, folder.path)
            sound = WRITTEN <= readable(facts := store.facts()).keys() == facts.keys()
            return len(store.intents()) if sound else None
    except DamagedLedgerError:
        return None


def _keep(folder: RunFolder, now: float) -> Path | None:
    """Copy the damaged ledger, with its side file, to a name that says so.

    Reading it may change it: where it is a link, another copy takes the link's place.
    """
    if not folder.ledger.is_file():
        return None
    when = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    kept = folder.ledger.with_name(f"ledger.damaged-{when}.sqlite")
    real = folder.ledger.resolve()
    _copy(real, kept)
    if folder.ledger.is_symlink():
        draft = folder.ledger.with_name(".ledger.sqlite.new")
        _copy(real, draft)
        for suffix in ("-wal", ""):  # once the link is gone, all of it has to be here
            path = draft.with_name(draft.name + suffix)
            if path.is_file():
                path.replace(folder.ledger.with_name(folder.ledger.name + suffix))
    return kept


def _copy(ledger: Path, copy: Path) -> None:
    """Copy a ledger with its side file, which SQLite keeps beside what a link leads to."""
    for suffix in ("", "-wal"):
        path = ledger.with_name(ledger.name + suffix)
        if path.is_file():
            shutil.copy2(path, copy.with_name(copy.name + suffix))


def _replace(folder: RunFolder, draft: Path) -> None:
    """Put the new ledger in the damaged one's place; what SQLite kept beside that one must not be taken for its own."""
    for suffix in ("-wal", "-shm", MARK):
        folder.ledger.with_name(folder.ledger.name + suffix).unlink(missing_ok=True)
    draft.with_name(draft.name + MARK).unlink(missing_ok=True)  # before a kill can leave it without its ledger
    draft.replace(folder.ledger)


def _remove(draft: Path) -> None:
    for path in _places(draft):
        path.unlink(missing_ok=True)


def _find_room(*ledgers: Path) -> None:
    """See that no folder lies where a ledger is to be, or what SQLite keeps beside it.

    Raises:
        RefusedError: One does: what is in it is none of the run's, and the user's to move.
    """
    for path in (place for ledger in ledgers for place in _places(ledger)):
        if path.is_dir() and not path.is_symlink():
            raise RefusedError(f"{path} is a folder, and in the ledger's way: move it away, and try again.")


def _places(ledger: Path) -> tuple[Path, ...]:
    """Return where a ledger lies, with all that is kept beside it."""
    return tuple(ledger.with_name(ledger.name + suffix) for suffix in ("", "-wal", "-shm", MARK))
