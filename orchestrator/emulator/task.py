"""What the service keeps: tasks and uploaded files."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orchestrator.emulator.bodies import SentFile
from orchestrator.emulator.life import Life
from orchestrator.emulator.models import Model


@dataclass(slots=True)
class Task:
    """A task that was accepted.

    Attributes:
        id: A number that grows.
        token: The task token, 30 letters and digits.
        uuid: Names its folder on the CDN.
        model: What runs.
        parameters: As they were sent.
        price_usd: What it costs if it succeeds.
        life: What becomes of it.
        identity: Tells it from others the same way in each run: model, parameters, and which of equal ones it is.
        deleted: Whether its files were deleted.
        looks: How often its outputs were shown by `/Task/Detail`.
    """

    id: int
    token: str
    uuid: uuid.UUID
    model: Model
    parameters: Mapping[str, Any]
    price_usd: Decimal
    life: Life
    identity: str = ""
    deleted: bool = False
    looks: int = 0

    @property
    def folder(self) -> str:
        """The folder of its outputs on the CDN."""
        return folder_of(self.uuid)


@dataclass(frozen=True)
class Upload:
    """A file that was sent to the service: where it lies on the CDN, and since when (unix seconds)."""

    uuid: uuid.UUID
    file: SentFile
    added_at: float

    @property
    def folder(self) -> str:
        """The folder of the file on the CDN."""
        return folder_of(self.uuid)


def folder_of(name: uuid.UUID) -> str:
    """Return the folder on the CDN that a UUID names: four groups of eight digits."""
    digits = name.hex
    return "-".join(digits[at : at + 8] for at in range(0, 32, 8))
