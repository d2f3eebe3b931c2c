"""Numbers and spans of time as people read them."""

from __future__ import annotations

import pytest

from orchestrator.wording import duration, many


@pytest.mark.parametrize(("number", "words"), [(0, "0 tasks"), (1, "1 task"), (1000, "1,000 tasks")])
def test_one_is_no_plural(number: int, words: str) -> None:
    assert many(number, "task") == words


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_a_span_of_time_is_told_in_two_units_at_most(seconds: float, words: str) -> None:
    assert duration(seconds) == words
