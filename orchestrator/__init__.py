"""Run a grid of prompts, seeds and schedulers on a hosted image model, and get every picture back.

import orchestrator

result = orchestrator.run("jobs/quickstart.yaml", emulate=True)
print(result.status.counts, result.folder)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.api import Result, Status, read_status, run, run_async
    from orchestrator.errors import OrchestratorError

__all__ = ["OrchestratorError", "Result", "Status", "read_status", "run", "run_async"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first asked for: the command line starts without them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("orchestrator.errors" if name == "OrchestratorError" else "orchestrator.api"), name)
