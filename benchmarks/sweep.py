"""Tasks per second and CPU per task of a whole sweep over HTTP, beside a plain loop that only writes files.

    python benchmarks/sweep.py --tasks 500

The emulated service runs in a process of its own, answers at once and gives one output of 20 kB a task.
Both clients keep 64 tasks under way. The plain loop submits, asks once a task, downloads and writes: no
ledger, no hashing, no pacing, no manifest, nothing that survives a crash.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from costs import Cost, timed
from goals import Goal

URL_HELP = """the base URL of another service, which answers at once and has the emulator's credentials or your own, as
`orchestrator emulator --profile benchmarks/sweep.yaml` does"""
KEY, SECRET = "emulated-key", "emulated-secret"  # what the emulator accepts
IN_FLIGHT = 64

EMULATOR = """
import anyio
from decimal import Decimal
from orchestrator.emulator import Profile, serve
profile = Profile(queue_seconds=(0, 0), run_seconds_median=0, plain_bytes=20_000, balance_usd=Decimal(10**6))
anyio.run(lambda: serve(profile, announce=lambda emulator: print(emulator.base_url, flush=True)))
"""

JOB = """
name: sweep
model: Hevok/Studio-Trigger
parameters: {{steps: 20, samples: 1}}
sweep:
  prompt: [a lighthouse at dusk]
  seed: {{from: 1, to: {tasks}, step: 1}}
outputs: {{thumbnails: false}}
limits: {{requests_per_second: 100000, concurrency: {in_flight}, max_tasks: 1000000}}
"""


def main() -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--url", help=URL_HELP)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / str(number) for number in range(arguments.rounds)]
        rounds = [measure(arguments.tasks, place, arguments.url) for place in places]
    tasks = arguments.tasks
    print(f"{tasks} tasks, {IN_FLIGHT} in flight, best of {arguments.rounds} rounds, start-up taken off")
    print("| client | tasks/s | CPU ms per task |\n| --- | --- | --- |")
    best = {name: min((each[name] for each in rounds), key=lambda cost: cost.cpu_seconds) for name in rounds[0]}
    for name, cost in best.items():
        print(f"| {name} | {tasks / cost.seconds:.0f} | {1000 * cost.cpu_seconds / tasks:.2f} |")
    ratios = [each["orchestrator"].cpu_seconds / each["plain loop"].cpu_seconds for each in rounds]
    print(f"\nCPU per task against the plain loop: {min(ratios):.2f} (rounds: {', '.join(f'{r:.2f}' for r in ratios)})")
    Goal("CPU per task over a plain loop's", median(ratios), 1.3).tell()


def measure(tasks: int, folder: Path, url: str | None) -> dict[str, Cost]:
    """Run both clients against one service, one after the other."""
    folder.mkdir(parents=True)
    with service(url) as environment:
        return {
            "plain loop": difference(lambda n: plain_command(n, folder), tasks, environment),
            "orchestrator": difference(lambda n: our_command(n, folder), tasks, environment),
        }


@contextmanager
def service(url: str | None = None) -> Iterator[dict[str, str]]:
    """Give the environment in which a command calls a service: the one at an address, else an emulated one.

    The credentials for a given address are those of the environment, if there are any.
    """
    if url is not None:
        told = {"WIRO_API_KEY": KEY, "WIRO_API_SECRET": SECRET, "PYTHONDONTWRITEBYTECODE": ""}
        with tempfile.TemporaryDirectory() as home:
            yield told | os.environ | {"WIRO_BASE_URL": url, "ORCHESTRATOR_HOME": home}
        return
    with (
        tempfile.TemporaryDirectory() as home,
        subprocess.Popen([sys.executable, "-c", EMULATOR], stdout=subprocess.PIPE, text=True) as emulator,
    ):
        try:
            assert emulator.stdout is not None
            base_url = emulator.stdout.readline().strip()
            told = {"WIRO_BASE_URL": base_url, "WIRO_API_KEY": KEY, "WIRO_API_SECRET": SECRET}
            yield os.environ | told | {"ORCHESTRATOR_HOME": home, "PYTHONDONTWRITEBYTECODE": ""}
        finally:
            emulator.terminate()


def difference(command: object, tasks: int, environment: dict[str, str]) -> Cost:
    """Return what the tasks cost beyond a run of a single one."""
    one, all_of_them = timed(command(1), environment), timed(command(tasks), environment)  # type: ignore[operator]  # a function of the number of tasks
    return Cost(all_of_them.seconds - one.seconds, all_of_them.cpu_seconds - one.cpu_seconds)


def our_command(tasks: int, folder: Path) -> list[str]:
    """Return the command that runs a sweep of so many tasks."""
    job = folder / f"job-{tasks}.yaml"
    job.write_text(JOB.format(tasks=tasks, in_flight=IN_FLIGHT))
    out = str(folder / f"run-{tasks}")
    return [sys.executable, "-m", "orchestrator", "run", str(job), "--out", out, "--progress", "off"]


def plain_command(tasks: int, folder: Path) -> list[str]:
    """Return the command that runs the plain loop."""
    return [sys.executable, __file__, "plain", str(tasks), str(folder / f"plain-{tasks}")]


def plain(tasks: int, folder: Path) -> None:
    """Submit, ask until done, download, write: the shortest honest client."""
    import asyncio  # noqa: PLC0415 - only the process that is measured needs it

    import aiohttp  # noqa: PLC0415 - as above

    base_url, key, secret = (os.environ[f"WIRO_{name}"] for name in ("BASE_URL", "API_KEY", "API_SECRET"))
    folder.mkdir(parents=True)

    def headers() -> dict[str, str]:
        nonce = str(time.time_ns())
        signature = hmac.new(key.encode(), (secret + nonce).encode(), hashlib.sha256).hexdigest()
        return {"x-api-key": key, "x-nonce": nonce, "x-signature": signature}

    async def one(session: aiohttp.ClientSession, places: asyncio.Semaphore, seed: int) -> None:
        async with places:
            parameters = {"prompt": "a lighthouse at dusk", "seed": str(seed), "steps": 20, "samples": 1}
            model = f"{base_url}/Run/Hevok/Studio-Trigger"
            token = None
            while token is None:  # refused where so many may not run at once
                async with session.post(model, json=parameters, headers=headers()) as reply:
                    token = (await reply.json()).get("socketaccesstoken")
                if token is None:
                    await asyncio.sleep(0.1)
            while True:
                detail = f"{base_url}/Task/Detail"
                async with session.post(detail, json={"tasktoken": token}, headers=headers()) as reply:
                    task = (await reply.json())["tasklist"][0]
                if task["status"] == "task_postprocess_end":
                    break
                await asyncio.sleep(0.1)
            for number, output in enumerate(task["outputs"]):
                async with session.get(output["url"]) as reply:
                    (folder / f"{seed}-{number}.png").write_bytes(await reply.read())

    async def run_all() -> None:
        places = asyncio.Semaphore(IN_FLIGHT)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(one(session, places, seed) for seed in range(1, tasks + 1)))

    asyncio.run(run_all())
    json.dump({"tasks": tasks}, sys.stdout)


if __name__ == "__main__":
    if sys.argv[1:2] == ["plain"]:
        plain(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
