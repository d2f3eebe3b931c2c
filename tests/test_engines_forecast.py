"""How often a running task is looked at."""

from __future__ import annotations

from itertools import islice, pairwise, takewhile

from hypothesis import given, strategies as st

from orchestrator.engines.forecast import EARLY, LONGEST_SECONDS, SHARE, SHORTEST_SECONDS, likely_done, looks

STATED = st.none() | st.floats(0, 1e5)


@given(STATED, STATED, st.floats(0, 1e6))
def test_waits_grow_smoothly_and_are_never_rude(stated: float | None, usual: float | None, passed: float) -> None:
    """After the first look waits grow, from a tenth of a second or more up to 15 s."""
    waits = list(islice(looks(stated, usual, passed), 100))
    assert waits[0] >= 0
    assert all(SHORTEST_SECONDS <= wait <= LONGEST_SECONDS for wait in waits[1:])
    assert all(later >= earlier for earlier, later in pairwise(waits[1:]))
    assert waits[-1] == LONGEST_SECONDS


@given(st.floats(5, 50), STATED)
def test_an_end_is_seen_within_a_share_of_the_run_time(ends: float, stated: float | None) -> None:
    """No answer is late by more than the share of what has passed, at the price of a logarithm of looks."""
    passed, count = 0.0, 0
    for wait in looks(stated):
        passed, count = passed + wait, count + 1
        if passed >= ends:
            break
    assert passed <= ends * (1 + SHARE) + 1e-9
    assert count <= 20


@given(st.floats(1, 1e4), st.floats(0, 1e4))
def test_once_some_have_ended_the_first_look_comes_when_it_may_pay(usual: float, passed: float) -> None:
    """A little before the usual time, counted from the acceptance, also where a restart lies between."""
    assert next(looks(None, usual, passed)) == max(0.0, EARLY * usual - passed)


def test_a_minute_costs_few_looks() -> None:
    moments = 0.0

    def after(wait: float) -> bool:
        nonlocal moments
        moments += wait
        return moments < 60

    assert len(list(takewhile(after, looks(None)))) < 20


def test_likely_done_is_what_has_run_as_long_as_others_did() -> None:
    assert likely_done(6.0, 6.0)
    assert not likely_done(5.9, 6.0)
    assert not likely_done(1e9, None)
