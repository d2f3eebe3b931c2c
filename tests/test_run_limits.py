"""Runs at the limits of the service, the account and the user: none is passed, and all that they allow gets done."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from bench import INSTANT
from faulty import BRISK, PRICE, Faulty, look_soon

from orchestrator.commands.options import Options
from orchestrator.commands.retry import retry
from orchestrator.emulator.faults import Fault
from orchestrator.errors import Exit, RefusedError
from orchestrator.lifecycle import State
from orchestrator.steps.outcomes import Stop

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    look_soon(monkeypatch)


async def test_a_full_service_is_waited_for(tmp_path: Path) -> None:
    """96 is no failure: the number is learned, everything gets done, and few submits are refused."""
    async with Faulty.on(tmp_path, replace(BRISK, concurrency=3)) as bench:
        result = await bench.run(seeds=30)
        assert result.exit_code is Exit.DONE
        bench.assert_paid_once(30)
        stats = bench.service.stats
        assert stats.peak_concurrency == 3
        assert stats.refusals["96"] <= 16
        assert {line["attempts"] for line in bench.manifest()} == {1}


async def test_the_users_number_of_tasks_is_kept(tmp_path: Path) -> None:
    async with Faulty.on(tmp_path, BRISK) as bench:
        await bench.run(seeds=12, concurrency=2)
        assert bench.service.stats.peak_concurrency == 2
        assert not bench.service.stats.refusals


async def test_an_empty_account_stops_and_a_filled_one_goes_on(tmp_path: Path) -> None:
    """97: what runs is finished, the rest stays pending, exit 3 with the reason; the next run goes on."""
    async with Faulty.on(tmp_path, replace(INSTANT, concurrency=1, balance_usd=PRICE * 3 + PRICE / 2)) as bench:
        result = await bench.run(seeds=8)
        assert (result.exit_code, result.halt and result.halt.stop) == (Exit.STOPPED, Stop.BALANCE)
        assert result.halt is not None
        assert "Add funds" in result.halt.message
        counts = result.status.counts
        assert (counts[State.DONE], counts[State.PENDING], sum(counts.values())) == (3, 5, 8)
        bench.service.balance_usd = Decimal(100)
        assert (await bench.run(seeds=8)).exit_code is Exit.DONE
        bench.assert_paid_once(8)


async def test_the_budget_is_kept_over_the_life_of_the_folder(tmp_path: Path) -> None:
    """A cap of five tasks pays for five, however many run at once; a larger cap later counts what was spent."""
    async with Faulty.on(tmp_path, BRISK) as bench:
        result = await bench.run(seeds=12, budget_usd=float(PRICE * 5))
        assert (result.exit_code, result.halt and result.halt.stop) == (Exit.STOPPED, Stop.BUDGET)
        assert (bench.service.stats.billed_usd, len(bench.service.stats.accepted)) == (PRICE * 5, 5)
        result = await bench.run(seeds=12, budget_usd=float(PRICE * 5))
        assert (result.exit_code, len(bench.service.stats.accepted)) == (Exit.STOPPED, 5)
        await bench.run(seeds=12, budget_usd=float(PRICE * 7 + PRICE / 2))
        assert bench.service.stats.billed_usd == PRICE * 7
        assert (await bench.run(seeds=12)).exit_code is Exit.DONE
        bench.assert_paid_once(12)


async def test_the_budget_of_a_retry_is_as_exact_as_a_runs(tmp_path: Path) -> None:
    """All failed unbilled: two fit under the cap of the first retry, and the others wait for a higher one."""
    fails = Fault(place="task", kind="fails", first=4)
    async with Faulty.on(tmp_path, replace(BRISK, faults=(fails,))) as bench:
        assert (await bench.run(attempts=1)).exit_code is Exit.SOME_FAILED
        again = partial(retry, bench.out, settings=bench.settings, pay_again=False)
        result = await again(Options(budget_usd=PRICE * 2 + PRICE / 2), **bench.go)
        assert (result.exit_code, result.halt and result.halt.stop) == (Exit.STOPPED, Stop.BUDGET)
        assert bench.service.stats.billed_usd == PRICE * 2
        assert (await again(Options(budget_usd=PRICE * 4), **bench.go)).exit_code is Exit.DONE
        bench.assert_paid_once(4)


async def test_a_retry_refuses_a_budget_that_nobody_can_keep(tmp_path: Path) -> None:
    """As a run does, where no price is stated."""

    def forget_prices() -> None:
        with bench.out.written() as store, store.transaction(durable=True):
            tool = json.loads(store.fact("tool") or "")
            store.state({"tool": json.dumps({**tool, "dynamicprice": "", "approximatelycost": None, "cps": None})})

    async with Faulty.on(tmp_path, BRISK) as bench:
        await bench.run(seeds=1)
        await anyio.to_thread.run_sync(forget_prices)
        with pytest.raises(RefusedError, match="The service states no price"):
            await retry(bench.out, Options(budget_usd=Decimal(1)), bench.settings, pay_again=False, **bench.go)


async def test_money_that_failures_give_back_is_used(tmp_path: Path) -> None:
    """The cap holds two tasks; the failing ones cost nothing, so that both good ones are made at the end."""
    async with Faulty.on(tmp_path, BRISK) as bench:
        result = await bench.run(["a [fail] boat", "a boat"], seeds=2, attempts=1, budget_usd=float(PRICE * 2))
        assert (result.exit_code, result.halt) == (Exit.SOME_FAILED, None)
        assert (result.status.counts[State.DONE], result.status.cost_usd) == (2, PRICE * 2)


@pytest.mark.parametrize("retry_after", [None, 2.0])
async def test_too_many_calls_slow_the_run_and_nothing_else(tmp_path: Path, retry_after: float | None) -> None:
    async with Faulty.on(tmp_path, replace(INSTANT, rate=5, retry_after_seconds=retry_after)) as bench:
        result = await bench.run(seeds=12)
        assert result.exit_code is Exit.DONE
        bench.assert_paid_once(12)
        assert 0 < bench.service.stats.refusals["429"] <= 40
        assert result.status.uncertain == 0
