"""The emulated service as a command."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from orchestrator import signals
from orchestrator.commands import profiles
from orchestrator.emulator import Emulator, Profile, serve
from orchestrator.errors import RefusedError


def behaviour(profile: str | None, *, api_key: str, api_secret: str, **replaced: Any) -> Profile:
    """Return how the service is to behave.

    Args:
        profile: A file, or the name of a ready-made one; None for the quickstart's way.
        api_key: The key that it accepts.
        api_secret: Its secret, empty for none.
        replaced: What stands in the place of the profile's own, by the names of `Profile`; None for what does not.

    Raises:
        RefusedError: The profile cannot be used.
    """
    chosen = Profile() if profile is None else profiles.load(profile)
    given = {name: value for name, value in replaced.items() if value is not None}
    return replace(chosen, api_key=api_key, api_secret=api_secret or None, **given)


async def emulate(profile: Profile, *, port: int, cdn_port: int, state_dir: Path | None) -> None:
    """Emulate the service until a signal comes.

    Raises:
        RefusedError: A port is taken, or the state cannot be used.
    """

    def announce(emulator: Emulator) -> None:
        secret = f"export WIRO_API_SECRET={profile.api_secret}" if profile.api_secret else "unset WIRO_API_SECRET"
        sys.stdout.write(
            f"The service is emulated; Ctrl-C ends it. Use it with\n\n"
            f"  export WIRO_BASE_URL={emulator.base_url}\n  export WIRO_SOCKET_URL={emulator.socket_url}\n"
            f"  export WIRO_API_KEY={profile.api_key}\n  {secret}\n"
        )
        sys.stdout.flush()

    try:
        with anyio.CancelScope() as scope, signals.handled(lambda _: scope.cancel()):
            await serve(profile, announce=announce, state_dir=state_dir, port=port, cdn_port=cdn_port)
    except (OSError, ValueError) as error:
        raise RefusedError(f"The emulator cannot start: {error}. Choose another --port or --state.") from error
