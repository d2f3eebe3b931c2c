"""Every benchmark, one after the other: each prints its table.

    python benchmarks/all.py

Takes a quarter of an hour on two cores. `--only` names some of them: sweep, start, limits, plan, polling, kills.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

SCRIPTS = {
    "sweep": ("A whole sweep", "sweep.py", "--tasks", "2000"),
    "start": ("The first submit", "start.py"),
    "limits": ("Limits", "limits.py"),
    "plan": ("A plan of a million tasks", "plan.py"),
    "polling": ("Looking at tasks", "polling.py"),
    "kills": ("Kills", "kills.py"),
}


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS), metavar="NAME")
    chosen = parser.parse_args().only
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    print(f"{machine}, aiohttp {version('aiohttp')}", flush=True)
    failed = []
    for name in chosen:
        title, script, *arguments = SCRIPTS[name]
        print(f"\n## {title}", flush=True)
        command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"These did not come to their end: {', '.join(failed)}")


if __name__ == "__main__":
    main()
