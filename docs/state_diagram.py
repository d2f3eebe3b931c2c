"""Print the life of a task as the diagram that docs/guarantees.md shows: every move of the program's table.

python docs/state_diagram.py
"""

from __future__ import annotations

from contextlib import suppress

from orchestrator.lifecycle import TABLE, State


def diagram() -> str:
    """Return the table of moves as a Mermaid state diagram."""
    moves = [f"    {before} --> {after}: {event}" for (before, event), after in TABLE.items()]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {State.PENDING}", *moves])


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # whoever reads has seen enough
        print(diagram(), flush=True)  # noqa: T201 - that is what it is for
