"""The run folder: what lies where in it, who may work in it, and what it belongs to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import filelock

from orchestrator import facts
from orchestrator.drafts import make_folder, replace_for_good, sync_folder
from orchestrator.errors import LockedError, RefusedError
from orchestrator.ledger import MARK, DamagedLedgerError, Fact, NotALedgerError, SqliteLedger
from orchestrator.mounts import network_file_system

LOCK_PATIENCE_SECONDS: Final = 1.0
"""Somebody who only looks whether a run is at work holds the lock for a moment."""

EMULATOR: Final = "emulator"
"""What stands for the address of the service where it is emulated: its ports change."""

MOST_NAMED: Final = 5
"""How many run folders are named to whoever names the one that holds them."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run folder."""

    path: Path

    @property
    def pointer(self) -> Path:
        """Says where the ledger lies, if it does not lie here."""
        return self.path / "ledger.path"

    @property
    def state(self) -> Path:
        """The folder of the ledger and the lock: this one, or the one that `--state` has given it."""
        with suppress(OSError):
            if self.pointer.is_file():  # a text that is no path counts as missing
                place = Path(os.fsdecode(self.pointer.read_bytes().replace(b"\0", b"?").strip()))
                return place if place.is_absolute() else self.path
        return self.path

    @property
    def ledger(self) -> Path:
        """What happened."""
        return self.state / "ledger.sqlite"

    @property
    def manifest(self) -> Path:
        """What is handed over."""
        return self.path / "manifest.jsonl"

    @property
    def files(self) -> Path:
        """The outputs."""
        return self.path / "files"

    @property
    def job(self) -> Path:
        """The job file as last run."""
        return self.path / "job.yaml"

    @property
    def log(self) -> Path:
        """What was told on the way."""
        return self.path / "run.log"

    @property
    def emulator(self) -> Path:
        """Where the emulated service keeps its own state."""
        return self.path / "emulator"

    def exists(self) -> bool:
        """Return whether a run has been here, even if its ledger has gone."""
        return self.ledger.is_file() or self.has_traces()

    def make(self, state: Path | None = None, network: Callable[[Path], str | None] = network_file_system) -> None:
        """Make the folder, and that of its ledger where it is to lie elsewhere.

        Args:
            state: Where runs keep their ledgers, each in a folder of its own; None for the run folder.
            network: Gives the type of the network file system that a path lies on, None for none.

        Raises:
            RefusedError: A folder cannot be made, or not be written, or is none for a ledger.
        """
        try:
            make_folder(self.files)
            _probe(self.path)
            if state is not None:
                self._point_to(state.resolve())
                _probe(self.state)
        except OSError as error:
            raise RefusedError(
                f"The run folder {self.path} cannot be written: {error.strerror}. {self._way_out}"
            ) from error
        kind = network(self.state)
        if kind is not None:
            raise RefusedError(
                f"{self.state} lies on a network file system ({kind}), where a ledger cannot be kept safe."
                " Add --state DIR with a folder on a disk of this machine; all else stays in the run folder."
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only process at work here.

        Raises:
            LockedError: Another one is.
            RefusedError: It cannot be found out.
        """
        lock = self._lock()
        try:
            lock.acquire(timeout=LOCK_PATIENCE_SECONDS)
        except filelock.Timeout:
            raise LockedError(
                f"Another process is at work in {self.path}. `orchestrator status {self.path}` shows how far it is."
            ) from None
        except OSError as error:
            raise RefusedError(
                f"The run folder {self.path} cannot be locked: {error.strerror}. {self._way_out}"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def is_held(self) -> bool:
        """Return whether a process is at work here; to look makes nothing."""
        lock = self._lock()
        if not Path(lock.lock_file).exists():
            return False
        try:
            with lock.acquire(timeout=0):
                return False
        except filelock.Timeout:
            return True
        except OSError:
            return False

    def opened(self) -> SqliteLedger:
        """Open the ledger to read it.

        Raises:
            NotALedgerError: There is none, or it is damaged, or of a later version.
        """
        if not self.exists():
            raise NotALedgerError(f"{self.path} is not a run folder: {self._what_instead()}")
        self.check_presence()
        store = SqliteLedger(self.ledger, read_only=True, run_folder=self.path)
        try:
            facts.check(store.facts())
        except ValueError as error:
            store.close()
            raise DamagedLedgerError(self.ledger, str(error), self.path) from error
        except BaseException:
            store.close()
            raise
        return store

    def written(self) -> SqliteLedger:
        """Open the ledger to write it, and make it where no run has been yet.

        Raises:
            NotALedgerError: There was one that is damaged, or of a later version.
            LedgerError: It cannot be opened.
        """
        self.check_presence()
        return SqliteLedger(self.ledger, run_folder=self.path)

    def check_presence(self) -> None:
        """See that a ledger is there, if anything else shows that there has been one.

        Raises:
            DamagedLedgerError: It has gone, or is empty.
        """
        if self.has_traces() and (not self.ledger.is_file() or not self.ledger.stat().st_size):
            reason = "it is empty" if self.ledger.is_file() else "it is missing"
            raise DamagedLedgerError(self.ledger, reason, self.path)

    def has_traces(self) -> bool:
        """Return whether anything shows that there has been a run here."""
        if os.path.lexists(self.pointer) and (self.state == self.path or not self.state.is_dir()):
            return True
        told = (self.manifest, self.log, self.ledger.with_name(f"{self.ledger.name}{MARK}"))
        return any(path.is_file() for path in told) or (self.files.is_dir() and any(self.files.iterdir()))

    def _what_instead(self) -> str:
        """Say what is wrong with a folder without a run, and which ones in it hold some."""
        if not self.path.is_dir():
            return "there is no such folder."
        told = f"it holds no {self.ledger.name}."
        with suppress(OSError):
            below = sorted(str(each) for each in self.path.iterdir() if each.is_dir() and RunFolder(each).exists())
            if below:
                rest = f" and {len(below) - MOST_NAMED:,} more" if len(below) > MOST_NAMED else ""
                return f"{told} Those in it are {', '.join(below[:MOST_NAMED])}{rest}."
        return told

    @property
    def _way_out(self) -> str:
        """What to do where this folder cannot be written: another one would pay again for what this one holds."""
        if self.exists():
            return "Fix that and run the same command again: this folder holds a run that goes on."
        return "Choose another with --out."

    def _point_to(self, base: Path) -> None:
        """Let the ledger lie below a folder; where it does already nothing is done."""
        if self.pointer.is_file():
            if self.state.parent != base:
                raise RefusedError(f"The ledger of {self.path} lies in {self.state} already: leave --state out.")
        elif self.ledger.is_file():
            raise RefusedError(f"The ledger of {self.path} lies in the run folder already: leave --state out.")
        else:
            place = str(self.path.resolve())
            own = base / f"{self.path.resolve().name}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"
            make_folder(base)
            own.mkdir(exist_ok=True, mode=0o700)
            sync_folder(base)
            replace_for_good(self.pointer, [f"{own}\n".encode()])

    def _lock(self) -> filelock.BaseFileLock:
        return filelock.FileLock(self.state / ".lock", mode=0o600)


def _probe(folder: Path) -> None:
    probe = folder / ".writable"
    probe.touch()
    probe.unlink()


@dataclass(frozen=True, slots=True)
class Binding:
    """What a run folder belongs to; another of any of these is another run.

    Attributes:
        source: The job file's absolute path.
        service: The base URL, or `EMULATOR`.
        account: The fingerprint of the key.
    """

    source: str
    service: str
    account: str

    def check(self, facts: Mapping[str, str], folder: Path, hint: str) -> None:
        """Compare with what the folder says.

        Args:
            facts: What its ledger holds.
            folder: The folder, for the message.
            hint: What the user can do.

        Raises:
            RefusedError: It belongs to something else.
        """
        theirs = Binding(facts[Fact.SOURCE] or self.source, facts[Fact.SERVICE], facts[Fact.ACCOUNT])
        for ours, held, what in (
            (self.source, theirs.source, "the job file"),
            (self.service, theirs.service, "the service"),
            (self.account, theirs.account, "the account whose key has the fingerprint"),
        ):
            if ours != held:
                raise RefusedError(f"The run folder {folder} belongs to {what} {held}, not {ours}. {hint}")

    def facts(self) -> dict[str, str]:
        """Return it as facts of the ledger."""
        return {Fact.SOURCE: self.source, Fact.SERVICE: self.service, Fact.ACCOUNT: self.account}
