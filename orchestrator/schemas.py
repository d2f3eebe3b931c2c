"""What the service said of its models, kept beyond run folders for the times when it cannot be asked."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FORMAT: Final = 1
MOST_BYTES: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class KeptSchema:
    """A model's catalogue entry as it once was.

    Attributes:
        tool: The entry, in the form of `Client.tool`.
        age_seconds: How long ago the service said so.
    """

    tool: Mapping[str, Any]
    age_seconds: float


class Schemas:
    """The entries of one service's models, a file each; a file that another program left or damaged is none."""

    def __init__(self, cache: Path | None, service: str) -> None:
        """Use the entries in a folder.

        Args:
            cache: The user's cache folder (see `places`), None to keep nothing.
            service: The base URL.
        """
        self._folder = cache and cache / "models"
        self._service = service

    def keep(self, model: str, tool: Mapping[str, Any], now: float) -> None:
        """Keep an entry, for its owner alone; where the folder cannot be written nothing is kept.

        Args:
            model: `owner/model`.
            tool: What `Client.tool` gave.
            now: Unix time, in seconds.
        """
        if self._folder is None:
            return
        entry = {"format": FORMAT, "service": self._service, "model": model, "asked_at": now, "tool": tool}
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".new")  # readable by its owner alone
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(entry, file, default=str)
                Path(name).replace(self._path(self._folder, model))
            finally:
                Path(name).unlink(missing_ok=True)

    def kept(self, model: str, now: float) -> KeptSchema | None:
        """Return what was kept of a model, None where nothing can be used."""
        if self._folder is None:
            return None
        try:
            with self._path(self._folder, model).open("rb") as file:
                entry = json.loads(file.read(MOST_BYTES))
            head = entry["format"], entry["service"], entry["model"]
            if head != (FORMAT, self._service, model) or not isinstance(entry["tool"], dict):
                return None
            return KeptSchema(entry["tool"], max(0.0, now - float(entry["asked_at"])))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _path(self, folder: Path, model: str) -> Path:
        name = hashlib.sha256(f"{self._service} {model}".encode()).hexdigest()[:32]
        return folder / f"{name}.json"
