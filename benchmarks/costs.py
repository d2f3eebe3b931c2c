"""What a command needs of time and of the processor, children included. No script: others use it."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What something took, in seconds of a clock and of processors."""

    seconds: float
    cpu_seconds: float


def timed(command: list[str], environment: Mapping[str, str] | None = None, *, quiet: bool = False) -> Cost:
    """Run a command to its end, its output left out; one that is `quiet` has no say on the screen at all.

    Args:
        command: The program and its arguments.
        environment: In which it runs, this process's own if not given.
        quiet: Whether its complaints are left out too.

    Raises:
        CalledProcessError: It fails.
        TimeoutExpired: It takes longer than ten minutes.
    """
    complaints = subprocess.DEVNULL if quiet else None
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, check=True, timeout=600, stdout=subprocess.DEVNULL, stderr=complaints)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
