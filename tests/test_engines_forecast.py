"""When to look next: close to the best there is, and never far off where nothing is known or all has changed."""

from __future__ import annotations

import heapq
import json
import math
import random
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from statistics import NormalDist, fmean
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.engines.forecast import LATEST_SECONDS, SOONEST_SECONDS, Course, Forecast
from orchestrator.engines.inspection import Inspections

PRICE = 0.65
Runs = Callable[[int], float]


def follow(
    forecast: Forecast,
    runs: Runs,
    tasks: int,
    *,
    waits: Runs = lambda _: 0.0,
    steps: Runs = lambda _: 40.0,
    shows_progress: bool = False,
    tells_seconds: bool = True,
    begin_at: float = 0.0,
) -> list[tuple[int, float]]:
    """Let a forecast look at tasks, 16 at once; return the number of looks and the lag of each, in their order."""
    looks: dict[int, tuple[int, float]] = {}
    due: list[tuple[float, int, int, Course]] = []

    def later(number: int, count: int, course: Course, now: float) -> None:
        moment = course.accepted_at + forecast.next_look(course, PRICE, now)
        heapq.heappush(due, (max(moment, now), number, count + 1, course))

    for number in range(16):
        later(number, 0, forecast.begin({"steps": steps(number)}, begin_at), begin_at)
    while due:
        now, number, count, course = heapq.heappop(due)
        age, waited, ran = now - course.accepted_at, waits(number), runs(number)
        if age < waited + ran:
            share = max(0.0, (age - waited) / ran) if shows_progress else None
            forecast.saw(course, age, queued=age < waited, progress=share)
            later(number, count, course, now)
            continue
        forecast.ended(course, age, float(round(ran)) if tells_seconds else None)
        forecast.left(course)
        looks[number] = count, age - waited - ran
        if (following := number + 16) < tasks:
            later(following, 0, forecast.begin({"steps": steps(following)}, now), now)
    return [looks[number] for number in sorted(looks)]


def lognormal(seconds: float, sigma: float = 0.35) -> Runs:
    return lambda number: seconds * math.exp(sigma * random.Random(number).gauss(0, 1))


def cost(looks: list[tuple[int, float]]) -> float:
    return fmean(PRICE * count + lag for count, lag in looks)


def least(seconds: float, sigma: float = 0.35) -> float:
    """Return what the best schedule for this lognormal distribution costs a task."""
    moments = [seconds * math.exp(0.01 * place) for place in range(-200, 300)]
    ended = [NormalDist(0, sigma).cdf(math.log(moment / seconds)) for moment in moments]
    plan = Inspections(moments, [0.0, *(after - before for before, after in pairwise(ended))], PRICE)
    looks = []
    for number in range(1000):
        ran, moment, count = lognormal(seconds, sigma)(number), 0.0, 0
        while moment < ran:
            moment, count = plan.after(moment), count + 1
        looks.append((count, moment - ran))
    return cost(looks)


@pytest.mark.parametrize("seconds", [6.0, 30.0, 120.0])
@pytest.mark.parametrize("tells_seconds", [True, False])
def test_after_a_hundred_tasks_it_is_near_the_best_there_is(seconds: float, tells_seconds: bool) -> None:
    looks = follow(Forecast(seconds * 1.7), lognormal(seconds), 300, tells_seconds=tells_seconds)
    assert cost(looks[100:]) < 1.15 * least(seconds)


@pytest.mark.parametrize("off", [0.5, 1.0, 2.0])
def test_the_first_run_is_not_far_from_it(off: float) -> None:
    """Where the stated time is right within a factor of two."""
    assert cost(follow(Forecast(30.0 * off), lognormal(30.0), 100)) < 1.4 * least(30.0)


def test_one_task_scouts_for_the_many_that_were_accepted_with_it() -> None:
    """Until one has ended; one that is alone has nobody to scout for."""
    forecast = Forecast(30.0)
    first = forecast.begin({}, 0.0)
    alone = forecast.next_look(first, PRICE, 0.0)
    others = [forecast.begin({}, 0.0) for _ in range(15)]
    scouting = forecast.next_look(first, PRICE, 0.0)
    assert scouting < 0.7 * alone
    assert forecast.next_look(others[0], PRICE, 0.0) == alone
    forecast.left(first)
    assert forecast.next_look(others[0], PRICE, 0.0) == pytest.approx(scouting, rel=0.1)
    forecast.ended(others[1], 30.0, None)
    assert forecast.next_look(others[0], PRICE, 60.0) > scouting


def outlasting(seconds: float) -> tuple[Forecast, list[Course]]:
    """A first run in which 15 tasks took about 6 s, and those that were accepted with them still run."""
    forecast = Forecast(6.0)
    courses = [forecast.begin({}, 0.0) for _ in range(25)]
    for number, course in enumerate(courses[:15]):
        age = 5.2 + 0.1 * number
        forecast.left(course)
        forecast.ended(course, age, age)
    for course in courses[15:]:
        forecast.saw(course, seconds, queued=False, progress=None)
    return forecast, courses[15:]


def test_of_those_that_outlast_all_others_one_is_looked_at_as_usual() -> None:
    """The others wait for what that finds out: once it ends, the time at which it did is theirs, too."""
    forecast, longer = outlasting(12.0)
    first, second = (forecast.next_look(course, PRICE, 12.0) - 12.0 for course in longer[:2])
    assert second > 1.7 * first
    edition = forecast.edition
    forecast.left(longer[0])
    forecast.ended(longer[0], 24.0, 24.0)
    assert forecast.edition > edition
    for course in longer[1:]:
        forecast.saw(course, 24.0, queued=False, progress=None)
    again = [forecast.next_look(course, PRICE, 25.0) - 24.0 for course in longer[1:]]
    assert max(again) < 0.8 * second


def test_those_that_come_later_need_no_looks_where_the_first_ones_ran_on() -> None:
    """Between the ages at which the first kind ends and that the others have come to, nothing has ended."""
    forecast, _ = outlasting(18.0)
    later = forecast.begin({}, 10.0)
    forecast.saw(later, 8.0, queued=False, progress=None)
    assert forecast.next_look(later, PRICE, 18.0) > 15.0


def test_of_those_that_come_to_outlast_the_others_at_once_one_is_looked_at_as_usual() -> None:
    """Whoever is seen to does not wait until that is taken in with all else."""
    forecast, longer = outlasting(7.0)
    forecast.next_look(longer[0], PRICE, 100.0)
    for course in longer:
        forecast.saw(course, 12.0, queued=False, progress=None)
    first, *others = (forecast.next_look(course, PRICE, 100.0) - 12.0 for course in longer)
    assert min(others) > 2 * first


def test_with_no_history_it_backs_off_smoothly() -> None:
    """Each wait is longer than the one before by a bounded factor, and no task is looked at without end."""
    forecast, ages = Forecast(None), [0.0]
    course = forecast.begin({}, 0.0)
    while ages[-1] < 3600:
        ages.append(forecast.next_look(course, PRICE, ages[-1]))
        forecast.saw(course, ages[-1], queued=False, progress=None)
    waits = [after - before for before, after in pairwise(ages)]
    assert 1 < waits[0] < 8
    assert len(waits) < 150
    assert all(after < 2 * before for before, after in pairwise(waits[1:]))


@given(st.none() | st.floats(0, 1e7), st.floats(0.01, 1e4), st.lists(st.floats(0, 1e6), max_size=8))
@settings(max_examples=40)
def test_waits_are_never_rude_and_never_endless(stated: float | None, price: float, ages: list[float]) -> None:
    forecast = Forecast(stated)
    course = forecast.begin({"steps": 40}, 0.0)
    for age in sorted(ages):
        moment = forecast.next_look(course, price, age)
        assert course.seen_at + SOONEST_SECONDS <= moment <= course.seen_at + LATEST_SECONDS
        forecast.saw(course, age, queued=age < 10, progress=None)


def test_a_service_twenty_times_slower_than_its_history_is_found_out_soon() -> None:
    """By those that still run: each task is looked at a few times in vain, not over and over until its end."""
    forecast = Forecast(6.0)
    follow(forecast, lognormal(6.0, 0.2), 200)
    looks = follow(forecast, lognormal(120.0, 0.2), 200, begin_at=10_000.0)
    assert fmean(count for count, _ in looks[:16]) < 13
    assert cost(looks[32:]) < 1.3 * least(120.0, 0.2)


def test_a_service_that_is_quick_again_is_found_out_too() -> None:
    forecast = Forecast(120.0)
    follow(forecast, lognormal(120.0, 0.2), 100)
    looks = follow(forecast, lognormal(6.0, 0.2), 200, begin_at=100_000.0)
    assert cost(looks[48:]) < 1.4 * least(6.0, 0.2)


def test_a_long_queue_is_told_from_a_long_run() -> None:
    """Tasks that wait for one to five minutes and run for ten seconds: once out of the queue, the end is known."""
    looks = follow(Forecast(10.0), lognormal(10.0, 0.1), 200, waits=lambda n: random.Random(-n).uniform(60, 300))
    late = looks[100:]
    assert fmean(count for count, _ in late) < 16
    assert fmean(lag for _, lag in late) < 14


def test_the_steps_of_a_task_tell_how_long_it_takes() -> None:
    """A sweep over steps is as well forecast as tasks that are all alike."""

    def steps(number: int) -> float:
        return float(random.Random(-number).choice([10, 20, 40, 80]))

    looks = follow(Forecast(30.0), lambda n: steps(n) * math.exp(0.1 * random.Random(n).gauss(0, 1)), 200, steps=steps)
    alike = follow(Forecast(30.0), lognormal(40.0, 0.1), 200)
    assert cost(looks[100:]) < 1.4 * cost(alike[100:])


def test_progress_sharpens_what_is_known_of_a_task() -> None:
    """Run times that nobody can foresee: a task that shows how far it is costs clearly less."""
    runs = lognormal(60.0, 0.8)
    blind, seeing = (cost(follow(Forecast(60.0), runs, 120, shows_progress=shows)[40:]) for shows in (False, True))
    assert seeing < 0.75 * blind


def test_a_task_found_after_a_restart_is_looked_at_at_once() -> None:
    forecast = Forecast(6.0)
    assert forecast.next_look(forecast.begin({}, -500.0), PRICE, 0.0) < 500


def test_likely_done_is_what_has_run_longer_than_most() -> None:
    forecast = Forecast(6.0)
    follow(forecast, lognormal(30.0, 0.1), 100)
    course = forecast.begin({"steps": 40}, 1000.0)
    assert forecast.likely_done(course, 33.0)
    assert not forecast.likely_done(course, 27.0)


def test_likely_done_is_told_from_the_latest_look_on() -> None:
    """One that still ran a moment ago has most probably not ended since, however old it is."""
    forecast = Forecast(6.0)
    follow(forecast, lognormal(30.0, 0.3), 100)
    course = forecast.begin({"steps": 40}, 1000.0)
    forecast.saw(course, 33.0, queued=False, progress=None)
    assert not forecast.likely_done(course, 34.0)
    assert forecast.likely_done(course, 45.0)


def test_what_was_learned_serves_the_next_run() -> None:
    forecast = Forecast(6.0)
    assert forecast.kept() is None
    follow(forecast, lognormal(30.0), 150)
    again = Forecast.remembered(forecast.kept(), 6.0)
    assert cost(follow(again, lognormal(30.0), 100)) < 1.15 * least(30.0)


@cache
def learned() -> str:
    forecast = Forecast(6.0)
    follow(forecast, lognormal(30.0), 5)
    return json.dumps(forecast.kept())


@settings(max_examples=60)
@given(st.data())
def test_whatever_was_remembered_it_can_be_worked_with(data: st.DataObject) -> None:
    """A wild number in what was kept ended every further run of the model."""
    kept = json.loads(learned())
    part, name = data.draw(
        st.sampled_from([("work", "first"), ("work", "weights"), ("work", "sigmas"), ("runtimes", "counts")])
    )
    numbers = kept[part][name]
    numbers[data.draw(st.integers(0, len(numbers) - 1))] = data.draw(st.floats(-1e4, 1e4))
    kept["runtimes"]["base"] = data.draw(st.just(kept["runtimes"]["base"]) | st.floats(-1e3, 1e3))
    again = Forecast.remembered(kept, 6.0)
    for steps in (10.0, 1e8, 40.0):
        course = again.begin({"steps": steps}, 0.0)
        for now in (0.0, 5.0):
            assert math.isfinite(again.next_look(course, PRICE, now))
            again.saw(course, now, queued=False, progress=None)
        again.ended(course, 8.0, None)


@pytest.mark.parametrize(
    "kept",
    [
        None,
        [],
        "text",
        {},
        {"format": 2},
        {"format": 1},
        {"format": 1, "runtimes": {"base": 1, "counts": []}, "work": {}},
        {"format": 1, "runtimes": {"base": 10**400, "counts": []}, "work": {}},
    ],
)
def test_what_is_damaged_or_of_another_version_is_forgotten(kept: Any) -> None:
    course = Course(0.0, (0.0,) * 4)
    new, read = Forecast(6.0), Forecast.remembered(kept, 6.0)
    assert read.next_look(course, PRICE, 0.0) == new.next_look(course, PRICE, 0.0)
