"""Which of a task's outputs is which: each is found again in whatever order the service lists them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from orchestrator.lifecycle import Output
from orchestrator.wiro import RemoteOutput

Key: TypeAlias = Callable[[RemoteOutput], str]


def _path(output: RemoteOutput) -> str:
    """Return the address without its host and its query: a new one for the same file differs in these."""
    try:
        return urlsplit(output.url or "").path
    except ValueError:
        return ""


def _file_name(output: RemoteOutput) -> str:
    return _path(output).rpartition("/")[2]


KEYS: Final[tuple[Key, ...]] = (lambda output: output.id, lambda output: output.name, _path, _file_name)
"""What an output may be known by, the surest first."""

MOST_NEW: Final = 2
"""Outputs are taken for further ones up to so many times as are listed at once: one may have another name each time."""


class Numbered:
    """A task's outputs by number. A number belongs to one output for good, and no two numbers to the same one.

    An output is known by the first of `KEYS` by which all that are listed can be told apart and at least one is found
    again; only where there is none, by its place in the list. What is not known takes the lowest free numbers.

    Args:
        recorded: What an earlier fetch has recorded, by number: of these the address is known.
    """

    def __init__(self, recorded: Mapping[int, Output]) -> None:
        self._known = {
            number: RemoteOutput("", "", output.url, None, None, None) for number, output in recorded.items()
        }
        self._recorded = len(self)
        self._shown: dict[int, RemoteOutput] = {}

    def __len__(self) -> int:
        """Return how many numbers there are, also of outputs that are not listed any more."""
        return max(self._known, default=-1) + 1

    def see(self, listed: Sequence[RemoteOutput]) -> None:
        """Take in what a look shows."""
        found = _found(self._known, listed)
        new = [each for place, each in enumerate(listed) if place not in found.values()]
        shown = {number: listed[place] for number, place in found.items()}
        most = self._recorded + MOST_NEW * len(listed)
        free = (number for number in range(most) if number not in self._known)
        shown |= dict(zip(free, new, strict=False))
        self._known |= shown
        self._shown |= shown

    def shown(self, number: int) -> RemoteOutput | None:
        """Return an output as it was last shown; None where no look has shown it."""
        return self._shown.get(number)


def distinct(listed: Iterable[RemoteOutput]) -> tuple[RemoteOutput, ...]:
    """Return what is listed without what is listed again: the same address is the same file."""
    found: dict[str | int, RemoteOutput] = {}
    for place, each in enumerate(listed):
        found.setdefault(each.url or place, each)
    return tuple(found.values())


def by_number(outputs: Iterable[Output]) -> dict[int, Output]:
    """Return recorded outputs by the numbers that their names say; of those of one address only the first."""
    found: dict[str, Output] = {}
    for output in outputs:
        found.setdefault(output.url or output.path, output)
    return {int(PurePosixPath(output.path).stem.rpartition("-")[2]): output for output in found.values()}


def _found(known: Mapping[int, RemoteOutput], listed: Sequence[RemoteOutput]) -> dict[int, int]:
    """Return at which places the known outputs are listed, by number."""
    if not known:
        return {}
    usable = [(key, places) for key in KEYS if (places := _places(key, listed, known.values()))]
    if not usable:
        return {number: number for number in known if number < len(listed)}
    found: dict[int, int] = {}
    for number, output in known.items():
        said = next(((key(output), places) for key, places in usable if key(output)), None)
        if said is not None and said[0] in said[1] and said[1][said[0]] not in found.values():
            found[number] = said[1][said[0]]
    return found


def _places(key: Key, listed: Sequence[RemoteOutput], known: Iterable[RemoteOutput]) -> dict[str, int]:
    """Return the places in the list by a key; none where it tells them not apart, or finds none again."""
    places = {said: place for place, each in enumerate(listed) if (said := key(each))}
    return places if len(places) == len(listed) and any(key(each) in places for each in known) else {}
