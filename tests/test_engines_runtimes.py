"""How long tasks run is learned, and followed where it changes."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from orchestrator.engines.runtimes import LEVELS, MIDDLE, SHAPE, STEP, Runtimes


def quantile(runtimes: Runtimes, share: float, running: Sequence[tuple[float, float, float]] = ()) -> float:
    """Return the seconds by which this share of runs has ended."""
    total = 0.0
    for place, mass in enumerate(runtimes.outlook(running)):
        total += mass
        if total >= share:
            return math.exp(runtimes.base + (place - MIDDLE) * STEP)
    return math.inf


def taught(seconds: Sequence[float], stated: float | None = 6.0) -> Runtimes:
    runtimes = Runtimes.expecting(stated)
    for number, ran in enumerate(seconds):
        runtimes.saw(float(number), ran * 0.95, ran * 1.05, 0.0)
    return runtimes


def test_before_any_was_seen_the_stated_time_is_believed_within_a_factor_of_four() -> None:
    runtimes = Runtimes.expecting(30.0)
    assert quantile(runtimes, 0.5) == pytest.approx(30, rel=0.1)
    assert 6 < quantile(runtimes, 0.05) < 12
    assert 80 < quantile(runtimes, 0.95) < 140
    assert quantile(Runtimes.expecting(None), 0.05) < 1.5


@pytest.mark.parametrize("stated", [6.0, 100.0, None])
def test_the_distribution_is_learned_as_it_is(stated: float | None) -> None:
    """Also one with two humps, from a wrong start."""
    dice = random.Random(3)
    runtimes = taught([(10 if dice.random() < 0.5 else 40) * math.exp(dice.gauss(0, 0.1)) for _ in range(150)], stated)
    assert quantile(runtimes, 0.25) == pytest.approx(10, rel=0.15)
    assert quantile(runtimes, 0.75) == pytest.approx(40, rel=0.15)
    assert quantile(runtimes, 0.58) - quantile(runtimes, 0.42) > 10


def test_what_is_only_known_to_lie_between_two_looks_teaches_too() -> None:
    dice, runtimes = random.Random(4), Runtimes.expecting(20.0)
    for number in range(200):
        ran = 30 * math.exp(dice.gauss(0, 0.35))
        runtimes.saw(float(number), ran // 8 * 8, ran // 8 * 8 + 8, 0.0)
    for share, factor in ((0.16, math.exp(-0.35)), (0.5, 1.0), (0.84, math.exp(0.35))):
        assert quantile(runtimes, share) == pytest.approx(30 * factor, rel=0.15)


def test_tasks_that_outlast_all_others_tell_of_a_slower_service_before_one_has_ended() -> None:
    """Eight that run three times as long as any did: the others are not looked at in vain either."""
    runtimes = taught([6 * math.exp(random.Random(seed).gauss(0, 0.2)) for seed in range(100)])
    assert quantile(runtimes, 0.5) == pytest.approx(6, rel=0.15)
    running = [(200.0 + number, 30.0, 0.0) for number in range(8)]
    assert quantile(runtimes, 0.5, running) > 40
    assert quantile(runtimes, 0.5) == pytest.approx(6, rel=0.15)


def test_the_slow_ones_that_are_left_over_do_not_speak_for_all() -> None:
    """Those that were accepted with them and have ended count as well."""
    runtimes = taught([6.0] * 50)
    for number in range(40):
        runtimes.saw(100.0 + number, 5.0, 7.0, 0.0)
    assert quantile(runtimes, 0.5, [(100.0 + number, 9.0, 0.0) for number in range(4)]) < 7.5


def test_those_that_are_left_over_tell_of_a_second_hump_beyond_them() -> None:
    """Of 25 that were accepted at once 15 took six seconds; whatever the others take, it is none between."""
    runtimes = Runtimes.expecting(6.0)
    for number in range(15):
        runtimes.saw(0.0, 5.2 + 0.1 * number, 5.4 + 0.1 * number, 0.0)
    running = [(0.0, 18.0, 0.0)] * 10
    assert quantile(runtimes, 0.5, running) < 8
    assert quantile(runtimes, 0.58, running) < 10
    assert quantile(runtimes, 0.65, running) > 17
    assert quantile(runtimes, 0.65) < 7


def test_a_service_that_has_become_slower_is_followed_within_a_few_tasks() -> None:
    runtimes = taught([6.0] * 200)
    for number in range(3):
        runtimes.saw(1000.0 + number, 110.0, 130.0, 0.0)
    assert quantile(runtimes, 0.5) == pytest.approx(120, rel=0.2)


def test_what_the_parameters_explain_is_taken_off() -> None:
    runtimes = Runtimes.expecting(10.0)
    for number in range(100):
        work = math.log(4) if number % 2 else 0.0
        runtimes.saw(float(number), 9.0 * math.exp(work), 11.0 * math.exp(work), work)
    assert quantile(runtimes, 0.9) / quantile(runtimes, 0.1) < 2


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(-20, 20)), max_size=20),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1e6), st.floats(-20, 20)), max_size=20),
)
def test_whatever_was_seen_the_outlook_is_a_distribution(
    seen: list[tuple[float, float, float]], running: list[tuple[float, float, float]]
) -> None:
    runtimes = Runtimes.expecting(None)
    for number, (one, other, work) in enumerate(seen):
        runtimes.saw(float(number), min(one, other), max(one, other), work)
    outlook = runtimes.outlook(running)
    assert len(outlook) == 2 * (LEVELS + SHAPE) + 1
    assert min(outlook) >= 0
    assert math.fsum(outlook) == pytest.approx(1, abs=0.02)
    assert len(runtimes.kept()["counts"]) == 2 * SHAPE + 1


def test_it_is_remembered() -> None:
    runtimes = taught([12.0, 14.0, 16.0] * 20)
    again = Runtimes.remembered(runtimes.kept())
    for share in (0.2, 0.5, 0.8):
        assert quantile(again, share) == pytest.approx(quantile(runtimes, share), rel=0.15)


@pytest.mark.parametrize(
    "damage",
    [
        {"base": math.inf},
        {"base": -1e300},
        {"base": 800},
        {"base": None},
        {"counts": []},
        {"counts": [-1.0] * 121},
        {"counts": [math.nan] * 121},
    ],
)
def test_what_is_damaged_is_not_believed(damage: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Runtimes.remembered(taught([6.0]).kept() | damage)
