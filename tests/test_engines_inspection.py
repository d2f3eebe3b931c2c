"""The moments to look at something that ends at a random time: none are better."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist

import pytest
from hypothesis import given, strategies as st

from orchestrator.engines.inspection import BEYOND, BEYOND_LOOKS, Inspections

GAPS = st.lists(st.tuples(st.floats(0.01, 5), st.floats(0, 1)), min_size=1, max_size=25)


def cost(moments: list[float], masses: list[float], price: float, after: dict[int, int] | None = None) -> float:
    """Return what it costs to look by a plan (or by the best one, found by trying all) until the end is seen."""
    last = len(moments) - 1
    middles = [(before + here) / 2 for before, here in pairwise(moments)]
    left = [1 - math.fsum(masses[: place + 1]) for place in range(last + 1)]
    costs = [0.0] * last + [max(0.0, left[last]) * (price * BEYOND_LOOKS + (BEYOND - 1) * moments[last])]
    for here in range(last - 1, -1, -1):
        costs[here] = price * left[here] + min(
            costs[there] + math.fsum(masses[k] * (moments[there] - middles[k - 1]) for k in range(here + 1, there + 1))
            for there in ([after[here]] if after else range(here + 1, last + 1))
        )
    return costs[0]


@given(GAPS, st.floats(0.001, 20), st.floats(1, 1.2))
def test_no_other_plan_is_cheaper(gaps: list[tuple[float, float]], price: float, more: float) -> None:
    """Compared with all plans there are, whatever the distribution: with gaps, with humps, with what ends later."""
    total = math.fsum(mass for _, mass in gaps) * more or 1.0
    moments, masses = [1.0], [0.0]
    for gap, mass in gaps:
        moments.append(moments[-1] + gap)
        masses.append(mass / total)
    plan = Inspections(moments, masses, price)
    ours = {here: moments.index(plan.after(moment)) for here, moment in enumerate(moments[:-1])}
    assert cost(moments, masses, price, ours) == pytest.approx(cost(moments, masses, price), abs=1e-9)


@given(GAPS, st.floats(0.001, 20), st.floats(0, 200))
def test_the_next_look_is_always_later(gaps: list[tuple[float, float]], price: float, moment: float) -> None:
    moments = [1.0]
    for gap, _ in gaps:
        moments.append(moments[-1] + gap)
    assert Inspections(moments, [0.0] * len(moments), price).after(moment) > moment


def test_the_dearer_looks_are_the_fewer_are_taken() -> None:
    """A run time of 30 s by the figures of the textbook: about four looks where one is worth two thirds of a second."""
    moments = [30 * math.exp(0.02 * place) for place in range(-80, 120)]
    ended = [NormalDist(0, 0.35).cdf(math.log(moment / 30)) for moment in moments]
    masses = [0.0, *(after - before for before, after in pairwise(ended))]

    def looks(price: float) -> float:
        plan, moment, left, total = Inspections(moments, masses, price), 0.0, 1.0, 0.0
        while left > 1e-6:
            moment, total = plan.after(moment), total + left
            left = 1 - NormalDist(0, 0.35).cdf(math.log(moment / 30))
        return total

    assert looks(0.65) == pytest.approx(4.0, abs=0.1)
    assert looks(0.1) > looks(0.65) > looks(5) > looks(100)
    assert looks(1000) == pytest.approx(1.0, abs=0.01)
