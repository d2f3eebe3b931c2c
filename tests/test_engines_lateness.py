"""A list that stays short is asked for less often once that was so for others, and one that was whole ends it."""

from __future__ import annotations

from orchestrator.engines.lateness import IN_VAIN, SELDOM_SECONDS, Lateness


def test_a_few_in_a_row_make_it_seldom_and_one_that_is_whole_makes_it_soon_again() -> None:
    lateness, waits = Lateness(), []
    for in_vain in (*[True] * (IN_VAIN - 1), False, *[True] * IN_VAIN, True, False):
        lateness.ended(in_vain=in_vain)
        waits.append(lateness.least_seconds)
    assert waits == [0.0] * IN_VAIN + [0.0] * (IN_VAIN - 1) + [SELDOM_SECONDS] * 2 + [0.0]
