"""A sweep that is killed again and again, and what was paid for in the end.

    python benchmarks/kills.py --tasks 500 --kills 5 --seed 1

The emulated service runs in a process of its own and is not killed. The sweep is killed with SIGKILL at
random moments, then run to its end; what the service billed, the manifest and the files are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

EMULATOR = """
import anyio
from decimal import Decimal
from orchestrator.emulator import Profile, serve
profile = Profile(plain_bytes=20_000, balance_usd=Decimal(10**6))
anyio.run(lambda: serve(profile, announce=lambda emulator: print(emulator.base_url, flush=True)))
"""

JOB = """
name: kills
model: Hevok/Studio-Trigger
parameters: {{steps: 20, samples: 1}}
sweep:
  prompt: [a lighthouse at dusk]
  seed: {{from: 1, to: {tasks}, step: 1}}
limits: {{requests_per_second: 100, concurrency: 64, settle_after: 2s}}
"""


def main() -> None:
    """Run, kill, run to the end, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    emulator = subprocess.Popen([sys.executable, "-c", EMULATOR], stdout=subprocess.PIPE, text=True)
    try:
        base_url = (emulator.stdout or sys.stdin).readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            run(Path(folder), base_url, arguments.tasks, arguments.kills, random.Random(arguments.seed))
    finally:
        emulator.terminate()
        emulator.wait()


def run(folder: Path, base_url: str, tasks: int, kills: int, dice: random.Random) -> None:
    """Kill a sweep so many times, let it finish, and print what the service and the folder say."""
    job, out = folder / "job.yaml", folder / "run"
    job.write_text(JOB.format(tasks=tasks))
    command = [sys.executable, "-m", "orchestrator", "run", str(job), "--out", str(out), "--progress", "off"]
    key = {"WIRO_API_KEY": "emulated-key", "WIRO_API_SECRET": "emulated-secret"}
    environment = os.environ | {"WIRO_BASE_URL": base_url} | key
    for _ in range(kills):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        time.sleep(dice.uniform(0.8, 4.0))
        process.kill()
        process.wait()
        print("killed; tasks by state:", json.loads(ledger_status(out, environment))["counts"])
    last = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    with urllib.request.urlopen(base_url.removesuffix("/v1") + "/emulator/stats") as reply:
        stats: dict[str, Any] = json.load(reply)
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    status = json.loads(ledger_status(out, environment))
    print(f"exit code of the last run: {last.returncode}")
    print(f"paid: {len_or(stats['accepted'])} of {tasks} tasks, {stats['double_payments']} twice")
    print(
        f"manifest: {sum(line['state'] == 'done' for line in lines)} done, {len({x['task'] for x in lines})} different"
    )
    print(f"files that do not fit their line: {sum(not fits(out, o) for line in lines for o in line['outputs'])}")
    print(f"files beside them: {sum(1 for path in (out / 'files').rglob('*') if path.is_file()) - len(lines)}")
    print(f"uncertain {status['uncertain']}, adopted {status['adopted']}, sent again {status['resubmitted']}")


def fits(out: Path, output: dict[str, Any]) -> bool:
    """Return whether a file is what its manifest line says."""
    data = (out / output["path"]).read_bytes()
    return len(data) == output["bytes"] and hashlib.sha256(data).hexdigest() == output["sha256"]


def ledger_status(out: Path, environment: dict[str, str]) -> str:
    """Return what `status --json` prints."""
    command = [sys.executable, "-m", "orchestrator", "status", str(out), "--json"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def len_or(value: Any) -> int:
    """Return a count that is given as such or as a list."""
    return value if isinstance(value, int) else len(value)


if __name__ == "__main__":
    main()
