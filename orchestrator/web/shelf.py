"""Which run folders are shown, and by which name each is known in an address."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from orchestrator.runs import RunFolder

DEEP: Final = 3
"""How far below a folder run folders are looked for."""


class Shelf:
    """Finds run folders and gives each a name of its own, which stays as long as this lives.

    Only the last part of a path is ever shown: where people keep their runs is nobody's business.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        """Take note of where to look.

        Args:
            places: Run folders, and folders that hold some.
        """
        self._places = places
        self._names: dict[Path, str] = {}
        self._folders: dict[str, RunFolder] = {}

    def look(self) -> list[str]:
        """Return the names of the run folders that there are by now; it blocks."""
        found = dict.fromkeys(path for place in self._places for path in _run_folders(place, DEEP))
        for path in found:
            if path not in self._names:
                self._names[path] = self._free_name(path)
        self._folders = {self._names[path]: RunFolder(path) for path in found}
        return list(self._folders)

    def folder(self, name: str) -> RunFolder | None:
        """Return a run folder by its name, None where there was none when `look` was last called."""
        return self._folders.get(name)

    def _free_name(self, path: Path) -> str:
        place = path.resolve()
        name = place.name.encode(errors="replace").decode() or "run"
        if name not in self._names.values():
            return name
        return f"{name}-{hashlib.sha256(bytes(place)).hexdigest()[:8]}"


def _run_folders(place: Path, deep: int) -> Iterator[Path]:
    """Yield the run folder that a path is, or those below it in the order of their names."""
    try:
        if RunFolder(place).exists():
            yield place
        elif deep > 0:
            for below in sorted(place.iterdir()):
                if not below.name.startswith(".") and below.is_dir():
                    yield from _run_folders(below, deep - 1)
    except OSError:
        return  # it has gone meanwhile, or is not for us
