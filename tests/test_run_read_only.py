"""A run folder that nobody can write: it can be looked at, and whoever would change it says why that cannot be."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.errors import Exit
from orchestrator.ledger import Fact
from orchestrator.runs import RunFolder

MOUNTED = 'mount -o bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
COMMANDS = """
import io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout
from orchestrator.cli import app
from orchestrator.reporting import reported

folder, *commands = sys.argv[1:]
if os.access(folder, os.W_OK):
    sys.exit("it can be written")
for command in commands:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = reported(lambda: app([command, folder], standalone_mode=False), os.environ)
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


def can_mount() -> bool:
    trial = ["unshare", "-m", "mount", "-t", "tmpfs", "trial", "/mnt"]
    return (
        shutil.which("unshare") is not None and subprocess.run(trial, capture_output=True, check=False).returncode == 0
    )


@pytest.fixture
def read_only(tmp_path: Path) -> Callable[..., list[tuple[int, str, str]]]:
    """Gives commands to a run folder that cannot be written; returns each one's exit code, stdout and stderr."""

    def give(folder: RunFolder, *commands: str) -> list[tuple[int, str, str]]:
        program = [sys.executable, "-c", COMMANDS, str(folder.path), *commands]
        if os.geteuid() == 0:  # whom no mode of a folder keeps from writing
            if not can_mount():
                pytest.skip("nothing can be mounted here")
            program = ["unshare", "-m", "sh", "-c", MOUNTED, str(folder.path), *program]
        folder.path.chmod(0o500)
        try:
            said = subprocess.run(
                program, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=True, stdin=subprocess.DEVNULL
            )
        finally:
            folder.path.chmod(0o700)
        return [tuple(json.loads(line)) for line in said.stdout.splitlines()]

    return give


@pytest.fixture
def folder(tmp_path: Path, make_run: Callable[..., RunFolder]) -> RunFolder:
    return make_run(
        tmp_path / "out", {"parameters": {"prompt": "a boat"}, "sweep": {"seed": [1]}}, lambda *_: b"\x89PNG"
    )


def test_it_can_be_looked_at(folder: RunFolder, read_only: Callable[..., list[tuple[int, str, str]]]) -> None:
    held = sorted(path.name for path in folder.path.iterdir())
    status, verify, retry, cancel = read_only(folder, "status", "verify", "retry", "cancel")
    assert (status[0], status[2]) == (Exit.DONE, "")
    assert "1 of 1 tasks ended" in status[1]
    assert (verify[0], verify[1]) == (Exit.DONE, "4 files checked: 4 ok\n")
    for code, out, err in (retry, cancel):
        assert (code, out) == (Exit.REFUSED, "")
        assert err.startswith(f"orchestrator: The run folder {folder.path} cannot be locked: ")
        assert err.count("\n") == 1
    assert sorted(path.name for path in folder.path.iterdir()) == held


@pytest.mark.parametrize("shared", [True, False])
def test_after_a_kill_its_last_commits_are_not_passed_over(
    folder: RunFolder, read_only: Callable[..., list[tuple[int, str, str]]], *, shared: bool
) -> None:
    """They stand in a side file, which SQLite reads there only with the third one that it keeps beside them."""
    kept = folder.path.parent / "kept"
    with closing(sqlite3.connect(folder.ledger, isolation_level=None)) as ledger:
        ledger.execute("INSERT OR REPLACE INTO facts VALUES (?, '1')", (Fact.AT_WORK,))
        ledger.execute("PRAGMA wal_checkpoint")
        ledger.execute("UPDATE facts SET value = '7' WHERE name = 'total'")
        shutil.copytree(folder.path, kept)  # as a kill would leave it
    if not shared:
        (kept / "ledger.sqlite-shm").unlink()
    [(code, out, err)] = read_only(RunFolder(kept), "status")
    if shared:
        assert (code, err) == (Exit.DONE, "")
        assert "1 of 7 tasks ended" in out
    else:
        assert (code, out) == (Exit.STOPPED, "")
        assert f"{kept} cannot be written, and SQLite reads ledger.sqlite-wal" in err
