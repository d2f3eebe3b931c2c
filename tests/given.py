"""Commands, given as the program takes them, but within this process: nothing is loaded anew for each."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final
from unittest.mock import patch

from orchestrator.cli import app
from orchestrator.reporting import reported

NOBODY: Final[Mapping[str, str]] = MappingProxyType({})
"""Settings without a key."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def give(*arguments: str, cwd: Path, settings: Mapping[str, str] = NOBODY) -> Ended:
    """Give a command in a folder, without a terminal and with no other settings than these."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(cwd), patch.dict(os.environ, settings, clear=True), redirect_stdout(out), redirect_stderr(err):
        code = reported(lambda: app(arguments, standalone_mode=False), os.environ)
    return Ended(code, out.getvalue(), err.getvalue())
