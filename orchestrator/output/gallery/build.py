"""Builds the whole page of a run folder from its ledger, thumbnails on every core."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from orchestrator.ledger import SqliteLedger
from orchestrator.output.gallery.writer import PageWriter
from orchestrator.status import Status

T = TypeVar("T")
FORMAT: Final = 1
CHUNK: Final = 64


@dataclass(frozen=True, slots=True)
class Built:
    """What a page holds.

    Attributes:
        page: Its `index.html`.
        tasks: How many tasks have a row on it.
        outputs: How many files they made.
        thumbnails: How many of those are shown by a small picture.
    """

    page: Path
    tasks: int
    outputs: int
    thumbnails: int

    def to_json(self) -> dict[str, Any]:
        """Return the object that `gallery --json` prints."""
        counts = {"tasks": self.tasks, "outputs": self.outputs, "thumbnails": self.thumbnails}
        return {"format": FORMAT, "page": str(self.page), **counts}


def build(run_folder: Path, ledger: SqliteLedger, status: Status, now: float) -> Built:
    """Write the page anew.

    Args:
        run_folder: The run folder, in which nobody else is at work.
        ledger: Its ledger, to be read.
        status: Where the run stands.
        now: Unix seconds.

    Raises:
        OSError: The page cannot be written.
        RefusedError: The folder holds what this version cannot read, or the marks of another run.
    """
    writer = PageWriter.begun(run_folder, ledger, now, is_strict=True)
    writer.thumbnails = True  # whoever asks for the page wants them, though the run had no time for them
    for _ in writer.plan():
        pass
    tasks = outputs = thumbnails = 0
    with ThreadPoolExecutor() as pool:
        for chunk in chunks(ledger.finished()):
            for record, previews in zip(chunk, pool.map(writer.previews, chunk), strict=True):
                writer.add(record, previews)
                tasks += 1
                outputs += len(previews)
                thumbnails += sum(preview.thumbnail is not None for preview in previews)
    writer.tell(status, writer.under_way(ledger), now)
    writer.shards.trim()
    return Built(writer.place.index, tasks, outputs, thumbnails)


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Yield items some at a time."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
