"""What fits a condition is found by its value or its label, and is just what trying each value finds."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, strategies as st

from orchestrator.sweep.axes import Axis, Cell, Listed, Spaced, cell
from orchestrator.sweep.lookup import INDEXED, Lookup
from orchestrator.sweep.recipe import Matcher
from orchestrator.sweep.schema import Kind

WORDS = ["a", "1", "1.0", "1.50", "true", "True", "none"]
NUMBERS = [Decimal(text) for text in ("1", "1.0", "1.5", "1.50", "0", "-2")]
wanted = st.sampled_from([*WORDS, *NUMBERS, True, False])
cells = st.builds(
    cell,
    st.just(None),
    st.sampled_from([*WORDS, *NUMBERS, True, False]),
    st.none() | st.sampled_from(WORDS),
)
matchers = st.builds(
    Matcher,
    st.lists(wanted, max_size=3).map(tuple),
    st.lists(st.tuples(st.sampled_from(["lt", "ge"]), st.sampled_from(NUMBERS)), max_size=1).map(tuple),
    st.lists(wanted, max_size=1).map(tuple),
)


@given(st.lists(cells, max_size=8), matchers)
def test_it_finds_what_trying_each_value_finds(values: list[Cell], matcher: Matcher) -> None:
    axis = Axis("x", None, (Listed(tuple(values)), Spaced(Decimal(-1), Decimal(2), 4, Decimal(1))))
    fits = {place for place, each in enumerate(axis.cells()) if matcher.matches(each)}
    found = Lookup(axis)
    assert found.fitting(matcher) == fits <= set(found.candidates(matcher))


def test_equal_values_are_found_without_trying_each() -> None:
    axis = Axis("seed", Kind.NUMBER, (Spaced(Decimal(1), Decimal(1000), 1000, Decimal(1)),))
    assert list(Lookup(axis).candidates(Matcher((Decimal(7), "12")))) in ([6, 11], [11, 6])


def test_no_index_is_made_of_a_very_long_axis() -> None:
    axis = Axis("seed", Kind.NUMBER, (Spaced(Decimal(0), Decimal(INDEXED), INDEXED + 1, Decimal(1)),))
    assert len(Lookup(axis).candidates(Matcher((Decimal(7),)))) == INDEXED + 1
