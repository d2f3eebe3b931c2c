"""Print the life of a task as the diagram that docs/guarantees.md shows: every move of the program's table.

python docs/state_diagram.py
"""

from __future__ import annotations

from orchestrator.lifecycle import TABLE, State


def diagram() -> str:
    """Return the table of moves as a Mermaid state diagram."""
    moves = [f"    {before} --> {after}: {event}" for (before, event), after in TABLE.items()]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {State.PENDING}", *moves])


if __name__ == "__main__":
    print(diagram())  # noqa: T201 - that is what it is for
