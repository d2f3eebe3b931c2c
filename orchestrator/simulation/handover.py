"""What a run hands over, files and lines that tell of them, against what the service made and the ledger holds."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from orchestrator.lifecycle import FINAL, Record, State
from orchestrator.simulation.service import Remote, picture
from orchestrator.simulation.world import World

Line = Mapping[str, Any]
DEAF: Final = frozenset({"hour outage", "hour storm"})
"""What has the service not hear that copies are to be deleted; a later run, which never comes, would say it again."""


class Handover:
    """Looks at the run folder of one world while nobody writes there."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_deaf = any(event.what in DEAF or event.kind == "throttled" for event in world.history.events)

    def delivered(self, record: Record) -> None:
        """What stands in the folder is what the service has made, whole."""
        number = int(record.sent.remote_id or 0)
        if len(record.outputs) != self._world.history.samples:
            self._broken(f"{len(record.outputs)} outputs of {number} are delivered")
        made = self._made(number)
        for output in record.outputs:
            if self._taken(output.path, made) is None:
                self._broken(f"{output.path} is not what {number} has made")

    def tells_for_good(self, task: str) -> bool:
        """Return whether a line that outlasts whatever comes says that a task is done."""
        manifest, disk = self._world.folder.manifest, self._world.disk
        held = disk.synced(manifest) if disk else manifest.read_bytes()
        lines = map(_read, held.decode("utf-8", "replace").splitlines())
        return any(line and (line["task"], line["state"]) == (task, State.DONE.value) for line in lines)

    def rested(self) -> None:
        """No process is alive: the lines tell of files that are there, byte by byte."""
        for line in self._lines():
            self._look_at_files(line)

    def ended(self, records: Mapping[str, Record]) -> None:
        """All is over: there is one line for each finished task, which tells what the ledger and the service say."""
        lines = self._lines()
        places = [line["index"] for line in lines]
        told = sorted((line["task"], line["state"]) for line in lines)
        finished = {identity: record for identity, record in records.items() if record.state in FINAL}
        if places != sorted(places) or told != sorted((name, each.state.value) for name, each in finished.items()):
            self._broken("the manifest does not tell what the ledger holds")
            return
        tries = Counter(remote.owner for remote in self._world.service.tasks.values())
        for line in lines:
            self._look_at_bill(line, finished[line["task"]], tries[line["task"]])
        if not self._world.history.turning:  # what came before the list turned may lie there under another number too
            self._look_for_strays(lines)
        if self._world.history.delete_remote and not self._is_deaf:
            self._look_for_copies(finished.values())

    def _lines(self) -> list[Line]:
        manifest = self._world.folder.manifest
        if not manifest.is_file():
            return []
        lines = manifest.read_text("utf-8", "replace").splitlines(keepends=True)
        held = [_read(line) for line in lines if line.endswith("\n")]
        if None in held and not self._world.unplugged:
            self._broken("a line of the manifest cannot be read")
        return [each for each in held if each]

    def _look_at_files(self, line: Line) -> None:
        number = int(line["remote"]["task_id"] or 0)
        made = self._made(number)
        for output in line["outputs"]:
            held = self._taken(output["path"], made)
            if held is None:
                self._broken(f"the manifest names {output['path']}, which is not what {number} has made")
            elif (output["bytes"], output["sha256"]) != (len(held), hashlib.sha256(held).hexdigest()):
                self._broken(f"the manifest tells another size or sum of {output['path']} than it has")

    def _look_at_bill(self, line: Line, record: Record, tries: int) -> None:
        """See that a line tells the ledger's and the service's figures, except where the service has told none."""
        cost = None if line["cost_usd"] is None else Decimal(line["cost_usd"])
        held = record.attempt.cost_usd if record.attempt else None
        remote = self._remote(record)
        billed = None if remote is None else self._bill(remote)
        is_untold = cost is None and (record.state is not State.DONE or (remote and remote.fate == "wordless"))
        if cost != held or (cost != billed and not is_untold):
            self._broken(f"a line tells a cost of {cost}, the ledger of {held}, and the service's bill is {billed}")
        if line["remote"]["task_id"] != (record.attempt and record.attempt.remote_id):
            self._broken(f"a line tells of {line['remote']['task_id']}, and the ledger holds {record.attempt}")
        if not line["attempts"] == record.tries == tries:
            self._broken(f"a line tells of {line['attempts']} attempts, the ledger of {record.tries}, and {tries} were")

    def _look_for_strays(self, lines: Iterable[Line]) -> None:
        """See that no file lies about that no line tells of."""
        root = self._world.folder.path
        there = {path.relative_to(root).as_posix() for path in _shown(self._world.folder.files)}
        for stray in sorted(there - {output["path"] for line in lines for output in line["outputs"]}):
            self._broken(f"{stray} lies there, and no line of the manifest tells of it")

    def _look_for_copies(self, records: Iterable[Record]) -> None:
        for record in records:
            remote = self._remote(record)
            if remote and record.state is State.DONE and not remote.deleted:
                self._broken(f"the service still has its copies of {remote.number}, and they were to be deleted")

    def _remote(self, record: Record) -> Remote | None:
        number = record.attempt.remote_id if record.attempt else None
        return None if number is None else self._world.service.tasks[int(number)]

    def _bill(self, remote: Remote) -> Decimal:
        return Decimal(0) if remote.is_free(self._world.now()) else remote.price_usd

    def _made(self, number: int) -> list[bytes]:
        return [picture(number, output) for output in range(self._world.history.samples)]

    def _taken(self, path: str, made: list[bytes]) -> bytes | None:
        """Return what a file holds and take it from what was made; None where it is none of that, or was taken."""
        file = self._world.folder.path / path
        held = file.read_bytes() if file.is_file() else b""
        if held not in made:
            return None
        made.remove(held)
        return held

    def _broken(self, what: str) -> None:
        self._world.violate(what)


def _shown(folder: Path) -> Iterator[Path]:
    """Yield the files that a user sees; what broke is kept out of sight, and so is what is on its way."""
    for path in folder.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _read(line: str) -> dict[str, Any] | None:
    """Return what a line of the manifest says, None where a power cut has spoilt it."""
    try:
        held: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return held
