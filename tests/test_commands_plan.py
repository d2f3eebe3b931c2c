"""What a plan costs is reckoned with, without building tasks whose prices cannot differ."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orchestrator.clock import SystemClock
from orchestrator.commands.options import Options
from orchestrator.commands.plan import Bill, plan, prepared
from orchestrator.config import Settings

JOB = {"model": "Hevok/Studio-Trigger", "sweep": {"prompt": ["a boat", "a ship"], "seed": [1, 2, 3]}}
PRICE = Decimal("0.0035")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("keys", "one_price", "outputs"),
    [
        ({}, True, 6 * 4),
        ({"include": [{"prompt": "a lamp", "seed": 9}]}, True, 7 * 4),
        ({"include": [{"prompt": "a lamp", "seed": 9, "samples": 1}]}, False, 6 * 4 + 1),
        ({"sweep": {"prompt": ["a boat"], "samples": [1, 2]}}, False, 3),
    ],
)
async def test_prices_are_asked_for_where_they_can_differ(
    tmp_path: Path, keys: dict[str, Any], one_price: bool, outputs: int
) -> None:
    """Rows of `include` and axes matter where they change what the price hangs on, and the sum is right either way."""
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(JOB | keys))
    options = Options(out=tmp_path / "out")
    ready = await prepared(path, options, Settings(), SystemClock())
    assert Bill(ready).one_price is one_price
    assert plan(ready, options).cost_usd == PRICE * outputs


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("keys", "total", "said"),
    [
        ({"exclude": [{"seed": [1, 2, 3]}]}, 0, "The job has no tasks"),
        ({"limits": {"max_tasks": 5}}, 6, "`run` refuses more than 5 tasks"),
        ({"sweep": {"prompt": ["a boat"], "seed": {"from": 1, "to": 10**9, "step": 1}}}, 10**9, "`run` refuses"),
    ],
)
async def test_what_a_run_would_refuse_is_said(tmp_path: Path, keys: dict[str, Any], total: int, said: str) -> None:
    """A job without tasks, and one with too many, however many they are."""
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(JOB | keys))
    options = Options(out=tmp_path / "out")
    found = plan(await prepared(path, options, Settings(), SystemClock()), options)
    assert found.total == total
    assert [warning for warning in found.warnings if warning.startswith(said)]
