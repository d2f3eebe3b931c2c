"""What must survive a kill: one JSON line for each change, on file before the reply is sent."""

from __future__ import annotations

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]
"""One change, as JSON values."""


class Journal:
    """An append-only file; changes that come together are written together, in the order of their calls."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="emulator-journal")
        self._lock = asyncio.Lock()
        self._waiting: list[bytes] = []
        self._appended = 0
        self._written = 0

    async def open(self) -> list[Record]:
        """Make the file if there is none, drop a torn last line, and return what the lines before it say.

        Raises:
            OSError: The file cannot be read or written.
            ValueError: A line before the last one is damaged.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._open)

    async def append(self, record: Record) -> None:
        """Return when the record is on file, where it outlives the process.

        Raises:
            OSError: The file cannot be written.
        """
        self._waiting.append(json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")
        self._appended += 1
        number = self._appended
        async with self._lock:
            if self._written >= number:  # a neighbour has written this line along with its own
                return
            lines = self._waiting[:]
            await asyncio.get_running_loop().run_in_executor(self._executor, self._write, b"".join(lines))
            del self._waiting[: len(lines)]
            self._written += len(lines)

    def close(self) -> None:
        """Let the writing thread end."""
        self._executor.shutdown(wait=False)

    def _open(self) -> list[Record]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)  # the tokens in it are for its owner only
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        records = [self._read(number, line) for number, line in enumerate(whole.splitlines(), 1)]
        os.truncate(self._path, len(whole))
        return records

    def _read(self, number: int, line: bytes) -> Record:
        try:
            record: Record = json.loads(line)
        except ValueError as error:
            raise ValueError(f"Line {number} of {self._path} is damaged; move the file away to start anew.") from error
        return record

    def _write(self, lines: bytes) -> None:
        with self._path.open("ab") as file:
            file.write(lines)
