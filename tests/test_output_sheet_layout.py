from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from orchestrator.lifecycle import State
from orchestrator.output.sheet.axes import Axis
from orchestrator.output.sheet.grid import Cell, Sheet, Sides
from orchestrator.output.sheet.layout import MOST_PIXELS, MOST_SIDE, SIDES, Layout, Part, laid_out, mosaic


def measure(text: str, size: int) -> int:
    return len(text) * size // 2


def sheet(columns: int, rows: int, outer: int = 1, flows: bool = False) -> Sheet:
    def axis(name: str, count: int) -> Axis:
        return Axis(name, (name,), {((int, number),): f"{name} {number}" for number in range(count)})

    x = (axis("outer", outer), axis("x", columns // outer)) if outer > 1 else (axis("x", columns),)
    sides = Sides(x, (axis("y", rows),), (), flows)
    heads = [(f"x {number}",) for number in range(columns)]
    if outer > 1:
        heads = [(f"outer {number // (columns // outer)}", f"x {number}") for number in range(columns)]  # type: ignore[misc]  # two words
    return Sheet((), tuple(heads), tuple((f"y {row}",) for row in range(rows)), {}, sides)


def whole(of: Sheet) -> Part:
    return Part(range(len(of.columns)), range(len(of.rows)))


@given(st.integers(1, 300), st.integers(1, 300), st.integers(32, 2048), st.floats(0.4, 1.8))
def test_the_parts_make_up_the_sheet_and_none_is_too_large(columns: int, rows: int, side: int, ratio: float) -> None:
    drawn = sheet(columns, rows)
    layout = laid_out(drawn, ratio, measure, side)
    parts = list(layout.parts(drawn))
    assert sum(len(part.columns) * len(part.rows) for part in parts) == columns * rows
    assert len({(part.columns, part.rows) for part in parts}) == len(parts)
    for part in parts:
        width, height = layout.size(part)
        assert max(width, height) <= MOST_SIDE + 100
        assert width * height <= MOST_PIXELS * 1.05
    lengths = {len(part.columns) for part in parts}
    assert max(lengths) - min(lengths) <= 1


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4))
def test_cells_stand_beside_each_other_and_within(columns: int, rows: int, outer: int) -> None:
    drawn = sheet(columns * outer, rows, outer)
    layout: Layout = laid_out(drawn, 1.0, measure, 64)
    lefts = [layout.x(column) for column in range(columns * outer)]
    assert all(after - before > layout.width for before, after in pairwise(lefts))
    width, height = layout.size(whole(drawn))
    assert lefts[-1] + layout.width < width
    assert layout.y(rows - 1) + layout.height < height
    assert layout.y(0) == layout.top > sum(layout.heads)


def test_groups_stand_a_little_apart() -> None:
    layout = laid_out(sheet(6, 1, 2), 1.0, measure, 64)
    assert layout.x(3) - layout.x(2) > layout.x(2) - layout.x(1)
    assert layout.x(3, 3) == layout.x(0)


def test_a_large_grid_gets_smaller_pictures() -> None:
    assert laid_out(sheet(4, 6), 1.0, measure).width == SIDES[0]
    assert laid_out(sheet(40, 30), 1.0, measure).width < SIDES[0]
    assert laid_out(sheet(200, 200), 1.0, measure).width == SIDES[1]


@pytest.mark.parametrize("times", [2, 8])
def test_letters_and_gaps_grow_with_the_pictures(times: int) -> None:
    """A sheet of twice the size is the same sheet, seen from nearer; a small one keeps letters that can be read."""
    drawn = sheet(6, 3, 2)
    usual, large = (laid_out(drawn, 1.0, measure, side) for side in (SIDES[0], SIDES[0] * times))
    assert (large.sizes.text, large.left, large.width) == tuple(
        times * each for each in (usual.sizes.text, usual.left, usual.width)
    )
    assert large.size(whole(drawn))[0] == times * usual.size(whole(drawn))[0]
    assert laid_out(drawn, 1.0, measure, 32).sizes == usual.sizes


def test_words_below_pictures_have_their_room() -> None:
    plain = sheet(3, 1)
    cells = {(0, column): Cell((), State.DONE, word=f"seed {column}") for column in range(3)}
    named = Sheet((), ((),) * 3, ((),), cells, Sides((), (plain.sides.x[0],), (), flows=True))
    assert laid_out(named, 1.0, measure, 100).word > 0 == laid_out(plain, 1.0, measure, 100).word
    assert laid_out(named, 1.0, measure, 100).left < laid_out(plain, 1.0, measure, 100).left


@given(st.integers(1, 50))
def test_a_mosaic_holds_all_pictures(count: int) -> None:
    across, below = mosaic(count)
    assert across * below >= count > across * (below - 1)
    assert across >= below
