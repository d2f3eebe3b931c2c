"""The marks that people gave on the page, read back from the file that it downloads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import RefusedError

NAME: Final = "marks.json"
FORMAT: Final = 1
MOST_BYTES: Final = 50_000_000
EMPTY: Final[dict[str, Any]] = {"format": FORMAT, "marks": {}, "duels": []}
MOST_STARS: Final = 5


@dataclass(frozen=True, slots=True)
class Mark:
    """What somebody thinks of one picture.

    Attributes:
        stars: 1 to 5, 0 for none.
        rejected: Whether it is out.
        tags, note: Words about it.
    """

    stars: int = 0
    rejected: bool = False
    tags: tuple[str, ...] = ()
    note: str = ""


def key(task: str, number: int) -> str:
    """Return the name of an output in the file: the task's id, and which output it is, counted from 0."""
    return f"{task}-{number}"


def understood(told: Mapping[str, Any]) -> dict[str, Mark]:
    """Return the marks of a file by the name of the output; anybody may have edited it."""
    return {name: _mark(mark) for name, mark in told["marks"].items()}


def _mark(told: Mapping[str, Any]) -> Mark:
    stars, tags, note = told.get("stars"), told.get("tags"), told.get("note")
    return Mark(
        stars=max(0, min(MOST_STARS, stars)) if isinstance(stars, int) else 0,
        rejected=told.get("reject") is True,
        tags=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
        note=note if isinstance(note, str) else "",
    )


def read(run_folder: Path) -> dict[str, Any]:
    """Return the marks that lie in a run folder; none where there is no such file.

    Raises:
        RefusedError: The file is not one that the page downloads.
    """
    path = run_folder / NAME
    if not path.is_file():
        return EMPTY
    try:
        held = json.loads(path.read_text("utf-8")) if path.stat().st_size <= MOST_BYTES else None
    except (OSError, ValueError, RecursionError):
        held = None
    if not isinstance(held, dict) or held.get("format") != FORMAT:
        raise RefusedError(f"{path} is no file of marks: download them again from the page, or move the file away.")
    marks, duels = held.get("marks"), held.get("duels")
    return {
        "format": FORMAT,
        "marks": {key: mark for key, mark in marks.items() if isinstance(mark, dict)}
        if isinstance(marks, dict)
        else {},
        "duels": [duel for duel in duels if isinstance(duel, dict)] if isinstance(duels, list) else [],
    }
