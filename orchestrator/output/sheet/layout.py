"""Where everything stands on a sheet, in pixels, and how a sheet that is too large is cut into parts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from math import ceil, sqrt
from typing import Final

from orchestrator.output.sheet.grid import Sheet
from orchestrator.output.sheet.lettering import line_height

MOST_PIXELS: Final = 36_000_000
"""Of one file: about 110 MB of memory while it is drawn."""
MOST_SIDE: Final = 16_000
"""Of one file: WebP and many viewers know no longer ones."""
SUITING_PIXELS: Final = 24_000_000
"""A sheet that is larger than that gets smaller pictures, where nobody has chosen their size."""
SIDES: Final = (256, 96)
"""How wide pictures are where nobody has chosen it, at most and at least."""

_HEAD_LINES: Final = 3
_WORD_LINES: Final = 2

Measure = Callable[[str, int], int]
"""Gives the width of a text in letters of a size, in pixels."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How tall letters are and how wide what stands between and beside pictures, in pixels.

    Attributes:
        text, small, title: Letters of labels, of what is less than them, and of the title.
        gap, group_gap, seam: Between cells, further between groups of them, and between the pictures of one.
        margin: Around all.
        narrow, wide: How wide the labels of rows are, at least and at most.
        line: Of lines.
    """

    text: int = 15
    small: int = 13
    title: int = 19
    gap: int = 6
    group_gap: int = 14
    seam: int = 2
    margin: int = 16
    narrow: int = 56
    wide: int = 220
    line: int = 1

    @classmethod
    def beside(cls, width: int) -> Sizes:
        """Return those that suit pictures of a width: with larger ones than those nobody chose, all grow likewise."""
        factor = max(1.0, width / SIDES[0])
        return cls(*(round(factor * size) for size in astuple(cls())))


@dataclass(frozen=True, slots=True)
class Part:
    """Which columns and rows one file holds, each from and to."""

    columns: range
    rows: range


@dataclass(frozen=True, slots=True)
class Layout:
    """The measures of a sheet, in pixels.

    Attributes:
        width, height: Of a cell's pictures.
        word: How tall the word below a cell is.
        left: How wide the labels of rows are.
        top: How tall everything above the first row is.
        heads: How tall the labels of columns are, those of the outer axis first.
        column_groups, row_groups: How many columns and rows stand together.
        sizes: Of letters and gaps.
    """

    width: int
    height: int
    word: int
    left: int
    top: int
    heads: tuple[int, ...]
    column_groups: int
    row_groups: int
    sizes: Sizes

    def x(self, column: int, first: int = 0) -> int:
        """Return where a column begins in a part whose first one is given."""
        apart = column // self.column_groups - first // self.column_groups
        return self.left + (column - first) * (self.width + self.sizes.gap) + apart * self.sizes.group_gap

    def y(self, row: int, first: int = 0) -> int:
        """Return where a row begins."""
        apart = row // self.row_groups - first // self.row_groups
        return self.top + (row - first) * (self.height + self.word + self.sizes.gap) + apart * self.sizes.group_gap

    def size(self, part: Part) -> tuple[int, int]:
        """Return the width and the height of a part."""
        last, lowest = part.columns[-1], part.rows[-1]
        right = self.x(last, part.columns[0]) + self.width + self.sizes.margin
        return right, self.y(lowest, part.rows[0]) + self.height + self.word + self.sizes.margin

    def parts(self, sheet: Sheet) -> Iterator[Part]:
        """Yield the parts of a sheet, line by line, all about as large as each other."""
        columns, rows = len(sheet.columns), len(sheet.rows)
        across = _most(columns, lambda count: self._bears(count, 1))
        down = _most(rows, lambda count: self._bears(across, count))
        for row in _cut(rows, down):
            for column in _cut(columns, across):
                yield Part(column, row)

    def _bears(self, columns: int, rows: int) -> bool:
        """Return whether one file holds so many columns and rows."""
        width, height = self.size(Part(range(columns), range(rows)))
        return max(width, height) <= MOST_SIDE and width * height <= MOST_PIXELS


def laid_out(sheet: Sheet, ratio: float, measure: Measure, side: int | None = None) -> Layout:
    """Decide the measures of a sheet.

    Args:
        sheet: The sheet.
        ratio: How tall a picture is for its width.
        measure: Gives the width of a text.
        side: How wide a cell is; None for what suits.
    """
    across, below = mosaic(sheet.most)
    shape = ratio * below / across
    if side is not None:
        return _measured(sheet, shape, measure, side)
    for width in range(*SIDES, -16):
        found = _measured(sheet, shape, measure, width)
        measured = found.size(Part(range(len(sheet.columns)), range(len(sheet.rows))))
        if measured[0] * measured[1] <= SUITING_PIXELS and max(measured) <= MOST_SIDE:
            return found
    return _measured(sheet, shape, measure, SIDES[-1])


def mosaic(count: int) -> tuple[int, int]:
    """Return how many pictures stand beside and below each other in a cell that holds so many."""
    across = ceil(sqrt(count))
    return across, ceil(count / across)


def _measured(sheet: Sheet, shape: float, measure: Measure, width: int) -> Layout:
    height = max(16, round(width * shape))
    sides, sizes = sheet.sides, Sizes.beside(width)
    words = [cell.word for cell in sheet.cells.values() if cell.word]
    longest = max((measure(word, sizes.small) for word in words), default=0)
    word_lines = min(_WORD_LINES, ceil(longest * 1.15 / width))
    heads = tuple(
        _tall([column[depth] for column in sheet.columns], measure, sizes, _span(sheet, depth, width + sizes.gap))
        for depth in range(len(sheet.columns[0]))
    )
    widest = max((measure(word, sizes.text) for line in sheet.rows for word in line), default=0)
    label = max(sizes.narrow, min(sizes.wide, widest)) + 2 * sizes.gap
    above = sizes.margin + line_height(sizes.title) + line_height(sizes.small) + 2 * sizes.gap
    return Layout(
        width=width,
        height=height,
        word=word_lines * line_height(sizes.small) + sizes.gap if words else 0,
        left=sizes.margin + (label if sheet.rows[0] else 0),
        top=above + sum(heads) + sizes.gap * len(heads),
        heads=heads,
        column_groups=len(sides.x[-1]) if len(sides.x) > 1 else max(1, len(sheet.columns)),
        row_groups=len(sides.y[-1]) if len(sides.y) > 1 and not sides.flows else max(1, len(sheet.rows)),
        sizes=sizes,
    )


def _span(sheet: Sheet, depth: int, pitch: int) -> int:
    """Return how far the label of a column reaches: one of an outer axis stands over several columns."""
    inner = 1
    for axis in sheet.sides.x[depth + 1 :]:
        inner *= len(axis)
    return inner * pitch


def _tall(words: Sequence[str], measure: Measure, sizes: Sizes, span: int) -> int:
    """Return how tall labels are that reach over a span of columns and the gap behind them."""
    longest = max(measure(word, sizes.text) for word in dict.fromkeys(words))
    return min(_HEAD_LINES, ceil(longest * 1.15 / (span - sizes.gap))) * line_height(sizes.text)


def _most(count: int, bears: Callable[[int], bool]) -> int:
    """Return the largest number up to a count that can be borne, 1 where none can."""
    low, high = 1, count + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bears(middle) else (low, middle)
    return low


def _cut(count: int, most: int) -> Iterator[range]:
    """Yield ranges of at most so many that make up a count, none more than one longer than another."""
    parts = ceil(count / most)
    edges = [count * number // parts for number in range(parts + 1)]
    return (range(start, end) for start, end in pairwise(edges))
