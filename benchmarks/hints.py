"""Calls for each task, and how late its end is seen, where the service tells of it: on real connections, in real time.

    python benchmarks/hints.py

The program runs a job of tasks that take 6 s (median, lognormal) against the emulator in the same process, once for
each way of being told and for sockets that go wrong. The lag is the time from a task's end on the service to the
look that saw it, as the ledger has it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import anyio
from goals import Goal

from orchestrator.clock import SystemClock
from orchestrator.commands.options import Options
from orchestrator.commands.run import run
from orchestrator.config import Settings
from orchestrator.emulator import Emulator, Fault, Profile
from orchestrator.engines.control import Control
from orchestrator.ledger import SqliteLedger
from orchestrator.runs import RunFolder
from orchestrator.status import Status

AT_ONCE = 25
SERVICE: dict[str, Any] = {
    "plain_bytes": 20_000,
    "queue_seconds": (0.0, 0.0),
    "run_seconds_median": 6.0,
    "balance_usd": Decimal(10**6),
}
WEBHOOK = {"tracking": "webhook", "callback_url": "https://localhost.invalid", "callback_bind": "127.0.0.1:0"}
WAYS: dict[str, tuple[dict[str, Any], tuple[Fault, ...]]] = {
    "looks alone": ({"tracking": "poll"}, ()),
    "the socket": ({"tracking": "socket"}, ()),
    "callbacks": (WEBHOOK, ()),
    "a socket that says nothing": ({"tracking": "socket"}, (Fault(place="socket", kind="silent"),)),
    "a socket that lies": ({"tracking": "socket"}, (Fault(place="socket", kind="lies"),)),
    "a socket that drops after a second": (
        {"tracking": "socket"},
        (Fault(place="socket", kind="lost", after_seconds=1.0),),
    ),
}


@dataclass(frozen=True)
class Found:
    """What a way of being told needs: calls of `/Task/Detail`, seconds of lag of each task, seconds of CPU."""

    calls: int
    lags: list[float]
    cpu_seconds: float


class Blind:
    """Watches nothing."""

    def show(self, status: Status) -> None:
        """See `Watcher.show`."""


async def measured(job: dict[str, Any], faults: tuple[Fault, ...], tasks: int, folder: Path) -> Found:
    """Run a job and return what it needed."""
    text = {
        "model": "Hevok/Studio-Trigger",
        "parameters": {"prompt": "a boat", "samples": 1},
        "sweep": {"seed": {"from": 1, "to": tasks, "step": 1}},
        "limits": {"requests_per_second": 50, "concurrency": AT_ONCE},
        **job,
    }
    (folder / "job.yaml").write_text(json.dumps(text))
    profile = Profile(faults=faults, **SERVICE)
    emulate = job["tracking"] == "webhook"  # callbacks go to this machine only there
    began = time.process_time()
    async with Emulator(profile) as service:
        settings = Settings(profile.api_key, profile.api_secret, service.base_url, service.socket_url)
        options = Options(out=folder / "out", emulate=emulate, profile=profile if emulate else None)
        path, clock = folder / "job.yaml", SystemClock()
        result = await run(path, options, settings, control=Control(), clock=clock, watcher=Blind())
        assert result.exit_code == 0
    spent = time.process_time() - began
    lags = await anyio.to_thread.run_sync(lags_of, folder / "out")
    return Found(result.status.calls["Task/Detail"], lags, spent)


def lags_of(folder: Path) -> list[float]:
    """Return how late each end was seen; nothing waits in the queue here, and the emulator tells how long it ran."""
    with SqliteLedger(RunFolder(folder).ledger, read_only=True) as store:
        sent = [record.sent for record in store.everything()]
    lags = []
    for each in sent:
        assert each.ended_at
        assert each.submitted_at
        assert each.elapsed_seconds is not None
        lags.append(each.ended_at - each.submitted_at - each.elapsed_seconds)
    return lags


def main() -> None:
    """Measure every way and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=150)
    parser.add_argument("--only", help="ways whose names hold this word")
    arguments = parser.parse_args()
    told: tuple[float, float] | None = None
    print("| told by | calls per task | median lag | 95 % of lags | CPU ms per task |")
    print("| --- | --- | --- | --- | --- |")
    for name, (job, faults) in WAYS.items():
        if arguments.only and arguments.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = anyio.run(measured, job, faults, arguments.tasks, Path(folder))
        calls, cpu = found.calls / len(found.lags), 1000 * found.cpu_seconds / len(found.lags)
        late = quantiles(found.lags, n=20)[-1]
        print(f"| {name} | {calls:.2f} | {median(found.lags):.2f} s | {late:.2f} s | {cpu:.0f} |", flush=True)
        if name == "the socket":
            told = calls, median(found.lags)
    if told:
        Goal("looks for each task with the socket", told[0], 1.1).tell()
        Goal("median lag with the socket", told[1], 0.1, unit=" s").tell()


if __name__ == "__main__":
    main()
