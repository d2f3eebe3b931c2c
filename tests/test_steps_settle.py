"""Lost requests are found in the service's list, or certainly not there; nothing else settles them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from aiohttp import web

from orchestrator.clock import SystemClock
from orchestrator.engines.pacing import Pacer
from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.money import FREE
from orchestrator.steps.calls import Calls
from orchestrator.steps.elsewhere import Elsewhere, Foreign
from orchestrator.steps.matching import spelt
from orchestrator.steps.outcomes import Outcome, Verdict
from orchestrator.steps.settle import MOST_DETAILS, OVERLAP, PAGE, REMEMBERED_SECONDS, Doubt, Listing, Settler
from orchestrator.tasks import Parameters, Task
from orchestrator.wiro import Client, Credentials

pytestmark = pytest.mark.anyio

MODEL = "Hevok/Studio-Trigger"
NOW = 1_800_000_000.0
BOAT = {"prompt": "a boat", "seed": "1"}
INCOMPLETE = "The service's list of tasks is not complete."


def doubtful(name: str = "a", parameters: Parameters = BOAT, *, newest: int | None = 100, at: float = NOW) -> Record:
    """A task whose request may have been accepted, sent when `newest` was the newest remote task."""
    return Record(Task(name, 0, parameters, {}, {}, "x")).intended(at, FREE, newest).given_up(at + 1)


@dataclass
class Service:
    """A list of tasks that may move while it is read, and may not show their parameters.

    Attributes:
        most: How many tasks it gives at once, whatever it is asked for.
        moves: Done after each page.
        slips: Whether it fails every second time.
        created_at: When all tasks were made, unix seconds; 0 where the list does not say.
        alike: The only tasks with the parameters of `BOAT`; all where None.
        asked: The tasks that were asked for one by one.
    """

    tasks: list[int]
    calls: int = 0
    in_list: object = json.dumps(BOAT)
    in_detail: object = json.dumps(BOAT)
    most: int = PAGE
    deaf: bool = False
    moves: Callable[[Service], None] = lambda _: None
    broken: bool = False
    slips: bool = False
    deleted: bool = False
    created_at: int = 0
    alike: Collection[int] | None = None
    asked: list[str] = field(default_factory=list)

    def shown(self, number: int) -> object:
        return self.in_list if self.alike is None or number in self.alike else json.dumps({"seed": 7})

    async def answer(self, request: web.Request) -> web.Response:
        self.calls += 1
        asked = await request.json()
        if self.broken or (self.slips and self.calls % 2):
            return web.Response(text="<html>Bad gateway</html>", status=502)
        start = 0 if self.deaf else int(asked["start"])
        page = [
            {
                "id": str(number),
                "status": "task_queue",
                "parameters": self.shown(number),
                "createtime": str(self.created_at),
            }
            for number in self.tasks[start : start + min(self.most, int(asked["limit"]))]
        ]
        self.moves(self)
        return web.json_response({"result": True, "errors": [], "total": "0", "tasklist": page})

    async def tell(self, request: web.Request) -> web.Response:
        number = (await request.json())["taskid"]
        self.asked.append(number)
        if self.deleted:
            return web.json_response({"result": False, "errors": [{"code": 1, "message": "There is no task yet."}]})
        task = {"id": number, "status": "task_queue", "parameters": self.in_detail}
        return web.json_response({"result": True, "errors": [], "total": "1", "tasklist": [task]})


@asynccontextmanager
async def listing(service: Service) -> AsyncIterator[Calls]:
    app = web.Application()
    app.router.add_post("/v1/Task/List", service.answer)
    app.router.add_post("/v1/Task/Detail", service.tell)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    clock = SystemClock()
    pacer = Pacer(10_000, clock)
    port = runner.addresses[0][1]
    try:
        async with Client(Credentials("key", None), f"http://127.0.0.1:{port}/v1", before_send=pacer.gate) as client:
            yield Calls(client, pacer, clock)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def ledger_with(folder: Path, records: Sequence[Record]) -> AsyncIterator[Ledger]:
    """A ledger that holds these tasks as uncertain."""
    store = await anyio.to_thread.run_sync(SqliteLedger, folder / "ledger.sqlite")
    ledger = await anyio.to_thread.run_sync(Ledger, store, SystemClock())
    async with anyio.create_task_group() as group:
        group.start_soon(ledger.run)
        await ledger.enter([record.task for record in records], 1, 0)
        for record in records:
            intended = replace(record, attempt=replace(record.sent, gave_up_at=None))
            await ledger.save(Record(record.task), intended, durable=False)
            await ledger.save(intended, record, durable=False)
        try:
            yield ledger
        finally:
            ledger.close()
    await anyio.to_thread.run_sync(store.close)


@asynccontextmanager
async def settling(
    folder: Path, service: Service, records: Sequence[Record], sent: Callable[[Parameters], Parameters] = lambda p: p
) -> AsyncIterator[Settler]:
    async with ledger_with(folder, records) as ledger, listing(service) as calls:
        yield Settler(MODEL, spelt({"steps": 60}), sent, 60.0, calls, ledger, SystemClock())


async def read(folder: Path, service: Service, uncertain: Sequence[Record], newest: int | None) -> Listing | Outcome:
    async with settling(folder, service, []) as settler:
        return await settler.read_list([record.sent for record in uncertain], newest)


async def numbers(folder: Path, service: Service, uncertain: Sequence[Record], newest: int | None = None) -> list[int]:
    found = await read(folder, service, uncertain, newest)
    assert not isinstance(found, Outcome)
    return [int(number) for number in found.tasks]


async def test_the_list_is_read_no_further_than_needed(tmp_path: Path) -> None:
    service = Service(list(range(500, 0, -1)))
    assert await numbers(tmp_path, service, [doubtful(newest=480)]) == list(range(500, 500 - PAGE, -1))
    assert service.calls == 1


@pytest.mark.parametrize("length", [1, 4, OVERLAP, OVERLAP + 1, PAGE, PAGE + 1, 170])
@pytest.mark.parametrize("most", [PAGE, 20])
async def test_the_list_is_read_to_its_end_where_nothing_is_certainly_older(
    tmp_path: Path, length: int, most: int
) -> None:
    """However long it is, and however few tasks a page holds; it takes hardly more calls than there are pages."""
    service = Service(list(range(length, 0, -1)), most=most)
    assert await numbers(tmp_path, service, [doubtful(newest=None)]) == list(range(length, 0, -1))
    assert service.calls <= length / (most - OVERLAP) + 3


@pytest.mark.parametrize("moved", [3, OVERLAP, 40])
async def test_tasks_that_come_while_it_is_read_make_no_gap(tmp_path: Path, moved: int) -> None:
    """New tasks push the others down: pages overlap more, and all that was there at the start is seen."""

    def moves(service: Service) -> None:
        newest = service.tasks[0]
        service.tasks = [*range(newest + moved, newest, -1), *service.tasks]

    seen = await numbers(tmp_path, Service(list(range(170, 0, -1)), moves=moves), [doubtful(newest=20)])
    assert set(range(21, 171)) <= set(seen)


async def test_a_page_that_brings_only_known_tasks_is_not_the_end(tmp_path: Path) -> None:
    """As many tasks came as the page holds: what is beyond is read all the same."""

    def moves(service: Service) -> None:
        if service.calls == 1:
            service.tasks = [*range(170 + PAGE - OVERLAP, 170, -1), *service.tasks]

    seen = await numbers(tmp_path, Service(list(range(170, 0, -1)), moves=moves), [doubtful(newest=20)])
    assert set(range(21, 171)) <= set(seen)


async def test_more_that_come_at_once_than_a_page_holds_are_read_too(tmp_path: Path) -> None:
    """The first page was asked for a thousand times: nothing joined it and what had been read."""

    def moves(service: Service) -> None:
        if service.calls == 1:
            service.tasks = [*range(160, 60, -1), *service.tasks]

    service = Service(list(range(60, 0, -1)), most=20, moves=moves)
    assert set(range(21, 61)) <= set(await numbers(tmp_path, service, [doubtful(newest=20)]))
    assert service.calls < 20


@pytest.mark.parametrize("most", [3, 4, OVERLAP])
async def test_short_pages_get_further_while_tasks_come(tmp_path: Path, most: int) -> None:
    """A page whose tasks are all known was passed over, nothing joined the next one, and the reading began anew."""

    def moves(service: Service) -> None:
        if service.calls % 8 == 0:
            service.tasks = [service.tasks[0] + 1, *service.tasks]

    service = Service(list(range(60, 0, -1)), most=most, moves=moves)
    assert set(range(21, 61)) <= set(await numbers(tmp_path, service, [doubtful(newest=20)]))
    assert service.calls < 80


async def test_tasks_that_go_while_it_is_read_make_no_gap(tmp_path: Path) -> None:
    """Tasks that are deleted pull the others up, past the edge of a page: the reading steps back."""

    def moves(service: Service) -> None:
        if service.calls == 1:
            del service.tasks[:20]

    seen = await numbers(tmp_path, Service(list(range(170, 0, -1)), moves=moves), [doubtful(newest=60)])
    assert set(range(61, 151)) <= set(seen)


@pytest.mark.parametrize(
    ("shown", "known", "newest"),
    [
        ([], [100], None),  # what was there before is not shown
        ([103, 102], [100], None),
        ([103, 102], [0, 101], None),
        ([], [0], 103),  # what is known to be there is not shown
        ([102], [0], 103),
        ([], [None], 103),
        ([], [None], None),  # ids that are no numbers are not known, but there were some
    ],
)
async def test_a_list_that_does_not_show_what_is_known_is_not_complete(
    tmp_path: Path, shown: list[int], known: list[int | None], newest: int | None
) -> None:
    """Nothing is certainly absent from a list that comes back empty, or short, for a while."""
    uncertain = [doubtful(str(place), newest=number) for place, number in enumerate(known)]
    said = await read(tmp_path, Service(shown), uncertain, newest)
    assert isinstance(said, Outcome)
    assert (said.verdict, said.message) == (Verdict.AGAIN, INCOMPLETE)


@pytest.mark.parametrize(
    ("shown", "known", "newest"),
    [
        ([], [0], 0),
        ([103], [0], 103),
        ([103, 102, 100], [0, 102], 103),  # the older one of two doubts was sent before there was any task
    ],
)
async def test_a_list_that_shows_all_that_is_known_may_end(
    tmp_path: Path, shown: list[int], known: list[int | None], newest: int | None
) -> None:
    uncertain = [doubtful(str(place), newest=number) for place, number in enumerate(known)]
    assert await numbers(tmp_path, Service(shown), uncertain, newest) == shown


async def test_a_list_that_always_gives_the_same_page_is_given_up(tmp_path: Path) -> None:
    service = Service(list(range(200, 100, -1)), deaf=True)
    assert isinstance(await read(tmp_path, service, [doubtful(newest=50)], None), Outcome)
    assert service.calls <= 5


async def test_a_list_that_cannot_be_had_settles_nothing(tmp_path: Path) -> None:
    said = await read(tmp_path, Service([1], broken=True), [doubtful()], None)
    assert isinstance(said, Outcome)
    assert said.verdict is Verdict.AGAIN


async def test_a_page_that_fails_is_asked_for_again_and_the_others_are_kept(tmp_path: Path) -> None:
    service = Service(list(range(170, 0, -1)), slips=True)
    assert await numbers(tmp_path, service, [doubtful(newest=40)]) == list(range(170, 30, -1))
    assert service.calls == 6


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


@pytest.mark.parametrize(("known", "newest"), [([100], None), ([0, 101], 107), ([100], 100)])
async def test_what_was_deleted_is_missed_by_nobody(tmp_path: Path, known: list[int], newest: int | None) -> None:
    """The service itself does not know it any more: a list without it may be complete, and one that hides it not."""
    uncertain = [doubtful(str(place), newest=number, at=time.time() - 70) for place, number in enumerate(known)]
    service = Service([103, 102], deleted=True)
    assert await numbers(tmp_path, service, uncertain, newest) == [103, 102]
    assert set(service.asked) == {str(number) for number in {newest, *known} - {None, 0, 103}}
    other = tmp_path / "other"
    other.mkdir()
    assert isinstance(await read(other, Service([103, 102]), uncertain, newest), Outcome)


async def test_what_a_service_may_have_forgotten_proves_nothing(tmp_path: Path) -> None:
    """Old tasks may have gone from the list by themselves, and with them the one that is sought."""
    old = doubtful(at=time.time() - REMEMBERED_SECONDS - 10)
    assert isinstance(await read(tmp_path, Service([103], deleted=True), [old], None), Outcome)


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
