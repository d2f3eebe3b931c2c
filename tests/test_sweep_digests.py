"""The quick way to the ids of a grid's cells leads to the same ids as the plain one."""

from __future__ import annotations

import tracemalloc
from itertools import product
from typing import Any
from unittest.mock import patch

from hypothesis import given, strategies as st

from orchestrator.sweep import digests as quick
from orchestrator.sweep.axes import Axis, Cell, Drawn, Listed, cell
from orchestrator.sweep.digests import digests, kept_places
from orchestrator.sweep.grid import KEPT, Grid, spelled_id
from orchestrator.sweep.recipe import Recipe
from orchestrator.sweep.schema import Kind
from orchestrator.tasks import task_id

MODEL = "ada/boats"


def plain(name: str, count: int) -> Axis:
    return Axis(name, Kind.TEXT, (Listed(tuple(cell(Kind.TEXT, f"{name}{place}") for place in range(count))),))


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Grids of up to three wheels; the last may be drawn, zipped with another, a variable, or stand in a template."""
    axes = [plain(name, draw(st.integers(1, 4))) for name in draw(st.permutations(["b", "d"]))]
    size = draw(st.integers(1, 4))
    zipped: tuple[tuple[str, ...], ...] = ()
    match draw(st.sampled_from(["plain", "drawn", "zipped", "variable", "template"])):
        case "drawn":
            axes.append(Axis("c", Kind.NUMBER, (Drawn("c", 1, 10**6, size),)))
        case "zipped":
            axes += [plain("a", size), plain("e", size)]
            zipped = (("a", "e"),)
        case "variable":
            axes.append(Axis("x", None, (Listed(tuple(cell(None, f"x{place}") for place in range(size))),)))
        case "template":
            template = Cell("a {c}", "a {c}", None, None, template=True)
            axes += [Axis("a", Kind.TEXT, (Listed((template,)),)), plain("c", size)]
        case _:
            axes.append(plain("c", size))
    return Grid(Recipe(MODEL, {"bb": 1, "zz": "…"}, axes=tuple(axes), zipped=zipped, path="x"))


@given(grids(), st.data())
def test_as_the_plain_way(grid: Grid, data: st.DataObject) -> None:
    """Every cell that no rule fits, in order, with the digest of its task's id."""
    levels = range(len(grid.sizes))
    condition = st.sampled_from(levels).flatmap(
        lambda level: st.tuples(st.just(level), st.frozensets(st.integers(0, grid.sizes[level] - 1)))
    )
    rules: list[Any] = data.draw(st.lists(st.lists(condition, min_size=1, max_size=3), max_size=3))
    expected = []
    cells = zip(product(*map(range, grid.sizes)), grid.walk([range(size) for size in grid.sizes]), strict=True)
    for ordinal, (digits, here) in enumerate(cells):
        if not any(all(digits[level] in fitting for level, fitting in rule) for rule in rules):
            expected.append((ordinal, task_id(MODEL, here.parameters)))
    with patch.object(quick, "NARROW", data.draw(st.sampled_from([1, 16]))):
        found = digests(grid, kept_places(rules, grid.sizes))
    assert [(ordinal, spelled_id(digest)) for ordinal, digest in found] == expected


def test_a_rule_is_looked_at_only_where_it_may_fit() -> None:
    """Thousands of rules that each leave out one cell cost no more than one at each place."""
    looked = 0

    class Places(frozenset[int]):
        def __contains__(self, place: object) -> bool:
            nonlocal looked
            looked += 1
            return super().__contains__(place)

    rules = [[(0, Places({number % 100})), (1, frozenset({number // 100}))] for number in range(2000)]
    kept = kept_places(rules, [100, 50])
    assert [list(kept([place])) for place in range(100)] == [list(range(20, 50))] * 100
    assert looked == len(rules)


def test_values_of_a_long_list_are_not_prepared_before_they_are_needed() -> None:
    """Three hundred thousand prompts would take as much memory again, and more."""
    grid = Grid(Recipe(MODEL, {}, axes=(plain("prompt", KEPT + 1),), path="{prompt}"))
    tracemalloc.start()
    try:
        assert grid.ready(0, 7).fragment == '"prompt":"prompt7"'
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
