"""The run folder: what lies where in it, who may work in it, and what it belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import filelock

from orchestrator.errors import LockedError, RefusedError
from orchestrator.ledger import NotALedgerError, SqliteLedger
from orchestrator.sweep import Job

LOCK_PATIENCE_SECONDS: Final = 1.0
"""Somebody who only looks whether a run is at work holds the lock for a moment."""

EMULATOR: Final = "emulator"
"""What stands for the address of the service where it is emulated: its ports change."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run folder."""

    path: Path

    @property
    def ledger(self) -> Path:
        """What happened."""
        return self.path / "ledger.sqlite"

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
        """Return whether a run has been here."""
        return self.ledger.is_file()

    def make(self) -> None:
        """Make the folder.

        Raises:
            RefusedError: It cannot be made, or not be written.
        """
        try:
            self.files.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise RefusedError(
                f"The run folder {self.path} cannot be written: {error.strerror}. Choose another with --out."
            ) from error

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
                f"The run folder {self.path} cannot be locked: {error.strerror}. Choose another with --out."
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
            NotALedgerError: There is none.
        """
        if not self.exists():
            raise NotALedgerError(f"{self.path} is not a run folder: it holds no {self.ledger.name}.")
        return SqliteLedger(self.ledger, read_only=True)

    def _lock(self) -> filelock.BaseFileLock:
        return filelock.FileLock(self.path / ".lock", mode=0o600)


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
        theirs = Binding(facts["source"], facts["service"], facts["account"])
        for ours, held, what in (
            (self.source, theirs.source, "the job file"),
            (self.service, theirs.service, "the service"),
            (self.account, theirs.account, "the account whose key has the fingerprint"),
        ):
            if ours != held:
                raise RefusedError(f"The run folder {folder} belongs to {what} {held}, not {ours}. {hint}")

    def facts(self) -> dict[str, str]:
        """Return it as facts of the ledger."""
        return {"source": self.source, "service": self.service, "account": self.account}


def resolved_job(facts: Mapping[str, str]) -> Job:
    """Return the job that a ledger keeps.

    Raises:
        RefusedError: This version cannot read it.
    """
    try:
        return Job.from_json(json.loads(facts["job"]))
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"The job that the run folder keeps cannot be read: {error}") from error


def frozen_tool(facts: Mapping[str, str]) -> dict[str, Any]:
    """Return the model's catalogue entry that a ledger keeps."""
    tool: dict[str, Any] = json.loads(facts["tool"])
    return tool
