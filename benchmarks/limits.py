"""How much of a limit a run uses, and how often it is refused: rates and places, in virtual time.

    python benchmarks/limits.py

The real engine and ledger run against the simulated service in one process, without its misfortunes; see
`orchestrator/simulation/`. The limit on calls is what the user says. That on places is not told to the program.
There calls arrive in the order and at the distances at which they were written. What the network's jitter costs where
the service counts strictly is measured apart, with the schedule of calls alone.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from goals import Goal

from orchestrator.engines.inspection import Inspections
from orchestrator.engines.schedule import MARGIN, Schedule
from orchestrator.simulation import History, play
from orchestrator.simulation.service import Service
from orchestrator.wiro import WiroError

RATE, PLACES = 20.0, 25
LATENCIES = (0.05, 0.5)
JITTERS: dict[str, Callable[[random.Random], float]] = {
    "up to 0.05 s": lambda dice: dice.uniform(0.0, 0.05),
    "exponential, 0.02 s": lambda dice: dice.expovariate(50.0),
    "exponential, 0.05 s": lambda dice: dice.expovariate(20.0),
}
JITTERY_SECONDS, WAY_SECONDS = 1800.0, 0.05


@dataclass
class Account(Service):
    """The simulated service, which counts.

    Attributes:
        submits: Requests for a task that arrived.
        refusals: Those for which there was no place.
    """

    submits: int = 0
    refusals: int = 0

    def _refusal(self, now: float) -> WiroError | None:
        error = super()._refusal(now)
        self.submits += 1
        self.refusals += error is not None
        return error

    def share(self) -> float:
        """Return which share of the places was taken, from a tenth to nine tenths of the run."""
        ends = max(each.accepted_at for each in self.ours) - self.began_at
        first, last = self.began_at + 0.1 * ends, self.began_at + 0.9 * ends
        held = sum(max(0.0, min(each.ends_at, last) - max(each.accepted_at, first)) for each in self.ours)
        return held / (self.history.places * (last - first))


def played(history: History) -> tuple[Account, list[float]]:
    """Play a history; return the account after it, and when calls were written, seconds since the beginning."""
    accounts: deque[Account] = deque(maxlen=1)

    def opened(history: History, began_at: float) -> Account:
        accounts.append(Account(history, began_at))
        return accounts[0]

    verdict = play(history, opened)
    assert verdict.violation is None, verdict.violation
    return accounts[0], [at for at, what in verdict.story if what.endswith("is written")]


def best_share(seconds: float, latency: float) -> float:
    """Return the largest share of the places that the calls allow, with the best schedule of looks for these run times.

    It knows what they are: evenly spread from half to one and a half times what they are about. A request for a task is
    on its way for 0.6 times the latency on average, and its place is empty meanwhile.
    """
    grid, ends = 2000, [seconds * (0.5 + (each + 0.5) / 500) for each in range(500)]
    moments = [seconds * (0.5 + place / grid) for place in range(grid + 1)]
    masses = [0.0, *([1 / grid] * grid)]
    for power in range(200):
        plan, calls, lag = Inspections(moments, masses, 0.001 * 1.05**power), 1.0, 0.0
        for end in ends:
            look = 0.0
            while look < end:
                look, calls = plan.after(look), calls + 1 / len(ends)
            lag += (look - end) / len(ends)
        around = seconds + lag + 0.6 * latency
        if PLACES / around * calls <= RATE / MARGIN:
            return seconds / around
    raise ValueError("no schedule is slow enough")


class Strict:
    """A service that takes no more than so many calls in any second, counted where they arrive; it says no more."""

    def __init__(self, limit: int) -> None:
        self.taken, self.refused = 0, 0
        self._limit = limit
        self._latest: deque[float] = deque()

    def takes(self, at: float) -> bool:
        """Say whether a call that arrives at that moment, no earlier than the one before, is taken."""
        while self._latest and self._latest[0] <= at - 1.0:
            self._latest.popleft()
        is_taken = len(self._latest) < self._limit
        if is_taken:
            self._latest.append(at)
        self.taken += is_taken
        self.refused += not is_taken
        return is_taken

    @property
    def shares(self) -> tuple[float, float]:
        """Which share of what it takes was taken of it, and which share of the calls was refused."""
        return self.taken / (self._limit * JITTERY_SECONDS), self.refused / (self.taken + self.refused)


def scheduled(limit: int, jitter: Callable[[random.Random], float]) -> Strict:
    """Make calls as soon as the schedule allows for half an hour, each a little late by its jitter."""
    service, made, dice = Strict(limit), Schedule(limit), random.Random(1)
    arriving, refused = list[tuple[float, float]](), list[tuple[float, float]]()  # when, and when it was written
    now = 0.0
    while now < JITTERY_SECONDS:
        arrival, refusal = min(arriving, default=(math.inf, 0.0)), min(refused, default=(math.inf, 0.0))
        now = min(made.earliest(now), arrival[0], refusal[0])
        if now == refusal[0]:
            refused.remove(refusal)
            made.refused(refusal[1], now, None)
        elif now == arrival[0]:
            arriving.remove(arrival)
            if not service.takes(now):
                refused.append((now + WAY_SECONDS, arrival[1]))
        else:
            made.sent(now)
            arriving.append((now + WAY_SECONDS + jitter(dice), now))
    return service


def best_spaced(limit: int, jitter: Callable[[random.Random], float]) -> float:
    """Return the largest share that calls at even distances use, with at most 0.5 % of them refused."""
    found = 0.0
    for wider in range(100, 140):
        service, dice, gap = Strict(limit), random.Random(1), wider / 100 / limit
        for at in sorted(call * gap + jitter(dice) for call in range(int(JITTERY_SECONDS / gap))):
            service.takes(at)
        share, refused = service.shares
        found = max(found, share if refused <= 0.005 else 0.0)
    return found


def tell_jitter() -> None:
    """Print the rows of strict limits where calls arrive at other distances than they were written at."""
    for limit in (20, 10):
        for name, jitter in JITTERS.items():
            share, refused = scheduled(limit, jitter).shares
            shares = f"{share:.1%} | {best_spaced(limit, jitter):.1%}"
            print(
                f"| {limit} calls a second, jitter {name} | {WAY_SECONDS} s | | {shares} | {refused:.2%} |", flush=True
            )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=400)
    tasks = parser.parse_args().tasks
    rates, places = list[tuple[float, float]](), list[tuple[float, float]]()
    print(
        "| limit | latency | tasks take | share used | best possible | refused |\n| --- | --- | --- | --- | --- | --- |"
    )
    for latency in LATENCIES:
        history = History(1, seeds=tasks, rate=RATE, places=10_000, latency_seconds=latency, run_seconds=5.0)
        _, calls = played(history)
        busy = [at for at in calls if 5.0 <= at <= 0.7 * tasks * 2 / RATE]
        share = (len(busy) - 1) / (busy[-1] - busy[0]) / RATE
        over = sum(at - calls[place] < 1.0 for place, at in enumerate(calls[int(RATE) :])) / len(calls)
        rates.append((share, over))
        print(f"| {RATE:.0f} calls a second | {latency:.2f} s | 5 s | {share:.1%} | | {over:.1%} |")
        for seconds in (8.0, 60.0):
            history = History(1, seeds=tasks, rate=RATE, places=PLACES, latency_seconds=latency, run_seconds=seconds)
            account, _ = played(history)
            refused = account.refusals / account.submits
            places.append((account.share(), refused))
            shares = f"{account.share():.1%} | {best_share(seconds, latency):.1%}"
            print(f"| {PLACES} places | {latency:.2f} s | {seconds:.0f} s | {shares} | {refused:.1%} |")
    tell_jitter()
    near = len(places) // len(LATENCIES)
    Goal(f"share of {RATE:.0f} calls a second that is used", 100 * rates[0][0], 97, at_most=False, unit=" %").tell()
    Goal("calls beyond that limit in any second", 100 * max(over for _, over in rates), 0.5, unit=" %").tell()
    used = 100 * min(share for share, _ in places[:near])
    Goal(f"share of {PLACES} places that is used", used, 95, at_most=False, unit=" %").tell()
    Goal(
        "submits that are refused for want of one", 100 * max(share for _, share in places[:near]), 2, unit=" %"
    ).tell()


if __name__ == "__main__":
    main()
