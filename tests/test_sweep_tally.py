"""Tasks are counted by what they send exactly as if each one were built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from time import process_time
from typing import Any

from hypothesis import given, strategies as st

from orchestrator.sweep.axes import Axis, Cell, Drawn, Listed, cell
from orchestrator.sweep.expand import Expansion
from orchestrator.sweep.recipe import Matcher, Recipe, Sample
from orchestrator.sweep.schema import Kind

MODEL = "ada/boats"
NAMES = ("count", "prompt", "seed", "size", "note", "unknown")


def listed(name: str, kind: Kind | None, texts: Iterable[str]) -> Axis:
    made = (Cell(text, text, None, None, template=True) if "{" in text else cell(kind, text) for text in texts)
    return Axis(name, kind, (Listed(tuple(made)),))


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Grids with equal values, templates, wheels of two axes, and everything that filters and adds."""
    words = st.lists(st.sampled_from(["1", "11", "2"]), min_size=1, max_size=3)
    counts = draw(words)
    axes = [
        listed("word", None, draw(words)),
        listed("prompt", Kind.TEXT, draw(st.lists(st.sampled_from(["a", "b", "{word}", "a{word}"]), min_size=1))),
        listed("count", Kind.TEXT, counts),
        listed("size", Kind.TEXT, draw(st.permutations(counts))),
        Axis("seed", Kind.NUMBER, (Drawn("seed", 1, 9, draw(st.integers(1, 4))),)),
    ]
    row = Recipe(MODEL, {"count": "3", "size": "1", "seed": 1, "note": "x"}, axes=(listed("prompt", Kind.TEXT, "a"),))
    return Recipe(
        MODEL,
        {} if draw(st.booleans()) else {"note": "x"},
        {"note": "{count}"} if draw(st.booleans()) else {},
        {"note": Kind.TEXT},
        tuple(draw(st.permutations(axes))),
        zipped=draw(st.sampled_from([(), (("count", "size"),)])),
        exclude=draw(st.sampled_from([(), ((("count", Matcher(("1",))), ("prompt", Matcher(("a",)))),)])),
        sample=draw(st.sampled_from([None, Sample(5)])),
        include=draw(st.sampled_from([(), (row,), (row, row)])),
        repeat=draw(st.integers(1, 2)),
        shuffled=draw(st.booleans()),
        path="x",
    )


@given(recipes())
def test_the_ids_are_those_of_the_tasks(recipe: Recipe) -> None:
    """Found without building a task, whatever is folded, filtered, repeated and added."""
    expansion = Expansion(recipe)
    assert sorted(expansion.ids()) == sorted(task.id for task in expansion.tasks())


def counted(found: Iterable[tuple[Mapping[str, Any], int]]) -> Counter[str]:
    """Return how many tasks send which values."""
    total = Counter[str]()
    for values, count in found:
        total[repr(sorted(values.items()))] += count
    return total


@given(recipes(), st.sets(st.sampled_from(NAMES)))
def test_as_if_each_were_built(recipe: Recipe, names: set[str]) -> None:
    """Any parameters, any grid: the counts are those of the tasks themselves."""
    expansion = Expansion(recipe)
    built = [{name: task.parameters[name] for name in names & task.parameters.keys()} for task in expansion.tasks()]
    assert counted(expansion.tally(names)) == counted((values, 1) for values in built)


def test_a_long_axis_beside_is_not_gone_along() -> None:
    """A billion seeds beside two counts are two combinations."""
    axes = (listed("count", Kind.TEXT, ["1", "2"]), Axis("seed", Kind.NUMBER, (Drawn("seed", 1, 10**9, 10**9),)))
    began = process_time()
    assert list(Expansion(Recipe(MODEL, {}, axes=axes)).tally({"count"})) == [
        ({"count": "1"}, 10**9),
        ({"count": "2"}, 10**9),
    ]
    assert process_time() - began < 1
