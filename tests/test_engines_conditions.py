"""Bad conditions, each for a whole run in virtual time: the run comes to its end, soon, and breaks no promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from orchestrator.simulation import Event, History, Played, play
from orchestrator.simulation.service import Remote, Request, Service
from orchestrator.simulation.world import World
from orchestrator.wiro import Accepted, RemoteTask, WiroError

USUAL = History(seed=3, seeds=60, rate=20.0, places=10, run_seconds=8.0, latency_seconds=0.05)


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The ledger writes in the one thread there is, so that time stands still meanwhile."""


@dataclass
class Account(Service):
    """The service, and what may come over it.

    Attributes:
        places: How many tasks may run, by the seconds since the beginning.
        slower: How many times as long as usual a task takes, by its number.
        sleeps_at: When, in seconds since the beginning, all that runs has ended at once.
        refusals: When it had no place.
    """

    places: Callable[[float], int] = lambda _: USUAL.places
    slower: Callable[[int], float] = lambda _: 1.0
    sleeps_at: float | None = None
    refusals: list[float] = field(default_factory=list)

    def detail(self, number: int, now: float) -> RemoteTask:
        """Show a task; at the first look after the nap all that ran has ended."""
        if self.sleeps_at is not None and now - self.began_at >= self.sleeps_at:
            for each in self.ours:
                if each.accepted_at <= self.began_at + self.sleeps_at:
                    each.ends_at = min(each.ends_at, self.began_at + self.sleeps_at)
        return super().detail(number, now)

    def _refusal(self, now: float) -> WiroError | None:
        self.history = replace(self.history, places=self.places(now - self.began_at))
        error = super()._refusal(now)
        if error is not None:
            self.refusals.append(now - self.began_at)
        return error

    def _accept(self, request: Request, now: float) -> Accepted:
        accepted = super()._accept(request, now)
        remote: Remote = self.ours[-1]
        remote.ends_at = now + (remote.ends_at - now) * self.slower(len(self.ours))
        return accepted


def played(history: History, **over: object) -> tuple[Account, Played, float]:
    """Play a history to its end; return the account, the verdict and how many seconds it took."""
    accounts = []

    def opened(history: History, began_at: float) -> Account:
        accounts.append(Account(history, began_at, **over))  # type: ignore[arg-type]  # each as its attribute
        return accounts[-1]

    verdict = play(history, opened)
    assert verdict.violation is None
    assert (verdict.starts, verdict.paid) == (1, history.tasks)
    ended = next(at for at, what in reversed(verdict.story) if what.startswith("it ends"))
    return accounts[0], verdict, ended


def calls(verdict: Played, endpoint: str) -> list[float]:
    return [at for at, what in verdict.story if what == f"{endpoint} is written"]


def test_a_limit_that_drops_to_one_and_rises_again() -> None:
    """It is neither hammered while it is low nor left unused for long once it is high again."""
    moved = replace(USUAL, places=1, events=(Event("hour full", at=20.0),))  # the rules go by the fewest there are
    account, _, seconds = played(moved, places=lambda passed: 1 if 20 < passed < 200 else 10)
    low = [at for at in account.refusals if 20 < at < 200]
    assert len(low) <= 12
    assert seconds < 200 + 200


@pytest.mark.parametrize("places", [3, 25])
def test_a_limit_that_nobody_tells(places: int) -> None:
    """It is found, kept full, and seldom run against."""
    history = replace(USUAL, seeds=30 * places // 3 if places < 10 else 150, places=places)
    account, _, seconds = played(history, places=lambda _: places)
    assert len(account.refusals) <= 6
    assert seconds < 1.25 * history.tasks * history.run_seconds / places + 15


def test_calls_that_are_too_fast_without_a_word_of_when_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a minute every call is answered with 429: it is asked seldom, and soon after it is over all goes on."""
    chance = World.chance
    monkeypatch.setattr(World, "chance", lambda self, *key: 0.9 if key == ("retry after",) else chance(self, *key))
    storm = Event("hour storm", at=10.0, seconds=60.0)
    _, verdict, seconds = played(replace(USUAL, events=(storm,)))
    assert sum(10 <= at < 70 for at, what in verdict.story if what.endswith("is written")) <= 60
    assert seconds < 60 + 120


def test_a_rate_that_drops_to_one_and_rises_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told nothing but that calls are too fast: few are refused, and a minute after the rise it is in full swing."""
    chance, weather = World.chance, World.weather
    taken: list[float] = []
    refused: list[float] = []

    def too_fast(world: World, kind: str) -> bool:
        if kind != "storm":
            return weather(world, kind)
        at = world.passed()
        late = sum(each > at - 1 for each in taken[-20:]) >= (1 if 20 <= at < 80 else 20)
        (refused if late else taken).append(at)
        return late

    monkeypatch.setattr(World, "chance", lambda self, *key: 0.9 if key == ("retry after",) else chance(self, *key))
    monkeypatch.setattr(World, "weather", too_fast)
    played(replace(USUAL, seeds=300, places=200, run_seconds=4.0))
    assert len(refused) <= 25
    assert sum(140 <= at < 150 for at in taken) >= 100


def test_a_service_that_becomes_twenty_times_slower() -> None:
    """Nobody takes a task for lost, and the looks become rarer with it."""
    slow = replace(USUAL, run_seconds=160.0)
    _, verdict, seconds = played(slow, slower=lambda number: 1.0 if number > 30 else 0.05)
    assert seconds < 24 + 3 * 240 + 60
    assert len(calls(verdict, "/Task/Detail")) < 30 * 8 + 30 * 40


@pytest.mark.parametrize("leap", [-7200.0, -90.0, 90.0, 86_400.0])
def test_a_clock_that_jumps(leap: float) -> None:
    """The run takes as long as it does with a clock that goes well, and no longer by more than a few seconds."""
    _, verdict, steady = played(USUAL)
    jumps = tuple(Event("clock jumps", at=at, seconds=leap) for at in (10.0, 25.0))
    _, jumpy, seconds = played(replace(USUAL, events=jumps))
    assert seconds < steady + 10
    assert len(calls(jumpy, "/Task/Detail")) < len(calls(verdict, "/Task/Detail")) + 3 * USUAL.places


def test_a_laptop_that_sleeps() -> None:
    """What ended meanwhile is seen within seconds of waking, not when it would have been looked at."""
    nap = Event("clock jumps", at=300.0, seconds=8 * 3600.0)
    slow = replace(USUAL, seeds=10, run_seconds=1200.0, events=(nap,))
    _, verdict, seconds = played(slow, sleeps_at=300.0)
    assert seconds < 300 + 10
    assert len([at for at in calls(verdict, "/Task/Detail") if at > 295]) <= 2 * slow.tasks


@pytest.mark.parametrize("latency", [0.05, 0.5])
def test_latency_costs_no_more_than_itself(latency: float) -> None:
    """Ten places for a minute's work: a round trip or two and a look's lag for each task, and nothing else."""
    history = replace(USUAL, latency_seconds=latency)
    _, _, seconds = played(history)
    rounds = history.tasks / history.places
    assert seconds < rounds * (history.run_seconds + 2 * latency + 1.5) + 10
