"""Two processes with one key, one service and the same job in two folders: each gets what is its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import Exit

TASKS = 5
LOST = 6

SERVE = """
import sys
from decimal import Decimal
import anyio
from orchestrator.emulator import Emulator, Profile
async def main():
    rate, seconds = int(sys.argv[2]) or None, float(sys.argv[3])
    profile = Profile(balance_usd=Decimal(1000), run_seconds_median=seconds, plain_bytes=2000, rate=rate)
    async with Emulator(profile) as emulator:
        lost = lambda n: None if n > int(sys.argv[1]) else "before" if n % 3 else "after"
        emulator.lose_replies = lambda endpoint, n: lost(n) if endpoint == "Run" else None
        print(emulator.base_url, flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""

JOB = {
    "model": "Hevok/Studio-Trigger",
    "parameters": {"samples": 1, "prompt": "a lighthouse at dusk"},
    "limits": {"requests_per_second": 100, "settle_after": 1},
    "sweep": {"seed": {"from": 1, "to": TASKS, "step": 1}},
}


@contextmanager
def process(folder: Path, *arguments: str, url: str = "", told: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run Python with these arguments, and leave nothing of it behind."""
    environment = os.environ | {
        "ORCHESTRATOR_HOME": str(folder / "home"),
        "WIRO_API_KEY": "emulated-key",
        "WIRO_API_SECRET": "emulated-secret",
        "WIRO_BASE_URL": url,
    }
    command = [sys.executable, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=told, text=True, cwd=folder, env=environment
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def running(folder: Path, name: str, url: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """Run the job in a folder of its own."""
    return process(folder, "-m", "orchestrator", "run", "job.yaml", "--out", name, "--progress", "json", url=url)


def line_of(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def stats_of(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url.replace("/v1", "/emulator/stats")) as reply:  # noqa: S310 - the emulator's address
        stats: dict[str, Any] = json.load(reply)
    return stats


def remote_ids(folder: Path) -> list[str]:
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    assert {line["state"] for line in lines} == {"done"}
    return [line["remote"]["task_id"] for line in lines]


@pytest.mark.parametrize("killed", [pytest.param(False, marks=pytest.mark.long), True])
def test_the_same_job_twice_at_once(tmp_path: Path, killed: bool) -> None:
    """The first requests are lost, some of them after they were accepted: all is paid once, and is somebody's."""
    (tmp_path / "job.yaml").write_text(json.dumps(JOB))
    with process(tmp_path, "-c", SERVE, str(LOST), "0", "0.2") as service:
        url = line_of(service)
        with running(tmp_path, "one", url) as one, running(tmp_path, "two", url) as two:
            if killed:
                while stats_of(url)["accepted"] < LOST // 3:
                    assert two.poll() is None
                two.send_signal(signal.SIGKILL)
                two.wait()
                with running(tmp_path, "two", url) as again:
                    assert again.wait(40) == 0
            assert one.wait(40) == 0
            assert killed or two.wait(40) == 0
        stats = stats_of(url)
    ids = remote_ids(tmp_path / "one") + remote_ids(tmp_path / "two")
    assert len(set(ids)) == len(ids) == 2 * TASKS
    assert (stats["accepted"], stats["billed"]) == (2 * TASKS, 2 * TASKS)


@pytest.mark.parametrize("killed", [pytest.param(False, marks=pytest.mark.long), True])
def test_limits_hold_for_both_together(tmp_path: Path, killed: bool) -> None:
    """The service counts: no second has more calls, and no more tasks are active, than the job allows."""
    limits = {"requests_per_second": 8, "concurrency": 3, "settle_after": 1}
    (tmp_path / "job.yaml").write_text(json.dumps(JOB | {"limits": limits}))
    with process(tmp_path, "-c", SERVE, "0", "8", "0.8") as service:
        url = line_of(service)
        with running(tmp_path, "one", url) as one:
            while stats_of(url)["accepted"] < 2:
                assert one.poll() is None
            with running(tmp_path, "two", url) as two:
                while stats_of(url)["accepted"] < 4:
                    assert two.poll() is None
                if killed:
                    one.kill()
                    with running(tmp_path, "one", url) as again:
                        assert again.wait(40) == 0
                assert two.wait(40) == 0
                assert killed or one.wait(40) == 0
        stats = stats_of(url)
    assert stats["refusals"] == {}
    assert stats["accepted"] == 2 * TASKS
    assert stats["peak_concurrency"] <= 3


def test_a_copy_waits_until_nobody_is_at_work_in_the_other(tmp_path: Path) -> None:
    """Both hold the same tasks, and would pay for each of them."""
    (tmp_path / "job.yaml").write_text(json.dumps(JOB | {"limits": {"concurrency": 2}}))
    with process(tmp_path, "-c", SERVE, "0", "0", "600") as service:
        url = line_of(service)
        with running(tmp_path, "one", url) as one:
            while stats_of(url)["accepted"] < 2:
                assert one.poll() is None
            shutil.copytree(tmp_path / "one", tmp_path / "two")
            command = ["-m", "orchestrator", "retry", "two"]
            with process(tmp_path, *command, url=url, told=subprocess.PIPE) as two:
                _, said = two.communicate(timeout=40)
            assert (two.returncode, said.count("\n")) == (Exit.LOCKED, 1)
            assert f"at work in {tmp_path / 'one'}, and two holds the same run" in said
        assert stats_of(url)["accepted"] == 2
