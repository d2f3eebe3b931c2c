"""How many places there may be: learned from refusals, tried for now and then, and shared with other runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest

from orchestrator.engines.slots import PROBE_SECONDS, Capacity


@pytest.mark.parametrize(
    ("others_active", "stated", "bound"), [(7, 5, 5), (3, 5, 3), (4, None, 4), (0, 5, 1), (0, None, 1)]
)
def test_a_refusal_teaches_the_bound(others_active: int, stated: int | None, bound: int) -> None:
    """The stated number counts, or what was active where that is less: others may hold the rest."""
    capacity = Capacity(None)
    assert capacity.room(10**6, 0.0)
    capacity.refused(others_active, stated, 0.0)
    assert [active for active in range(1, 10) if capacity.room(active, 0.0)] == list(range(1, bound))


def test_what_the_whole_account_may_have_is_what_a_refusal_said_and_grows() -> None:
    """Others have their tasks, too: the number is the account's, while the bound is this run's own."""
    capacity = Capacity(20)
    assert capacity.of_all(5.0) == 20
    capacity.refused(3, None, 5.0)
    assert capacity.of_all(5.0) == 20
    capacity.refused(3, 8, 5.0)
    after = {0: 8, 29: 8, 30: 9, 44: 9, 45: 10, 53: 11, 57: 12, 59: 13, 60: 14, 3600: 20}
    assert {passed: capacity.of_all(5.0 + passed) for passed in after} == after
    capacity.refused(3, 9, 65.0)
    assert capacity.of_all(66.0) == 9


def test_the_bound_is_probed_now_and_then_up_to_the_users_number() -> None:
    capacity = Capacity(5)
    capacity.refused(3, None, 0.0)
    grown = []
    for minute in range(1, 9):
        now = minute * PROBE_SECONDS
        grown.append(max(active for active in range(10) if capacity.room(active, now)) + 1)
    assert grown == [4, 5, 5, 5, 5, 5, 5, 5]
    assert capacity.next_chance(5, 1000.0) == math.inf


def test_what_an_earlier_run_was_told_is_begun_with_and_one_more_is_tried_at_once() -> None:
    capacity, told = Capacity(None), list[int | None]()
    capacity.expect(5)
    assert [capacity.room(active, 100.0) for active in (4, 5, 6)] == [True, True, False]
    told.append(capacity.told)
    capacity.refused(5, 5, 100.5)
    assert [capacity.room(5, at) for at in (101.0, 100.5 + PROBE_SECONDS)] == [False, True]
    assert [*told, capacity.told] == [None, 5]


def granted(capacity: Capacity, now: float) -> int:
    """Return how many places are given out at a moment, one after another."""
    return next(active for active in itertools.count() if not capacity.room(active, now))


def refused_in_vain(capacity: Capacity, others_active: int, moments: Sequence[float]) -> None:
    """Try one more at each moment, which is refused, the account having 25 places."""
    for now in moments:
        granted(capacity, now)
        capacity.refused(others_active, 25, now)


def test_places_that_other_runs_give_up_are_there_at_once() -> None:
    """However often trying one more was in vain while the others had them."""
    capacity = Capacity(None)
    capacity.allow(8, math.inf)
    refused_in_vain(capacity, 6, (0.0, 31.0, 92.0, 213.0))
    assert granted(capacity, 214.0) == 6
    capacity.allow(12, math.inf)
    assert granted(capacity, 214.0) == 10
    capacity.allow(25, math.inf)
    assert granted(capacity, 214.0) == 23
    assert granted(capacity, 213.0 + PROBE_SECONDS) == 24


def test_a_share_lapses_until_it_is_given_again() -> None:
    capacity = Capacity(None)
    capacity.allow(8, 3.0)
    assert capacity.fits(2, 2.9)
    assert granted(capacity, 2.9) == 8
    assert not capacity.fits(2, 3.0)
    assert granted(capacity, 3.0) == 0
    assert math.isinf(capacity.next_chance(2, 3.0))
    capacity.allow(8, 6.0)
    assert granted(capacity, 3.0) == 8


def test_two_runs_that_found_the_limit_together_count_from_how_it_is_divided_then() -> None:
    capacity = Capacity(None)
    capacity.refused(11, 25, 0.0)
    capacity.allow(11, math.inf)
    assert granted(capacity, 1.0) == 11
    capacity.allow(25, math.inf)
    assert granted(capacity, 1.0) == 25


def test_a_share_that_grows_back_or_beyond_what_was_named_brings_no_places() -> None:
    """They are not the other runs': somebody else has them, and they are tried for as before."""
    capacity = Capacity(None)
    capacity.allow(25, math.inf)
    refused_in_vain(capacity, 10, (0.0, 31.0))
    for units in (12, 25, 3, 24, 25, 26, 30, math.inf):
        capacity.allow(units, math.inf)
    assert [granted(capacity, 31.0 + passed) for passed in (0.0, 3.0, 4.0)] == [10, 10, 11]


def found(capacity: Capacity, places: int) -> float:
    """Return the moment at which so many places were found, one after another."""
    now = 0.0
    for active in range(places):
        while not capacity.room(active, now):
            now += capacity.next_chance(active, now)
    return now


def test_what_others_have_left_since_a_refusal_is_soon_found() -> None:
    """Up to the share of what was named, and no further than that."""
    capacity = Capacity(None)
    capacity.allow(12, math.inf)
    capacity.refused(5, 25, 0.0)
    assert found(capacity, 12) < 12
    capacity.refused(12, 12, 0.0)
    assert capacity.next_chance(12, 0.0) == math.inf
    capacity.allow(25, math.inf)
    assert capacity.next_chance(12, 0.0) == pytest.approx(PROBE_SECONDS, abs=0.01)


def test_a_share_that_strangers_have_is_tried_for_less_and_less_often() -> None:
    capacity, now, waits = Capacity(None), 0.0, []
    capacity.allow(12, math.inf)
    for others_active in (5, 5, 5, 4, 4):
        granted(capacity, now)
        capacity.refused(others_active, 25, now)
        waits.append(round(capacity.next_chance(others_active, now)))
        now += waits[-1] + 1
    assert waits == [2, 4, 8, 16, 32]
    capacity.allow(13, math.inf)
    capacity.refused(5, 25, now)
    assert capacity.next_chance(5, now) == pytest.approx(2.0, abs=0.01)


def test_what_an_earlier_run_was_told_does_not_grow_with_the_share() -> None:
    capacity = Capacity(None)
    capacity.expect(25)
    for units in (0, 12, 25, math.inf):
        capacity.allow(units, math.inf)
    assert granted(capacity, 100.0) == 26


def test_the_longer_it_goes_well_the_sooner_it_is_probed() -> None:
    """Half the wait after each place that is found, a second at least, and the whole one after a refusal."""
    capacity = Capacity(None)
    capacity.refused(3, None, 0.0)
    now, places, waits = 0.0, 3, []
    while places < 12:
        wait = capacity.next_chance(places, now)
        assert not capacity.room(places, now + wait - 0.002)
        now += wait
        assert capacity.room(places, now)
        waits.append(round(wait, 2))
        places += 1
    assert waits == [30.0, 15.0, 7.5, 3.75, 1.88, 1.0, 1.0, 1.0, 1.0]
    capacity.refused(11, None, now)
    assert capacity.next_chance(11, now) == pytest.approx(PROBE_SECONDS, abs=0.01)
    assert not capacity.room(11, now + PROBE_SECONDS - 0.1)


def test_a_bound_that_proves_right_is_probed_less_and_less_often() -> None:
    """Each try in vain doubles the wait, a burst of refusals counts once, and one that succeeds starts anew."""
    capacity = Capacity(None)
    now, waits = 0.0, []
    for _ in range(5):
        for _ in range(4):
            capacity.refused(3, None, now)
        waits.append(capacity.next_chance(3, now))
        now += waits[-1]
        assert capacity.room(3, now)
    assert waits == pytest.approx([30, 60, 120, 240, 240], abs=0.01)
    assert capacity.next_chance(4, now) == pytest.approx(PROBE_SECONDS / 2, abs=0.01)
    capacity.refused(2, None, now)
    assert capacity.next_chance(2, now) == pytest.approx(PROBE_SECONDS, abs=0.01)


def test_places_that_are_not_used_are_not_probed_for() -> None:
    """With fewer active than there are places, time teaches nothing."""
    capacity = Capacity(None)
    capacity.refused(3, None, 0.0)
    assert capacity.room(2, 1000.0)
    assert [capacity.room(active, 1000.0) for active in (3, 4)] == [True, False]


def test_without_a_share_there_is_not_even_one() -> None:
    capacity = Capacity(None)
    capacity.refused(1, None, 0.0)
    capacity.allowed = 0
    assert not capacity.room(0, 1000.0)
    assert capacity.next_chance(0, 1000.0) == math.inf


def test_what_strangers_have_left_is_taken_with_a_few_calls() -> None:
    """The service names 25, and others had 20 of them: each task that is accepted at the bound doubles it."""
    capacity, now, active = Capacity(None), 10.0, 5
    capacity.refused(5, 25, 0.0)
    bounds = []
    while active < 25:
        assert capacity.room(active, now)
        active += 1
        capacity.accepted(active, now)
        bounds.append(granted(capacity, now))
    assert bounds == [12] * 6 + [24] * 12 + [25] * 2
    assert not capacity.room(25, now + 1.0)


def test_places_that_are_found_lead_to_more_of_them() -> None:
    """No number is named: one more, then two, four and eight, a second apart, and none after a refusal."""
    capacity, active, now = Capacity(None), 6, PROBE_SECONDS
    capacity.refused(6, None, 0.0)
    found = []
    for _ in range(4):
        for held in range(active + 1, granted(capacity, now) + 1):
            capacity.accepted(held, now)
            active = held
        found.append(active)
        now += 1.0
    assert found == [7, 9, 13, 21]
    capacity.refused(21, None, now)
    assert granted(capacity, now + PROBE_SECONDS) == 22


def test_more_than_was_named_is_known_to_whoever_shares_it() -> None:
    capacity = Capacity(None)
    capacity.refused(10, 10, 0.0)
    assert granted(capacity, PROBE_SECONDS) == 11
    capacity.accepted(11, PROBE_SECONDS)
    assert capacity.of_all(PROBE_SECONDS) == 13
    capacity.refused(11, 10, PROBE_SECONDS)
    assert capacity.of_all(PROBE_SECONDS) == 10


def asked(capacity: Capacity, places: int, gone: float) -> list[float]:
    """Return when a place is asked for in vain, while 25 of ours end one by one and strangers take their places."""
    moments, now = list[float](), 0.0
    while now < gone:
        active = max(0, places - 1 - int(now / 0.2))
        if capacity.room(active, now):
            capacity.refused(active, places, now)
            moments.append(now)
        now = round(now + 0.2, 3)
    return moments


def test_who_loses_its_places_to_others_does_not_ask_for_each_of_them() -> None:
    """Only a second one at once; then after longer and longer pauses, until a task is accepted."""
    capacity = Capacity(None)
    capacity.refused(25, 25, -60.0)
    assert asked(capacity, 25, 60.0) == [0.0, 0.2, 1.2, 3.2, 7.2, 12.2, 22.2, 42.2]
    capacity.accepted(1, 100.0)
    assert capacity.next_chance(1, 100.0) == 0.001
    capacity.refused(1, 25, 101.0)
    assert capacity.next_chance(1, 101.0) == pytest.approx(2.0, abs=0.01)
