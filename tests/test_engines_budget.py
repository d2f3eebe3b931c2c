"""The cap is never passed, whatever runs at the same time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from hypothesis import given, settings, strategies as st

from orchestrator.engines.budget import UNKNOWN, Budget, reserve_usd
from orchestrator.ledger import Totals
from orchestrator.lifecycle import Ending, Record, State
from orchestrator.money import FREE, MOST_USD
from orchestrator.tasks import Task

CENTS = st.integers(1, 50).map(lambda cents: Decimal(cents) / 100)


def totals() -> Totals:
    none = dict.fromkeys(State, 0)
    return Totals(dict(none), dict(none), FREE, FREE, FREE, {})


@dataclass
class Running:
    """A task with its price, and how far it has come."""

    price: Decimal
    record: Record
    stage: int = 0


@given(st.lists(CENTS, max_size=30), st.integers(0, 500).map(lambda cents: Decimal(cents) / 100), st.data())
def test_with_exact_prices_the_cap_is_never_passed(prices: list[Decimal], cap: Decimal, data: st.DataObject) -> None:
    """Tasks are held, intended, accepted, refused, paid and failed in any order; what is paid stays below the cap."""
    budget, sums, paid = Budget(cap), totals(), FREE
    waiting = [Running(price, Record(Task(str(n), n, {}, {}, {}, "x"))) for n, price in enumerate(prices)]
    running: list[Running] = []

    def move(task: Running, after: Record) -> None:
        sums.apply(task.record, after, dropped=False)
        task.record = after

    while waiting or running:
        if waiting and (not running or data.draw(st.booleans())):
            task = waiting.pop()
            if budget.fits(task.price, sums):
                budget.held_usd += task.price
                running.append(task)
            continue
        task = data.draw(st.sampled_from(running))
        ending = Ending("task_postprocess_end", 0, task.price, 1.0, 1.0)
        if task.stage == 0:
            move(task, task.record.intended(0.0, task.price, None))
        elif task.stage == 1:
            refused = data.draw(st.booleans())
            move(task, task.record.not_accepted() if refused else task.record.accepted(task.record.task.id, None, 0.0))
            budget.held_usd -= task.price
            if refused:
                running.remove(task)
        elif data.draw(st.booleans()):
            move(task, task.record.succeeded(ending))
            paid += task.price
            running.remove(task)
        else:
            move(task, task.record.cancelled(replace(ending, cost_usd=FREE)))
            running.remove(task)
        task.stage += 1
        assert paid <= cap
        assert paid + sums.reserved_usd <= cap
    assert budget.held_usd == sums.reserved_usd == FREE
    assert sums.spent_usd == paid


@given(st.lists(CENTS, max_size=12), st.lists(CENTS.map(lambda cents: cents * 5), max_size=4), st.data())
@settings(max_examples=40)
def test_the_cap_holds_over_restarts(prices: list[Decimal], caps: list[Decimal], data: st.DataObject) -> None:
    """Killed at any moment and begun again with any cap: what is known afterwards is what the ledger says alone.

    A request that was out is in doubt; it is found to be accepted, or to be free again. What the service was paid
    never passes the largest cap so far.
    """
    tasks = [Running(price, Record(Task(str(n), n, {}, {}, {}, "x"))) for n, price in enumerate(prices)]
    paid = highest = FREE
    for cap in caps:
        highest = max(highest, cap)
        budget, sums = Budget(cap), totals()
        for task in tasks:
            sums.apply(Record(task.record.task), task.record, dropped=False)
        for _ in range(data.draw(st.integers(0, 40)) if tasks else 0):
            task = data.draw(st.sampled_from(tasks))
            before = after = task.record
            if before.state is State.PENDING and budget.fits(task.price, sums):
                after = before.intended(0.0, task.price, None)
            elif before.state is State.SUBMITTING:
                after = data.draw(
                    st.sampled_from([before.not_accepted(), before.accepted(before.task.id, None, 0.0), before])
                )
            elif before.state is State.RUNNING:
                ended = Ending("task_postprocess_end", 0, task.price, 1.0, 1.0)
                after = data.draw(
                    st.sampled_from([before.succeeded(ended), before.cancelled(replace(ended, cost_usd=FREE))])
                )
                paid += task.price if after.state is State.FETCHING else FREE
            sums.apply(before, after, dropped=False)
            task.record = after
            assert paid + sums.reserved_usd <= highest
            assert paid == sums.spent_usd


def test_no_budget_holds_what_may_cost_anything() -> None:
    assert not Budget(Decimal(10**12)).fits(UNKNOWN, totals())
    assert Budget(None).fits(UNKNOWN, totals())


def test_the_last_cent_may_be_spent_and_no_more() -> None:
    budget, sums = Budget(Decimal("0.10")), totals()
    sums.spent_usd = Decimal("0.05")
    assert budget.fits(Decimal("0.05"), sums)
    assert not budget.fits(Decimal("0.0500001"), sums)
    sums.reserved_usd = Decimal("0.01")
    assert not budget.fits(Decimal("0.05"), sums)
    assert Budget(None).fits(Decimal(10**9), sums)


def test_an_estimate_is_reserved_half_as_much_again() -> None:
    """An exact price counts as it is; else 1.5 times the larger of the estimate and the dearest task so far."""
    assert reserve_usd(Decimal("0.014"), Decimal(9), Decimal(9)) == Decimal("0.014")
    assert reserve_usd(None, Decimal("0.02"), FREE) == Decimal("0.03")
    assert reserve_usd(None, Decimal("0.02"), Decimal("0.1")) == Decimal("0.15")
    assert reserve_usd(None, None, Decimal("0.1")) == Decimal("0.15")


def test_no_more_is_reserved_than_the_ledger_can_add_up() -> None:
    assert reserve_usd(Decimal(10**9), None, FREE) == reserve_usd(None, Decimal(10**9), FREE) == MOST_USD
