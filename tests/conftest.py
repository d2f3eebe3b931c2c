"""What every test runs under: one backend, and an error for each blocking call in the event loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

RECORDINGS = Path(__file__).parent / "recordings"


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"debug": False}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> Iterator[None]:
    with blockbuster_ctx("orchestrator"):
        yield


@pytest.fixture(autouse=True, scope="session")
def nothing_is_kept_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What outlives a run folder is kept in a folder of the tests, by the programs that they start too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_HOME", str(tmp_path_factory.mktemp("kept")))
        yield
