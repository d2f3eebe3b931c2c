"""A sweep that is killed again and again on a service that fails, and what was paid for in the end.

    python benchmarks/kills.py --tasks 1000 --kills 20 --seed 1 --profile benchmarks/kills.yaml

The emulated service runs in a process of its own and is not killed. The sweep is killed with SIGKILL at
random moments, then run to its end; what the service billed, the manifest and the files are compared.
It ends with exit code 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = (sys.executable, "-m", "orchestrator")
LONGEST_SECONDS = 900.0
DOUBTS = ("uncertain", "adopted", "resubmitted")

JOB = """
name: kills
model: Hevok/Studio-Trigger
parameters: {{steps: 20, samples: 1}}
sweep:
  prompt: [a lighthouse at dusk]
  seed: {{from: 1, to: {tasks}, step: 1}}
limits: {{requests_per_second: 100, concurrency: 64, settle_after: 5s}}
"""


def main() -> None:
    """Run, kill, run to the end, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="chooses the moments of the kills, and the faults")
    parser.add_argument("--profile", default=str(Path(__file__).with_suffix(".yaml")), help="how the service behaves")
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder, service(arguments.profile, arguments.seed) as environment:
        job, out = Path(folder) / "job.yaml", Path(folder) / "run"
        job.write_text(JOB.format(tasks=arguments.tasks))
        command = [*PROGRAM, "run", str(job), "--out", str(out), "--progress", "off"]
        for number in range(arguments.kills):
            accepted = int(arguments.tasks * (number + dice.random()) / arguments.kills)
            kill(command, environment, accepted, dice.uniform(0.0, 0.5))
            print("killed; tasks by state:", status(out, environment)["counts"], flush=True)
        last = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False, timeout=LONGEST_SECONDS)
        well = told(out, environment, arguments.tasks, last.returncode)
    sys.exit(0 if well else 1)


@contextmanager
def service(profile: str, seed: int) -> Iterator[dict[str, str]]:
    """Emulate the service in a process of its own, and give the environment that leads to it."""
    command = [*PROGRAM, "emulator", "--port", "0", "--profile", profile, "--seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = ""
            while "WIRO_API_SECRET" not in said and process.stdout and (line := process.stdout.readline()):
                said += line
            yield os.environ | dict(re.findall(r"export (\w+)=(\S+)", said))
        finally:
            process.terminate()


def kill(command: list[str], environment: dict[str, str], accepted: int, seconds: float) -> None:
    """Run a command, and kill it so long after so many tasks have been accepted, or all that can be."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + LONGEST_SECONDS
    while process.poll() is None and seen(environment)["accepted"] < accepted and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(seconds)
    process.kill()
    process.wait()


def seen(environment: dict[str, str]) -> dict[str, Any]:
    """Return what the service has seen."""
    with urllib.request.urlopen(environment["WIRO_BASE_URL"].removesuffix("/v1") + "/emulator/stats") as reply:
        stats: dict[str, Any] = json.load(reply)
    return stats


def told(out: Path, environment: dict[str, str], tasks: int, exit_code: int) -> bool:
    """Print what the service and the run folder say, and return whether they agree."""
    stats = seen(environment)
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    outputs = {output["path"]: output for line in lines for output in line["outputs"]}
    files = {path.relative_to(out).as_posix() for path in (out / "files").rglob("*") if path.is_file()}
    suspect = {path for path in files if "/.suspect/" in path}
    done = {line["task"] for line in lines if line["state"] == "done"}
    found = status(out, environment)
    counts = {
        "exit code of the last run": (exit_code, 0),
        "tasks done": (len(done), tasks),
        "lines of the manifest": (len(lines), tasks),
        "tasks paid for": (stats["billed"], tasks),
        "paid for twice": (stats["double_payments"], 0),
        "still running": (stats["active"], 0),
        "files that do not fit their line, or are missing": (sum(not fits(out, each) for each in outputs.values()), 0),
        "files beside them": (len(files - suspect - set(outputs)), 0),
        "credentials sent with downloads": (stats["leaks"], 0),
    }
    print("| what | found | should be |\n| --- | --- | --- |")
    for what, (count, wanted) in counts.items():
        print(f"| {what} | {count} | {wanted}{'' if count == wanted else ' **broken**'} |")
    for what in ("faults", "downloads", "calls"):
        print(f"| {what} | {', '.join(f'{name} {number}' for name, number in stats[what].items())} | |")
    print(f"| requests in doubt, adopted, sent again | {', '.join(str(found[name]) for name in DOUBTS)} | |")
    return all(count == wanted for count, wanted in counts.values())


def fits(out: Path, output: dict[str, Any]) -> bool:
    """Return whether a file is what its manifest line says."""
    try:
        data = (out / output["path"]).read_bytes()
    except FileNotFoundError:
        return False
    return (len(data), hashlib.sha256(data).hexdigest()) == (output["bytes"], output["sha256"])


def status(out: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Return what `status --json` prints."""
    command = [*PROGRAM, "status", str(out), "--json"]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout
    found: dict[str, Any] = json.loads(printed) if printed else {"counts": "none yet"}
    return found


if __name__ == "__main__":
    main()
