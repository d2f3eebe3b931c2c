from __future__ import annotations

from dataclasses import replace

from orchestrator.simulation import Event, History, draw, shrink


def test_what_is_not_needed_is_left_out() -> None:
    """Two misfortunes do it together; all others go, and so do tasks."""
    guilty = (Event("run lost", number=2), Event("process killed", number=40))
    history = draw(12)
    history = replace(
        history, seeds=6, repeat=3, events=history.events[:5] + guilty[:1] + history.events[5:] + guilty[1:]
    )

    def broken(candidate: History) -> str | None:
        enough = set(guilty) <= set(candidate.events) and candidate.seeds > 1
        return f"{candidate.seeds} tasks are paid for twice" if enough else None

    smallest = shrink(history, "6 tasks are paid for twice", broken)
    assert (smallest.events, smallest.seeds, smallest.repeat) == (guilty, 2, 1)
    assert replace(smallest, seed=0, seeds=3, events=()) == History(seed=0)


def test_another_violation_is_not_the_same() -> None:
    history = History(seed=1, seeds=2)
    assert shrink(history, "one thing", lambda _: "another thing") == history
