"""The service, emulated in a thread of this process, for commands that are given and processes that are started."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

from anyio.from_thread import start_blocking_portal

from orchestrator.emulator import Emulator, Profile
from orchestrator.emulator.models import CATALOGUE

SHORTEST_SECONDS: Final = 0.1


@contextmanager
def stating(seconds: float) -> Iterator[None]:
    """Let emulators state that a task takes so long; until a run has seen some, it looks when that says so."""
    said = {
        name: replace(model, tool={**model.tool, "computingtime": f"{seconds:.1f} seconds"})
        for name, model in CATALOGUE.items()
    }
    with patch.dict(CATALOGUE, said):
        yield


@contextmanager
def served(profile: Profile, **more: Any) -> Iterator[Emulator]:
    """Let an emulator be there meanwhile, one that states how long its tasks take; see its own arguments."""
    emulator = Emulator(profile, **more)
    usual = stating(max(SHORTEST_SECONDS, profile.queue_seconds[1] + profile.run_seconds_median))
    with usual, start_blocking_portal() as portal, portal.wrap_async_context_manager(emulator) as service:
        yield service


def settings_of(service: Emulator) -> dict[str, str]:
    """Return the settings that lead to it."""
    profile = service.profile
    key = {"WIRO_API_KEY": profile.api_key, "WIRO_API_SECRET": profile.api_secret or ""}
    return {**key, "WIRO_BASE_URL": service.base_url}


def stats_of(service: Emulator) -> dict[str, Any]:
    """Return what it has in its books, as it tells anybody who asks."""
    address = service.base_url.replace("/v1", "/emulator/stats")
    with urllib.request.urlopen(address, timeout=20) as reply:  # noqa: S310 - the emulator's address
        stats: dict[str, Any] = json.load(reply)
    return stats
