"""What can go wrong with the ledger; no error of the database leaves this package."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import RefusedError, StoppedError


class LedgerError(StoppedError):
    """The ledger cannot be written or read: nothing more can be promised, so the run stops."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(f"The ledger {path} cannot be used: {reason}. Fix the cause and run the same command again.")


class GoneLedgerError(LedgerError):
    """The ledger's file does not stand at its name any more."""

    def __init__(self, path: Path, run_folder: Path) -> None:
        StoppedError.__init__(
            self,
            f"The ledger {path} was removed, moved or replaced while a run was at work, so nothing more is sent. Put"
            f" the run folder {run_folder} back in its place and run the same command again: what was sent goes on, and"
            " without its ledger would be paid for again.",
        )
        self.path = path


class NotALedgerError(RefusedError):
    """There is no ledger that this version can read."""


class UnbegunLedgerError(NotALedgerError):
    """There is a ledger's file and nothing in it yet: whoever made it was killed."""


class DamagedLedgerError(NotALedgerError):
    """The ledger is not what was written, or not all of it."""

    def __init__(self, path: Path, reason: str, run_folder: Path) -> None:
        self.path = path
        super().__init__(
            f"The ledger {path} is damaged: {reason}. `orchestrator recover {run_folder}` rebuilds it from what can"
            " still be read of it, the manifest, the files and the service's list, and pays for nothing."
        )


class ConflictError(Exception):
    """What is to be saved does not follow from what the ledger holds: a bug, and nothing was written."""


class ClaimedError(Exception):
    """This remote task already belongs to another of our tasks."""

    def __init__(self, remote_id: str) -> None:
        self.remote_id = remote_id
        super().__init__(f"remote task {remote_id} belongs to another task")
