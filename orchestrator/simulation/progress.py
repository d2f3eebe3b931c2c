"""Whether a task goes on as soon as nothing stands in its way; how soon that is follows from what the design allows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Final

from orchestrator.lifecycle import ACTIVE, Record, State
from orchestrator.simulation.history import SETTLE_AFTER_SECONDS
from orchestrator.simulation.world import BEGAN_AT, World

SUBMIT_SECONDS: Final = 10.0
ALONE_SECONDS: Final = 70.0
"""After a refusal, with none of ours running: the service is asked again after a minute at most."""

PROBE_SECONDS: Final = 270.0
"""After a refusal, while some of ours run: one more is tried after four minutes at most."""

LOOK_SECONDS: Final = 10.0
FETCH_SECONDS: Final = 40.0
LATE_SECONDS: Final = 360.0
"""For how long files that cannot be had are waited for: five minutes, and a last try."""

GONE_SECONDS: Final = 240.0
"""How long the service may not know a task until it is taken for lost: three minutes, and a look."""

SETTLE_SECONDS: Final = SETTLE_AFTER_SECONDS + 40.0
RIVALS_SECONDS: Final = SETTLE_AFTER_SECONDS + 100.0
"""How much longer one in doubt may wait for others like it, whose requests may still be out."""

LAG: Final = 0.75
LEARNED_LAG: Final = 2.5
"""How much later than it has ended a task may be looked at, as a share of the time that it has run."""

CALLS: Final = 5.0
"""How many calls each task may make before another one has its turn."""

DETAILS: Final = 20
OVERLAP: Final = 5


class Progress:
    """Watches for how long the tasks of one world stay where they are although they could move."""

    def __init__(self, world: World, tasks: int) -> None:
        self._world = world
        self._tasks = tasks
        history = world.history
        self._is_misled = any(event.victim == "clock" or event.kind == "skewed" for event in history.events)
        self._is_veiled = history.veiled_seconds > 0 or any(event.what == "task veiled" for event in history.events)
        strangers = 1 if history.strangers_seconds else 0
        self._places = min(history.places - strangers, history.concurrency or math.inf)
        self._rivals = RIVALS_SECONDS if history.repeat > 1 else 0.0
        self._doubted = False
        self.begun({})

    def begun(self, states: Mapping[str, State]) -> None:
        """A new process takes over what stands in the ledger."""
        self._began_at = self._room_since = self._world.now()
        self._moved_at: dict[str, float] = {}
        self._counts = Counter(states.values())
        self._refused = False

    def refused(self) -> None:
        """The service had no place for one of ours."""
        self._refused = True

    def moved(self, before: Record, record: Record) -> None:
        """A task has moved: it has not stayed for too long where it was."""
        now, identity = self._world.now(), record.task.id
        since = max(self._moved_at.get(identity, 0.0), self._began_at, self._world.calm_from())
        self._moved_at[identity] = now
        if before.state is not record.state and not self._is_misled:
            self._in_time(before, record, since)
        had_room = self._has_room()
        self._counts[before.state] -= 1
        self._counts[record.state] += 1
        if not had_room:
            self._room_since = now

    def _in_time(self, before: Record, record: Record, since: float) -> None:
        match before.state:
            case State.PENDING if self._world.history.affordable is None and self._has_room():
                self._look(record, "sent", max(since, self._room_since), self._submit_seconds())
            case State.SUBMITTING if before.sent.uncertain:
                self._doubted = True
                if not self._is_veiled:
                    lists_from = BEGAN_AT + self._world.history.cut_seconds
                    self._look(record, "settled", max(since, lists_from), SETTLE_SECONDS + self._rivals)
            case State.RUNNING:
                remote = self._world.service.tasks[int(before.sent.remote_id or 0)]
                ended_at = remote.ends_at if remote.stopped_at is None else remote.stopped_at
                lag = LEARNED_LAG if self._world.history.forecasts else LAG
                seconds = GONE_SECONDS if remote.is_gone(self._world.now()) else LOOK_SECONDS
                self._look(record, "seen", max(since, ended_at), seconds + lag * (ended_at - remote.accepted_at))
            case State.FETCHING:
                given_up = record.state is State.FAILED
                self._look(record, "fetched", since, LATE_SECONDS if given_up else FETCH_SECONDS)

    def _look(self, record: Record, what: str, since: float, seconds: float) -> None:
        waited = self._world.now() - since
        if waited > seconds + self._busy_seconds():
            name = record.task.id[:4]
            self._world.violate(f"task {name} is {what} after {waited:.0f} s, and nothing stood in its way")

    def _submit_seconds(self) -> float:
        if not self._refused:
            return SUBMIT_SECONDS
        return PROBE_SECONDS if any(self._counts[state] for state in ACTIVE) else ALONE_SECONDS

    def _busy_seconds(self) -> float:
        """Return for how long calls of others may come first, and how long calls and commits may take."""
        history = self._world.history
        calls = CALLS * self._tasks
        if self._doubted:
            calls += 2 * (DETAILS + len(self._world.service.tasks) / max(1, history.page - OVERLAP))
        each = history.latency_seconds + history.disk_seconds
        return calls * (2 / history.rate + each) + 20 * each

    def _has_room(self) -> bool:
        return sum(self._counts[state] for state in ACTIVE) < self._places
