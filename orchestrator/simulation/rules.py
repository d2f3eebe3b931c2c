"""What the program promises, looked at after each step from the outside: from the service's books and the ledger's."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from orchestrator.ledger import SqliteLedger
from orchestrator.lifecycle import ACTIVE, FINAL, TABLE, Event, Record, State
from orchestrator.simulation.books import Books
from orchestrator.simulation.handover import Handover
from orchestrator.simulation.obedience import Obedience
from orchestrator.simulation.progress import Progress
from orchestrator.simulation.restraint import Restraint
from orchestrator.simulation.service import MODEL, PRICE_USD, Remote, Request
from orchestrator.simulation.world import World
from orchestrator.sweep import Job
from orchestrator.tasks import Parameters, canonical_json

BY_THE_USER: Final = frozenset({Event.RETRIED, Event.REFETCHED})
MOVES: Final = frozenset((state, after) for (state, event), after in TABLE.items() if event not in BY_THE_USER)
OLDEST_INTENT_SECONDS: Final = 10.0
SAVED_SECONDS: Final = 2.0
"""How soon after a reply the ledger holds what it says; a commit takes a third of a second at most."""

SEEN_SECONDS: Final = 1.0
"""How long after the process has learned of a task its intents say that they are newer."""

SPACING: Final = 1.02
SLACK: Final = 1e-6
PAUSE_SECONDS: Final = 1.0
LONGEST_HOLD_SECONDS: Final = 300.0
"""However long the service asks for: after five minutes one call tries whether it still does."""

MANY_FILES: Final = 3
"""So many misfortunes of files may befall one of them, which is then given up, where it is late no longer."""

MADE: Final = frozenset({"", "silent", "hidden", "veiled", "unfinished", "late", "stubborn", "wordless"})
"""The fates of tasks whose outputs can be had."""


class Rules:
    """Watches one world.

    Attributes:
        books: What a run says of itself.
        handover: What it leaves in its folder.
        obedience: What the user has said.
        progress: What could move.
        restraint: What is not asked for in vain.
    """

    def __init__(self, world: World, job: Job) -> None:
        self._world = world
        self._job = job
        self._tasks = {task.id: canonical_json(task.parameters) for task in job.tasks()}
        self._alike = Counter(self._tasks.values())
        self._states: dict[str, State] = {}
        self._intents: dict[str, float] = {}
        self._spent: set[str] = set()
        self._seen: list[tuple[float, int]] = []
        self._newest_before: dict[str, int] = {}
        self._mistaken: set[str] = set()
        self._unsaved: deque[tuple[float, Request]] = deque()
        self._written: deque[float] = deque(maxlen=max(1, math.floor(world.history.rate)))
        self._held_until = self._slow_since = -math.inf
        self._over_at = 0.0
        self._is_shaken = False
        self._aged: set[str] = set()
        self._are_many_files = sum(event.victim == "file" for event in world.history.events) >= MANY_FILES
        self.books = Books(world)
        self.handover = Handover(world)
        self.obedience = Obedience(world)
        self.progress = Progress(world, len(self._tasks))
        self.restraint = Restraint(world)

    # Calls

    def begun(self, store: SqliteLedger) -> None:
        """A new process counts its calls anew, and knows of no intent or reply but those in the ledger."""
        self._written.clear()
        self._unsaved.clear()
        self._intents.clear()
        self._seen.clear()
        self.books.begun()
        self.obedience.begun()
        self._held_until = self._slow_since = -math.inf
        self._states = store.states(tuple(self._tasks))  # a machine that went down may have lost what was not promised
        self.progress.begun(self._states)
        self.restraint.begun()
        if self._are_many_files or self._world.clock.now() != self._world.now():
            self._aged |= {identity for identity, state in self._states.items() if state is State.FETCHING}
        if self._is_shaken:
            self._outlasted(store)
        self._none_forgotten(store)

    def _none_forgotten(self, store: SqliteLedger) -> None:
        """Each request that the ledger has held is in it, also where another one has followed."""
        known = store.claimed([str(remote.number) for remote in self._world.service.ours])
        for remote in self._world.service.ours:
            if remote.request and remote.request.owner and str(remote.number) not in known:
                self._broken(f"{remote.number} was in the ledger, and is there no longer")

    def written(self, endpoint: str) -> None:
        """A call is written now: calls are spaced, and no second sees too many."""
        now, rate, sent = self._world.now(), self._world.history.rate, self._written
        if sent and now - sent[-1] < SPACING / rate - SLACK:
            self._broken(f"two calls are {now - sent[-1]:.3f} s apart, at a rate of {rate}")
        if len(sent) == sent.maxlen and now - sent[0] < 1.0:
            self._broken(f"{len(sent) + 1} calls within {now - sent[0]:.3f} s, at a rate of {rate}")
        if now < self._held_until - SLACK:
            self._broken(f"{endpoint} is called {self._held_until - now:.3f} s before the service wants another call")
        sent.append(now)
        self.books.called(endpoint)

    def throttled(self, written_at: float, retry_after: float | None) -> None:
        """The service says that calls come too fast; of calls that were already out only the first one slows us."""
        now = self._world.now()
        if retry_after is not None:
            self._held_until = max(self._held_until, now + min(retry_after, LONGEST_HOLD_SECONDS))
        elif written_at >= self._slow_since:
            self._held_until = max(self._held_until, now + PAUSE_SECONDS)
        if written_at >= self._slow_since:
            self._slow_since = now

    # Requests that are paid for

    def posted(self, parameters: Parameters) -> None:
        """One is written: the intent is on the disk, and fresh."""
        self.restraint.posted()
        kind = canonical_json(parameters)
        intents = {
            identity: at
            for identity, at in self._intents.items()
            if identity not in self._spent
            and self._tasks[identity] == kind
            and self._states.get(identity) is State.SUBMITTING
        }
        newest = max(intents, key=lambda identity: intents[identity], default=None)  # of equal tasks it may be any
        if newest is None:
            self._broken("a request is sent without its intent in the ledger")
            return
        if self._world.now() - intents[newest] > OLDEST_INTENT_SECONDS:
            self._broken(f"a request is sent {self._world.now() - intents[newest]:.1f} s after its intent")
        self._spent.add(newest)

    def refused(self, *, full: bool) -> None:
        """The service does not want one, or has no place for it."""
        self.progress.refused()
        if full and sum(state in ACTIVE for state in self._states.values()) == 1:
            self.restraint.refused()

    def arrived(self) -> None:
        """Look at what the service has accepted by now."""
        for remote in self._world.service.advance(self._world.now()):
            self._world.tell(f"{remote.number} is accepted: {canonical_json(remote.parameters)}")
            self._accepted(remote)

    def saw(self, number: int) -> None:
        """The process learns of a task: whatever it sends from now on is newer."""
        self._seen.append((self._world.now(), number))

    def replied(self, request: Request, number: int) -> None:
        """The reply to one is here."""
        request.answered = True
        self.saw(number)
        self._unsaved.append((self._world.now() + SAVED_SECONDS, request))

    def _accepted(self, remote: Remote) -> None:
        now, history = remote.accepted_at, self._world.history
        ours = self._world.service.ours
        due = [each for each in ours if not each.is_free(now) and not each.is_excused]
        kind = canonical_json(remote.parameters)
        alike = [each for each in ours if canonical_json(each.parameters) == kind and not each.is_excused]
        if sum(each in alike for each in due) > self._alike[kind]:
            numbers = [each.number for each in alike]
            self._broken(f"one task is paid for twice: {numbers}, for {self._alike[kind]} alike")
        if len(alike) > self._alike[kind] * history.attempts * (1 + history.retries):
            self._broken(f"a task is tried {len(alike)} times")
        if not self._mistaken and (len(due) == len(ours) or not any(each.is_excused for each in ours)):
            self._within_limits(due, now)

    def _within_limits(self, due: Sequence[Remote], now: float) -> None:
        limits = self._job.limits
        running = sum(each.runs(now) for each in due)
        if isinstance(limits.concurrency, int) and running > limits.concurrency:
            self._broken(f"{running} tasks run at once, and the user allows {limits.concurrency}")
        cost = sum((each.price_usd for each in due), Decimal(0))
        if limits.budget_usd is not None and cost > limits.budget_usd:
            self._broken(f"{cost} USD are spent, and the budget is {limits.budget_usd}")

    # The ledger

    def committed(self, moves: Sequence[tuple[Record, Record]]) -> None:
        """Something was written: every move is in the table, and what is known is true."""
        for before, after in moves:
            self._moved(before, after)
        if self._unsaved:
            self._look_for_unsaved()

    def _moved(self, said: Record, record: Record) -> None:
        identity, state = record.task.id, record.state
        before = self._states.get(identity, State.PENDING)
        self._states[identity] = state
        self._world.tell(f"task {identity[:4]} is {state}{f' ({record.failure.message})' if record.failure else ''}")
        if said.state is not before or ((before, state) not in MOVES and before is not state):
            self._broken(f"a task that was {before} is {state}")
        if before is State.SUBMITTING is not state:
            self._pass_on(identity)
        if before is not state is State.SUBMITTING:
            self._intents[identity] = now = self._world.now()
            self._spent.discard(identity)
            known = (number for at, number in self._seen if at <= now - SEEN_SECONDS)
            self._newest_before[identity] = max(known, default=0)
            self.obedience.intended()
        self.books.moved(said, record)
        self.progress.moved(said, record)
        if record.attempt is not None and record.attempt.remote_id is not None:
            self._claimed(record, int(record.attempt.remote_id))
        if state is State.DONE:
            self.handover.delivered(record)

    def _pass_on(self, identity: str) -> None:
        """Where an equal task's intent was taken for this one's, which went first, give it the one that is left."""
        if identity in self._intents and identity not in self._spent:
            alike = (each for each in self._intents.keys() & self._spent if self._tasks[each] == self._tasks[identity])
            waiting = sorted(each for each in alike if self._states.get(each) is State.SUBMITTING)
            self._spent.difference_update(waiting[:1])

    def _claimed(self, record: Record, number: int) -> None:
        remote = self._world.service.tasks[number]
        kind = canonical_json(remote.parameters)
        is_alike = remote.model == MODEL and kind == self._tasks[record.task.id]
        if remote.request is None and not is_alike:
            self._broken(f"{number} belongs to somebody else, and is taken for ours")
        elif remote.request is None and number <= self._newest_before.get(record.task.id, 0):
            self._broken(f"{number} is older than the request that is said to have made it")
        elif remote.request is None:  # nobody can tell them apart
            remote.taken_by = record.task.id
            self._mistaken.add(kind)
        elif not is_alike:
            self._broken(f"{number} is another task of ours")
        elif remote.request.owner not in {None, record.task.id}:
            self._broken(f"{number} is taken for two tasks")
        elif not remote.request.answered and remote.request.given_up_at is None:
            self._broken(f"{number} is adopted while its own request is still out")
        else:
            remote.request.owner = record.task.id

    def _look_for_unsaved(self) -> None:
        while self._unsaved and (self._unsaved[0][1].owner or self._world.now() > self._unsaved[0][0]):
            _, request = self._unsaved.popleft()
            is_read = request.given_up_at is None  # and was not lost with who read it, told to leave at that moment
            if is_read and request.owner is None and request.remote is not None:
                self._broken(f"{request.remote.number} was named by the service, and the ledger does not know it")

    # Files

    def _outlasted(self, store: SqliteLedger) -> None:
        """The power was cut: what the ledger calls done is on the disk."""
        for record in store.everything():
            if record.state is State.DONE:
                self.handover.delivered(record)

    def cleared(self, remote: Remote) -> None:
        """The service is told to delete its copies: ours are recorded, in the manifest too."""
        if remote.owner is None or self._states.get(remote.owner) is not State.DONE:
            self._broken(f"the service's copies of {remote.number} are deleted before ours are recorded")
        elif not self.handover.tells_for_good(remote.owner):
            self._broken(f"the service's copies of {remote.number} are deleted before the manifest tells of ours")

    def rested(self, *, in_peace: bool) -> None:
        """No process is alive: what is lost with it is given up, and the manifest tells of files that are there."""
        for remote in self._world.service.ours:
            if remote.request and remote.request.owner is None and remote.request.given_up_at is None:
                remote.request.given_up_at = self._world.now()
                if in_peace:
                    self._broken(f"{remote.number} was named by the service, and the process ended without saving it")
        if in_peace:
            self.obedience.rested()
        self._is_shaken = self._world.unplugged
        self._over_at = self._world.passed()
        self.handover.rested()

    # The end

    def ended(self, store: SqliteLedger) -> None:
        """All is over: every task has ended, nothing that was accepted is unknown, the manifest is the ledger."""
        records = {record.task.id: record for record in store.everything()}
        states = Counter(records[identity].state if identity in records else State.PENDING for identity in self._tasks)
        ended = sum(states[state] for state in FINAL)
        if ended < len(self._tasks) and not (self._is_spent() and ended + states[State.PENDING] == len(self._tasks)):
            self._broken(f"{len(self._tasks) - ended} tasks have not ended")
        ours = self._world.service.ours
        excused = {canonical_json(remote.parameters) for remote in ours if remote.is_excused} | self._mistaken
        for remote in ours:  # where one came too late there are two for one task, and either may be the one it has
            if remote.request and remote.request.owner is None and canonical_json(remote.parameters) not in excused:
                self._broken(f"{remote.number} was accepted, and nobody knows of it")
        self._none_forgotten(store)
        self._none_lost(records.values())
        self.books.ended(store)
        self._in_time()
        self.handover.ended(records)

    def _is_spent(self) -> bool:
        """Return whether the budget does not hold another task."""
        budget, now = self._job.limits.budget_usd, self._world.now()
        counted = (each for each in self._world.service.tasks.values() if each.request or each.taken_by)
        due = [each.price_usd for each in counted if not each.is_free(now)]
        return budget is not None and sum(due, self._world.history.samples * PRICE_USD) > budget

    def _none_lost(self, records: Iterable[Record]) -> None:
        events = self._world.history.events
        victims = {event.what for event in events}
        for record in records:
            if record.attempt is None and record.state is State.FAILED and "run invalid" not in victims:
                self._broken(f"task {record.task.id[:4]} has failed, and nothing was wrong with it")
            number = int(record.attempt.remote_id or 0) if record.attempt else 0
            remote = self._world.service.tasks.get(number)
            can_be_had = remote and remote.fate in MADE and remote.stopped_at is None
            if can_be_had and record.state is not State.DONE and record.task.id not in self._aged:
                self._broken(f"{number} was made, and its task is {record.state}")

    def _in_time(self) -> None:
        """Where nothing went wrong, nobody has waited for nothing."""
        history = self._world.history
        width = min(history.places, history.concurrency or history.places, history.tasks)
        waves = math.ceil(history.tasks / width)
        each = 2.0 * history.run_seconds + 8 * (history.latency_seconds + history.disk_seconds) + 3
        each += 3 * history.growing_seconds
        calls = 15 * history.tasks / history.rate
        calm = not (history.events or history.strangers_seconds or history.retries)
        if calm and self._over_at > waves * each + calls + 12:
            self._broken(f"the run took {self._over_at:.0f} s, and nothing stood in its way")

    def _broken(self, what: str) -> None:
        self._world.violate(what)
