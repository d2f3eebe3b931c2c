"""An archive of the page: unpacked anywhere it opens as the page in the run folder does."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from pathlib import Path
from typing import IO, Any, Final

from orchestrator.output.checked import WORDS, Checked
from orchestrator.output.export.choice import Chosen
from orchestrator.output.export.copies import Copy, Pictures, copies
from orchestrator.output.gallery import marks
from orchestrator.output.gallery.build import chunks
from orchestrator.output.gallery.data import FORMAT, Coder, encoded
from orchestrator.output.gallery.place import SHARD_ROWS, Place, script

_EARLIEST: Final = datetime(1980, 1, 1, tzinfo=UTC).timestamp()
"""Archives know no earlier times."""


@dataclass(slots=True)
class Archive:
    """Writes the page of a run, or of a part of it, into an archive.

    Attributes:
        place: Where the run folder's page lies.
        coder: Says what is told of tasks.
        job: What is told of the job, see `Coder.job`.
        head: Where the run stands, see `PageWriter.tell`.
        marks: The marks of the run folder, see `marks.read`.
        pictures: How pictures are handed on.
        checked: Says which files are as they came; the others are left out.
    """

    place: Place
    coder: Coder
    job: Mapping[str, Any]
    head: Mapping[str, Any]
    marks: Mapping[str, Any]
    pictures: Pictures
    checked: Checked
    _keys: set[str] = field(default_factory=set)

    def write(self, path: Path, folder: str, chosen: Iterable[Chosen]) -> None:
        """Write the archive.

        Args:
            path: The file.
            folder: The one folder in it that holds all else.
            chosen: The tasks that it shows.

        Raises:
            OSError: It cannot be written.
        """
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            shelf = _Shelf(archive, folder, _moment(self.head["status"]["updated_at"]))
            for asset in resources.files("orchestrator.output.gallery").joinpath("assets").iterdir():
                name = asset.name if asset.name == self.place.index.name else f"page/{asset.name}"
                shelf.put(name, io.BytesIO(asset.read_bytes()))
            shelf.tell("job", {**self.job, "is_whole": False})  # a task that is not told of is not there
            sizes = self._tasks(shelf, chosen)
            left_out = {
                path: WORDS[found] for path, found in self.checked.unwell.items()
            }  # the page asks for none of them
            shelf.tell("head", {**self.head, "format": FORMAT, "shards": sizes, "active": [], "left_out": left_out})
            shelf.tell("marks", self._own_marks())

    def _tasks(self, shelf: _Shelf, chosen: Iterable[Chosen]) -> list[int]:
        """Put tasks into the archive with their files; return how many rows each script file holds."""
        sizes: list[int] = []
        made = partial(
            copies,
            self.place,
            pictures=self.pictures,
            checked=self.checked,
            head={name: self.job[name] for name in ("name", "model")},
        )
        with ThreadPoolExecutor() as pool:
            for shard in chunks(chosen, SHARD_ROWS):
                rows = []
                for chunk in chunks(shard):
                    for each, copied in zip(chunk, pool.map(made, chunk), strict=True):
                        rows.append(self._task(shelf, each, copied))
                shelf.tell(f"tasks-{len(sizes):05}", rows)
                sizes.append(len(rows))
        return sizes

    def _task(self, shelf: _Shelf, chosen: Chosen, copied: list[Copy]) -> list[Any]:
        """Put a task's files into the archive and return its row."""
        record = chosen.record
        self._keys.update(marks.key(record.task.id, number) for number in chosen.numbers)
        for original, copy in zip(record.outputs, copied, strict=True):
            if copy.content is not None:
                shelf.put(copy.output.path, io.BytesIO(copy.content), record.finished_at)
            elif not copy.is_left_out:
                shelf.copy(copy.output.path, self.place.run_folder / original.path, record.finished_at)
            if copy.preview.thumbnail is not None:
                shelf.copy(f"page/{copy.preview.thumbnail}", self.place.folder / copy.preview.thumbnail)
        record = replace(record, outputs=tuple(copy.output for copy in copied))
        return self.coder.row(record, [copy.preview for copy in copied], chosen.numbers)

    def _own_marks(self) -> dict[str, Any]:
        """Return the marks of those outputs that are in the archive."""
        given = {key: mark for key, mark in self.marks["marks"].items() if key in self._keys}
        duels = [duel for duel in self.marks["duels"] if {duel.get("a"), duel.get("b")} <= self._keys]
        return {"format": marks.FORMAT, "marks": given, "duels": duels}


@dataclass(slots=True)
class _Shelf:
    """Puts files into the one folder of an archive, each name once; `now` is when they were made if nobody says."""

    archive: zipfile.ZipFile
    folder: str
    now: float
    _names: set[str] = field(default_factory=set)

    def put(self, name: str, source: IO[bytes], at: float | None = None) -> None:
        """Put a file there; `at` is when it was made, Unix seconds."""
        if name in self._names:
            return  # equal pictures share a thumbnail
        self._names.add(name)
        moment = datetime.fromtimestamp(max(at or self.now, _EARLIEST), UTC)
        when = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
        told = zipfile.ZipInfo(f"{self.folder}/{name}", when)
        told.compress_type = zipfile.ZIP_DEFLATED if name.endswith(_TEXTS) else zipfile.ZIP_STORED
        told.external_attr = 0o644 << 16
        with self.archive.open(told, "w", force_zip64=True) as target:
            shutil.copyfileobj(source, target, 2**20)

    def copy(self, name: str, path: Path, at: float | None = None) -> None:
        """Put a file of the disk there."""
        with path.open("rb") as source:
            self.put(name, source, at)

    def tell(self, name: str, value: object) -> None:
        """Put a script file of data there."""
        self.put(f"page/data/{name}.js", io.BytesIO(script(name, encoded(value))))


def _moment(text: str | None) -> float:
    return 0 if text is None else datetime.fromisoformat(text).timestamp()


_TEXTS: Final = (".js", ".css", ".html", ".json", ".bin")
"""Endings of what gets smaller when it is packed; pictures are packed already."""
