"""What is aimed at and what was measured, a line for each: the scripts print such lines, and `all.py` gathers them.

No script: the others use it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

WIDTH, ROW, LEFT, SCALE = 1000, 24, 400, 210
"""Of the picture in pixels: its width, the height of a row, where the bars begin, and how long one at its goal is."""

LONGEST = 2.0
GREEN, RED = "#2a7", "#d33"
ROW_OF = re.compile(
    r"(?:goal )?\| (.+?) \| at (most|least) ([\d.]+)(.*?) \| ([\d.]+).*? \| (?:met|missed|quick: .+) \|"
)
NOT_COMPARABLE = "quick: not comparable"


@dataclass(frozen=True)
class Goal:
    """One promise.

    Attributes:
        what: What was measured.
        measured: The figure.
        bound: What it has to be.
        at_most: Whether it has to be no more than that, not no less.
        unit: Of both figures, with a space in front where one belongs.
    """

    what: str
    measured: float
    bound: float
    at_most: bool = True
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether it is as good as it has to be."""
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound

    @property
    def share(self) -> float:
        """How large what is measured is beside what is aimed at; no more than 1 where the goal is met."""
        over, under = (self.measured, self.bound) if self.at_most else (self.bound, self.measured)
        return over / under if under else LONGEST

    @property
    def wanted(self) -> str:
        """The goal in words."""
        return f"at {'most' if self.at_most else 'least'} {self.bound:g}{self.unit}"

    @property
    def found(self) -> str:
        """What was measured in words."""
        return f"{self.measured:.3g}{self.unit}" if self.measured < 1000 else f"{self.measured:.0f}{self.unit}"

    @property
    def verdict(self) -> str:
        """Whether it is met, in a word."""
        return "met" if self.met else "missed"

    def tell(self) -> None:
        """Print it."""
        print(f"\ngoal {self.row()}", flush=True)

    def row(self) -> str:
        """Return its row of a table."""
        return f"| {self.what} | {self.wanted} | {self.found} | {self.verdict} |"


def read(line: str) -> Goal | None:
    """Return the goal of a row, or of what `tell` has printed; None for any other line."""
    match = ROW_OF.match(line)
    if match is None:
        return None
    what, bound, wanted, unit, measured = match.groups()
    return Goal(what, float(measured), float(wanted), bound == "most", unit)


def unjudged(line: str) -> str:
    """Return a line without its verdict, if it has one: of a goal that was measured with less than it is meant for."""
    return re.sub(r"(?:met|missed) \|$", f"{NOT_COMPARABLE} |", line) if read(line) else line


def table(goals: list[Goal]) -> str:
    """Return all of them as a table."""
    return "\n".join(["| what | goal | measured | |", "| --- | --- | --- | --- |", *(goal.row() for goal in goals)])


def picture(goals: list[Goal], machine: str) -> str:
    """Draw a bar for each, on a scale on which the goals are one line, and what is beyond it misses them (SVG)."""
    height = ROW * len(goals) + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/><g font-family="sans-serif">',
    ]
    for number, goal in enumerate(goals):
        what, told = goal.what.replace("`", ""), f"{goal.found} ({goal.wanted})"
        top, length, colour = 16 + ROW * number, SCALE * min(LONGEST, goal.share), GREEN if goal.met else RED
        parts.append(f'<text x="{LEFT - 8}" y="{top + 13}" text-anchor="end">{escape(what)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{ROW - 7}" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + length + 6:.1f}" y="{top + 13}">{escape(told)}</text>')
    end = 16 + ROW * len(goals)
    parts += [
        f'<path d="M{LEFT + SCALE} 8V{end}" stroke="#333" stroke-dasharray="4 3"/>',
        f'<text x="{LEFT + SCALE}" y="{end + 14}" text-anchor="middle">goal</text>',
        f'<text x="16" y="{end + 40}" fill="#555">Shorter is better. {escape(machine)}</text>',
    ]
    return "\n".join([*parts, "</g></svg>", ""])
