"""Where the page lies in a run folder, and how its script files are written: whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orchestrator.drafts import replace
from orchestrator.output.gallery.data import encoded

SHARD_ROWS: Final = 1000
MOST_BYTES: Final = 200_000_000
"""No script file of data is larger: prompts are far shorter."""
_CALL: Final = "gallery.take("


@dataclass(frozen=True, slots=True)
class Place:
    """The paths of a page: `index.html` in the run folder, and all the rest in one folder beside it."""

    run_folder: Path

    @property
    def index(self) -> Path:
        """What people open."""
        return self.run_folder / "index.html"

    @property
    def folder(self) -> Path:
        """What stands beside it."""
        return self.run_folder / "page"

    @property
    def data(self) -> Path:
        """The script files that hold the run."""
        return self.folder / "data"

    @property
    def thumbnails(self) -> Path:
        """The small pictures."""
        return self.folder / "thumbnails"

    def write(self, name: str, value: object) -> None:
        """Write one script file of data, `value` being JSON; whoever reads it meanwhile gets the old one or the new.

        Raises:
            OSError: It cannot be written.
        """
        self.write_encoded(name, encoded(value))

    def write_encoded(self, name: str, text: str) -> None:
        """Write one script file of data whose JSON is at hand, see `write`."""
        self.data.mkdir(parents=True, exist_ok=True)
        replace(self.data / f"{name}.js", script(name, text))

    def read(self, name: str) -> Any:
        """Return the JSON of a script file that `write` wrote, None where there is none that can be read."""
        path = self.data / f"{name}.js"
        try:
            if not path.is_file() or path.stat().st_size > MOST_BYTES:
                return None
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        quoted = text.removeprefix(f"{_CALL}'{name}','").removesuffix("')\n")
        try:
            return json.loads(quoted.replace("\\'", "'").replace("\\\\", "\\"))
        except (ValueError, RecursionError):
            return None


@dataclass(slots=True)
class Shards:
    """The rows of the tasks, a thousand to a file: full files never change, the last one is written anew as it grows.

    Attributes:
        sizes: How many rows each file that stands holds.
    """

    place: Place
    sizes: list[int] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _is_stale: bool = False

    def resumed(self, sizes: Sequence[int]) -> bool:
        """Go on behind files that stand; return whether they do."""
        last = self.place.read(f"tasks-{len(sizes) - 1:05}") if sizes else []
        if not isinstance(last, list) or len(last) != (sizes[-1] if sizes else 0):
            return False
        self.sizes = list(sizes)
        self._open = [encoded(row) for row in last] if len(last) < SHARD_ROWS else []
        return True

    def add(self, row: Sequence[Any]) -> None:
        """Take a row; a file that is full with it is written.

        Raises:
            OSError: It cannot be written.
        """
        self._open.append(encoded(row))
        self._is_stale = True
        if len(self._open) >= SHARD_ROWS:
            self.flush()
            self._open = []

    def flush(self) -> None:
        """Write the last file, if it has grown.

        Raises:
            OSError: It cannot be written.
        """
        if not self._is_stale:
            return
        number = len(self.sizes) - bool(self.sizes and self.sizes[-1] < SHARD_ROWS)
        self.place.write_encoded(f"tasks-{number:05}", f"[{','.join(self._open)}]")
        self.sizes[number:] = [len(self._open)]
        self._is_stale = False

    def trim(self) -> None:
        """Take away the files of an earlier page that had more of them."""
        for path in self.place.data.glob("tasks-*.js"):
            if path.stem.removeprefix("tasks-").isdigit() and int(path.stem.removeprefix("tasks-")) >= len(self.sizes):
                path.unlink(missing_ok=True)


def script(name: str, text: str) -> bytes:
    """Return the script file that hands JSON over to the page under a name."""
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"{_CALL}'{name}','{quoted}')\n".encode(errors="replace")
