"""The marks that people gave on the page, read back from the file that it downloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from orchestrator.errors import RefusedError

NAME: Final = "marks.json"
FORMAT: Final = 1
MOST_BYTES: Final = 50_000_000
EMPTY: Final[dict[str, Any]] = {"format": FORMAT, "marks": {}, "duels": []}


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
