"""Processes that tests start: none outlives its test, and nobody waits for one without end."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

MOST_SECONDS: Final = 45.0
"""Less than a test may take, so that it is the test that fails, and not its worker that is ended."""


@contextmanager
def child(command: Sequence[str | Path], **settings: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a process for as long as the block lasts; who still reads from it after `MOST_SECONDS` reads its end."""
    with subprocess.Popen(command, text=True, **settings) as process:
        limit = threading.Timer(MOST_SECONDS, process.kill)
        limit.start()
        try:
            yield process
        finally:
            limit.cancel()
            process.kill()
