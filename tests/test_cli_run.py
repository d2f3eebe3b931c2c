"""What `run` prints, however it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from orchestrator.errors import Exit

ROOT = Path(__file__).parent.parent
JOB = """\
model: Hevok/Studio-Trigger
parameters: {samples: 1, prompt: a boat}
sweep: {seed: [1, 2]}
"""
NO_FILE_OVER_150_KB = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
from orchestrator.cli import main
sys.argv = ["orchestrator", *sys.argv[1:]]
main()
"""


def test_a_run_that_breaks_off_still_ends_with_its_object(tmp_path: Path) -> None:
    """The ledger cannot grow: one object on stdout for programs, one sentence on stderr for people, exit 3."""
    (tmp_path / "job.yaml").write_text(JOB)
    done = subprocess.run(
        [
            sys.executable,
            "-B",
            "-c",
            NO_FILE_OVER_150_KB,
            "run",
            "job.yaml",
            "--emulate",
            "--json",
            "--progress",
            "off",
        ],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (Exit.STOPPED, 1), done.stderr
    assert "ledger.sqlite cannot be used" in done.stderr
    told = json.loads(done.stdout)
    assert (told["format"], told["state"], told["counts"]["done"]) == (1, "stopped", 0)
