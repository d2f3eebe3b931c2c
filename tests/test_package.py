"""The package as it is installed: its metadata, its data, its commands, and how little it takes to start."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"aiohttp", "anyio", "hashlib", "rich", "sqlite3", "yaml", "PIL"}


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=50, check=False
    )


def test_the_metadata_tells_what_a_user_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    known = metadata.metadata("orchestrator")
    assert known["Name"] == "orchestrator"
    assert known["Version"] == project["version"]
    assert known["Requires-Python"] == ">=3.11"
    assert known["License-Expression"] == "MIT"
    assert (ROOT / "LICENSE").read_text("utf-8").startswith("MIT License")


def test_every_declared_library_has_a_lower_bound_and_is_pinned_for_tests() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    pinned = {
        line.partition("==")[0].lower()
        for line in (ROOT / ".ci" / "constraints.txt").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    }
    for text in wanted:
        name, bound, _ = text.partition(">=")
        assert name.startswith("orchestrator[") or (bound and name.lower() in pinned), text


def test_the_constraints_are_versions_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "constraints.txt").read_text("utf-8").splitlines()
    assert all(line.startswith("#") or "==" in line for line in lines)
    assert not [line for line in lines if "/" in line or "@" in line or " -" in line or line.startswith("-")]


def test_the_console_script_is_the_command_line() -> None:
    (script,) = metadata.entry_points(group="console_scripts", name="orchestrator")
    assert script.value == "orchestrator.__main__:main"


@pytest.mark.parametrize(
    "name", ["py.typed", "ledger/versions/1.sql", "wiro/studio_trigger.json", "emulator/catalogue/studio-trigger.json"]
)
def test_data_lies_beside_the_code(name: str) -> None:
    assert resources.files("orchestrator").joinpath(name).is_file()


def test_all_data_goes_into_the_wheel() -> None:
    """The wheel holds the whole folder, so data only has to lie in it: nothing may be excluded."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    assert build["targets"]["wheel"] == {"packages": ["orchestrator"]}
    assert "exclude" not in build


@pytest.mark.parametrize(
    "start",
    [
        "import orchestrator",
        "import contextlib, sys, orchestrator.cli as cli\nwith contextlib.suppress(SystemExit): cli.main()",
    ],
)
def test_nothing_heavy_is_imported_at_the_start(start: str, tmp_path: Path) -> None:
    code = f"{start}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = python("-c", code, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "orchestrator" in done.stdout.split()
    assert not HEAVY & set(done.stdout.split())


def test_the_public_names_are_there(tmp_path: Path) -> None:
    done = python("-W", "error", "-c", "from orchestrator import *\nprint(run, run_async, read_status)", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_it_starts_as_a_module(tmp_path: Path) -> None:
    done = python("-W", "error", "-m", "orchestrator", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Commands:" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a process there cannot send itself Ctrl-C alone")
@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "Interrupted."), (signal.SIGTERM, 143, "Ended by SIGTERM.")]
)
@pytest.mark.parametrize("needed", ["typer", "yaml"])
def test_a_signal_that_comes_before_it_has_begun_is_obeyed_with_a_word(
    tmp_path: Path, number: int, code: int, said: str, needed: str
) -> None:
    """It comes while the command line is read, or what the command needs."""
    module = f"import os\nos.kill(os.getpid(), {number:d})\nraise SystemExit(99)\n"
    (tmp_path / f"{needed}.py").write_text(module, "utf-8")
    done = python("-m", "orchestrator", "plan", "job.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"orchestrator: {said}\n")
