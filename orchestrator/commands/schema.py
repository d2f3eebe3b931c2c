"""Ask the service for a model's schema and prices, or go by what it said before."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import anyio.to_thread

from orchestrator.clock import Clock
from orchestrator.commands import calling
from orchestrator.commands.calling import Line
from orchestrator.commands.prepare import TRY_IT, credentials
from orchestrator.config import Settings
from orchestrator.errors import RefusedError, StoppedError
from orchestrator.schemas import Schemas
from orchestrator.steps.insist import insist
from orchestrator.wiro import Client


async def asked(model: str, line: Line, clock: Clock) -> Mapping[str, Any]:
    """Ask for a model's catalogue entry, and keep it.

    Raises:
        NoSuchModel: The service has no such model.
        StoppedError: It cannot be asked.
    """

    async def ask(client: Client) -> Mapping[str, Any]:
        return await client.tool(model)

    tool = await insist(ask, line.calls, clock=clock, random=random.random)
    await anyio.to_thread.run_sync(line.schemas.keep, model, tool, clock.now())
    return tool


async def asked_or_kept(
    model: str, settings: Settings, clock: Clock, *, calls_per_second: float, emulate: bool, fresh: bool = False
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Ask for a model's catalogue entry; where that is not possible, return the one that was kept.

    Args:
        model: `owner/model`.
        settings: Whom to ask.
        clock: Time.
        calls_per_second: How often to ask at most.
        emulate: Ask the emulated service instead, of which nothing is kept.
        fresh: What was kept will not do.

    Returns:
        The entry, and warnings about it.

    Raises:
        NoSuchModel: The service has no such model.
        OrchestratorError: It cannot be asked, and nothing was kept.
    """
    try:
        if not emulate:
            credentials(settings, TRY_IT)
        async with calling.reached(settings, calls_per_second, clock, emulate=emulate) as line:
            return await asked(model, line, clock), ()
    except (RefusedError, StoppedError) as error:
        schemas = Schemas(None if emulate or fresh else settings.cache, settings.base_url)
        kept = await anyio.to_thread.run_sync(schemas.kept, model, clock.now())
        if kept is None:
            raise
        reason = str(error).split(". ", maxsplit=1)[0].removesuffix(".")
        return kept.tool, (f"The model's schema is as the service gave it {_ago(kept.age_seconds)} ago: {reason}.",)


def _ago(seconds: float) -> str:
    hours = int(seconds // 3600)
    if hours < 2:
        return "an hour" if hours else "less than an hour"
    return f"{hours} hours" if hours < 48 else f"{hours // 24} days"
