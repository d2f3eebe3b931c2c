"""Calls for each task, and how late its end is seen: our forecast, the best possible schedule, and what peers do.

    python benchmarks/polling.py

Nothing runs but the deciding itself, in virtual time: tasks of a known distribution of run times, so many at once,
each looked at when the policy says. The best possible schedule knows the distribution, and is computed for many
prices of a look; a policy is compared with the one that has the same median lag. `--plot FILE` draws that.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from statistics import fmean, median

from goals import Goal

from orchestrator.engines.forecast import Course, Forecast
from orchestrator.engines.inspection import Inspections
from orchestrator.engines.rounds import PRICE_SECONDS
from orchestrator.engines.trust import Trust

Draw = Callable[[random.Random], float]
FIRST = 100
"""So many tasks are called the first ones; those behind them have their history."""

AT_ONCE = 25
TOLD_SECONDS = 0.1
"""How long after an end the look is over that a socket's hint brings about."""

COLOURS = ("#36c", "#d33")


def lognormal(median_seconds: float, sigma: float) -> Draw:
    """Return what draws run times of this distribution."""
    return lambda dice: median_seconds * math.exp(sigma * dice.gauss(0, 1))


def bimodal(seconds: float) -> Draw:
    """Three tasks of five are quick, two take four times as long."""
    return lambda dice: (1 if dice.random() < 0.6 else 4) * seconds * math.exp(0.15 * dice.gauss(0, 1))


def heavy(seconds: float) -> Draw:
    """Four tasks of five are alike; the others follow Pareto's law, without a variance."""
    return lambda dice: (
        seconds * (math.exp(0.25 * dice.gauss(0, 1)) if dice.random() < 0.8 else (1 - dice.random()) ** (-1 / 1.5))
    )


DISTRIBUTIONS: dict[str, Draw] = {
    f"{name}, {seconds} s": draw(seconds)
    for name, draw in {"lognormal": lambda s: lognormal(s, 0.35), "two humps": bimodal, "heavy tail": heavy}.items()
    for seconds in (6, 30, 120)
}


def official() -> Iterator[float]:
    """The official client: at once, every 2 s for 15 s, every 5 s until 60 s, then every 10 s."""
    moment = 0.0
    while True:
        yield moment
        moment += 2 if moment < 15 else 5 if moment < 60 else 10


def every(seconds: float) -> Iterator[float]:
    """Scripts seen in public: at fixed intervals; the n8n nodes are such a one."""
    return count(seconds, seconds)


def backoff() -> Iterator[float]:
    """The documentation's advice: 3 s, then twice as long each time."""
    moment, wait = 0.0, 3.0
    while True:
        moment += wait
        yield moment
        wait *= 2


PEERS: dict[str, Callable[[], Iterator[float]]] = {
    "official client": official,
    "scripts, every 2 s": lambda: every(2.0),
    "n8n nodes, every 20 s": lambda: every(20.0),
    "documentation, doubling from 3 s": backoff,
}


@dataclass(frozen=True)
class Score:
    """What a policy needs: calls for each task on average, and seconds of lag."""

    calls: float
    median_lag: float
    mean_lag: float

    @classmethod
    def of(cls, looks: Sequence[tuple[int, float]]) -> Score:
        """Sum up calls and lag of each task."""
        lags = [lag for _, lag in looks]
        return cls(fmean(calls for calls, _ in looks), median(lags), fmean(lags))


def fixed(policy: Callable[[], Iterator[float]], seconds: Sequence[float]) -> Score:
    """Let a policy that learns nothing look at tasks."""
    looks = []
    for ran in seconds:
        for calls, moment in enumerate(policy(), 1):
            if moment >= ran:
                looks.append((calls, moment - ran))
                break
    return Score.of(looks)


def planned(plan: Inspections) -> Callable[[], Iterator[float]]:
    """Return the policy that keeps to a plan."""

    def policy() -> Iterator[float]:
        moment = 0.0
        while True:
            moment = plan.after(moment)
            yield moment

    return policy


def best_possible(draw: Draw, seconds: Sequence[float]) -> list[Score]:
    """Return what the best schedules for many prices need, each computed from the distribution itself."""
    dice = random.Random(99)
    known = sorted(draw(dice) for _ in range(100_000))
    step, start = 0.01, math.log(known[0]) - 0.01
    moments = [math.exp(start + step * place) for place in range(int((math.log(known[-1]) - start) / step) + 2)]
    masses = [0.0] * len(moments)
    for each in known:
        masses[bisect_left(moments, each)] += 1 / len(known)
    prices = (PRICE_SECONDS * 1.2**power for power in range(-16, 22))
    return [fixed(planned(Inspections(moments, masses, price)), seconds) for price in prices]


def calls_at(front: Sequence[Score], lag: Callable[[Score], float], wanted: float) -> float:
    """Return the calls that the best schedule with this lag needs; not a number beyond what was computed."""
    for (low, calls), (high, others) in pairwise(sorted((lag(score), score.calls) for score in front)):
        if low <= wanted <= high:
            return calls + (others - calls) * (wanted - low) / (high - low or 1)
    return math.nan


@dataclass
class Ours:
    """A run with our forecast, and the seconds of CPU that its decisions took."""

    looks: list[tuple[int, float]]
    decisions: int = 0
    cpu_seconds: float = 0.0


def ours(draw: Draw, stated_seconds: float, tasks: int, seed: int, told_seconds: float = math.inf) -> Ours:
    """Let our forecast look at tasks, so many at once, from a first run on; the service tells whole seconds.

    A socket tells of each end so many seconds later, if it tells at all.
    """
    dice, forecast, run, trust = random.Random(seed), Forecast(stated_seconds), Ours([(0, 0.0)] * tasks), Trust()
    due: list[tuple[float, int, int, Course, float]] = []

    editions = [forecast.edition]

    def reconsider(now: float) -> None:
        """Plan anew where much has changed, as the tracker does."""
        if editions[-1] != forecast.edition:
            editions.append(forecast.edition)
            waiting, due[:] = list(due), []
            for _, number, calls, course, ran in waiting:
                look_later(number, calls - 1, course, ran, now)

    def look_later(number: int, calls: int, course: Course, ran: float, now: float) -> None:
        before = time.process_time()
        price = PRICE_SECONDS * trust.patience
        moment = min(
            course.accepted_at + forecast.next_look(course, price, now), course.accepted_at + ran + told_seconds
        )
        run.cpu_seconds += time.process_time() - before
        run.decisions += 1
        heapq.heappush(due, (max(now, moment), number, calls + 1, course, ran))

    def start(number: int, now: float) -> None:
        look_later(number, 0, forecast.begin({}, now), draw(dice), now)

    for number in range(AT_ONCE):
        start(number, 0.0)
    begun = AT_ONCE
    while due:
        now, number, calls, course, ran = heapq.heappop(due)
        age = now - course.accepted_at
        before = time.process_time()
        if age < ran:
            forecast.saw(course, age, queued=False, progress=None)
            look_later(number, calls, course, ran, now)
            reconsider(now)
            continue
        told = age > ran + told_seconds - 1e-6
        (trust.kept if told else trust.missed)()
        course.seen_at = max(course.seen_at, 0.9 * ran * told)  # the socket's last word before the end
        forecast.left(course)
        forecast.ended(course, age, float(round(ran)))
        run.cpu_seconds += time.process_time() - before
        run.looks[number] = (calls, age - ran)
        reconsider(now)
        if begun < tasks:
            start(begun, now)
            begun += 1
    return run


def measured(draw: Draw, tasks: int, runs: int) -> tuple[dict[str, Score], list[Score], float]:
    """Return what each policy needs, what the best possible ones do, and the microseconds of CPU for a decision."""
    seconds = [draw(dice) for dice in [random.Random(5)] for _ in range(10_000)]
    middle = median(seconds)
    stated = [middle * 2 ** random.Random(seed).uniform(-1, 1) for seed in range(runs)]
    played = [ours(draw, stated[seed], tasks, seed) for seed in range(runs)]
    told = [ours(draw, stated[seed], tasks, seed, TOLD_SECONDS) for seed in range(runs)]
    scores = {
        "ours, first 100 tasks ever": Score.of([look for run in played for look in run.looks[:FIRST]]),
        "ours, after 100 tasks": Score.of([look for run in played for look in run.looks[FIRST:]]),
        "ours with the socket, after 100 tasks": Score.of([look for run in told for look in run.looks[FIRST:]]),
        **{name: fixed(policy, seconds) for name, policy in PEERS.items()},
    }
    decisions = sum(run.decisions for run in played)
    return scores, best_possible(draw, seconds), 1e6 * sum(run.cpu_seconds for run in played) / decisions


def panel(name: str, scores: dict[str, Score], front: Sequence[Score]) -> str:
    """Draw calls against median lag, both in powers, as a part of an SVG picture that is 300 by 220."""
    most = max(score.calls for score in scores.values()) * 1.3
    lags = [max(0.05, score.median_lag) for score in scores.values()]
    low, high = min(lags) / 2, max(lags) * 2

    def place(lag: float, calls: float) -> tuple[float, float]:
        x = 30 + 260 * math.log(max(low, lag) / low) / math.log(high / low)
        return x, 190 - 160 * math.log(max(1.0, calls)) / math.log(most)

    shown = [each for each in front if low < each.median_lag < high and each.calls < most]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in sorted(place(each.median_lag, each.calls) for each in shown))
    parts = [
        f'<text x="30" y="18" font-size="12">{name}</text><path d="M30 30V190H290" fill="none" stroke="#888"/>',
        f'<polyline points="{line}" fill="none" stroke="#2a7" stroke-width="2"/>',
    ]
    parts += [
        f'<text x="26" y="{place(low, tick)[1] + 4:.1f}" text-anchor="end">{tick}</text>'
        for tick in (1, 2, 5, 10, 20, 50, 100)
        if tick < most
    ]
    parts += [
        f'<text x="{place(tick, 1)[0]:.1f}" y="204" text-anchor="middle">{tick:g} s</text>'
        for tick in (0.5, 1, 2, 5, 10, 20, 50)
        if low < tick < high
    ]
    for number, (label, score) in enumerate(scores.items(), 1):
        (x, y), colour = place(score.median_lag, score.calls), COLOURS[label.startswith("ours")]
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
        parts.append(f'<text x="{x + 5:.1f}" y="{y - 4:.1f}" fill="{colour}">{number}</text>')
    return "\n".join(parts)


def picture(panels: Sequence[str], labels: Sequence[str]) -> str:
    """Put panels side by side, three in a row, with the names of the policies below."""
    height = 220 * -(-len(panels) // 3)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 930 {height + 50}" font-size="10">',
        '<rect width="100%" height="100%" fill="white"/><g font-family="sans-serif">',
    ]
    for number, drawn in enumerate(panels):
        parts.append(f'<g transform="translate({310 * (number % 3)} {220 * (number // 3)})">\n{drawn}\n</g>')
    named = [f'<tspan fill="{COLOURS[each.startswith("ours")]}">{n} {each}</tspan>' for n, each in enumerate(labels, 1)]
    parts.append(f'<text x="30" y="{height + 14}">Calls for each task (up) against median lag (right).</text>')
    parts.append(
        f'<text x="30" y="{height + 34}"><tspan fill="#2a7">line: best possible</tspan> · {" · ".join(named)}</text>'
    )
    return "\n".join([*parts, "</g></svg>", ""])


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=700)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    print("| run times | policy | calls | median lag | mean lag | calls / best at that median lag |")
    print("| --- | --- | --- | --- | --- | --- |")
    spent, panels, labels, worst = [], [], list[str](), dict[str, float]()
    for name, draw in DISTRIBUTIONS.items():
        scores, front, microseconds = measured(draw, arguments.tasks, arguments.runs)
        spent.append(microseconds)
        panels.append(panel(name, scores, front))
        labels = list(scores)
        for policy, score in scores.items():
            best = calls_at(front, lambda each: each.median_lag, score.median_lag)
            ratio = "" if math.isnan(best) else f"{score.calls / best:.2f}"
            worst[policy] = max(worst.get(policy, 0.0), 0.0 if math.isnan(best) else score.calls / best)
            lags = f"{score.median_lag:.2f} s | {score.mean_lag:.2f} s"
            print(f"| {name} | {policy} | {score.calls:.2f} | {lags} | {ratio} |", flush=True)
    if arguments.plot:
        arguments.plot.write_text(picture(panels, labels), encoding="utf-8")
    print(f"\nCPU for a decision, learning included: {min(spent):.0f} to {max(spent):.0f} microseconds")
    Goal("looks over the best schedule's, first 100 tasks ever", worst["ours, first 100 tasks ever"], 1.4).tell()
    Goal("looks over the best schedule's, after 100 tasks", worst["ours, after 100 tasks"], 1.15).tell()


if __name__ == "__main__":
    main()
