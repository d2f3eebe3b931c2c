"""What was looked at and how it was found, as frozen objects; texts and JSON read from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

FORMAT: Final = 1
COUNTED: Final = ("rounds", "histories", "starts", "payments", "tasks", "kills")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        said: What was found, for people.
        held: Whether it is as it has to be.
    """

    said: str
    held: bool


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that did not hold.

    Attributes:
        said: What was found, for people.
        replay: The command that tries it again; None where nothing was left to chance.
        folder: What it left, kept to be looked at; None where there is nothing.
    """

    said: str
    replay: str | None = None
    folder: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as `selftest --json` prints it."""
        return {"said": self.said, "replay": self.replay, "folder": self.folder}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all rounds together have shown.

    Attributes:
        seed: The first round's; the others follow from it.
        seconds: How long it took.
        counts: How much was tried: `rounds`; `histories` in virtual time with their `starts` of processes and their
            `payments`; `tasks` of real runs, and the `kills` of these.
        violations: What did not hold.
    """

    seed: int
    seconds: float
    counts: Mapping[str, int]
    violations: tuple[Violation, ...]

    @property
    def held(self) -> bool:
        """Whether all of it held."""
        return not self.violations

    def summary(self) -> str:
        """Return it for people."""
        tried = f"{self.counts['histories']:,} runs in virtual time and {self.counts['kills']} kills"
        if self.held:
            return f"Everything held: {tried} in {self.seconds:.0f} s."
        return f"{len(self.violations)} did NOT hold in {tried}, {self.seconds:.0f} s."

    def to_json(self) -> dict[str, Any]:
        """Return the object that `selftest --json` prints."""
        return {
            "format": FORMAT,
            "held": self.held,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            **{name: self.counts[name] for name in COUNTED},
            "violations": [each.to_json() for each in self.violations],
        }
