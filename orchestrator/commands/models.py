"""The service's catalogue: which models there are, and a job file to start from."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator import money
from orchestrator.clock import Clock
from orchestrator.commands import calling, schema
from orchestrator.config import Settings
from orchestrator.errors import RefusedError
from orchestrator.steps.insist import insist
from orchestrator.sweep import init_text
from orchestrator.wiro import Client, NoSuchModel, Prices, computing_seconds, parse_model, seed_model

FORMAT: Final = 1
PAGE: Final = 50
CALLS_PER_SECOND: Final = 2.0


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the catalogue.

    Attributes:
        name: `owner/model`.
        title: What the service calls it.
        description: One line about it.
        price_usd: What a task with the default parameters costs, as text; None where the service does not say.
        seconds: The computing time that it states.
    """

    name: str
    title: str
    description: str
    price_usd: str | None
    seconds: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the object that `models --json` prints, one a line."""
        return {
            "format": FORMAT,
            "model": self.name,
            "title": self.title,
            "description": self.description,
            "price_usd": self.price_usd,
            "seconds": self.seconds,
        }


async def models(words: str, settings: Settings, *, emulate: bool, clock: Clock) -> list[Model]:
    """Search the catalogue.

    Args:
        words: What to search for; all models where empty.
        settings: Whom to ask.
        emulate: Ask the emulated service instead.
        clock: Time.

    Raises:
        OrchestratorError: The service cannot be asked.
    """

    async def ask(client: Client) -> list[dict[str, Any]]:
        return await client.tools(words, 0, PAGE)

    async with calling.reached(settings, CALLS_PER_SECOND, clock, emulate=emulate) as line:
        found = await insist(ask, line.calls, clock=clock, random=random.random)
    return [_model(tool) for tool in found]


async def first_job(name: str, settings: Settings, *, emulate: bool, clock: Clock) -> tuple[str, tuple[str, ...]]:
    """Return a commented job file made from a model's schema, and warnings about it.

    Args:
        name: `owner/model`.
        settings: Whom to ask; the seed model's schema is built in.
        emulate: Ask the emulated service instead.
        clock: Time.

    Raises:
        RefusedError: The name has another form, or there is no such model.
        OrchestratorError: The service cannot be asked, and did not say before.
    """
    try:
        parse_model(name)
    except ValueError as error:
        raise RefusedError(
            f"{name} is not a model's name: write owner/model, the last two parts of its address."
        ) from error
    tool: Mapping[str, Any] = seed_model()
    if f"{tool['slugowner']}/{tool['slugproject']}" == name:
        return init_text(name, tool), ()
    try:
        tool, warnings = await schema.asked_or_kept(
            name, settings, clock, calls_per_second=CALLS_PER_SECOND, emulate=emulate
        )
    except NoSuchModel as error:
        hint = "`orchestrator models WORDS` searches the catalogue."
        raise RefusedError(f"The service has no model {name} ({error.message}). {hint}") from error
    return init_text(name, tool), warnings


def _model(tool: Mapping[str, Any]) -> Model:
    price = Prices(tool).of({})
    return Model(
        name=f"{_line(tool.get('slugowner'))}/{_line(tool.get('slugproject'))}",
        title=_line(tool.get("title")),
        description=_line(tool.get("description")),
        price_usd=None if price is None else money.text(price.usd),
        seconds=computing_seconds(tool),
    )


def _line(value: object) -> str:
    """Return foreign words as one line that is safe to print."""
    text = value if isinstance(value, str) else ""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]
