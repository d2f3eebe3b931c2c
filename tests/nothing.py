"""Where a run stands in which nothing has happened yet."""

from __future__ import annotations

from typing import Final

from orchestrator.lifecycle import State
from orchestrator.money import FREE
from orchestrator.status import Status

NOTHING: Final = Status(
    state="stopped",
    counts=dict.fromkeys(State, 0),
    cost_usd=FREE,
    reserved_usd=FREE,
    saved_usd=FREE,
    attempts=0,
    calls={},
    uncertain=0,
    adopted=0,
    resubmitted=0,
    started_at=None,
    updated_at=None,
    seconds_left=None,
)
