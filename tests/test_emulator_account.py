"""The account: limits that follow the money, and a history that can be told again."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from orchestrator.clock import VirtualClock
from orchestrator.emulator.account import Account
from orchestrator.emulator.fates import Fates
from orchestrator.emulator.journal import Record
from orchestrator.emulator.models import find_model
from orchestrator.emulator.profile import Profile
from orchestrator.emulator.refusal import RefusalError
from orchestrator.emulator.stats import Stats

MODEL = find_model("Hevok", "Studio-Trigger")
NO_FAULTS = Fates((), 0, VirtualClock().now, Counter())


@pytest.mark.parametrize(
    ("balance", "limit"),
    [("0", 1), ("9.99", 1), ("19.99", 1), ("20", 2), ("50", 5), ("249.99", 24), ("250", 25), ("250.01", None)],
)
def test_the_limit_is_a_tenth_of_the_balance_up_to_250_dollars(balance: str, limit: int | None) -> None:
    account = Account(Profile(balance_usd=Decimal(balance)), Stats(), NO_FAULTS, VirtualClock().now)
    assert account.limit == limit


def test_the_limit_falls_as_the_balance_falls() -> None:
    clock = VirtualClock()
    account = Account(Profile(balance_usd=Decimal("50.001")), Stats(), NO_FAULTS, clock.now)
    account.accept(MODEL, {"prompt": "x"})
    assert account.limit == 5
    clock.jump(60)
    assert (account.limit, account.balance_usd) == (4, Decimal("49.9870"))


def test_a_history_told_again_gives_the_same_account() -> None:
    clock, stats, history = VirtualClock(), Stats(), list[Record]()
    account = Account(Profile(), stats, NO_FAULTS, clock.now)
    for prompt in ("x", "y", "z [fail]"):
        task, record = account.accept(MODEL, {"prompt": prompt})
        history.append(record)
        clock.jump(60)
        assert account.active == 0
    task, record = account.accept(MODEL, {"prompt": "x"})
    history += [record, account.kill(task)]
    seen = Stats()
    again = Account(Profile(seed=9, queue_seconds=(5, 5)), seen, NO_FAULTS, clock.now)
    for record in history:
        again.apply(record)
    assert again.newest(0, 9) == account.newest(0, 9)
    assert again.balance_usd == account.balance_usd == Decimal("199.972")
    assert (seen.peak_concurrency, len(seen.billed)) == (stats.peak_concurrency, len(stats.billed)) == (1, 2)


def test_ids_grow_over_restarts_and_fates_stay() -> None:
    clock, profile = VirtualClock(), Profile(seed=3)
    first = Account(profile, Stats(), NO_FAULTS, clock.now)
    before = [first.accept(MODEL, {"prompt": "x"})[0] for _ in range(3)]
    clock.jump(60)
    second = Account(profile, Stats(), NO_FAULTS, clock.now)
    after = [second.accept(MODEL, {"prompt": "x"})[0] for _ in range(3)]
    assert before[-1].id < after[0].id
    assert [task.life.run_seconds for task in before] == [task.life.run_seconds for task in after]
    assert second.find(number=str(after[2].id)) is after[2]
    with pytest.raises(RefusalError):
        second.find(number=str(before[2].id))


def test_ids_go_on_where_a_history_ended() -> None:
    clock = VirtualClock()
    first = Account(Profile(), Stats(), NO_FAULTS, clock.now)
    task, record = first.accept(MODEL, {"prompt": "x"})
    clock.jump(60)
    again = Account(Profile(), Stats(), NO_FAULTS, clock.now)
    again.apply(record)
    assert again.accept(MODEL, {"prompt": "y"})[0].id == task.id + 1


def test_an_unknown_event_is_said() -> None:
    with pytest.raises(ValueError, match="event that is not known: lost"):
        Account(Profile(), Stats(), NO_FAULTS, VirtualClock().now).apply({"event": "lost"})


def test_a_refused_task_leaves_no_trace() -> None:
    stats = Stats()
    account = Account(Profile(balance_usd=Decimal("0.01")), stats, NO_FAULTS, VirtualClock().now)
    with pytest.raises(RefusalError):
        account.accept(MODEL, {"prompt": "x"})
    assert (account.active, account.newest(0, 9), stats.accepted) == (0, ([], 0), [])
    account.accept(MODEL, {"prompt": "x", "samples": 1})
