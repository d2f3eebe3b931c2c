"""When to look next: what is known of a task and of those before it, turned into the moment of its next look."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice, pairwise
from typing import Any, Final

from orchestrator.engines.inspection import Inspections
from orchestrator.engines.queueing import QueueTimes
from orchestrator.engines.runtimes import MIDDLE, STEP, Runtimes
from orchestrator.engines.work import Line, Work

FORMAT: Final = 1
SOONEST_SECONDS: Final = 0.1
"""No task is looked at again sooner."""

LATEST_SECONDS: Final = 300.0
"""No task is left alone for longer."""

FEW: Final = 16
"""Up to so many tasks, each that ends is learned from at once; of more, one now and then."""

PAUSE_SECONDS: Final = 0.1
FRESH_SECONDS: Final = 1.0
"""How long a forecast stands before what was seen since is taken in."""

CROWD: Final = 100
"""How many tasks that still run are listened to."""

SCOUTED: Final = 16
"""For so many tasks at most a scout looks."""

SCOUTED_BY_STEPS: Final = (2, 4, 8, SCOUTED)

LONGER: Final = 1.15
"""By this factor a task has to run longer than all that were seen before others wait for what its looks find out."""

NEWS: Final = 0.2
"""By how much the logarithm of the usual time changes before all plans are to be made anew."""

PRICE_STEP: Final = 0.25
BAR_NOISE: Final = 0.08
CLEAR_BAR: Final = 0.05
"""What a progress bar shows below this says nothing."""

NARROW: Final = 0.15
"""Waits that differ by less than this share of the run time count as one."""

FINER, FINEST = 4.0, 10
"""How many parts a step of the grid has where it is as long as the root of price and moment, and at most."""

UNLIKELY: Final = 1e-6


@dataclass(eq=False, slots=True)
class Course:
    """What was seen of one task; ages are seconds since it was accepted.

    Attributes:
        accepted_at: Monotonic seconds.
        numbers: See `Work.numbers`.
        queued_until: The age at which it was last seen in the queue.
        left_queue_by: The age at which it was first seen out of it.
        seen_at: The age at which it was last seen under way.
        bars: Ages, and the share that a progress bar showed then.
    """

    accepted_at: float
    numbers: tuple[float, ...]
    queued_until: float = 0.0
    left_queue_by: float = math.inf
    seen_at: float = 0.0
    bars: list[tuple[float, float]] = field(default_factory=list)


class Forecast:
    """How long the tasks of a model take, by what the service states and by those that were seen. Pure.

    Until one task has ended, the first one is a scout: what its looks find out serves all that were accepted with it,
    and so they are cheaper the more these are. Later on, of the tasks that run longer than any before, the first one is
    looked at as usual, and a look at the others is dearer the more they are: when it ends, these may be about to.

    Attributes:
        edition: Grows whenever so much has changed that a look that was planned may belong elsewhere.
    """

    def __init__(self, stated_seconds: float | None) -> None:
        """Begin with the run time that the service states, if it does."""
        self._runtimes = Runtimes.expecting(stated_seconds)
        self._work = Work()
        self._waits = QueueTimes()
        self._bar = Line([0.05, 0.9], [0.1, 0.15], BAR_NOISE)
        self.edition = 0
        self._courses: dict[Course, None] = {}
        self._longer: dict[Course, None] = {}
        self._plans: dict[tuple[object, ...], Inspections] = {}
        self._masses: list[float] = []
        self._ended = [0.0, 0.0]
        self._seconds = [1.0, 1.0]
        self._usual_seconds, self._announced_seconds, self._announced_longest = 0.0, 1.0, math.inf
        self._refreshed_at = self._learned_at = -math.inf

    @classmethod
    def remembered(cls, kept: Any, stated_seconds: float | None) -> Forecast:
        """Return what `kept` gave; where that is damaged or of another version, a new forecast."""
        forecast = cls(stated_seconds)
        try:
            if kept["format"] == FORMAT:
                runtimes, work = Runtimes.remembered(kept["runtimes"]), Work.remembered(kept["work"])
                forecast._runtimes, forecast._work = runtimes, work
        except (ValueError, TypeError, LookupError, ArithmeticError):
            return cls(stated_seconds)
        return forecast

    def kept(self) -> dict[str, Any] | None:
        """Return what is worth keeping between runs, as plain JSON; None where nothing was learned."""
        if not self._runtimes.seen:
            return None
        return {"format": FORMAT, "runtimes": self._runtimes.kept(), "work": self._work.kept()}

    def begin(self, parameters: Mapping[str, Any], accepted_at: float) -> Course:
        """Return the course of a task that the service accepted at a monotonic moment."""
        course = Course(accepted_at, self._work.numbers(parameters))
        self._courses[course] = None
        if not self._runtimes.seen and len(self._courses) in SCOUTED_BY_STEPS:
            self.edition += 1  # the scout has more to scout for
        return course

    def next_look(self, course: Course, price: float, now: float) -> float:
        """Return the age at which to look at a task next; where that is past, it is to be looked at now.

        Args:
            course: What was seen of it.
            price: What a look costs, in seconds of lag.
            now: Monotonic seconds.
        """
        self._refresh(now)
        if not self._runtimes.seen and course is next(iter(self._courses), None):
            price /= min(SCOUTED, len(self._courses))
        elif course is not next(iter(self._longer), course) and self._runs_longer(course):
            price *= min(SCOUTED, len(self._longer))
        moment = self._plan(course, price).after(course.seen_at)
        return min(max(moment, course.seen_at + SOONEST_SECONDS), course.seen_at + LATEST_SECONDS)

    def likely_done(self, course: Course, age: float) -> bool:
        """Return whether more tasks than not have ended at such an age, of those that ran when it was last seen to."""
        factor = math.exp(self._work.of(course.numbers))
        before, now = (
            self._share(self._ended, (at - self._waited(course, at)) / factor) for at in (course.seen_at, age)
        )
        return now - before > (1 - before) / 2

    def saw(self, course: Course, age: float, *, queued: bool, progress: float | None) -> None:
        """A look has shown that a task is still under way.

        Args:
            course: What was seen of it before.
            age: When, in seconds since it was accepted.
            queued: Whether it still waits to be run.
            progress: The share that it has done, 0 to 1, where it tells.
        """
        course.seen_at = age
        if queued:
            course.queued_until = age
            return
        course.left_queue_by = min(course.left_queue_by, age)
        if progress is not None and progress >= CLEAR_BAR:
            course.bars.append((age, progress))
        if self._runs_longer(course):
            self._longer[course] = None

    def left(self, course: Course) -> None:
        """A task is followed no longer, for whatever reason."""
        self._courses.pop(course, None)
        self._longer.pop(course, None)

    def ended(self, course: Course, age: float, elapsed_seconds: float | None) -> None:
        """A look has shown that a task has come to its own end since the one before.

        Args:
            course: What was seen of it before.
            age: When, in seconds since it was accepted.
            elapsed_seconds: How long it ran by the service's account, where it says.
        """
        now = course.accepted_at + age
        if self._runtimes.seen >= FEW and now < self._learned_at + PAUSE_SECONDS:
            return
        self._learned_at = now
        most_waited = min(course.left_queue_by, age)
        ran = _rounded(elapsed_seconds)
        if ran is not None and ran[0] <= age - course.queued_until and ran[1] >= course.seen_at - most_waited:
            self._waits.saw(max(course.queued_until, course.seen_at - ran[1]), min(most_waited, age - ran[0]))
            low, high = max(ran[0], course.seen_at - most_waited), min(ran[1], age - course.queued_until)
        else:
            self._waits.saw(course.queued_until, most_waited)
            waited = self._waited(course, age)
            low, high = course.seen_at - waited, age - waited
        self._learn(course, max(0.0, low), max(low, high, 0.0))
        self._refresh(now)

    def _waited(self, course: Course, age: float) -> float:
        """Return how long a task that was so old waited in the queue, as well as that is known."""
        return min(max(self._waits.usual_seconds, course.queued_until), course.left_queue_by, age)

    def _ran(self, course: Course) -> float:
        """Return for how many seconds a task was seen to run, as well as that is known."""
        return course.seen_at - self._waited(course, course.seen_at)

    def _runs_longer(self, course: Course) -> bool:
        """Return whether a task has run clearly longer than all that have ended."""
        return self._ran(course) > LONGER * self._runtimes.longest * math.exp(self._work.of(course.numbers))

    def _learn(self, course: Course, low: float, high: float) -> None:
        middle = (low + high) / 2
        work = self._work.of(course.numbers)
        self._runtimes.saw(course.accepted_at, low, high, work)
        if middle > 0:
            self._work.saw(course.numbers, math.log(middle) - self._runtimes.base)
        for age, progress in course.bars[-2:]:
            share = (age - min(self._waits.usual_seconds, age)) / middle if middle else 0.0
            if 0 < share < 1.5:
                self._bar.saw((1.0, progress), share)

    def _refresh(self, now: float) -> None:
        """Take in what was seen since the last time, where that is long enough ago."""
        pause = FRESH_SECONDS if self._runtimes.seen >= FEW else FRESH_SECONDS / 4
        if now < self._refreshed_at + max(pause, self._usual_seconds / 20):
            return
        self._refreshed_at = now
        running = list(islice((course for course in self._courses if course.left_queue_by < math.inf), CROWD))
        self._longer = {course: None for course in running if self._runs_longer(course)}
        found = self._runtimes.outlook(
            [(course.accepted_at, self._ran(course), self._work.of(course.numbers)) for course in running]
        )
        first = next(place for place, mass in enumerate(found) if mass > UNLIKELY)
        last = len(found) - next(place for place, mass in enumerate(reversed(found)) if mass > UNLIKELY)
        self._masses = [0.0, *found[first:last]]
        start = self._runtimes.base - (MIDDLE + 0.5) * STEP
        self._seconds = [math.exp(start + place * STEP) for place in range(first, last + 1)]
        self._ended = list(accumulate(self._masses))
        self._usual_seconds = self._seconds[bisect_right(self._ended, 0.5) - 1]
        self._plans.clear()
        usual, longest = self._usual_seconds, self._runtimes.longest
        if abs(math.log(usual / self._announced_seconds)) > NEWS or longest > LONGER * self._announced_longest:
            self._announced_seconds = usual
            self._announced_longest = longest
            self.edition += 1

    def _plan(self, course: Course, price: float) -> Inspections:
        work = round(self._work.of(course.numbers) / STEP) * STEP
        waits = self._waits.points(course.queued_until, course.left_queue_by)
        if waits[-1] - waits[0] < NARROW * self._usual_seconds * math.exp(work):
            waits = (waits[len(waits) // 2],)
        price = math.exp(round(math.log(price) / PRICE_STEP) * PRICE_STEP)
        if course.bars:
            return self._build(self._by_bar(course, waits, work), waits, work, price, since=course.seen_at)
        key = (work, waits, price)
        if key not in self._plans:
            self._plans[key] = self._build(self._masses, waits, work, price)
        return self._plans[key]

    def _by_bar(self, course: Course, waits: Sequence[float], work: float) -> list[float]:
        """Return how likely each run time is for a task that shows its progress."""
        age, progress = course.bars[-1]
        share = max(CLEAR_BAR, self._bar.at((1.0, progress)))
        middle = math.log(max(SOONEST_SECONDS, age - waits[len(waits) // 2]) / share) - work
        sigma = max(0.02, BAR_NOISE / share)
        weights = [
            mass * (0.02 + math.exp(-(((math.log(seconds) - STEP / 2 - middle) / sigma) ** 2) / 2))
            for mass, seconds in zip(self._masses, self._seconds, strict=True)
        ]
        total = sum(weights)
        return [weight / total for weight in weights]

    def _build(
        self, masses: Sequence[float], waits: Sequence[float], work: float, price: float, since: float = 0.0
    ) -> Inspections:
        """Return the plan of looks for ages from `since` on."""
        factor = math.exp(work)
        moments = [waits[0] + seconds * factor for seconds in self._seconds]
        if len(waits) > 1:
            ended = list(accumulate(masses))
            shares = [math.fsum(self._share(ended, (moment - wait) / factor) for wait in waits) for moment in moments]
            masses = [0.0, *((after - before) / len(waits) for before, after in pairwise(shares))]
        first = min(bisect_right(moments, since), len(moments) - 1) - 1
        if first > 0:  # when it would have ended before makes no difference to what comes after
            moments = [moments[0], *moments[first:]]
            masses = [0.0, sum(masses[: first + 1]), *masses[first + 1 :]]
        return Inspections(*_refined(moments, masses, price), price)

    def _share(self, ended: Sequence[float], seconds: float) -> float:
        """Return the share of runs that are no longer than so many seconds."""
        if seconds <= self._seconds[0]:
            return 0.0
        at = min(math.log(seconds / self._seconds[0]) / STEP, len(ended) - 1.0)
        whole = min(int(at), len(ended) - 2)
        return ended[whole] + (ended[whole + 1] - ended[whole]) * (at - whole)


def _refined(moments: Sequence[float], masses: Sequence[float], price: float) -> tuple[list[float], list[float]]:
    """Part the steps of a grid that are long beside the time between looks, which grows with the root of the moment."""
    fine, parts = [moments[0]], [0.0]
    for before, after, mass in zip(moments[:-1], moments[1:], masses[1:], strict=True):
        count = min(FINEST, math.ceil(FINER * (after - before) / math.sqrt(price * after)))
        fine += [before + (after - before) * part / count for part in range(1, count + 1)]
        parts += [mass / count] * count
    return fine, parts


def _rounded(elapsed_seconds: float | None) -> tuple[float, float] | None:
    """Return between which seconds a run time is that may be rounded to whole seconds; None where none is told."""
    if not elapsed_seconds:
        return None
    if elapsed_seconds == int(elapsed_seconds):
        return max(0.0, elapsed_seconds - 0.5), elapsed_seconds + 0.5
    return elapsed_seconds * 0.99, elapsed_seconds * 1.01
