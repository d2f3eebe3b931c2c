"""Whether the files of a run are what was recorded of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from types import MappingProxyType
from typing import Final

from orchestrator.lifecycle import Output
from orchestrator.steps.landing import sha256_of


class Found(Enum):
    """What became of a file."""

    OK = auto()
    MISSING = auto()
    DAMAGED = auto()
    BLOCKED = auto()


WORDS: Final[Mapping[Found, str]] = MappingProxyType(
    {
        Found.OK: "as it came",
        Found.MISSING: "missing",
        Found.DAMAGED: "damaged",
        Found.BLOCKED: "missing, with a folder in its place",
    }
)
"""What a file is, in the words of a sentence."""


def look(run_folder: Path, output: Output) -> Found:
    """Compare one file with what was recorded of it; it blocks.

    Raises:
        OSError: The file cannot be read.
    """
    path = run_folder / output.path
    if path.is_dir():
        return Found.BLOCKED
    if not path.is_file():
        return Found.MISSING
    whole = path.stat().st_size == output.bytes and sha256_of(path) == output.sha256
    return Found.OK if whole else Found.DAMAGED


@dataclass(slots=True)
class Checked:
    """Files that are looked at when they are needed, each once.

    Attributes:
        run_folder: Where they lie.
        unwell: Those that are not what was recorded, by their paths in the run folder.
    """

    run_folder: Path
    unwell: dict[str, Found] = field(default_factory=dict)
    _well: set[str] = field(default_factory=set)

    def look(self, output: Output) -> Found:
        """Return what became of a file; it blocks.

        Raises:
            OSError: The file cannot be read.
        """
        if output.path in self._well:
            return Found.OK
        found = self.unwell.get(output.path) or look(self.run_folder, output)
        if found is Found.OK:
            self._well.add(output.path)
        else:
            self.unwell[output.path] = found
        return found
