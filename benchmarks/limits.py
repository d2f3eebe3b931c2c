"""How much of a limit a run uses, and how often it is refused: rates and places, in virtual time.

    python benchmarks/limits.py

The real engine and ledger run against the simulated service in one process, without its misfortunes; see
`orchestrator/simulation/`. The limit on calls is what the user says. That on places is not told to the program.
"""

from __future__ import annotations

import argparse
from collections import deque
from dataclasses import dataclass

from goals import Goal

from orchestrator.engines.inspection import Plan
from orchestrator.engines.schedule import MARGIN
from orchestrator.simulation import History, play
from orchestrator.simulation.service import Service
from orchestrator.wiro import WiroError

RATE, PLACES = 20.0, 25
LATENCIES = (0.05, 0.5)


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
        plan, calls, lag = Plan(moments, masses, 0.001 * 1.05**power), 1.0, 0.0
        for end in ends:
            look = 0.0
            while look < end:
                look, calls = plan.after(look), calls + 1 / len(ends)
            lag += (look - end) / len(ends)
        around = seconds + lag + 0.6 * latency
        if PLACES / around * calls <= RATE / MARGIN:
            return seconds / around
    raise ValueError("no schedule is slow enough")


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
