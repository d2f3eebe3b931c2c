"""Lost requests are found in the service's list, or certainly not there; nothing else settles them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from listed import BOAT, NOW, Service, accepted, calling, doubtful, ledger_with

from orchestrator.clock import SystemClock
from orchestrator.lifecycle import Record, State
from orchestrator.steps.elsewhere import Elsewhere, Foreign
from orchestrator.steps.matching import spelt
from orchestrator.steps.outcomes import Outcome, Verdict
from orchestrator.steps.settle import BEHIND, MOST_DETAILS, Doubt, Settler
from orchestrator.tasks import Parameters

pytestmark = pytest.mark.anyio

MODEL = "Hevok/Studio-Trigger"


@asynccontextmanager
async def settling(
    folder: Path, service: Service, records: Sequence[Record], sent: Callable[[Parameters], Parameters] = lambda p: p
) -> AsyncIterator[Settler]:
    async with ledger_with(folder, records) as ledger, calling(service) as calls:
        yield Settler(MODEL, spelt({"steps": 60}), sent, 60.0, calls, ledger, SystemClock())


async def settled(
    folder: Path,
    service: Service,
    records: Sequence[Record],
    *,
    ago: float,
    posting: Sequence[Mapping[str, Any]] = (),
    sent: Callable[[Parameters], Parameters] = lambda parameters: parameters,
    insists: bool = False,
) -> dict[str, State]:
    """Settle these tasks, whose requests were given up so many seconds ago; return the states of the settled ones."""
    clock = SystemClock()
    async with settling(folder, service, records, sent) as opened:
        settler = replace(opened, insists=insists)
        doubts = [Doubt(record, clock.monotonic() - ago) for record in records]
        said = await settler.settle(doubts, beside=lambda: posting, newest=None)
        assert not isinstance(said, Outcome)
        after = {record.task.id: record.state for _, record in said}
        kept = await settler.ledger.read(lambda store: store.states([record.task.id for record in records]))
        assert kept == dict.fromkeys(kept, State.SUBMITTING) | after
        return after


async def test_found_is_adopted_at_once(tmp_path: Path) -> None:
    assert await settled(tmp_path, Service([101, 100]), [doubtful()], ago=0) == {"a": State.RUNNING}


@pytest.mark.parametrize(("ago", "after"), [(59, {}), (61, {"a": State.PENDING})])
async def test_not_found_is_sent_again_only_after_settle_after(
    tmp_path: Path, ago: float, after: dict[str, State]
) -> None:
    assert await settled(tmp_path, Service([100]), [doubtful()], ago=ago) == after


async def test_what_was_accepted_once_is_lost_where_the_list_does_not_show_it(tmp_path: Path) -> None:
    """A damaged ledger has forgotten which remote task it was: it was paid for, and is not sent again."""
    known = replace(doubtful(), tries=1)
    async with settling(tmp_path, Service([100]), [known]) as settler:
        said = await settler.settle([Doubt(known, -10_000)], beside=list, newest=None)
        assert not isinstance(said, Outcome)
        [(_, after)] = said
        assert (after.state, after.failure and after.failure.kind) == (State.FAILED, "lost")
        assert "resubmitted" not in settler.ledger.totals.counters


async def test_an_incomplete_list_settles_nothing_however_late(tmp_path: Path) -> None:
    async with settling(tmp_path, Service([]), [doubtful()]) as settler:
        said = await settler.settle([Doubt(doubtful(), -10_000)], beside=list, newest=None)
        assert isinstance(said, Outcome)
        assert settler.ledger.totals.counts[State.SUBMITTING] == 1


async def test_a_list_that_is_behind_settles_what_it_shows(tmp_path: Path) -> None:
    """And nothing else, however late: what was accepted after both is missing."""
    now = time.time()
    doubts = [doubtful("a", at=now - 900), doubtful("b", {"prompt": "b"}, at=now - 900)]
    service = Service([101, 100], alike=[101])
    async with settling(tmp_path, service, [*doubts, accepted("c", 110, at=now - 800)]) as settler:
        said = await settler.settle([Doubt(doubt, -10_000) for doubt in doubts], beside=list, newest=None)
        assert not isinstance(said, Outcome)
        assert [(after.task.id, after.state) for _, after in said] == [("a", State.RUNNING)]
        said = await settler.settle([Doubt(doubts[1], -10_000)], beside=list, newest=None)
        assert isinstance(said, Outcome)
        assert (said.verdict, said.message) == (Verdict.AGAIN, BEHIND)
        service.tasks.insert(0, 110)
        said = await settler.settle([Doubt(doubts[1], -10_000)], beside=list, newest=None)
        assert not isinstance(said, Outcome)
        assert [(after.task.id, after.state) for _, after in said] == [("b", State.PENDING)]


@pytest.mark.parametrize("hidden", [None, "", "{not json", [], json.dumps({"seed": 1})])
async def test_parameters_that_the_list_does_not_show_are_asked_for(tmp_path: Path, hidden: object) -> None:
    service = Service([101, 100], in_list=hidden)
    assert await settled(tmp_path, service, [doubtful()], ago=0) == {"a": State.RUNNING}
    assert service.asked == ["101"]  # what is older is nobody's, shown or not


async def test_no_more_than_some_are_asked_for_at_once(tmp_path: Path) -> None:
    service = Service(list(range(200, 99, -1)), in_list=None, in_detail=None)
    assert await settled(tmp_path, service, [doubtful()], ago=0) == {}
    assert len(service.asked) == MOST_DETAILS


async def test_what_the_list_leaves_out_is_adopted_only_where_nobody_says_otherwise(tmp_path: Path) -> None:
    """A list without a value that is the default may be short, or may hide another value: the task itself is asked."""
    record = doubtful(parameters=BOAT | {"steps": 60})
    assert await settled(tmp_path, Service([101, 100]), [record], ago=0) == {"a": State.RUNNING}
    other = tmp_path / "other"
    other.mkdir()
    service = Service([101, 100], in_detail=json.dumps(BOAT | {"STEPS": "40"}))
    assert await settled(other, service, [record], ago=61) == {"a": State.PENDING}


async def test_as_long_as_nobody_shows_them_nothing_is_sent_again(tmp_path: Path) -> None:
    """A newer task that could be ours stands in the list: it waits, however long ago it was given up."""
    service = Service([101, 100], in_list=None, in_detail=None)
    assert await settled(tmp_path, service, [doubtful()], ago=10_000) == {}


async def test_nothing_is_adopted_while_an_equal_request_is_out(tmp_path: Path) -> None:
    """The remote task may be that request's."""
    posting = [{"seed": 1, "prompt": "a boat"}]
    assert await settled(tmp_path, Service([101, 100]), [doubtful()], ago=100, posting=posting) == {}


@pytest.mark.parametrize(
    ("shown", "ago", "after"),
    [
        ([101, 100], 59, {}),
        ([101, 100], 61, {"a": State.RUNNING, "b": State.PENDING}),
        ([102, 101, 100], 0, {"a": State.RUNNING, "b": State.RUNNING}),
    ],
)
async def test_equal_doubts_wait_until_each_has_one_or_all_must_be_shown(
    tmp_path: Path, shown: list[int], ago: float, after: dict[str, State]
) -> None:
    """Until then nobody knows whose the one that is shown is, and the other's could be passed over for ever."""
    records = [doubtful("a"), doubtful("b", at=NOW + 1)]
    assert await settled(tmp_path, Service(shown), records, ago=ago) == after


async def test_a_task_that_another_of_ours_has_is_nobodys(tmp_path: Path) -> None:
    """Remote ids that the ledger knows are passed over, so that a doubt equal to a running task is not given its id."""
    running, lost = doubtful("a"), doubtful("b")
    async with settling(tmp_path, Service([101, 100]), [running, lost]) as settler:
        await settler.ledger.save(running, running.accepted("101", "token", NOW), durable=False)
        [(doubt, after)] = await certain(settler, lost)
        assert (doubt.record.task.id, after.state) == ("b", State.PENDING)
        assert settler.ledger.totals.counters["resubmitted"] == 1


async def certain(settler: Settler, record: Record) -> list[tuple[Doubt, Record]]:
    """Settle one task long after its request was given up."""
    said = await settler.settle([Doubt(record, settler.clock.monotonic() - 61)], beside=list, newest=None)
    assert not isinstance(said, Outcome)
    return said


async def test_local_files_are_compared_as_they_were_sent(tmp_path: Path) -> None:
    """A task holds the file's hash, the service shows its address."""
    record = doubtful(parameters={"image": "sha256:ab"})
    service = Service([101, 100], in_list=json.dumps({"image": "", "imageUrl": "https://cdn.example/1.png"}))

    def sent(_: Parameters) -> Parameters:
        return {"image": "", "imageUrl": "https://cdn.example/1.png"}

    assert await settled(tmp_path, service, [record], ago=0, sent=sent) == {"a": State.RUNNING}


@pytest.mark.parametrize(("ago", "after"), [(59, {}), (61, {"a": State.PENDING})])
@pytest.mark.parametrize("shown", [[101, 100], [100]])
async def test_who_insists_has_sent_again_what_nobody_shows_once_it_is_due(
    tmp_path: Path, shown: list[int], ago: float, after: dict[str, State]
) -> None:
    service = Service(shown, in_list=None, in_detail=None)
    assert await settled(tmp_path, service, [doubtful()], ago=ago, insists=True) == after


async def test_even_who_insists_adopts_what_is_shown(tmp_path: Path) -> None:
    assert await settled(tmp_path, Service([101, 100]), [doubtful()], ago=1000, insists=True) == {"a": State.RUNNING}
    other = tmp_path / "other"
    other.mkdir()
    assert await settled(other, Service([101, 100]), [doubtful()], ago=1000, posting=[BOAT], insists=True) == {}


@pytest.mark.parametrize(("ago", "after"), [(59, []), (61, [State.PENDING])])
async def test_without_a_list_what_is_due_can_be_sent_again(tmp_path: Path, ago: float, after: list[State]) -> None:
    async with settling(tmp_path, Service([], broken=True), [doubtful()]) as settler:
        said = await settler.resend([Doubt(doubtful(), settler.clock.monotonic() - ago)])
        assert [record.state for _, record in said] == after
        assert settler.ledger.totals.counters.get("resubmitted", 0) == bool(after)


@dataclass
class Told:
    """Other runs that say this."""

    says: Elsewhere | None
    asked: tuple[set[str], float] | None = None

    @asynccontextmanager
    async def consulted(self, remote_ids: Collection[str], since: float) -> AsyncIterator[Elsewhere | None]:
        self.asked = (set(remote_ids), since)
        yield self.says


def of_others(*, ago: float | None) -> Foreign:
    """A request of another run like ours, given up so long before these tests began; None for one that is out."""
    attempt = doubtful(at=NOW).sent
    return Foreign("theirs", BOAT, replace(attempt, gave_up_at=None if ago is None else time.time() - ago))


@pytest.mark.parametrize(
    ("says", "after"),
    [
        (Elsewhere(), {"a": State.RUNNING}),
        (Elsewhere(claimed={"101"}), {"a": State.PENDING}),
        (Elsewhere(open=[of_others(ago=None)]), {}),
        (Elsewhere(open=[of_others(ago=-10_000)]), {}),
        (Elsewhere(open=[of_others(ago=90)]), {"a": State.RUNNING}),
        (Elsewhere(open=[replace(of_others(ago=90), parameters={"prompt": "a meadow"})]), {"a": State.RUNNING}),
        (Elsewhere(unread=["/gone"]), Verdict.AGAIN),
        (Elsewhere(claimed={"101"}, unread=["/gone"]), {"a": State.PENDING}),
        (None, Verdict.AGAIN),
    ],
)
async def test_what_may_be_another_runs_is_not_adopted(
    tmp_path: Path, says: Elsewhere | None, after: dict[str, State] | Verdict
) -> None:
    others = Told(says)
    async with settling(tmp_path, Service([101, 100]), [doubtful()]) as opened:
        settler = replace(opened, others=others)
        said = await settler.settle([Doubt(doubtful(), settler.clock.monotonic() - 61)], beside=list, newest=None)
        states = said.verdict if isinstance(said, Outcome) else {r.task.id: r.state for _, r in said}
    assert states == after
    assert others.asked == ({"101", "100"}, NOW)


@pytest.mark.parametrize(
    ("rival", "after"),
    [
        (20, State.RUNNING),  # what it made is shown further down, and is its own
        (-5, None),  # nobody knows whether the list still shows what it made
    ],
)
async def test_an_older_request_of_another_run_is_not_given_what_is_ours(
    tmp_path: Path, rival: int, after: State | None
) -> None:
    """Pages lie between the two; the older one goes first, and ours would count as absent and be sent again."""
    theirs = Foreign("theirs", BOAT, replace(doubtful(newest=rival).sent, gave_up_at=time.time() - 90))
    doubt = doubtful(newest=150)
    service = Service([151, *range(150, 0, -1)], alike={21, 151})
    async with settling(tmp_path, service, [doubt]) as opened:
        said = await certain(replace(opened, others=Told(Elsewhere(open=[theirs]))), doubt)
    assert [(record.state, record.attempt and record.attempt.remote_id) for _, record in said] == (
        [(after, "151")] if after else []
    )


@pytest.mark.parametrize(("ordered", "after"), [(True, State.RUNNING), (False, None)])
async def test_ids_that_do_not_grow_give_nobody_what_may_be_another_runs(
    tmp_path: Path, ordered: bool, after: State | None
) -> None:
    """The other request was sent when a larger id was there: its task may have a smaller one all the same."""
    theirs = Foreign("theirs", BOAT, replace(doubtful(newest=300).sent, gave_up_at=time.time() - 90))
    doubt, service = doubtful(newest=100), Service([101, 100], created_at=int(NOW) + 5, alike={101})
    async with settling(tmp_path, service, [doubt]) as opened:
        settler = replace(opened, others=Told(Elsewhere(open=[theirs])))
        said = await settler.settle(
            [Doubt(doubt, settler.clock.monotonic())], beside=list, newest=None, ordered=ordered
        )
    assert not isinstance(said, Outcome)
    assert [record.state for _, record in said] == ([after] if after else [])
