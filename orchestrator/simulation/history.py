"""What happens in one simulation: a job, an account, and a list of misfortunes, all from one seed. Pure."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

SETTLE_AFTER_SECONDS: Final = 60.0
TASK_TIMEOUT_SECONDS: Final = 900.0
HORIZON_SECONDS: Final = 600.0
"""How long strangers use the account."""

FORECASTING: Final = 0.1
"""The share of histories with the real forecast, whose arithmetic costs as much as all else that happens in them."""

TWINS: Final = 0.3
"""The share of histories in which somebody else has tasks just like ours."""

SMALL: Final = 0.25
"""The share of histories that are played on a small scale."""

TURNING: Final = 0.5
"""The share of histories in which outputs are listed in another order at each look."""


@dataclass(frozen=True, slots=True)
class Event:
    """One misfortune.

    Attributes:
        what: Whom it befalls and how, two words of `MISFORTUNES`: `run lost`.
        number: Which of them it befalls, counted from 1 over the whole history; 0 where it comes at a time.
        at: When it comes, in seconds since the beginning, where `number` is 0.
        seconds: How long it lasts, by how much, or how late, where that makes sense.
    """

    what: str
    number: int = 0
    at: float = 0.0
    seconds: float = 0.0

    @property
    def victim(self) -> str:
        """Whom it befalls: the first word."""
        return self.what.partition(" ")[0]

    @property
    def kind(self) -> str:
        """How: the second word."""
        return self.what.partition(" ")[2]


@dataclass(frozen=True, slots=True)
class History:
    """Everything that one simulation depends on.

    Attributes:
        seed: Where all that is left to chance comes from.
        seeds: How many different values the job sweeps.
        repeat: How often each of them is done.
        samples: Outputs of each task.
        rate: API calls per second.
        concurrency: How many tasks the user allows at once, None for as many as there is room for.
        affordable: For how many tasks the budget is enough, None for no budget.
        attempts: How often a failing task is tried.
        retries: How often the user asks for another try of what has failed.
        delete_remote: Whether the service's copies are deleted.
        places: How many tasks the account may run at once.
        run_seconds: How long a task takes, about.
        latency_seconds: How long a request or a reply takes, at most.
        disk_seconds: How long a commit takes, at most.
        earlier: How many tasks the account has had before.
        strangers_seconds: How often somebody else uses the account, 0 for never.
        cut_seconds: How long, from the beginning, the list ends before it shows anything.
        veiled_seconds: How long a stranger's task shows no parameters.
        page: How many tasks a page of the service's list shows at most.
        lag_seconds: How long after its acceptance a task shows in the list, at most.
        shows: How the list shows parameters: `all`, as `text`, or only those that are no `defaults`.
        events: What goes wrong.
        twins: Whether somebody else has tasks just like ours, before the run and meanwhile.
        growing_seconds: For how long after a task's end the last of its outputs is not listed.
        turning: Whether a task's outputs are listed in another order at each look.
        small: Whether what holds many tasks or bytes at a time holds few.
        forecasts: Whether looks are where they pay most by what was seen; otherwise they come at set ages.
    """

    seed: int
    seeds: int = 3
    repeat: int = 1
    samples: int = 1
    rate: float = 10.0
    concurrency: int | None = None
    affordable: int | None = None
    attempts: int = 3
    retries: int = 0
    delete_remote: bool = False
    places: int = 25
    run_seconds: float = 8.0
    latency_seconds: float = 0.2
    disk_seconds: float = 0.0
    earlier: int = 3
    strangers_seconds: float = 0.0
    cut_seconds: float = 0.0
    veiled_seconds: float = 0.0
    page: int = 50
    lag_seconds: float = 0.0
    shows: str = "all"
    events: tuple[Event, ...] = ()
    forecasts: bool = True
    twins: bool = False
    growing_seconds: float = 0.0
    turning: bool = False
    small: bool = False

    @property
    def tasks(self) -> int:
        """How many tasks the job has."""
        return self.seeds * self.repeat


def chance(*key: object) -> float:
    """Return a number from 0 up to 1 that depends on the key alone, and not on what was asked before."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _call(rng: random.Random) -> Mapping[str, float]:
    return {
        "number": rng.choice((1, 1, 2, 2, 3, 3, 4, 5, 7, 10, 20)),
        "seconds": rng.choice((1.0, 5.0, 20.0, 45.0, 100.0)),
    }


def _step(rng: random.Random) -> Mapping[str, float]:
    return {"number": 1 + int(10 ** rng.uniform(0, 2.6))}


def _moment(rng: random.Random) -> Mapping[str, float]:
    return {"at": round(10 ** rng.uniform(-0.5, 2.7), 2), "seconds": rng.choice((0.5, 3.0, 20.0, 90.0, 400.0))}


def _jump(rng: random.Random) -> Mapping[str, float]:
    return {**_moment(rng), "seconds": rng.choice((-7200.0, -90.0, -1.0, 1.0, 75.0, 3600.0, 86400.0))}


Drawn = Callable[[random.Random], Mapping[str, float]]

MISFORTUNES: Final[Mapping[str, tuple[float, Drawn, str]]] = MappingProxyType(
    {
        # A request that is paid for: never arrives; arrives and nobody hears of it; arrives long after it was given
        # up; cannot be sent; …; is answered with the id of a task that is another one's.
        "run": (
            5,
            _call,
            "lost lost unanswered unanswered late unreachable throttled faulty invalid slow slow claimed hurried",
        ),
        "look": (3, _call, "lost unreachable throttled faulty gone strange silent silent"),
        "list": (2, _call, "lost unreachable throttled faulty slow slow"),
        "end": (1, _call, "lost unreachable"),
        "file": (2, _call, "gone broken unavailable page"),
        "disk": (0.7, _step, "commit file"),
        # What becomes of a task on the service. One that is stuck never begins to run; a stubborn one runs until it is
        # told to end, and ends well then; a billed one fails; a wordless one does not say how it has ended, and shows
        # its outputs later; of a torn one's files the last is gone.
        "task": (
            4,
            _call,
            (
                "fails fails stuck vanishes cancelled silent hidden veiled empty unstarted unfinished late"
                " stubborn stubborn billed billed wordless torn torn"
            ),
        ),
        # What comes at a time: all calls unreachable, or throttled; no place, no balance; the user's
        # word.
        "hour": (3, _moment, "outage storm full poor interrupt hurry cancel kill"),
        "clock": (1, _jump, "jumps"),
        # Between two of its steps the process is killed, or that and the clock is set, or the machine goes down, or
        # the user has no patience.
        "process": (4, _step, "killed killed skewed unplugged hurried"),
    }
)
"""Whom misfortunes befall: how often, when, and how."""


def draw(seed: int) -> History:
    """Return the history that a seed stands for."""
    rng = random.Random(seed)  # noqa: S311 - dice
    count = rng.choice((0, 1, 2, 3, 3, 4, 4, 5, 6, 8, 12))
    return History(
        seed=seed,
        seeds=rng.choice((1, 1, 1, 2, 2, 3, 4, 6, 12)),
        repeat=rng.choice((1, 1, 2, 3)),
        samples=rng.choice((1, 1, 2)),
        rate=rng.choice((0.5, 1.5, 3.0, 10.0, 10.0, 25.0)),
        concurrency=rng.choice((None, None, 1, 2, 4)),
        affordable=rng.choice((None, None, None, 2, 5)),
        attempts=rng.choice((1, 2, 3)),
        retries=rng.choice((0, 0, 1)),
        delete_remote=rng.random() < 0.2,
        places=rng.choice((1, 2, 3, 5, 25)),
        run_seconds=rng.choice((0.5, 4.0, 10.0, 60.0)),
        latency_seconds=rng.choice((0.01, 0.2, 2.0)),
        disk_seconds=rng.choice((0.0, 0.0, 0.02, 0.3)),
        earlier=rng.choice((0, 1, 3, 8, 60)),
        strangers_seconds=rng.choice((0.0, 0.0, 5.0, 15.0)),
        cut_seconds=rng.choice((0.0, 0.0, 0.0, 0.0, 150.0)),
        veiled_seconds=rng.choice((0.0, 0.0, 10.0, 200.0)),
        page=rng.choice((2, 4, 7, 50)),
        lag_seconds=rng.choice((0.0, 0.0, 5.0, 55.0, 59.9)),
        shows=rng.choice(("all", "all", "text", "defaults")),
        events=tuple(_event(rng, "run" if number in {1, 2} else None) for number in range(count)),
        forecasts=rng.random() < FORECASTING,
        twins=rng.random() < TWINS,
        growing_seconds=rng.choice((0.0, 0.0, 0.0, 1.0, 2.5)),
        turning=rng.random() < TURNING,
        small=rng.random() < SMALL,
    )


def _event(rng: random.Random, victim: str | None) -> Event:
    """Draw a misfortune; most histories have some that befall requests that are paid for, and others beside."""
    victims = list(MISFORTUNES)
    victim = victim or rng.choices(victims, [MISFORTUNES[each][0] for each in victims])[0]
    _, when, kinds = MISFORTUNES[victim]
    drawn = when(rng)
    return Event(
        f"{victim} {rng.choice(kinds.split())}",
        int(drawn.get("number", 0)),
        drawn.get("at", 0.0),
        drawn.get("seconds", 0.0),
    )
