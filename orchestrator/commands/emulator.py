"""The emulated service as a command."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from orchestrator import signals
from orchestrator.emulator import Emulator, Profile, serve
from orchestrator.errors import RefusedError


async def emulate(profile: Profile, *, port: int, cdn_port: int, state_dir: Path | None) -> None:
    """Emulate the service until a signal comes.

    Raises:
        RefusedError: A port is taken, or the state cannot be used.
    """

    def announce(emulator: Emulator) -> None:
        secret = f"export WIRO_API_SECRET={profile.api_secret}" if profile.api_secret else "unset WIRO_API_SECRET"
        sys.stdout.write(
            f"The service is emulated; Ctrl-C ends it. Use it with\n\n"
            f"  export WIRO_BASE_URL={emulator.base_url}\n  export WIRO_API_KEY={profile.api_key}\n  {secret}\n"
        )
        sys.stdout.flush()

    try:
        with anyio.CancelScope() as scope, signals.handled(lambda _: scope.cancel()):
            await serve(profile, announce=announce, state_dir=state_dir, port=port, cdn_port=cdn_port)
    except (OSError, ValueError) as error:
        raise RefusedError(f"The emulator cannot start: {error}. Choose another --port or --state.") from error
