"""The service, emulated in a thread of this process, for commands that are given and processes that are started."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anyio.from_thread import start_blocking_portal

from orchestrator.emulator import Emulator, Profile


@contextmanager
def served(profile: Profile, **more: Any) -> Iterator[Emulator]:
    """Let an emulator be there meanwhile; see its own arguments."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Emulator(profile, **more)) as service:
        yield service


def settings_of(service: Emulator) -> dict[str, str]:
    """Return the settings that lead to it."""
    profile = service.profile
    key = {"WIRO_API_KEY": profile.api_key, "WIRO_API_SECRET": profile.api_secret or ""}
    return {**key, "WIRO_BASE_URL": service.base_url}


def stats_of(service: Emulator) -> dict[str, Any]:
    """Return what it has in its books, as it tells anybody who asks."""
    address = service.base_url.replace("/v1", "/emulator/stats")
    with urllib.request.urlopen(address) as reply:  # noqa: S310 - the emulator's address
        stats: dict[str, Any] = json.load(reply)
    return stats
