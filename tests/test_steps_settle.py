"""Lost requests are found in the service's list, or certainly not there; nothing else settles them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from aiohttp import web
from hypothesis import given, strategies as st

from orchestrator.clock import SystemClock
from orchestrator.engines.pacing import Pacer
from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.lifecycle import Record, State
from orchestrator.money import FREE
from orchestrator.steps.calls import Calls
from orchestrator.steps.outcomes import Outcome, Verdict
from orchestrator.steps.settle import OVERLAP, PAGE, Doubt, canonical, match, read_list, settle
from orchestrator.tasks import Task
from orchestrator.wiro import Client, Credentials, RemoteTask

MODEL = "Hevok/Studio-Trigger"
NOW = 1_800_000_000.0


def doubtful(name: str = "a", *, newest: int | None = 100, at: float = NOW, **parameters: Any) -> Record:
    """A task whose request may have been accepted, sent when `newest` was the newest remote task."""
    task = Task(name, 0, parameters or {"prompt": "a boat", "seed": "1"}, {}, {}, "x")
    return Record(task).intended(at, FREE, newest).given_up(at + 1)


def remote(
    number: int, parameters: dict[str, Any] | None, *, at: float | None = None, model: str | None = MODEL
) -> RemoteTask:
    return RemoteTask(
        task_id=str(number),
        token=f"token-{number}",
        model=model,
        parameters=parameters,
        status="task_queue",
        exit_text="",
        cost_usd=None,
        outputs=(),
        error_text="",
        debug_output="",
        created_at=at,
        started_at=None,
        ended_at=None,
        elapsed_seconds=None,
    )


BOAT = {"prompt": "a boat", "seed": "1"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"steps": 4}, {"steps": "4"}),
        ({"scale": "4.0"}, {"scale": Decimal(4)}),
        ({"scale": "0.80"}, {"scale": 0.8}),
        ({"on": True}, {"on": "true"}),
        ({"prompt": "x", "negativePrompt": ""}, {"prompt": "x"}),
        ({"prompt": "x", "image": None}, {"prompt": "x"}),
        ({"prompt": " a boat\n"}, {"prompt": "a boat"}),
        ({"images": ["a", "b"]}, {"images": ["a", "b"]}),
        ({"big": "9" * 60}, {"big": "9" * 60}),
    ],
)
def test_spellings_of_one_value_are_one(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"seed": "1"}, {"seed": "2"}),
        ({"prompt": "A boat"}, {"prompt": "a boat"}),
        ({"seed": "NaN"}, {"seed": "nan"}),
        ({"images": ["a", "b"]}, {"images": ["b", "a"]}),
        ({"a": "x"}, {"b": "x"}),
    ],
)
def test_different_values_stay_different(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert canonical(one) != canonical(other)


SCALARS = st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.decimals()


@given(st.dictionaries(st.text(min_size=1), SCALARS | st.lists(st.text())))
def test_any_parameters_have_a_canonical_form(parameters: dict[str, Any]) -> None:
    assert canonical(parameters) == canonical(dict(reversed(parameters.items())))


def test_the_service_may_show_more_than_was_sent() -> None:
    record = doubtful()
    found = match([record], [remote(101, BOAT | {"width": 1024})], MODEL)
    assert found.adopted[record.task.id].task_id == "101"
    assert match([record], [remote(101, {"prompt": "a boat"})], MODEL).absent == {record.task.id}


def test_what_was_there_before_is_not_ours() -> None:
    """By the order of ids where both are known, else by the time at which it was made, with some slack for clocks."""
    assert match([doubtful(newest=100)], [remote(100, BOAT)], MODEL).absent
    assert match([doubtful(newest=100)], [remote(101, BOAT, at=NOW - 9999)], MODEL).adopted
    assert match([doubtful(newest=None)], [remote(101, BOAT, at=NOW - 9999)], MODEL).absent
    assert match([doubtful(newest=None)], [remote(101, BOAT, at=NOW - 60)], MODEL).adopted
    assert match([doubtful(newest=None)], [remote(101, BOAT)], MODEL).adopted


def test_another_models_task_is_not_ours() -> None:
    assert match([doubtful()], [remote(101, BOAT, model="else/model")], MODEL).absent
    assert match([doubtful()], [remote(101, BOAT, model=MODEL.lower())], MODEL).adopted
    assert match([doubtful()], [remote(101, BOAT, model=None)], MODEL).adopted


def test_a_task_whose_parameters_nobody_shows_may_be_ours() -> None:
    """Then nothing is certain, and nothing is sent again."""
    record = doubtful()
    assert match([record], [remote(101, None)], MODEL).blocked == {record.task.id}
    assert match([record], [remote(100, None)], MODEL).absent == {record.task.id}
    assert match([record], [remote(101, None), remote(102, BOAT)], MODEL).adopted


@given(st.integers(0, 6), st.integers(0, 6))
def test_equal_tasks_are_claimed_once_each(doubts: int, remotes: int) -> None:
    """As many are adopted as there are, the oldest request first, and no remote task twice."""
    records = [doubtful(f"task-{number}", at=NOW + number) for number in range(doubts)]
    found = match(records[::-1], [remote(101 + number, BOAT) for number in range(remotes)], MODEL)
    both = min(doubts, remotes)
    assert [found.adopted[f"task-{number}"].number for number in range(both)] == [101 + n for n in range(both)]
    assert len(found.absent) == doubts - both


@dataclass
class Service:
    """A list of tasks that may move while it is read, and may not show their parameters."""

    tasks: list[int]
    calls: int = 0
    in_list: object = json.dumps(BOAT)
    in_detail: object = json.dumps(BOAT)
    moves: Callable[[Service], None] = lambda _: None
    broken: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        self.calls += 1
        asked = await request.json()
        if self.broken:
            return web.Response(text="<html>Bad gateway</html>", status=502)
        start, limit = int(asked["start"]), int(asked["limit"])
        page = [
            {"id": str(number), "status": "task_queue", "parameters": self.in_list}
            for number in self.tasks[start : start + limit]
        ]
        self.moves(self)
        return web.json_response({"result": True, "errors": [], "total": "0", "tasklist": page})

    async def tell(self, request: web.Request) -> web.Response:
        number = (await request.json())["taskid"]
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


async def numbers(service: Service, uncertain: Sequence[Record]) -> list[int]:
    async with listing(service) as calls:
        found = await read_list(uncertain, calls, SystemClock())
    assert not isinstance(found, Outcome)
    return [int(number) for number in found.tasks]


@pytest.mark.anyio
async def test_the_list_is_read_no_further_than_needed() -> None:
    service = Service(list(range(500, 0, -1)))
    assert await numbers(service, [doubtful(newest=480)]) == list(range(500, 500 - PAGE, -1))
    assert service.calls == 1


@pytest.mark.anyio
async def test_the_list_is_read_to_its_end_where_nothing_is_certainly_older() -> None:
    service = Service(list(range(170, 0, -1)))
    assert await numbers(service, [doubtful(newest=None)]) == list(range(170, 0, -1))


@pytest.mark.anyio
async def test_an_empty_list_is_a_list() -> None:
    assert await numbers(Service([]), [doubtful()]) == []


@pytest.mark.anyio
@pytest.mark.parametrize("moved", [3, OVERLAP, 40])
async def test_tasks_that_come_while_it_is_read_make_no_gap(moved: int) -> None:
    """New tasks push the others down: pages overlap more, and all that was there at the start is seen."""

    def moves(service: Service) -> None:
        newest = service.tasks[0]
        service.tasks = [*range(newest + moved, newest, -1), *service.tasks]

    seen = await numbers(Service(list(range(170, 0, -1)), moves=moves), [doubtful(newest=20)])
    assert set(range(21, 171)) <= set(seen)


@pytest.mark.anyio
async def test_tasks_that_go_while_it_is_read_make_no_gap() -> None:
    """Tasks that are deleted pull the others up, past the edge of a page: the reading steps back."""

    def moves(service: Service) -> None:
        if service.calls == 1:
            del service.tasks[:20]

    seen = await numbers(Service(list(range(170, 0, -1)), moves=moves), [doubtful(newest=60)])
    assert set(range(61, 151)) <= set(seen)


@pytest.mark.anyio
async def test_a_list_that_cannot_be_had_settles_nothing() -> None:
    async with listing(Service([1], broken=True)) as calls:
        said = await read_list([doubtful()], calls, SystemClock())
    assert isinstance(said, Outcome)
    assert said.verdict is Verdict.AGAIN


@asynccontextmanager
async def ledger_with(folder: Path, records: Sequence[Record]) -> AsyncIterator[tuple[Ledger, list[Record]]]:
    """A ledger that holds these tasks as uncertain."""
    store = await anyio.to_thread.run_sync(SqliteLedger, folder / "ledger.sqlite")
    ledger = await anyio.to_thread.run_sync(Ledger, store, SystemClock())
    async with anyio.create_task_group() as group:
        group.start_soon(ledger.run)
        await ledger.enter([record.task for record in records], 1, 0)
        for record in records:
            pending = Record(record.task)
            intended = replace(record, attempt=replace(record.sent, gave_up_at=None))
            await ledger.save(pending, intended, durable=False)
            await ledger.save(intended, record, durable=False)
        try:
            yield ledger, list(records)
        finally:
            ledger.close()
    await anyio.to_thread.run_sync(store.close)


async def settled(
    folder: Path, service: Service, records: Sequence[Record], *, ago: float, posting: Sequence[dict[str, Any]] = ()
) -> dict[str, State]:
    """Settle these tasks, whose requests were given up so many seconds ago; return the states of the settled ones."""
    clock = SystemClock()
    async with ledger_with(folder, records) as (ledger, held), listing(service) as calls:
        said = await settle(
            [Doubt(record, clock.monotonic() - ago) for record in held],
            posting=posting,
            model=MODEL,
            settle_after_seconds=60,
            calls=calls,
            ledger=ledger,
            clock=clock,
        )
        assert not isinstance(said, Outcome)
        after = {record.task.id: record.state for _, record in said}
        kept = await ledger.read(lambda store: store.states([record.task.id for record in records]))
        assert kept == dict.fromkeys(kept, State.SUBMITTING) | after
        return after


@pytest.mark.anyio
async def test_found_is_adopted_at_once(tmp_path: Path) -> None:
    assert await settled(tmp_path, Service([101, 100]), [doubtful()], ago=0) == {"a": State.RUNNING}


@pytest.mark.anyio
async def test_not_found_is_sent_again_only_after_settle_after(tmp_path: Path) -> None:
    assert await settled(tmp_path, Service([100]), [doubtful()], ago=59) == {}
    later = tmp_path / "later"
    later.mkdir()
    assert await settled(later, Service([100]), [doubtful()], ago=61) == {"a": State.PENDING}


@pytest.mark.anyio
@pytest.mark.parametrize("hidden", [None, "", "{not json", []])
async def test_parameters_that_the_list_does_not_show_are_asked_for(tmp_path: Path, hidden: object) -> None:
    service = Service([101, 100], in_list=hidden)
    assert await settled(tmp_path, service, [doubtful()], ago=0) == {"a": State.RUNNING}


@pytest.mark.anyio
async def test_as_long_as_nobody_shows_them_nothing_is_sent_again(tmp_path: Path) -> None:
    """A newer task that could be ours stands in the list: it waits, however long ago it was given up."""
    service = Service([101, 100], in_list=None, in_detail=None)
    assert await settled(tmp_path, service, [doubtful()], ago=10_000) == {}


@pytest.mark.anyio
async def test_nothing_is_adopted_while_an_equal_request_is_out(tmp_path: Path) -> None:
    """The remote task may be that request's."""
    assert (
        await settled(tmp_path, Service([101, 100]), [doubtful()], ago=100, posting=[{"seed": 1, "prompt": "a boat"}])
        == {}
    )


@pytest.mark.anyio
async def test_what_belongs_to_another_of_our_tasks_is_not_adopted(tmp_path: Path) -> None:
    """One remote task, two equal doubts: one adopts it, the other is sent again in its time."""
    records = [doubtful("a"), doubtful("b", at=NOW + 1)]
    assert await settled(tmp_path, Service([101, 100]), records, ago=0) == {"a": State.RUNNING}
