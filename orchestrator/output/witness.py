"""The manifest as a witness: it tells of tasks that an older copy of the ledger does not know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from orchestrator.ledger import DamagedLedgerError, Fact, SqliteLedger
from orchestrator.lifecycle import State
from orchestrator.output.manifest import MISSING, ManifestError, stamp

CHUNK: Final = 500
BLOCK: Final = 2**18
_TASK: Final = re.compile(rb'"task": ?"([a-z2-7]{1,64})"')
_REMOTE: Final = re.compile(rb'"remote": ?\{"task_id": ?"([^"\\\n]{1,64})"')
"""No text within a line can look like these: its quotes are escaped."""


def hear(path: Path, store: SqliteLedger, run_folder: Path) -> None:
    """See that a ledger knows what the manifest beside it tells of.

    A line is written after the ledger has what the service calls the task, on the disk. One of a task that has another
    name there, or none, was written when the ledger was further than it is now. The lines are read only where the
    ledger does not say that the manifest is as it left it: not after an end in order. That takes about 1.5 s
    for a million of them. What a ledger that was made anew from them did not believe is no proof.

    A stamp that is written along with the lines could not spare the reading after a kill: it would stand in the
    ledger's side file, which SQLite believes beside an older copy of all else.

    Args:
        path: The manifest.
        store: The ledger.
        run_folder: Whose they are, for the message.

    Raises:
        DamagedLedgerError: It is an older copy.
        ManifestError: The manifest cannot be read.
    """
    if stamp(path) in {MISSING, store.fact(Fact.MANIFEST), store.fact(Fact.HEARD)}:
        return
    for lines in _blocks(path):
        unknown = _unknown(lines, store)
        for remote, task in _told(lines) if unknown else ():
            # what is done stays done, as the same task of the service: such a line is no later one, but damaged
            if remote in unknown and store.states([task]).get(task) is not State.DONE:
                reason = f"it is an older copy, since {path.name} tells of the service's task {remote}, and it does not"
                raise DamagedLedgerError(store.path, reason, run_folder)


def _unknown(lines: bytes, store: SqliteLedger) -> set[str]:
    """Return what the service calls tasks that the ledger does not know."""
    remotes = [remote.decode(errors="replace") for remote in _REMOTE.findall(lines)]
    parts = (remotes[start : start + CHUNK] for start in range(0, len(remotes), CHUNK))
    return {remote for part in parts for remote in set(part) - store.claimed(part)}


def _told(lines: bytes) -> Iterator[tuple[str, str]]:
    """Yield what the service calls each task and what we call it; a line that does not say both is passed over."""
    for line in lines.split(b"\n"):
        remote, task = _REMOTE.search(line), _TASK.search(line)
        if remote and task:
            yield remote[1].decode(errors="replace"), task[1].decode()


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield all lines, many at a time: to look at each of them costs more than all that is looked for."""
    try:
        with path.open("rb") as file:
            while lines := file.read(BLOCK) + file.readline():
                yield lines
    except OSError as error:
        raise ManifestError(path, error, "read") from error
