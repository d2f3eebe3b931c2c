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


class Condition(Enum):
    """What became of a file."""

    OK = auto()
    MISSING = auto()
    DAMAGED = auto()
    BLOCKED = auto()


WORDS: Final[Mapping[Condition, str]] = MappingProxyType(
    {
        Condition.OK: "as it came",
        Condition.MISSING: "missing",
        Condition.DAMAGED: "damaged",
        Condition.BLOCKED: "missing, with a folder in its place",
    }
)
"""What a file is, in the words of a sentence."""


def condition_of(run_folder: Path, output: Output) -> Condition:
    """Compare one file with what was recorded of it; it blocks.

    Raises:
        OSError: The file cannot be read.
    """
    path = run_folder / output.path
    if path.is_dir():
        return Condition.BLOCKED
    if not path.is_file():
        return Condition.MISSING
    whole = path.stat().st_size == output.bytes and sha256_of(path) == output.sha256
    return Condition.OK if whole else Condition.DAMAGED


@dataclass(slots=True)
class Checked:
    """Files that are looked at when they are needed, each once.

    Attributes:
        run_folder: Where they lie.
        unwell: Those that are not what was recorded, by their paths in the run folder.
    """

    run_folder: Path
    unwell: dict[str, Condition] = field(default_factory=dict)
    _well: set[str] = field(default_factory=set)

    def look(self, output: Output) -> Condition:
        """Return what became of a file; it blocks.

        Raises:
            OSError: The file cannot be read.
        """
        if output.path in self._well:
            return Condition.OK
        found = self.unwell.get(output.path) or condition_of(self.run_folder, output)
        if found is Condition.OK:
            self._well.add(output.path)
        else:
            self.unwell[output.path] = found
        return found
