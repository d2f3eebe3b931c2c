"""The end of a run's log, as it grows, in the words of the page: no folder of anybody's machine stands in it."""

from __future__ import annotations

import json
import re
from collections import deque
from pathlib import Path
from typing import Any, Final

MOST_LINES: Final = 200
MOST_BYTES: Final = 128_000
MOST_CHARACTERS: Final = 2_000

_FOLDERS: Final = re.compile(
    r"(?<![\w:/.\\~-])(?:~|[A-Za-z]:|\\)?(?:[\\/][^\\/\s\"'<>|,;:()\[\]{}]+)*[\\/](?=[^\\/\s\"'])"
)
"""The folders in front of a file's name, where a path begins at a root or at home; not those of an address."""


class Tail:
    """Follows one log.

    Attributes:
        lines: The last of those that pages were told.
    """

    def __init__(self, path: Path) -> None:
        """Begin with the last lines that stand by now.

        Args:
            path: `run.log`, which need not be there yet.
        """
        self._path = path
        self._place: int | None = None
        self._half = b""
        self.lines: deque[dict[str, Any]] = deque(maxlen=MOST_LINES)

    def more(self) -> list[dict[str, Any]]:
        """Return the lines that have come since the last time, at most `MOST_LINES`; it blocks."""
        if not self._path.is_file():
            return []
        try:
            with self._path.open("rb") as file:
                end = file.seek(0, 2)
                place = self._place if self._place is not None and self._place <= end else 0
                start = max(place, end - MOST_BYTES)
                file.seek(start)
                text = file.read(end - start)
        except OSError:
            return []
        if start != place or place != self._place:
            self._half = b""
            text = text.partition(b"\n")[2] if start else text
        self._place = end
        *whole, self._half = (self._half + text).split(b"\n")
        self._half = self._half[:MOST_BYTES]
        return [line for line in map(told, whole[-MOST_LINES:]) if line is not None]


def told(line: bytes) -> dict[str, Any] | None:
    """Return what the page shows of a line, None where it is none of ours.

    Returns:
        `at` (ISO 8601), `level`, `event`, and everything else that the line says as one text in `more`.
    """
    try:
        held = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(held, dict) or not isinstance(held.get("event"), str):
        return None
    rest = (f"{name}: {_shown(value)}" for name, value in held.items() if name not in _OWN and value is not None)
    return {
        "at": str(held.get("timestamp", "")),
        "level": str(held.get("level", "info")),
        "event": without_folders(held["event"])[:MOST_CHARACTERS],
        "more": without_folders(", ".join(rest))[:MOST_CHARACTERS],
    }


def without_folders(text: str) -> str:
    """Return a text in which paths are shortened to the names of their files."""
    return _FOLDERS.sub("", text)


_OWN: Final = frozenset({"timestamp", "level", "event", "exception"})


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
