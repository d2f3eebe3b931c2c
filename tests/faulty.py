"""A bench on which things go wrong, for runs that are to get everything done all the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from bench import INSTANT, MODEL, Bench

from orchestrator.commands.carrying import Result
from orchestrator.commands.prepare import Prepared
from orchestrator.engines import doubts, ending
from orchestrator.engines.forecast import Forecast

PRICE = Decimal("0.0035")
"""What one sample costs on the emulated seed model."""

BRISK = replace(INSTANT, run_seconds_median=1)


@dataclass
class Faulty(Bench):
    """A bench on which things go wrong."""

    asked: int = 0
    model: str = MODEL
    parameters: Mapping[str, int] = field(default_factory=lambda: {"samples": 1})

    async def run(
        self,
        prompts: Sequence[str] = ("a lighthouse",),
        seeds: int = 4,
        attempts: int = 3,
        repeat: int = 1,
        *,
        fail_fast: bool = False,
        insists: bool = False,
        **limits: Any,
    ) -> Result:
        """Run a job of prompts times seeds with these limits, or go on with it."""
        job = {
            "model": self.model,
            "parameters": dict(self.parameters),
            "limits": {"requests_per_second": 1000, "settle_after": 2} | limits,
            "retry": {"attempts": attempts},
            "sweep": {"prompt": list(prompts), "seed": list(range(seeds))},
            "repeat": repeat,
        }
        return await self.carry_out(job, agreed=self.agree, fail_fast=fail_fast, resubmit_uncertain=insists)

    async def agree(self, _: Prepared) -> bool:
        self.asked += 1
        return True

    def assert_paid_once(self, tasks: int) -> None:
        stats = self.service.stats
        assert (len(stats.billed), stats.double_payments) == (tasks, 0)


def look_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have an instant service looked at soon, and asked soon for what was lost."""
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 0.4)
    monkeypatch.setattr(ending, "ENDING_SECONDS", 0.4)
    monkeypatch.setattr(doubts, "FIRST_WAIT_SECONDS", 1.0)
    monkeypatch.setattr(doubts, "LONGEST_WAIT_SECONDS", 2.0)
