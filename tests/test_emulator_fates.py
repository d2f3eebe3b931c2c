"""Whom a fault meets: the same seed, the same choice, in any order."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, strategies as st

from orchestrator.clock import VirtualClock
from orchestrator.emulator import Fault
from orchestrator.emulator.fates import Fates, Subject

CALLS = [f"task {number}" for number in range(40)] * 3


def fates(*faults: Fault, seed: int = 1, clock: VirtualClock | None = None) -> Fates:
    return Fates(faults, seed, (clock or VirtualClock()).now, Counter())


def meetings(chosen: Fates, calls: list[str]) -> set[tuple[str, int]]:
    """Return who was met, and at which time for him."""
    times: Counter[str] = Counter()
    met = set()
    for identity in calls:
        times[identity] += 1
        if chosen.met_by("reply", Subject(identity)):
            met.add((identity, times[identity]))
    return met


@given(st.permutations(CALLS))
def test_the_order_in_which_tasks_come_changes_nothing(calls: list[str]) -> None:
    fault = Fault(place="reply", kind="lost", share=0.3)
    assert meetings(fates(fault), calls) == meetings(fates(fault), CALLS)


def test_another_seed_or_another_place_in_the_profile_chooses_others() -> None:
    fault = Fault(place="reply", kind="lost", share=0.3)
    other = Fault(place="task", kind="fails", share=0.0)
    found = [meetings(fates(fault), CALLS), meetings(fates(fault, seed=2), CALLS), meetings(fates(other, fault), CALLS)]
    assert len(set(map(frozenset, found))) == 3


def test_a_share_is_about_that_share() -> None:
    calls = [f"task {number}" for number in range(4000)]
    assert 320 < len(meetings(fates(Fault(place="reply", kind="lost", share=0.1)), calls)) < 480


def test_times_are_the_first_ones_of_those_that_are_drawn() -> None:
    met = meetings(fates(Fault(place="reply", kind="lost", share=0.5, times=2)), CALLS)
    drawn = {identity for identity, _ in met}
    assert met == {(identity, time) for identity in drawn for time in (1, 2)}
    assert 10 < len(drawn) < 30


def test_only_the_first_ones() -> None:
    met = meetings(fates(Fault(place="reply", kind="lost", first=3)), CALLS)
    assert met == {(identity, time) for identity in CALLS[:3] for time in (1, 2, 3)}


def test_a_lasting_fault_is_drawn_once_and_counted_once() -> None:
    counted: Counter[str] = Counter()
    chosen = Fates([Fault(place="list", kind="lags", share=0.5)], 1, VirtualClock().now, counted)
    looks = [[bool(chosen.met_by("list", Subject(f"{number}"))) for number in range(20)] for _ in range(3)]
    assert looks[0] == looks[1] == looks[2]
    assert counted == {"list: lags": sum(looks[0])}


def test_a_window_opens_and_closes() -> None:
    clock = VirtualClock()
    chosen = fates(Fault(place="reply", kind="lost", since=10, until=20), clock=clock)
    found = []
    for _ in range(4):
        found.append(bool(chosen.met_by("reply", Subject("x"))))
        clock.jump(10)
    assert found == [False, True, False, False]


def test_only_tasks_with_these_parameters() -> None:
    chosen = fates(Fault(place="task", kind="fails", where={"prompt": "*fog*", "seed": "5"}))
    cases: list[tuple[dict[str, object] | None, bool]] = [
        ({"prompt": "a boat\nin fog", "seed": 5}, True),
        ({"prompt": "fog", "seed": "5"}, True),
        ({"prompt": "fog", "seed": "55"}, False),
        ({"prompt": "a boat", "seed": "5"}, False),
        ({"prompt": "fog"}, False),
        (None, False),
    ]
    for parameters, meets in cases:
        assert bool(chosen.met_by("task", Subject(str(parameters), parameters))) is meets


def test_only_at_these_endpoints() -> None:
    chosen = fates(Fault(place="reply", kind="lost", at=frozenset({"Run"})))
    assert chosen.may_meet("reply", "Run")
    assert not chosen.may_meet("reply", "Task/List")
    assert not chosen.may_meet("file")
    assert not chosen.met_by("reply", Subject("x", endpoint="Task/List"))
