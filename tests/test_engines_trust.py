"""How far hints are trusted: it grows slowly, goes quickly, and comes back."""

from __future__ import annotations

from hypothesis import given, strategies as st

from orchestrator.engines.trust import FIRST_REST_SECONDS, LONGEST_REST_SECONDS, MOST_TOLD, STRIKES, Trust


def after(*, kept: int = 0, missed: int = 0) -> Trust:
    trust = Trust()
    for _ in range(kept):
        trust.kept()
    for _ in range(missed):
        trust.missed()
    return trust


def test_without_experience_hints_have_some_credit_which_is_soon_used_up() -> None:
    assert [after(missed=number).patience for number in range(3)] == [3, 2, 1]


def test_looks_get_dearer_with_each_end_that_was_told_up_to_a_bound() -> None:
    assert [after(kept=number).patience for number in (1, 10, 1000)] == [4, 13, MOST_TOLD + 1]


def test_a_few_ends_that_nobody_told_of_bring_the_usual_price_back() -> None:
    assert after(kept=1000, missed=7).patience == 1


@given(st.integers(1, 10))
def test_the_price_follows_the_share_of_ends_that_nobody_tells(every: int) -> None:
    """One in ten not told: a look finds something new once in ten times, and is worth about a tenth."""
    trust, prices = Trust(), []
    for number in range(2000):
        (trust.missed if number % (every + 1) == 0 else trust.kept)()
        prices.append(trust.patience)
    mean = sum(prices[200:]) / len(prices[200:])
    assert every / 2 <= mean <= 3 * every


def test_disappointments_in_a_row_bring_a_rest_and_then_longer_ones() -> None:
    trust, now, rests = Trust(), 1000.0, list[float]()
    assert [trust.struck(now) for _ in range(STRIKES)] == [False] * (STRIKES - 1) + [True]
    for _ in range(10):
        rests.append(trust.rests_until - now)
        assert not trust.struck(now + 1)  # what comes of those that were listening when it began counts no more
        now = trust.rests_until
        assert trust.struck(now)
    assert rests[:3] == [FIRST_REST_SECONDS, 2 * FIRST_REST_SECONDS, 4 * FIRST_REST_SECONDS]
    assert rests[-1] == LONGEST_REST_SECONDS


def test_one_end_that_was_told_makes_up_for_disappointments() -> None:
    trust = Trust()
    for _ in range(100):
        for _ in range(STRIKES - 1):
            assert not trust.struck(0.0)
        trust.kept()
