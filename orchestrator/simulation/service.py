"""The service as it really is: what it has accepted, what became of that, and what it shows. Time is handed in."""

from __future__ import annotations

import functools
import heapq
import itertools
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from orchestrator.simulation.history import HORIZON_SECONDS, SETTLE_AFTER_SECONDS, History, chance
from orchestrator.tasks import Parameters
from orchestrator.wiro import (
    Accepted,
    BalanceUsedUp,
    ConcurrencyLimit,
    NoSuchTask,
    NotInState,
    RemoteOutput,
    RemoteTask,
    TaskPage,
    WiroError,
)

MODEL: Final = "acme/boats"
OTHER_MODEL: Final = "acme/harbours"
PRICE_USD: Final = Decimal("0.0035")
"""Of one output."""

FIRST_NUMBER: Final = 1000
DEFAULTS: Final = {"negative": "", "seed": "1", "samples": 1}
DONE: Final = "task_postprocess_end"
HOST: Final = "cdn.example"
STRANGER_SECONDS: Final = 1.0
UNFINISHED_SECONDS: Final = 2.5
STUBBORN_SECONDS: Final = 2.0
"""How long a task goes on that is told to end, and ends well all the same."""

QUEUED_SECONDS: Final = 60.0
"""How long a task is in the queue at most, unless it never leaves it."""

UNENDING: Final = frozenset({"stuck", "stubborn"})
FAILING: Final = frozenset({"fails", "billed"})
LATER: Final = frozenset({"unfinished", "wordless"})
"""The fates of tasks whose outputs show a little after their end."""

SAYING_NO_COST: Final = frozenset({"silent", "wordless"})


@dataclass(eq=False, slots=True)
class Request:
    """A request that is paid for if it arrives.

    Attributes:
        parameters: What is to be made.
        answer: What the service answers, None as long as it has not arrived.
        remote: What it was accepted as.
        given_up_at: Since when nobody waits for the answer any more, or has lost it.
        answered: Whether the answer has come.
        owner: The task of ours whose it is in the ledger, by id; None as long as the ledger does not know of it.
    """

    parameters: Parameters
    answer: Accepted | WiroError | None = None
    remote: Remote | None = None
    given_up_at: float | None = None
    answered: bool = False
    owner: str | None = None


@dataclass(eq=False, slots=True)
class Remote:
    """A task as the service has it; `request` is None where it is somebody else's.

    One that nobody can tell from ours may be taken for one of ours all the same, `taken_by` which says.
    """

    number: int
    model: str
    parameters: dict[str, Any]
    accepted_at: float
    ends_at: float
    shown_at: float
    unveiled_at: float = 0.0
    request: Request | None = None
    fate: str = ""
    stopped_at: float | None = None
    deleted: bool = False
    samples: int = 1
    taken_by: str | None = None

    @property
    def token(self) -> str:
        """What opens it."""
        return f"token-{self.number}"

    @property
    def owner(self) -> str | None:
        """The task of ours whose it is in the ledger, by id."""
        return self.request.owner if self.request else self.taken_by

    @property
    def price_usd(self) -> Decimal:
        """What it costs if it ends well."""
        return PRICE_USD * self.samples

    @property
    def is_excused(self) -> bool:
        """Whether it may be paid for again: the list shows it too late, or never, after its request was given up."""
        request = self.request
        if request is None or request.given_up_at is None:
            return False
        return self.shown_at > request.given_up_at + SETTLE_AFTER_SECONDS or self.fate == "vanishes"

    def status(self, now: float) -> str:
        """Return the service's word for where it stands."""
        if self.stopped_at is not None and self.stopped_at <= now:
            return "task_cancel"
        if now < self.ends_at:
            return "task_queue" if self.is_queued(now) else "task_output"
        return "task_error" if self.fate == "unstarted" else DONE

    def is_queued(self, now: float) -> bool:
        """Return whether it does not run yet."""
        queued_seconds = min(0.2 * (self.ends_at - self.accepted_at), QUEUED_SECONDS)
        return self.fate == "stuck" or now < self.accepted_at + queued_seconds

    def runs(self, now: float) -> bool:
        """Return whether it holds a place."""
        return self.status(now) in {"task_queue", "task_output"}

    def is_free(self, now: float) -> bool:
        """Return whether it has ended and costs nothing."""
        return not self.runs(now) and (self.status(now) != DONE or self.fate == "fails")

    def has_file(self, output: int) -> bool:
        """Return whether one of its outputs can be had."""
        return not self.deleted and (self.fate != "torn" or output < self.samples - 1)

    def is_gone(self, now: float) -> bool:
        """Return whether the service knows it no longer."""
        return self.fate == "vanishes" and now >= self.ends_at


@dataclass(slots=True)
class Service:
    """One account.

    Attributes:
        tasks: Everything that it was asked for, by number.
        ours: What we asked for, in the order of acceptance.
    """

    history: History
    began_at: float
    tasks: dict[int, Remote] = field(default_factory=dict)
    ours: list[Remote] = field(default_factory=list)
    _wire: list[tuple[float, int, Request | None]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        """Fill the account with what it has had before, and see strangers coming."""
        for each in range(self.history.earlier):  # the newest of them is like one of ours
            is_twin = self.history.twins and (self.history.earlier - each) % 2 == 1
            self._strange(self.began_at - 1000.0 + each, is_twin=is_twin)
        if self.history.strangers_seconds:
            self._send(self.began_at, None)

    def post(self, parameters: Parameters, arrives_at: float) -> Request:
        """Let a request to `/Run` travel; it arrives even if nobody waits for the answer any more."""
        request = Request(dict(parameters))
        self._send(arrives_at, request)
        return request

    def advance(self, now: float) -> Iterator[Remote]:
        """Let happen what happens until now, and yield what was accepted of ours."""
        while self._wire and self._wire[0][0] <= now:
            at, _, what = heapq.heappop(self._wire)
            if what is None:
                self._strange(at, is_twin=self.history.twins and chance(self.history.seed, "twin", at) < 0.5)
                if at < self.began_at + HORIZON_SECONDS:
                    self._send(at + self.history.strangers_seconds, None)
                continue
            what.answer = self._refusal(at) or self._accept(what, at)
            if what.remote is not None:
                yield what.remote

    def detail(self, number: int, now: float) -> RemoteTask:
        """Show one task.

        Raises:
            NoSuchTask: There is none.
        """
        remote = self.tasks.get(number)
        if remote is None or remote.is_gone(now):
            raise NoSuchTask("/Task/Detail", "There is no task yet.", http_status=200, code=1)
        return self._shown(remote, now, "all" if now >= remote.unveiled_at else "none")

    def page(self, start: int, limit: int, now: float) -> TaskPage:
        """Show a part of the list, newest first."""
        newest_first = reversed(self.tasks.values())
        shown = (remote for remote in newest_first if now >= remote.shown_at and not remote.is_gone(now))
        part = itertools.islice(shown, start, start + min(limit, self.history.page))
        how = self.history.shows
        return TaskPage(
            tuple(self._shown(each, now, how if now >= each.unveiled_at else "none") for each in part), None
        )

    def cancel(self, number: int, now: float) -> None:
        """End a task that does not run yet.

        Raises:
            NotInState: It runs, or has ended.
        """
        if self.tasks[number].status(now) != "task_queue":
            raise NotInState("/Task/Cancel", "Task is not in a cancellable state.", http_status=200, code=1)
        self.kill(number, now)

    def kill(self, number: int, now: float) -> None:
        """End a task, if it still runs; a stubborn one makes what it was to make."""
        remote = self.tasks[number]
        if remote.fate == "stubborn":
            remote.ends_at = min(remote.ends_at, now + STUBBORN_SECONDS)
        elif remote.runs(now):
            remote.stopped_at = now

    def active(self, now: float) -> int:
        """Return how many places are taken."""
        return sum(remote.runs(now) for remote in self.tasks.values())

    def _send(self, at: float, what: Request | None) -> None:
        heapq.heappush(self._wire, (at, next(self._order), what))

    def _refusal(self, now: float) -> WiroError | None:
        hours = {
            event.kind
            for event in self.history.events
            if event.victim == "hour" and 0 <= now - self.began_at - event.at < event.seconds
        }
        if "poor" in hours:
            return BalanceUsedUp("/Run", "insufficient balance", http_status=200, code=97)
        if "full" in hours or self.active(now) >= self.history.places:
            words = f"you can run up to {self.history.places} tasks at the same time" if chance(now) < 0.7 else "wait"
            return ConcurrencyLimit("/Run", words, http_status=200, code=96)
        return None

    def _accept(self, request: Request, now: float) -> Accepted:
        history, count = self.history, len(self.ours) + 1
        fates = [event for event in history.events if event.victim == "task" and event.number == count]
        fate, seconds = (fates[0].kind, fates[0].seconds) if fates else ("", 0.0)
        luck = chance(history.seed, "task", count)
        runs = history.run_seconds * (0.5 + luck) + (5 * seconds if fate == "late" else 0.0)
        lag = seconds if fate == "hidden" else history.lag_seconds * chance(history.seed, "lag", count)
        remote = Remote(
            number=self._next_number(),
            model=MODEL,
            parameters=dict(request.parameters),
            accepted_at=now,
            ends_at=math.inf if fate in UNENDING else now + runs,
            shown_at=now + lag,
            unveiled_at=now + seconds if fate == "veiled" else 0.0,
            request=request,
            fate=fate,
            stopped_at=now + runs / 2 if fate == "cancelled" else None,
            samples=history.samples,
        )
        self.tasks[remote.number] = request.remote = remote
        self.ours.append(remote)
        return Accepted(str(remote.number), remote.token)

    def _strange(self, at: float, *, is_twin: bool) -> None:
        """Somebody else has a task, like ours but for its seed or exactly like one of ours, also for another model."""
        number, history = self._next_number(), self.history
        other = not is_twin and number % 2 == 0
        self.tasks[number] = Remote(
            number=number,
            model=OTHER_MODEL if other else MODEL,
            parameters={
                **DEFAULTS,
                "prompt": "a boat",
                "samples": history.samples,
                "seed": str(1 + number // 2 % history.seeds if other or is_twin else number),
            },
            accepted_at=at,
            ends_at=at + STRANGER_SECONDS,
            shown_at=at,
            unveiled_at=at + history.veiled_seconds,
            samples=history.samples,
        )

    def _next_number(self) -> int:
        return FIRST_NUMBER + len(self.tasks)

    def _shown(self, remote: Remote, now: float, shows: str) -> RemoteTask:
        status = remote.status(now)
        ended, done = not remote.runs(now), status == DONE
        made = done and remote.fate not in {*FAILING, "empty"}
        made = made and (remote.fate not in LATER or now > remote.ends_at + UNFINISHED_SECONDS)
        outputs = self._listed(remote, now) if made else ()
        free = ended and remote.is_free(now)
        cost = None if not ended or remote.fate in SAYING_NO_COST else Decimal(0) if free else remote.price_usd
        return RemoteTask(
            task_id=str(remote.number),
            token=remote.token,
            model=remote.model,
            parameters=_parameters(remote.parameters, shows),
            status=status,
            exit_text="" if not done or remote.fate == "wordless" else "1" if remote.fate in FAILING else "0",
            cost_usd=cost,
            outputs=outputs,
            error_text="out of memory" if remote.fate in FAILING else "",
            debug_output="",
            created_at=None,
            elapsed_seconds=remote.ends_at - remote.accepted_at if done else None,
        )

    def _listed(self, remote: Remote, now: float) -> tuple[RemoteOutput, ...]:
        """List what a task has made: the last one later where lists grow, in a new order each time where they turn."""
        grows = remote.samples > 1 and now < remote.ends_at + self.history.growing_seconds
        numbers = list(range(remote.samples - grows))
        if self.history.turning:
            numbers.sort(key=lambda number: chance(remote.number, now, number))
        return tuple(_output(remote, number) for number in numbers)


@functools.lru_cache(maxsize=4096)
def picture(number: int, output: int) -> bytes:
    """Return the picture that a task has made: a PNG of one pixel that is like no other."""
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        (b"tEXt", f"Title\0{number}-{output}".encode()),
        (b"IDAT", zlib.compress(bytes(2))),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def _output(remote: Remote, number: int) -> RemoteOutput:
    url = f"https://{HOST}/{remote.number}/{number}"
    return RemoteOutput("", "x.png", url, "image/png", len(picture(remote.number, number)), None)


def _parameters(parameters: dict[str, Any], shows: str) -> dict[str, Any] | None:
    match shows:
        case "none":
            return None
        case "text":
            return {name: str(value) for name, value in parameters.items()}
        case "defaults":
            return {name: value for name, value in parameters.items() if str(value) != str(DEFAULTS.get(name))}
        case _:
            return parameters
