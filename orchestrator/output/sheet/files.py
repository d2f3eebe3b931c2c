"""Contact sheets as files: how many there are, what each is called, and what its metadata says."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from orchestrator.names import safe_part
from orchestrator.output.checked import Checked
from orchestrator.output.discretion import Discretion
from orchestrator.output.export.choice import Chosen
from orchestrator.output.export.embedding import OWN, save
from orchestrator.output.gallery.place import Place
from orchestrator.output.gallery.thumbnails import preview
from orchestrator.output.sheet.axes import Shot, axes_of
from orchestrator.output.sheet.drawing import COLOURS, Artist
from orchestrator.output.sheet.grid import Sheet, arranged, sheets
from orchestrator.output.sheet.layout import Part, laid_out
from orchestrator.output.sheet.lettering import Lettering, shortened
from orchestrator.sweep import Job

FORMAT: Final = 1
QUALITY: Final = 86
SUFFIX: Final = re.compile(r"(-\d+(-.+)?)?")
"""What stands behind the name of a sheet's file where there are several."""
_LOOKED_AT: Final = 50
_SHAPES: Final = (0.4, 1.8)

Save = Callable[[Path, str], None]
"""Draws a sheet and saves it at a path, in the form that an ending stands for."""


@dataclass(frozen=True, slots=True)
class Look:
    """How sheets are to look.

    Attributes:
        x, y: The names of the axes across and down, the outer one first; None for what suits.
        side: How wide a cell is, in pixels; None for what suits.
        theme: One of `COLOURS`.
        font: A font file, None for those that are there.
    """

    x: Sequence[str] | None = None
    y: Sequence[str] | None = None
    side: int | None = None
    theme: str = "light"
    font: Path | None = None


@dataclass(frozen=True, slots=True)
class ContactSheets:
    """The sheets of a run.

    Attributes:
        checked: Says which files are as they came; it has looked at those that are shown once all is drawn.
        only: The values that alone were chosen of axes which have more.
        lettering: The fonts; it knows which letters none of them had once all is drawn.
    """

    place: Place
    checked: Checked
    job: Job
    look: Look
    drawn: Sequence[Sheet]
    ratio: float
    only: tuple[str, ...] = ()
    lettering: Lettering = field(default_factory=Lettering)

    def files(self) -> Iterator[tuple[str, Save]]:
        """Yield for each file what its name gets, and what writes it."""
        measure = self.lettering.width
        planned = [(sheet, laid_out(sheet, self.ratio, measure, self.look.side)) for sheet in self.drawn]
        parts = [(sheet, layout, list(layout.parts(sheet))) for sheet, layout in planned]
        digits = len(str(sum(len(each) for *_, each in parts)))
        number = 0
        for sheet, layout, each in parts:
            for place, part in enumerate(each, 1):
                number += 1
                told = _told(sheet, self.only, f"part {place} of {len(each)}" if len(each) > 1 else "")
                artist = Artist(
                    self.place, self.checked, sheet, layout, COLOURS[self.look.theme], self.lettering, self.job.name,
                    f"{self.job.model} · {told}",
                )  # fmt: skip
                words = f"-{safe_part(' '.join(sheet.words), 40)}" if sheet.words else ""
                yield (
                    "" if digits == number == len(parts) == len(each) else f"-{number:0{digits}}{words}",
                    _saver(artist, part, self._texts(sheet, part, told)),
                )

    def _texts(self, sheet: Sheet, part: Part, told: str) -> dict[str, str]:
        sides = sheet.sides
        held = {
            "format": FORMAT,
            "name": self.job.name,
            "model": self.job.model,
            "x": [axis.name for axis in sides.x],
            "y": [axis.name for axis in sides.y],
            "columns": [list(sheet.columns[column]) for column in part.columns],
            "rows": [list(sheet.rows[row]) for row in part.rows],
            "page": dict(zip((axis.name for axis in sides.pages), sheet.words, strict=True)),
        }
        return {
            "Title": self.job.name,
            "Description": told,
            "Source": self.job.model,
            "Software": "orchestrator",
            OWN: json.dumps(held, ensure_ascii=False),
        }


def contact_sheets(
    checked: Checked, job: Job, discretion: Discretion, chosen: Iterable[Chosen], look: Look
) -> ContactSheets:
    """Return the sheets of what was chosen of a run.

    Raises:
        RefusedError: There is no such axis or font, or there would be too many sheets.
    """
    lettering = Lettering(look.font)
    axes, shots = axes_of(job, discretion, chosen)
    place = Place(checked.run_folder)
    found = list(sheets(axes, shots, arranged(axes, look.x, look.y)))
    sizes = job.axes_sizes()
    single = [axis for axis in axes if len(axis) == 1 and sizes.get(axis.members[0], 1) > 1]
    only = tuple(word for axis in single for word in axis.words.values())
    return ContactSheets(place, checked, job, look, found, _ratio(place, shots), only, lettering)


def _saver(artist: Artist, part: Part, texts: dict[str, str]) -> Save:
    def drawn(path: Path, ending: str) -> None:
        save(artist.drawn(part), path, ending, texts, QUALITY)

    return drawn


def _told(sheet: Sheet, only: tuple[str, ...], part: str) -> str:
    """Return in words what a sheet shows."""
    sides = sheet.sides
    across, down = (" and ".join(axis.name for axis in side) for side in (sides.x, sides.y))
    runs = [f"{across} across" if across else "", f"{down} down" if down and not sides.flows else down]
    return " · ".join(
        filter(None, (", ".join(filter(None, runs)), *(shortened(word, 80) for word in (*only, *sheet.words)), part))
    )


def _ratio(place: Place, shots: Iterable[Shot]) -> float:
    """Return how tall pictures are for their width: as most of the first ones are."""
    first = islice((output for shot in shots for output in shot.outputs.values()), _LOOKED_AT)
    shown = (preview(place, output, draws=False) for output in first)
    shapes = Counter(round(each.height / each.width, 3) for each in shown if each.width and each.height)
    low, high = _SHAPES
    return max(low, min(high, shapes.most_common(1)[0][0])) if shapes else 1.0
