"""What runs have learned of a model, kept for the next one among the user's own files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from orchestrator.drafts import replace_for_good

FOLDER: Final = "run-times"
LARGEST_BYTES: Final = 100_000


class Experience:
    """One file of JSON for a model of a service. Without it, or where it is damaged, a run learns anew."""

    def __init__(self, state: Path | None, service: str, model: str) -> None:
        """Say of what it is.

        Args:
            state: The folder of what is remembered between runs; None remembers nothing.
            service: What stands for the service, such as its address.
            model: `owner/model`.
        """
        digest = hashlib.sha256(f"{service}\n{model}".encode()).hexdigest()
        self._path = None if state is None else state / FOLDER / f"{digest[:20]}.json"

    def remembered(self) -> Any:
        """Return what was kept; None where nothing was, or where it cannot be read."""
        if self._path is None:
            return None
        try:
            with self._path.open(encoding="utf-8") as file:
                return json.loads(file.read(LARGEST_BYTES))
        except (OSError, ValueError, RecursionError):
            return None

    def keep(self, learned: Any) -> None:
        """Keep JSON in place of what was kept before, whole or not at all; None keeps what is there."""
        if self._path is None or learned is None:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_for_good(self._path, [json.dumps(learned).encode()])
        except OSError:  # a full disk or a folder that is not ours costs a few looks, and no more
            return
