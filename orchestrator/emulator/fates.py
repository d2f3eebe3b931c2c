"""Who is met by which fault: the same seed, the same choice, whatever comes first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.emulator.chance import uniform
from orchestrator.emulator.faults import Fault, Place


@dataclass(frozen=True)
class Subject:
    """What a fault may meet.

    Attributes:
        identity: Tells it from all others of its place, and is the same in each run: no ids, no tokens, no times.
        parameters: Those of the task; None where there is no task.
        endpoint: Which is called; empty where none is.
    """

    identity: str
    parameters: Mapping[str, Any] | None = None
    endpoint: str = ""


class Fates:
    """Decides for each call, task and file which faults meet it.

    A decision depends on the seed, the fault's place in the profile, whom it may meet, and how often it might have met
    them before: not on the order in which different tasks come.

    Args:
        faults: All of the profile's.
        seed: The profile's.
        now: Unix seconds; it starts to count here.
        met: Takes how often each fault has met somebody; a lasting one counts once for each.
    """

    def __init__(self, faults: Iterable[Fault], seed: int, now: Callable[[], float], met: Counter[str]) -> None:
        self._faults = tuple(enumerate(faults))
        self._seed = seed
        self._now = now
        self._started_at = now()
        self._met = met
        self._seen: defaultdict[int, dict[str, int]] = defaultdict(dict)

    @property
    def passed_seconds(self) -> float:
        """Since the start."""
        return self._now() - self._started_at

    def may_meet(self, place: Place, endpoint: str = "") -> bool:
        """Return whether the profile has any fault for a place, and at this endpoint."""
        return any(fault.place == place and (not fault.at or endpoint in fault.at) for _, fault in self._faults)

    def met_by(self, place: Place, subject: Subject, *kinds: str) -> list[Fault]:
        """Return the faults that meet a subject now; each question counts as one time.

        Args:
            place: Where.
            subject: Whom.
            kinds: Of which kinds alone; none for all.
        """
        return [
            fault
            for number, fault in self._faults
            if fault.place == place and (not kinds or fault.kind in kinds) and self._meets(number, fault, subject)
        ]

    def _meets(self, number: int, fault: Fault, subject: Subject) -> bool:
        if not fault.can_meet(subject.endpoint, subject.parameters, self.passed_seconds):
            return False
        seen = self._seen[number]
        identity = subject.identity
        if fault.first is not None and identity not in seen and len(seen) >= fault.first:
            return False
        time = seen[identity] = seen.get(identity, 0) + 1
        if fault.is_lasting or fault.times is not None:
            meets = time <= (fault.times or time) and self._draw(number, identity) < fault.share
        else:
            meets = self._draw(number, identity, time) < fault.share
        if meets and not (fault.is_lasting and time > 1):
            self._met[fault.name] += 1
        return meets

    def _draw(self, *what: object) -> float:
        return uniform("fault", self._seed, *what)
