"""What one look at a run folder finds, in the words of the pages, and what is new since the look before.

Nothing of it names a folder of anybody's machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import OrchestratorError
from orchestrator.ledger import DamagedLedgerError, NotALedgerError
from orchestrator.output.gallery import Place
from orchestrator.runs import RunFolder
from orchestrator.sense import is_moment
from orchestrator.status import Status
from orchestrator.web.files import stamp

MOST_THUMBNAILS: Final = 6
RATE_SECONDS: Final = 60.0
"""The rate is that of the last minute."""

Look = Callable[[RunFolder], Status]
"""Reads where a run stands; it blocks, and raises `OrchestratorError` where it cannot be read."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that pages are told: its name, and what of it as JSON."""

    name: str
    data: str

    def encoded(self) -> bytes:
        """Return it as a server-sent event (the HTML standard, 9.2)."""
        return f"event: {self.name}\ndata: {self.data}\n\n".encode(errors="replace")


def event(name: str, value: object) -> Event:
    """Return an event; JSON has no line breaks, which would end it."""
    return Event(name, json.dumps(value, ensure_ascii=False, separators=(",", ":")))


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a run folder.

    Attributes:
        stamps: Change whenever anything in the folder does that is shown.
        status: Where the run stands, None where that cannot be read.
        trouble: Why it cannot, as a sentence.
        model: `owner/model`, empty where the page does not say it yet.
        per_minute: How many tasks ended in the last minute, None where nothing is known of it.
        thumbnails: The latest pictures, as paths below the page's address.
    """

    stamps: tuple[str, ...]
    status: Status | None = None
    trouble: str | None = None
    model: str = ""
    per_minute: float | None = None
    thumbnails: tuple[str, ...] = ()

    @property
    def is_running(self) -> bool:
        """Whether a process was at work in the folder."""
        return self.status is not None and self.status.state == "running"

    def summary(self, name: str) -> dict[str, Any]:
        """Return what the overview is told of the run."""
        return {"name": name, "model": self.model, "thumbnails": self.thumbnails, **self.standing()}

    def standing(self) -> dict[str, Any]:
        """Return where the run stands: its `status`, the `trouble` in the place of one, and `per_minute`."""
        status = None if self.status is None else self.status.to_json()
        return {"status": status, "trouble": self.trouble, "per_minute": self.per_minute}

    def news(self, before: Seen | None) -> Iterator[Event]:
        """Yield what an open page of the run is told; all there is where there was no look before."""
        if before is None or self.standing() != before.standing():
            yield event("standing", self.standing())
        _, _, head, job, marks, _ = self.stamps
        if before is None or (head, job) != before.stamps[2:4]:
            yield event("page", {"head": head, "job": job})
        if before is None or marks != before.stamps[4]:
            yield event("marks", {"version": marks})


def stamps_of(folder: RunFolder) -> tuple[str, ...]:
    """Return what changes whenever anything does that is shown; it blocks, for a moment.

    Of what pages load it is those very files: another one that is written with it may be there before it.
    """
    data = Place(folder.path).data
    ledger = folder.ledger
    told = (ledger, ledger.with_name(f"{ledger.name}-wal"), data / "head.js", data / "job.js", data / "marks.js")
    return tuple(map(stamp, (*told, folder.log)))


def seen(folder: RunFolder, look: Look, before: Seen | None) -> Seen:
    """Look at a run folder; it blocks. What has not changed is not read again.

    Args:
        folder: The run folder; it may vanish at any moment.
        look: Reads where it stands.
        before: What the look before has found.
    """
    stamps = stamps_of(folder)
    if before is not None and stamps == before.stamps and (not before.is_running or folder.is_held()):
        return before
    status, trouble = _status(folder, look)
    if before is not None and stamps[2:4] == before.stamps[2:4]:
        per_minute = before.per_minute if status is not None and status.state == "running" else None
        return Seen(stamps, status, trouble, before.model, per_minute, before.thumbnails)
    place = Place(folder.path)
    job, head = place.read("job"), place.read("head")
    model = job.get("model") if isinstance(job, dict) else None
    per_minute = _pace(head, status) if isinstance(head, dict) else None
    return Seen(stamps, status, trouble, str(model or ""), per_minute, tuple(_latest(place, job, head)))


def rate(progress: Any, now: float) -> float | None:
    """Return how many tasks a minute ended lately.

    Args:
        progress: Points of a run, one for each change: unix seconds and tasks ended, then more. Whatever else it is
            tells nothing.
        now: Unix seconds.
    """
    found = filter(_is_point, progress) if isinstance(progress, list) else ()
    points: list[tuple[float, float]] = [(at, ended) for at, ended, *_ in found]
    if not points:
        return None
    since = now - RATE_SECONDS
    began, before = next(((at, ended) for at, ended in reversed(points) if at <= since), points[0])
    seconds = now - max(began, since)
    if seconds <= 0:
        return None
    per_minute = (points[-1][1] - before) / seconds * 60
    return round(per_minute, 1 if per_minute < 10 else 0)


def _is_point(point: Any) -> bool:
    return isinstance(point, list) and len(point) > 1 and is_moment(point[0]) and is_moment(point[1])


def _status(folder: RunFolder, look: Look) -> tuple[Status | None, str | None]:
    try:
        return look(folder), None
    except DamagedLedgerError:
        return None, "The run's ledger is damaged: `orchestrator recover` and the run folder make it anew."
    except NotALedgerError:
        return None, "There is no run here that this version can read."
    except (OrchestratorError, OSError):
        return None, "The run cannot be read just now."


def _pace(head: Mapping[str, Any], status: Status | None) -> float | None:
    """Return how many tasks a minute end in a run that is at work, by what its page says."""
    if status is None or status.state != "running" or status.updated_at is None:
        return None
    return rate(head.get("progress"), datetime.fromisoformat(status.updated_at).timestamp())


def _latest(place: Place, job: Any, head: Any) -> Iterator[str]:
    """Yield the latest pictures of a page, whatever its files hold."""
    try:
        outputs = job["columns"].index("outputs")
        columns = job["output_columns"]
        path, kind, thumbnail = (columns.index(name) for name in ("path", "content_type", "thumbnail"))
        rows = place.read(f"tasks-{len(head['shards']) - 1:05}")
        shown = (output for row in reversed(rows) for output in row[outputs] if output[kind].startswith("image/"))
        for _, output in zip(range(MOST_THUMBNAILS), shown, strict=False):
            yield str(Path("page", output[thumbnail]).as_posix() if output[thumbnail] else output[path])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return  # a page that is damaged, or of another version, has no pictures to show
