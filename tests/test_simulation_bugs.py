"""Bugs are planted in the program, one at a time: the simulation finds each within a bounded number of histories.

    python tests/test_simulation_bugs.py

prints how many histories each takes, as a table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Final

import pytest
from bugs import Bug, doubts, ends, files, limits, paying, progress

from orchestrator.simulation import History, draw, play

MOST_HISTORIES: Final = 60
"""Within how many histories a bug is found that is looked for where it may be; most take a handful."""

MOST_OF_ANY: Final = 500
"""How many are played for a bug that nobody looks for."""

BUGS: Final = {**paying.BUGS, **doubts.BUGS, **limits.BUGS, **ends.BUGS, **files.BUGS, **progress.BUGS}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The ledger writes in the one thread there is, so that time stands still meanwhile."""


def found(bug: Bug, histories: Iterable[History]) -> tuple[int, str]:
    """Return how many histories it takes until a planted bug breaks a promise, and which one; empty if none does."""
    played = 0
    with pytest.MonkeyPatch.context() as patch:
        bug.plant(patch)
        for played, history in enumerate(histories, 1):
            violation = play(history).violation
            if violation is not None:
                return played, violation
    return played, ""


def suitable(bug: Bug) -> Iterator[History]:
    return (bug.suits(draw(seed)) for seed in range(MOST_HISTORIES))


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str) -> None:
    _, violation = found(BUGS[name], suitable(BUGS[name]))
    assert violation, f"{MOST_HISTORIES} histories do not show it"
    assert "breaks: TypeError" not in violation, f"what is planted fits the program no longer: {violation}"


def main() -> None:
    """Print how many histories each takes: of those in which it may show, and of any; and what is found then."""
    sys.stdout.write("| planted bug | where it may show | anywhere | what gives it away |\n| --- | --- | --- | --- |\n")
    for name, bug in BUGS.items():
        suited, shown = found(bug, suitable(bug))
        histories, violation = found(bug, map(draw, range(MOST_OF_ANY)))
        anywhere = str(histories) if violation else f"over {MOST_OF_ANY}"
        gives_away = (violation or shown or "NOT FOUND").partition("(")[0]  # what follows may name a folder
        sys.stdout.write(f"| {name} | {suited} | {anywhere} | {gives_away} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
