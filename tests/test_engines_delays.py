"""What tasks wait for is told in few words, and only where it lasts."""

from __future__ import annotations

from hypothesis import given, strategies as st

from orchestrator.engines.delays import MOST_CHARACTERS, MOST_REASONS, OTHER, SHOWN_AFTER_SECONDS, Delay, Delays


def test_what_passes_at_once_is_not_told_and_what_lasts_counts_from_its_beginning() -> None:
    waits = Delays()
    waits.note("a", "The server sleeps.", 100.0)
    assert waits.told(100.0 + SHOWN_AFTER_SECONDS - 0.1) == ()
    waits.note("a", "The server snores.", 104.0)
    assert waits.told(100.0 + SHOWN_AFTER_SECONDS) == (Delay(1, "The server snores."),)
    waits.over("a")
    waits.over("b")
    assert waits.told(200.0) == ()


@given(st.lists(st.text(max_size=2 * MOST_CHARACTERS), max_size=30))
def test_a_few_reasons_tell_of_all_tasks(reasons: list[str]) -> None:
    """However many there are, and however long: the most frequent first."""
    waits = Delays()
    for number, why in enumerate(reasons):
        waits.note(str(number), why, 0.0)
    told = waits.told(SHOWN_AFTER_SECONDS)
    assert sum(wait.tasks for wait in told) == len(reasons)
    assert len(told) <= MOST_REASONS + 1
    named = told[:MOST_REASONS]
    assert [wait.tasks for wait in named] == sorted((wait.tasks for wait in named), reverse=True)
    assert all(len(wait.why) <= MOST_CHARACTERS for wait in told)
    assert all(wait.why == OTHER for wait in told[MOST_REASONS:])
