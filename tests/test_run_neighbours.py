"""Two processes with one key, one service and the same job in two folders: each gets what is its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
from child import child
from served import served, settings_of, stats_of

from orchestrator.emulator import Emulator, Profile
from orchestrator.errors import Exit

TASKS = 5
LOST = 6

SERVICE = Profile(balance_usd=Decimal(1000), run_seconds_median=0.2, plain_bytes=2000)

JOB = {
    "model": "Hevok/Studio-Trigger",
    "parameters": {"samples": 1, "prompt": "a lighthouse at dusk"},
    "limits": {"requests_per_second": 100, "settle_after": 1},
    "sweep": {"seed": {"from": 1, "to": TASKS, "step": 1}},
}
Process: TypeAlias = AbstractContextManager[subprocess.Popen[str]]


def given(folder: Path, service: Emulator, *command: str, told: int | None = None) -> Process:
    """Give a command in a process of its own."""
    environment = {**os.environ, **settings_of(service), "ORCHESTRATOR_HOME": str(folder / "home")}
    return child([sys.executable, "-m", "orchestrator", *command], stderr=told, cwd=folder, env=environment)


def running(folder: Path, name: str, service: Emulator) -> Process:
    """Run the job in a folder of its own."""
    return given(folder, service, "run", "job.yaml", "--out", name, "--progress", "off")


def remote_ids(folder: Path) -> list[str]:
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    assert {line["state"] for line in lines} == {"done"}
    return [line["remote"]["task_id"] for line in lines]


def lost(endpoint: str, call: int) -> Literal["before", "after"] | None:
    """Lose the replies to the first requests, two of three before anything was accepted."""
    if endpoint != "Run" or call > LOST:
        return None
    return "before" if call % 3 else "after"


def until_accepted(tasks: int, service: Emulator, process: subprocess.Popen[str]) -> None:
    while stats_of(service)["accepted"] < tasks:
        with pytest.raises(subprocess.TimeoutExpired):  # it is at work meanwhile
            process.wait(0.02)


@pytest.mark.parametrize("killed", [pytest.param(False, marks=pytest.mark.long), True])
def test_the_same_job_twice_at_once(tmp_path: Path, killed: bool) -> None:
    """The first requests are lost, some of them after they were accepted: all is paid once, and is somebody's."""
    (tmp_path / "job.yaml").write_text(json.dumps(JOB))
    with served(SERVICE) as service:
        service.lose_replies = lost
        with running(tmp_path, "one", service) as one, running(tmp_path, "two", service) as two:
            if killed:
                until_accepted(LOST // 3, service, two)
                two.send_signal(signal.SIGKILL)
                two.wait()
                with running(tmp_path, "two", service) as again:
                    assert again.wait(40) == 0
            assert one.wait(40) == 0
            assert killed or two.wait(40) == 0
        stats = stats_of(service)
    ids = remote_ids(tmp_path / "one") + remote_ids(tmp_path / "two")
    assert len(set(ids)) == len(ids) == 2 * TASKS
    assert (stats["accepted"], stats["billed"]) == (2 * TASKS, 2 * TASKS)


@pytest.mark.parametrize("killed", [pytest.param(False, marks=pytest.mark.long), True])
def test_limits_hold_for_both_together(tmp_path: Path, killed: bool) -> None:
    """The service counts: no second has more calls, and no more tasks are active, than the job allows."""
    limits = {"requests_per_second": 16, "concurrency": 3, "settle_after": 1}
    (tmp_path / "job.yaml").write_text(json.dumps(JOB | {"limits": limits}))
    with served(replace(SERVICE, rate=16, run_seconds_median=0.4)) as service:
        with running(tmp_path, "one", service) as one:
            until_accepted(2, service, one)
            with running(tmp_path, "two", service) as two:
                until_accepted(4, service, two)
                if killed:
                    one.kill()
                    with running(tmp_path, "one", service) as again:
                        assert again.wait(40) == 0
                assert two.wait(40) == 0
                assert killed or one.wait(40) == 0
        stats = stats_of(service)
    assert stats["refusals"] == {}
    assert stats["accepted"] == 2 * TASKS
    assert stats["peak_concurrency"] <= 3


def test_a_copy_waits_until_nobody_is_at_work_in_the_other(tmp_path: Path) -> None:
    """Both hold the same tasks, and would pay for each of them."""
    (tmp_path / "job.yaml").write_text(json.dumps(JOB | {"limits": {"concurrency": 2}}))
    with served(replace(SERVICE, run_seconds_median=600)) as service:
        with running(tmp_path, "one", service) as one:
            until_accepted(2, service, one)
            shutil.copytree(tmp_path / "one", tmp_path / "two")
            with given(tmp_path, service, "retry", "two", told=subprocess.PIPE) as two:
                _, said = two.communicate(timeout=40)
            assert (two.returncode, said.count("\n")) == (Exit.LOCKED, 1)
            assert f"at work in {tmp_path / 'one'}, and two holds the same run" in said
        assert stats_of(service)["accepted"] == 2
