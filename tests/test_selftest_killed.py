"""A real run that is really killed, smaller than the command's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from served import stating

from orchestrator.clock import SystemClock
from orchestrator.errors import Exit
from orchestrator.selftest import killed
from orchestrator.selftest.killed import DONE, sweep

SMALL = """
import sys
from orchestrator.cli import main
from orchestrator.selftest import rounds
rounds.HISTORIES = 1
sys.argv = ["orchestrator", "selftest"]
main()
"""
ENVIRONMENT = {
    "PATH": "",
    "PYTHONPATH": str(Path(killed.__file__).parents[2]),
    "WIRO_API_KEY": "nobodys",
    "WIRO_BASE_URL": "https://nowhere.invalid/v1",
    "WIRO_PROXY": "http://nowhere.invalid",
}


@pytest.mark.anyio
async def test_it_is_killed_and_everything_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever key and addresses the environment holds."""
    monkeypatch.setattr(killed, "TASKS", 6)
    monkeypatch.setattr(killed, "KILLS", 1)
    monkeypatch.setattr(killed, "SERVICES", ("calm",))
    monkeypatch.setitem(killed.JOB, "sweep", {"seed": list(range(6))})
    limits: Any = killed.JOB["limits"]
    monkeypatch.setitem(limits, "settle_after", "0.5s")
    with stating(1.0):
        went = await sweep(0, tmp_path, ENVIRONMENT, SystemClock())
    assert (went.ended, [count for count in went.counts if not count.held]) == (DONE, [])
    assert (len(went.killed), len(went.counts)) == (1, 19)


@pytest.mark.anyio
async def test_why_a_process_stopped_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that cannot be run: nobody has to look for the reason in a folder."""
    monkeypatch.setattr(killed, "KILLS", 0)
    monkeypatch.setitem(killed.JOB, "sweep", {"sed": [1]})
    went = await sweep(0, tmp_path, ENVIRONMENT, SystemClock())
    (found,) = went.findings()
    assert not found.held
    assert ": exit code 2, and it said: " in found.said
    assert "Did you mean `seed`?" in found.said


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    """Neither a process nor a file."""
    with subprocess.Popen(
        [sys.executable, "-c", SMALL],
        env={**ENVIRONMENT, "TMPDIR": str(tmp_path), "ORCHESTRATOR_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        while (line := process.stdout.readline()) and "runs in virtual time" not in line:
            pass
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
    assert (process.returncode, said) == (Exit.INTERRUPTED, "orchestrator: Interrupted.\n")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_all_of_it_holds(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "selftest", "--json"],
        env={**ENVIRONMENT, "TMPDIR": str(tmp_path), "ORCHESTRATOR_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["held"], found["rounds"], found["kills"]) == (True, 1, killed.KILLS)
    assert list(tmp_path.iterdir()) == []
