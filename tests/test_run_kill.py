"""A run that is killed again and again loses nothing and pays for nothing twice."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path

from child import child
from served import served, stats_of

from orchestrator.emulator import Profile

TASKS = 80
KILLS = 5

SERVICE = Profile(balance_usd=Decimal(1000), concurrency=40, run_seconds_median=0.2, plain_bytes=200_000)

RUN = """
import sys
from pathlib import Path
import anyio
from orchestrator.clock import SystemClock
from orchestrator.commands.options import Options
from orchestrator.commands.run import run
from orchestrator.config import Settings
from orchestrator.engines.control import Control
class Watcher:
    def show(self, status):
        print("begun", flush=True)
folder, url = Path(sys.argv[1]), sys.argv[2]
async def main():
    settings = Settings("emulated-key", "emulated-secret", url)
    options = Options(out=folder / "out")
    return await run(
        folder / "job.yaml", options, settings, control=Control(), clock=SystemClock(), watcher=Watcher()
    )
result = anyio.run(main)
print(result.exit_code, result.halt)
sys.exit(result.exit_code)
"""

JOB = {
    "model": "Hevok/Studio-Trigger",
    "parameters": {"samples": 1, "prompt": "a lighthouse at dusk"},
    "limits": {"requests_per_second": 100, "settle_after": "0.5s"},
    "sweep": {"seed": {"from": 1, "to": TASKS, "step": 1}},
}


def process(script: str, *arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return child([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE)


def line_of(run: subprocess.Popen[str]) -> str:
    assert run.stdout is not None
    return run.stdout.readline().strip()


def test_killed_five_times(tmp_path: Path) -> None:
    """Every task is done and paid for once, every file is whole and as the manifest says, and there are no others."""
    dice = random.Random(1)  # noqa: S311 - chooses moments
    (tmp_path / "job.yaml").write_text(json.dumps(JOB))
    with served(SERVICE) as service:
        url = service.base_url
        for _ in range(KILLS):
            with process(RUN, str(tmp_path), url) as run:
                assert line_of(run) == "begun"
                time.sleep(dice.uniform(0.05, 0.6))  # the moment of the kill is what is tested
                run.kill()
                assert run.wait() == -signal.SIGKILL
        with process(RUN, str(tmp_path), url) as run:
            told = run.communicate(timeout=25)[0].splitlines()[-1]
            assert (run.returncode, told) == (0, "0 None")
        stats = stats_of(service)
    assert (stats["accepted"], stats["billed"], stats["double_payments"]) == (TASKS, TASKS, 0)
    assert (stats["active"], stats["leaks"]) == (0, 0)
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(TASKS))
    assert {line["state"] for line in lines} == {"done"}
    told_of = {}
    for line in lines:
        for output in line["outputs"]:
            path = tmp_path / "out" / output["path"]
            assert hashlib.sha256(path.read_bytes()).hexdigest() == output["sha256"]
            told_of[path] = output
    assert len(told_of) == TASKS
    assert {path for path in (tmp_path / "out" / "files").rglob("*") if path.is_file()} == set(told_of)
