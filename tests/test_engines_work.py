"""What parameters say about how long a task takes."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, strategies as st

from orchestrator.engines.work import Line, Work


def test_a_line_is_found() -> None:
    dice, line = random.Random(1), Line([0.0, 0.0], [10.0, 10.0], 0.1)
    for _ in range(200):
        x = dice.uniform(-1, 1)
        line.saw((1.0, x), 3 - 2 * x + dice.gauss(0, 0.1))
    assert line.at((1.0, 0.5)) == pytest.approx(2.0, abs=0.1)
    assert max(line.sigmas) < 0.05


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_it_learns_how_much_the_steps_matter(power: float) -> None:
    work, dice = Work(), random.Random(2)
    for _ in range(60):
        steps = dice.choice([20, 40, 80])
        numbers = work.numbers({"steps": steps, "seed": str(dice.randrange(10**6)), "prompt": "a boat"})
        work.saw(numbers, 2.0 + power * math.log(steps) + dice.gauss(0, 0.2))
    few, many = (work.of(work.numbers({"steps": steps})) for steps in (20, 80))
    assert many - few == pytest.approx(power * math.log(4), abs=0.35)


def test_only_what_may_matter_counts() -> None:
    """Seeds, prompts and scales do not; text that is a number does."""
    work = Work()
    first = {"steps": 40, "width": "1024", "height": 1024, "samples": 1, "seed": "7", "scale": "4", "prompt": "12"}
    assert set(work.numbers(first)) == {0.0}
    assert set(work.numbers(first | {"seed": "99", "scale": "8", "prompt": "13"})) == {0.0}
    assert sum(work.numbers(first | {"width": "2048"})) == pytest.approx(math.log(2))


@given(st.dictionaries(st.sampled_from(["steps", "width", "samples", "seconds"]), st.none() | st.text() | st.floats()))
def test_strange_values_count_for_nothing(parameters: dict[str, object]) -> None:
    work = Work()
    work.numbers({"steps": 40})
    assert math.isfinite(work.of(work.numbers(parameters)))


def test_it_is_remembered() -> None:
    work = Work()
    numbers = work.numbers({"steps": 40})
    for _ in range(20):
        work.saw(work.numbers({"steps": 80}), 3.0)
        work.saw(numbers, 2.0)
    again = Work.remembered(work.kept())
    assert again.of(again.numbers({"steps": 80})) == pytest.approx(work.of(work.numbers({"steps": 80})))


@pytest.mark.parametrize(
    "damage", [{"first": []}, {"weights": "abc"}, {"sigmas": [math.nan] * 5}, {"weights": [1e99] * 5}]
)
def test_what_is_damaged_is_not_believed(damage: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Work.remembered(Work().kept() | damage)
