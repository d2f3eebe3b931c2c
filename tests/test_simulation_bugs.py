"""Bugs are planted in the program, one at a time: the simulation finds each within a bounded number of histories."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import anyio.lowlevel
import pytest

from orchestrator.commands import retry
from orchestrator.engines import pacing
from orchestrator.engines.budget import Budget
from orchestrator.engines.doubts import Doubts
from orchestrator.engines.local import LocalEngine
from orchestrator.engines.pacing import Schedule
from orchestrator.engines.slots import Capacity, Slots
from orchestrator.engines.submitting import Submitter
from orchestrator.engines.tracking import Tracker
from orchestrator.ledger import Ledger, SqliteLedger, Totals
from orchestrator.lifecycle import Failure, Output, Record, State
from orchestrator.output.keeper import ManifestKeeper
from orchestrator.simulation import Verdict, draw, play
from orchestrator.steps import fetch, matching, settle, submit
from orchestrator.steps.calls import Calls, First, Urgency
from orchestrator.steps.fetch import Fetcher
from orchestrator.steps.landing import Landing
from orchestrator.steps.recognise import Kind
from orchestrator.steps.settle import Settler
from orchestrator.wiro import Acceptance, ReplyLost

MOST_HISTORIES: Final = 250
"""Within how many histories a bug has to be found; most take a handful."""

Plant = Callable[[pytest.MonkeyPatch], None]
BUGS: Final[dict[str, Plant]] = {}


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """The ledger writes in the one thread there is, so that time stands still meanwhile."""


def planted(plant: Plant) -> Plant:
    """Add a bug to the list; its name says what the program then does."""
    BUGS[plant.__name__.replace("_", " ")] = plant
    return plant


# Paying


@planted
def the_intent_is_written_after_the_request(patch: pytest.MonkeyPatch) -> None:
    make = Calls.make

    async def late(self: Calls, urgency: Urgency, call: Any, *, first: First | None = None) -> Any:
        result = await make(self, urgency, call)
        if first is not None:
            await first()
        return result

    patch.setattr(Calls, "make", late)


@planted
def the_intent_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    save = Ledger.save

    async def soon(self: Ledger, before: Record, after: Record, *, durable: bool) -> None:
        await save(self, before, after, durable=durable and after.state is not State.SUBMITTING)

    patch.setattr(Ledger, "save", soon)


@planted
def the_token_is_not_on_the_disk(patch: pytest.MonkeyPatch) -> None:
    save = Ledger.save

    async def soon(self: Ledger, before: Record, after: Record, *, durable: bool) -> None:
        await save(self, before, after, durable=durable and after.state is not State.RUNNING)

    patch.setattr(Ledger, "save", soon)


@planted
def the_token_is_written_some_seconds_later(patch: pytest.MonkeyPatch) -> None:
    accepted = submit._accepted

    async def later(intended: Any, reply: Any, frontier: Any, ledger: Any, clock: Any) -> Any:
        await clock.sleep(5)
        return await accepted(intended, reply, frontier, ledger, clock)

    patch.setattr(submit, "_accepted", later)


@planted
def no_shield_is_around_a_save(patch: pytest.MonkeyPatch) -> None:
    async def bare(save: Awaitable[Any]) -> Any:
        try:
            await anyio.lowlevel.checkpoint()
        except BaseException:
            save.close()  # type: ignore[attr-defined]  # it is a coroutine, which nobody awaits
            raise
        return await save

    patch.setattr(submit, "shielded", bare)


@planted
def a_lost_reply_counts_as_a_refusal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ReplyLost, "accepted", Acceptance.NO)


@planted
def what_a_kill_left_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    async def recovered(self: Doubts, record: Record) -> Record:
        if record.state is not State.SUBMITTING:
            return record
        after = record.not_accepted()
        await self._ledger.save(record, after, durable=True)
        return after

    patch.setattr(Doubts, "recovered", recovered)


@planted
def it_is_sent_again_before_its_time(patch: pytest.MonkeyPatch) -> None:
    certain = Settler._certain
    patch.setattr(
        Settler,
        "_certain",
        lambda self, doubt, matched, listing: certain(self, doubt, matched, replace(listing, read_from=math.inf)),
    )


@planted
def it_is_sent_again_though_the_list_is_not_complete(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settle, "_may_end", lambda *_: True)


@planted
def a_dead_process_s_clock_is_believed(patch: pytest.MonkeyPatch) -> None:
    def add(self: Doubts, record: Record) -> None:
        ago = max(0.0, self._clock.now() - (record.sent.gave_up_at or self._clock.now()))
        self._open[record.task.id] = settle.Doubt(record, self._clock.monotonic() - ago)
        self._added.notify()

    patch.setattr(Doubts, "add", add)


@planted
def a_task_of_ours_is_adopted_by_another_one(patch: pytest.MonkeyPatch) -> None:
    async def none(*_: object) -> set[str]:
        return set()

    patch.setattr(Settler, "_claimed", none)
    patch.setattr(SqliteLedger, "_check_unclaimed", lambda *_: None)


@planted
def a_task_is_adopted_while_its_own_request_is_out(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def posting(_self: Doubts, _record: Record) -> Iterator[None]:
        yield

    patch.setattr(Doubts, "posting", posting)


@planted
def what_shows_nothing_is_taken_for_ours(patch: pytest.MonkeyPatch) -> None:
    likeness = matching.likeness

    def hopeful(sent: Any, shown: Any, defaults: Any) -> matching.Likeness:
        return likeness(sent, shown, defaults) if shown else matching.Likeness.SAME

    patch.setattr(matching, "likeness", hopeful)


@planted
def the_model_is_not_compared(patch: pytest.MonkeyPatch) -> None:
    finds = matching._finds

    def of_any(intents: Any, remote: Any, model: str, defaults: Any) -> Any:
        return finds(intents, [replace(task, model=None) for task in remote], model, defaults)

    patch.setattr(matching, "_finds", of_any)


@planted
def nobody_remembers_the_newest_task(patch: pytest.MonkeyPatch) -> None:
    intended = Record.intended
    patch.setattr(Record, "intended", lambda self, at, reserved, _newest: intended(self, at, reserved, None))


@planted
def what_was_paid_for_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(retry, "may_be_paid", lambda _: False)


@planted
def what_cannot_be_delivered_is_pending_again(patch: pytest.MonkeyPatch) -> None:
    def undelivered(self: Record, failure: Failure, at: float, outputs: tuple[Output, ...] = ()) -> Record:
        return replace(self, state=State.PENDING, outputs=outputs, failure=failure, finished_at=at)

    patch.setattr(Record, "undelivered", undelivered)


# States


@planted
def an_end_is_written_over(patch: pytest.MonkeyPatch) -> None:
    concluded = Fetcher._concluded

    async def twice(self: Fetcher, *arguments: Any) -> Record:
        record = await concluded(self, *arguments)
        other = replace(record, state=State.CANCELLED)
        await self.ledger.save(record, other, durable=True)
        return other

    patch.setattr(Fetcher, "_concluded", twice)


@planted
def a_wait_for_a_place_is_a_failure(patch: pytest.MonkeyPatch) -> None:
    once = submit.submit

    async def impatient(record: Record, **words: Any) -> Any:
        return await once(record, **{**words, "last": True})

    patch.setattr(sys.modules["orchestrator.engines.submitting"], "submit", impatient)


@planted
def outputs_that_come_later_are_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fetch, "LOOKS_FOR_OUTPUTS", 1)


# Limits


@planted
def one_task_too_many_runs(patch: pytest.MonkeyPatch) -> None:
    room = Capacity.room
    patch.setattr(Capacity, "room", lambda self, active, now: room(self, max(0, active - 1), now))


@planted
def a_task_in_doubt_holds_no_place(patch: pytest.MonkeyPatch) -> None:
    first = Submitter.submit

    async def free(self: Submitter, record: Record) -> Record:
        after = await first(self, record)
        if after.state is State.SUBMITTING:
            self.slots.release()
        return after

    patch.setattr(Submitter, "submit", free)


@planted
def what_an_earlier_process_left_holds_no_place(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Slots, "take", lambda _: None)


@planted
def the_budget_forgets_what_is_kept_aside(patch: pytest.MonkeyPatch) -> None:
    def fits(self: Budget, price: Decimal, totals: Totals) -> bool:
        return self.cap_usd is None or totals.spent_usd + self.held_usd + price <= self.cap_usd

    patch.setattr(Budget, "fits", fits)


@planted
def the_budget_forgets_what_is_on_its_way(patch: pytest.MonkeyPatch) -> None:
    def fits(self: Budget, price: Decimal, totals: Totals) -> bool:
        return self.cap_usd is None or totals.spent_usd + totals.reserved_usd + price <= self.cap_usd

    patch.setattr(Budget, "fits", fits)


@planted
def too_many_calls_slow_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Schedule, "refused", lambda *_: None)


@planted
def a_second_holds_one_call_too_many(patch: pytest.MonkeyPatch) -> None:
    begin = Schedule.__init__

    def wide(self: Schedule, rate: float) -> None:
        begin(self, rate)
        self._sent = deque(maxlen=(self._sent.maxlen or 0) + 1)

    patch.setattr(Schedule, "__init__", wide)


@planted
def calls_are_a_little_too_close(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pacing, "MARGIN", 1.0)


# Files and progress


@planted
def any_bytes_are_a_picture(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Landing, "_look", lambda _: (Kind("png", "image/png", lambda _: True), True))


@planted
def the_manifest_is_never_mended(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ManifestKeeper, "_in_order", lambda *_: True)


@planted
def nobody_is_woken_when_a_place_is_free(patch: pytest.MonkeyPatch) -> None:
    def release(self: Slots) -> None:
        self.active -= 1

    patch.setattr(Slots, "release", release)


@planted
def a_place_is_never_given_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LocalEngine, "_settled", lambda self, group, record: self._start(group, record))


@planted
def a_failing_look_ends_the_task(patch: pytest.MonkeyPatch) -> None:
    async def hasty(self: Tracker, record: Record, trouble: Any, _watch: Any) -> Record | None:
        return None if trouble is None else await self._failed(record, Failure("lost", "It did not answer."))

    patch.setattr(Tracker, "_in_trouble", hasty)


def found(plant: Plant) -> tuple[int, Verdict | None]:
    """Return how many histories it takes until a planted bug breaks a promise, and which one."""
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        for seed in range(MOST_HISTORIES):
            verdict = play(draw(seed))
            if verdict.violation is not None:
                return seed + 1, verdict
    return MOST_HISTORIES, None


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    _, verdict = found(BUGS[bug])
    assert verdict is not None, f"{MOST_HISTORIES} histories do not show it"


def main() -> None:
    """Print how many histories each takes, and what is found then."""
    for name, plant in BUGS.items():
        histories, verdict = found(plant)
        sys.stdout.write(f"| {name} | {histories} | {verdict.violation if verdict else 'NOT FOUND'} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
