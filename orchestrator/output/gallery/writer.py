"""Writes the page of one run folder: the job once, rows as tasks end, where the run stands now and then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

from orchestrator import money
from orchestrator.drafts import replace
from orchestrator.facts import frozen_tool, resolved_job
from orchestrator.ledger import Fact, SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.output.gallery import marks
from orchestrator.output.gallery.data import FORMAT, Coder, Preview
from orchestrator.output.gallery.place import Place, Shards
from orchestrator.status import Status

HEAD: Final = "head"
MOST_ACTIVE: Final = 500
"""How many tasks the page shows as being under way."""
MOST_POINTS: Final = 400
"""How many points of a run's progress are kept; beyond them every second one is let go."""

Point = tuple[float, int, str, int, int]


@dataclass(slots=True)
class PageWriter:
    """Everything blocks.

    Attributes:
        generation: Tells a page that is open that all rows have been written anew.
        thumbnails: Whether files are looked at for what the page shows in their place.
        points: The progress of the run: unix seconds, tasks ended, dollars spent, calls, tasks under way.
    """

    place: Place
    coder: Coder
    key: str
    shards: Shards
    generation: float
    thumbnails: bool = True
    points: list[Point] = field(default_factory=list)

    @classmethod
    def begun(cls, run_folder: Path, ledger: SqliteLedger, now: float, *, is_strict: bool = False) -> PageWriter:
        """Put the page into a run folder, and what does not change while a run goes on.

        Args:
            run_folder: The run folder.
            ledger: Its ledger, to be read.
            now: Unix seconds.
            is_strict: Whether marks of another run are refused; to a run that goes on they matter less than its page.

        Raises:
            OSError: The page cannot be written.
            RefusedError: The folder holds what this version cannot read, or marks that are refused.
        """
        facts = ledger.facts()
        job = resolved_job(facts)
        place = Place(run_folder)
        coder = Coder(job, frozen_tool(facts), Path(facts[Fact.SOURCE]).parent)
        told = coder.job(job.name, facts.get(Fact.STARTED_AT))
        given = marks.read(run_folder, told["key"] if is_strict else None)
        install(place)
        before = place.read(HEAD)
        place.write("job", told)
        place.write("marks", given)
        progress = points(before, told["key"])
        return cls(place, coder, told["key"], Shards(place), now, job.outputs.thumbnails, progress)

    def resumed(self) -> bool:
        """Go on where the page of this folder ends, if all of it still stands; return whether it does."""
        head = self.place.read(HEAD)
        if not isinstance(head, dict) or (head.get("format"), head.get("key")) != (FORMAT, self.key):
            return False
        if not self.shards.resumed(head["shards"]):
            return False
        self.generation = head["generation"]
        return True

    def plan(self) -> Iterator[None]:
        """Write a row for each task that the job holds, where the grid alone does not tell them; stops after each."""
        for task in self.coder.hidden():
            self.shards.add(self.coder.planned(task))
            yield

    def add(self, record: Record, previews: Sequence[Preview]) -> None:
        """Write the row of a task that has ended.

        Raises:
            OSError: The row is kept, and cannot be written just now.
        """
        self.shards.add(self.coder.row(record, previews))

    def previews(self, record: Record, *, draws: bool = True) -> list[Preview]:
        """Return what the page shows of a task's outputs; `draws` says whether to make thumbnails that do not stand."""
        if not self.thumbnails:
            return []
        from orchestrator.output.gallery.thumbnails import preview  # noqa: PLC0415 - Pillow is not needed to begin

        return [preview(self.place, output, draws=draws) for output in record.outputs]

    def under_way(self, ledger: SqliteLedger) -> list[list[Any]]:
        """Return what the page shows of the tasks that are under way."""
        return [self.coder.active(record) for record in ledger.unfinished(MOST_ACTIVE)]

    def tell(self, status: Status, active: Sequence[list[Any]], now: float) -> None:
        """Write where the run stands with what is `under_way`, and the rows that wait for it."""
        self.shards.flush()
        self._note(status, now)
        self.place.write(
            HEAD,
            {
                "format": FORMAT,
                "key": self.key,
                "generation": self.generation,
                "shards": self.shards.sizes,
                "status": status.to_json(),
                "active": active,
                "progress": self.points,
            },
        )

    def _note(self, status: Status, now: float) -> None:
        if status.state != "running" and status.updated_at is not None:
            now = min(now, datetime.fromisoformat(status.updated_at).timestamp())  # nothing has happened since
        busy = sum(status.counts[state] for state in (State.SUBMITTING, State.RUNNING, State.FETCHING))
        point = (round(now, 1), status.ended, money.text(status.cost_usd), sum(status.calls.values()), busy)
        if self.points and (self.points[-1][1:] == point[1:] or self.points[-1][0] > now):
            return
        self.points.append(point)
        if len(self.points) > MOST_POINTS:
            del self.points[1:-1:2]


def install(place: Place) -> None:
    """Put the page itself into a run folder, as this version of the program has it.

    Raises:
        OSError: It cannot be written.
    """
    place.folder.mkdir(parents=True, exist_ok=True)
    for asset in resources.files("orchestrator.output.gallery").joinpath("assets").iterdir():
        target = place.index if asset.name == place.index.name else place.folder / asset.name
        replace(target, asset.read_bytes())


def points(head: Any, key: str) -> list[Point]:
    """Return the progress that an earlier page of this run had noted."""
    if not isinstance(head, dict) or head.get("key") != key or not isinstance(head.get("progress"), list):
        return []
    return [tuple(point) for point in head["progress"] if isinstance(point, list) and len(point) == 5]
