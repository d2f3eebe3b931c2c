"""The values that other files hold, put in their places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.sweep.beside import Beside
from orchestrator.sweep.forms import Filled, FromFile, Item
from orchestrator.sweep.problems import Problems
from orchestrator.sweep.values import read_values


def filled(items: Iterable[Item], *, beside: Beside, problems: Problems) -> tuple[Filled, ...]:
    """Return the values of an axis with nothing left to read.

    Args:
        items: As the job file gives them.
        beside: The files that it may name.
        problems: Takes what is wrong with them.
    """
    return tuple(each for item in items for each in _filled(item, beside, problems))


def _filled(item: Item, beside: Beside, problems: Problems) -> Iterator[Filled]:
    if isinstance(item, FromFile):
        yield from read_values(item, beside, problems)
    elif isinstance(item, Filled):
        yield item
