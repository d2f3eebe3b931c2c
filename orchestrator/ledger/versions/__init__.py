"""The versions of the ledger's tables: `N.sql` makes version N of version N - 1, the first one of nothing."""

from __future__ import annotations

from importlib import resources
from typing import Final, TypeAlias

Step: TypeAlias = tuple[str, ...]
"""The statements that make a version of the one before."""


def _statements(text: str) -> Step:
    lines = (line.partition("--")[0] for line in text.splitlines())
    return tuple(statement for statement in " ".join(lines).split(";") if statement.strip())


def _read() -> tuple[Step, ...]:
    files = {file.name: file for file in resources.files(__name__).iterdir() if file.name.endswith(".sql")}
    return tuple(_statements(files[f"{number}.sql"].read_text("utf-8")) for number in range(1, len(files) + 1))


STEPS: Final = _read()
"""From the first version to the newest."""
