"""Draws the parts of a contact sheet: pictures, labels, and words where there is no picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

from orchestrator.lifecycle import Output, State
from orchestrator.output.checked import WORDS, Checked, Condition
from orchestrator.output.gallery.place import Place
from orchestrator.output.gallery.thumbnails import MOST_PIXELS, SIDE, opened, preview, upright
from orchestrator.output.sheet.grid import Cell, Sheet
from orchestrator.output.sheet.layout import Layout, Part, mosaic
from orchestrator.output.sheet.lettering import Lettering, line_height

_ROOMY_LINES: Final = 4
"""A box of fewer lines has room for a word and not for a sentence."""
_STATES: Final = {
    State.DONE: "no output",
    State.SUBMITTING: "being sent",
}


@dataclass(frozen=True, slots=True)
class Colours:
    """The colours of a sheet."""

    ground: str
    hole: str
    ink: str
    quiet: str
    line: str
    bad: str
    bad_ground: str


LIGHT: Final = Colours("#f4f5f7", "#e9ebef", "#14171c", "#565e6b", "#d9dde3", "#b3261e", "#fbeae8")
DARK: Final = Colours("#0e1013", "#1b1f25", "#e9ecf1", "#a0a8b5", "#2b3038", "#ff9187", "#33191a")
COLOURS: Final = {"light": LIGHT, "dark": DARK}


@dataclass(frozen=True, slots=True)
class Artist:
    """Draws one sheet, part by part.

    Attributes:
        place: Where the run's files and thumbnails lie.
        checked: Says which files are as they came; the others are not drawn.
        sheet: What is drawn.
        layout: Where it stands.
        colours: Those of the page, light or dark.
        lettering: The fonts.
        title, subtitle: What stands above.
    """

    place: Place
    checked: Checked
    sheet: Sheet
    layout: Layout
    colours: Colours
    lettering: Lettering
    title: str
    subtitle: str

    def drawn(self, part: Part) -> Image.Image:
        """Return a part as a picture."""
        canvas = Image.new("RGB", self.layout.size(part), self.colours.ground)
        draw = ImageDraw.Draw(canvas)
        self._title(draw, canvas.width)
        self._heads(draw, part)
        for row in part.rows:
            self._label(draw, part, row)
            for column in part.columns:
                box = self._box(part, row, column)
                cell = self.sheet.cells.get((row, column))
                if cell is not None:
                    self._cell(canvas, draw, box, cell)
                elif not self.sheet.sides.flows:
                    draw.rectangle(box, outline=self.colours.line)
        return canvas

    def _box(self, part: Part, row: int, column: int) -> tuple[int, int, int, int]:
        """Return the box of a cell's pictures: left, top, right and bottom, all of them in it."""
        left, top = self.layout.x(column, part.columns[0]), self.layout.y(row, part.rows[0])
        return left, top, left + self.layout.width - 1, top + self.layout.height - 1

    def _title(self, draw: ImageDraw.ImageDraw, width: int) -> None:
        sizes, write = self.layout.sizes, self.lettering.write
        left, right, lower = sizes.margin, width - sizes.margin, sizes.margin + line_height(sizes.title)
        write(draw, (left, left, right, lower), self.title, sizes.title, self.colours.ink)
        box = (left, lower, right, lower + line_height(sizes.small))
        write(draw, box, self.subtitle, sizes.small, self.colours.quiet)

    def _heads(self, draw: ImageDraw.ImageDraw, part: Part) -> None:
        """Write the labels of columns, those of outer axes once over all columns that share them."""
        sizes = self.layout.sizes
        pitch, bottom = line_height(sizes.text), self.layout.top - sizes.gap
        for depth in reversed(range(len(self.layout.heads))):
            top = bottom - self.layout.heads[depth]
            for first, last in _runs([self.sheet.columns[column][: depth + 1] for column in part.columns]):
                columns = part.columns[first : last + 1]
                left = self.layout.x(columns[0], part.columns[0])
                right = self.layout.x(columns[-1], part.columns[0]) + self.layout.width
                word = self.sheet.columns[columns[0]][depth]
                most = max(1, (bottom - top) // pitch)
                tall = pitch * len(self.lettering.lines(word, sizes.text, right - left, most))
                is_inmost = depth == len(self.layout.heads) - 1
                self.lettering.write(draw, (left, bottom - tall, right, bottom), word, sizes.text, self.colours.ink)
                if not is_inmost:
                    draw.line((left, bottom + 1, right - 1, bottom + 1), self.colours.line, sizes.line)
            bottom = top - sizes.gap

    def _label(self, draw: ImageDraw.ImageDraw, part: Part, row: int) -> None:
        """Write the label of a row: the outer axis's word where it changes, then the inner one's."""
        sizes, words = self.layout.sizes, self.sheet.rows[row]
        top = self.layout.y(row, part.rows[0])
        right, bottom = self.layout.left - 2 * sizes.gap, top + self.layout.height
        before = self.sheet.rows[row - 1] if row > part.rows[0] else ()
        is_new = [words[: depth + 1] != before[: depth + 1] for depth in range(len(words))]
        for depth, word in enumerate(words):
            is_inmost = depth == len(words) - 1
            if not (is_new[depth] or is_inmost):
                continue
            room = (bottom - top) // line_height(sizes.text) - (0 if is_inmost else len(words) - 1 - depth)
            lines = self.lettering.lines(word, sizes.text, right - sizes.margin, max(1, room))
            lower = top + len(lines) * line_height(sizes.text)
            colour = self.colours.ink if is_inmost else self.colours.quiet
            self.lettering.write(draw, (sizes.margin, top, right, lower), word, sizes.text, colour)
            top = lower + sizes.gap // 2

    def _cell(self, canvas: Image.Image, draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], cell: Cell) -> None:
        sizes = self.layout.sizes
        left, top, right, bottom = box
        if not cell.outputs:
            state = _STATES.get(cell.state, cell.state.value)
            said = f"{state}: {cell.failure}" if cell.failure else state
            self._say(draw, box, said, state, is_bad=cell.state is State.FAILED)
        across, below = mosaic(max(1, len(cell.outputs)))
        wide, tall = (right + 1 - left) / across, (bottom + 1 - top) / below
        for number, output in enumerate(cell.outputs):
            row, column = divmod(number, across)
            inner = (
                round(left + column * wide),
                round(top + row * tall),
                round(left + (column + 1) * wide) - 1 - (sizes.seam if column < across - 1 else 0),
                round(top + (row + 1) * tall) - 1 - (sizes.seam if row < below - 1 else 0),
            )
            self._output(canvas, draw, inner, output)
        if cell.word:
            place = (left, bottom + sizes.gap // 2, right, bottom + self.layout.word)
            self.lettering.write(draw, place, cell.word, sizes.small, self.colours.ink)

    def _output(
        self, canvas: Image.Image, draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], output: Output
    ) -> None:
        left, top, right, bottom = box
        width, height = right + 1 - left, bottom + 1 - top
        if (found := self.checked.look(output)) is not Condition.OK:
            self._say(draw, box, f"file is {WORDS[found]}", WORDS[found], is_bad=True)
        elif not output.content_type.startswith("image/"):
            said = preview(self.place, output).text or Path(output.path).suffix[1:].upper()
            self._say(draw, box, said, is_text=True)
        elif (picture := _picture(self.place, output, width, height)) is None:
            self._say(draw, box, "no picture", is_bad=True)
        else:
            draw.rectangle(box, self.colours.hole)
            place = (left + (width - picture.width) // 2, top + (height - picture.height) // 2)
            canvas.paste(picture, place, picture.getchannel("A") if picture.mode == "RGBA" else None)

    def _say(
        self,
        draw: ImageDraw.ImageDraw,
        box: tuple[int, int, int, int],
        words: str,
        word: str = "",
        *,
        is_bad: bool = False,
        is_text: bool = False,
    ) -> None:
        """Fill a box with words in the place of a picture, or with a word where there is no room for them."""
        sizes = self.layout.sizes
        left, top, right, bottom = box
        draw.rectangle(box, self.colours.bad_ground if is_bad else self.colours.hole)
        most = max(1, (bottom - top - 2 * sizes.gap) // line_height(sizes.small))
        shown = word if word and most < _ROOMY_LINES else words
        lines = self.lettering.lines(shown, sizes.small, right - left - 2 * sizes.gap, most)
        tall = len(lines) * line_height(sizes.small)
        start = top + sizes.gap if is_text else top + (bottom + 1 - top - tall) // 2
        inner = (left + sizes.gap, start, right - sizes.gap, start + tall)
        colour = self.colours.bad if is_bad else self.colours.ink if is_text else self.colours.quiet
        self.lettering.write(draw, inner, shown, sizes.small, colour, is_centred=not is_text)


def _picture(place: Place, output: Output, width: int, height: int) -> Image.Image | None:
    """Return an output's picture as large as a box bears; a thumbnail will do where it is large enough."""
    shown = preview(place, output)
    path = place.run_folder / output.path
    if shown.thumbnail is not None and max(width, height) <= SIDE:
        path = place.folder / shown.thumbnail
    try:
        with opened(path) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return None
            small = upright(picture, max(width, height) * 2)
            scale = min(width / small.width, height / small.height)
            size = (max(1, round(small.width * scale)), max(1, round(small.height * scale)))
            return small.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    except Exception:  # noqa: BLE001 - decoders raise anything
        return None


def _runs(words: Sequence[tuple[str, ...]]) -> list[tuple[int, int]]:
    """Return the first and the last place of each run of equal items."""
    starts = [place for place, word in enumerate(words) if not place or word != words[place - 1]]
    return [(start, end - 1) for start, end in zip(starts, [*starts[1:], len(words)], strict=True)]
