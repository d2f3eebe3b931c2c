"""Each fault over a real connection: what a client sees of it, and what has really happened."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import aiohttp
import anyio.lowlevel
import pytest

from orchestrator.clock import VirtualClock
from orchestrator.emulator import Change, Emulator, Fault, Profile

pytestmark = pytest.mark.anyio

BYTES = 1000
RUN = "Run/Hevok/Studio-Trigger"
SURE = Profile(
    api_key="key", api_secret=None, plain_bytes=BYTES, queue_seconds=(0, 0), run_seconds_median=10, run_seconds_sigma=0
)


@dataclass
class Caller:
    """A client of an emulator whose clock stands still; what waits there waits no time."""

    emulator: Emulator
    clock: VirtualClock
    session: aiohttp.ClientSession
    waits: list[float]

    async def send(self, endpoint: str, **fields: Any) -> tuple[int, bytes, dict[str, str]]:
        url = f"{self.emulator.base_url}/{endpoint}"
        async with self.session.post(url, json=fields, headers={"x-api-key": "key"}) as response:
            return response.status, await response.read(), dict(response.headers)

    async def call(self, endpoint: str, **fields: Any) -> dict[str, Any]:
        status, body, _ = await self.send(endpoint, **fields)
        assert status == 200
        reply: dict[str, Any] = json.loads(body)
        return reply

    async def run(self, prompt: str = "a pier", samples: int = 1, **parameters: Any) -> str:
        reply = await self.call(RUN, prompt=prompt, samples=samples, **parameters)
        token: str = reply["socketaccesstoken"]
        return token

    async def detail(self, token: str) -> dict[str, Any]:
        entry: dict[str, Any] = (await self.call("Task/Detail", tasktoken=token))["tasklist"][0]
        return entry

    async def finished(self) -> dict[str, Any]:
        """Return the entry of a task that has ended."""
        token = await self.run()
        self.clock.jump(60)
        return await self.detail(token)

    async def get(self, url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        async with self.session.get(url, headers=headers, allow_redirects=False) as response:
            return response.status, await response.read(), dict(response.headers)

    async def listed(self, **fields: Any) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = (await self.call("Task/List", **fields))["tasklist"]
        return entries


@asynccontextmanager
async def calling(*faults: Fault, changes: tuple[Change, ...] = ()) -> AsyncIterator[Caller]:
    clock, waits = VirtualClock(), list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    profile = replace(SURE, faults=faults, changes=changes)
    async with (
        Emulator(profile, now=clock.now, sleep=sleep) as emulator,
        aiohttp.ClientSession(auto_decompress=False) as session,
    ):
        yield Caller(emulator, clock, session, waits)


def reply(kind: str, **options: Any) -> Fault:
    return Fault(place="reply", kind=kind, **options)


def task(kind: str, **options: Any) -> Fault:
    return Fault(place="task", kind=kind, **options)


def listing(kind: str, **options: Any) -> Fault:
    return Fault(place="list", kind=kind, **options)


def file(kind: str, **options: Any) -> Fault:
    return Fault(place="file", kind=kind, **options)


async def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="There is no fault reply: lags"):
        reply("lags")


@pytest.mark.parametrize(("when", "accepted"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("kind", ["lost", "hangs"])
async def test_replies_that_never_come(kind: str, when: Literal["before", "after"], accepted: int) -> None:
    async with calling(reply(kind, when=when, seconds=30, times=1)) as caller:
        with pytest.raises(aiohttp.ClientConnectionError):
            await caller.run()
        assert len(caller.emulator.stats.accepted) == accepted
        assert caller.emulator.stats.faults == {f"reply: {kind}": 1}
        assert caller.waits == ([30] if kind == "hangs" else [])
        await caller.run()
        assert len(caller.emulator.stats.accepted) == accepted + 1


@pytest.mark.parametrize(("when", "accepted"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize(
    ("kind", "status", "begins"), [("error", 502, b"<html>"), ("html", 200, b"<!DOCTYPE html>"), ("empty", 200, b"")]
)
async def test_replies_that_are_no_replies(
    kind: str, status: int, begins: bytes, when: Literal["before", "after"], accepted: int
) -> None:
    async with calling(reply(kind, when=when, status=502)) as caller:
        found, body, _ = await caller.send(RUN, prompt="a pier")
        assert (found, body[: len(begins)], bool(body)) == (status, begins, bool(begins))
        assert len(caller.emulator.stats.accepted) == accepted


async def test_replies_that_break_off() -> None:
    async with calling(reply("short")) as caller:
        with pytest.raises(aiohttp.ClientPayloadError):
            await caller.run()
        assert len(caller.emulator.stats.accepted) == 1


@pytest.mark.parametrize("kind", ["cut", "corrupt"])
async def test_replies_that_are_no_json(kind: str) -> None:
    async with calling(reply(kind)) as caller:
        status, body, headers = await caller.send(RUN, prompt="a pier")
        assert (status, int(headers["Content-Length"])) == (200, len(body))
        with pytest.raises(ValueError, match=r"JSON|delimiter|string|codec"):
            json.loads(body.decode())
        assert len(caller.emulator.stats.accepted) == 1


async def test_replies_that_come_drop_by_drop() -> None:
    async with calling(reply("slow", number=100)) as caller:
        _, body, _ = await caller.send("Tool/List", summary=True)
        assert json.loads(body)["result"]
        assert sum(caller.waits) == pytest.approx(len(body) / 100, abs=0.1)


async def test_too_many_calls_with_every_form_of_retry_after() -> None:
    forms = [reply("too_fast", seconds=1.5, text=form, at=frozenset({at})) for form, at in FORMS.items()]
    async with calling(*forms, reply("too_fast", at=frozenset({"Run"}))) as caller:
        found = [await caller.send(endpoint) for endpoint in (*FORMS.values(), "Run/a/b")]
        assert [status for status, _, _ in found] == [429] * 4
        assert caller.emulator.stats.refusals == {"429": 4}
        seconds, decimal, date, none = (headers.get("Retry-After") for _, _, headers in found)
        assert (seconds, decimal, none) == ("2", "1.500", None)
        assert date is not None
        until = parsedate_to_datetime(date).timestamp()
        assert until == math.ceil(caller.clock.now() + 1.5)


FORMS = {"seconds": "Task/List", "decimal": "Task/Detail", "date": "Tool/List"}


async def test_any_refusal() -> None:
    async with calling(reply("refused", code=99, text="Key is paused", status=200)) as caller:
        assert await caller.call("Task/List") == {"result": False, "errors": [{"code": 99, "message": "Key is paused"}]}
        assert caller.emulator.stats.refusals == {"99": 1}


async def test_the_same_calls_meet_the_same_faults_again() -> None:
    found = []
    for order in (range(20), reversed(range(20))):
        async with calling(reply("error", share=0.4, at=frozenset({"Run"}))) as caller:
            found.append({seed: (await caller.send(RUN, prompt="x", seed=str(seed)))[0] for seed in order})
    assert found[0] == found[1]
    assert set(found[0].values()) == {200, 503}


async def test_looks_at_one_task_go_wrong_and_those_at_others_do_not() -> None:
    async with calling(reply("error", at=frozenset({"Task/Detail"}), where={"prompt": "*fog*"})) as caller:
        clear, foggy = await caller.run("sun"), await caller.run("fog")
        assert (await caller.send("Task/Detail", tasktoken=clear))[0] == 200
        assert (await caller.send("Task/Detail", tasktoken=foggy))[0] == 503
        assert (await caller.send("Task/Detail", tasktoken="unknown"))[0] == 200


async def test_tasks_fail_or_never_run() -> None:
    faults = task("fails", where={"prompt": "a"}), task("never_runs", where={"prompt": "b"})
    async with calling(*faults) as caller:
        tokens = [await caller.run(prompt) for prompt in "abc"]
        caller.clock.jump(60)
        entries = [await caller.detail(token) for token in tokens]
        assert [(entry["status"], entry["pexit"]) for entry in entries] == [
            ("task_postprocess_end", "1"),
            ("task_error", ""),
            ("task_postprocess_end", "0"),
        ]
        assert len(caller.emulator.stats.billed) == 1


async def test_tasks_get_stuck_until_they_are_killed() -> None:
    async with calling(task("stuck")) as caller:
        token = await caller.run()
        caller.clock.jump(10_000_000)
        assert (await caller.detail(token))["status"] == "task_accept"
        assert caller.emulator.active == 1
        await caller.call("Task/Kill", tasktoken=token)
        assert (await caller.detail(token))["status"] == "task_cancel"


async def test_tasks_come_late() -> None:
    async with calling(task("late", seconds=100)) as caller:
        token = await caller.run()
        seen = []
        for _ in range(2):
            caller.clock.jump(60)
            seen.append((await caller.detail(token))["status"])
        assert seen == ["task_start", "task_postprocess_end"]


async def test_tasks_are_not_seen_for_a_while() -> None:
    async with calling(task("unseen", after_seconds=5, seconds=10, where={"prompt": "a"})) as caller:
        token, _ = await caller.run("a"), await caller.run("b")
        seen = []
        for _ in range(4):
            shown = await caller.call("Task/Detail", tasktoken=token)
            seen.append((shown["errors"], len(await caller.listed())))
            caller.clock.jump(5)
        gone = [{"code": 1, "message": "There is no task yet."}], 1
        assert seen == [([], 2), gone, gone, ([], 2)]


async def test_tasks_vanish_for_good() -> None:
    async with calling(task("unseen")) as caller:
        token = await caller.run()
        caller.clock.jump(10**6)
        assert not (await caller.call("Task/Detail", tasktoken=token))["result"]


async def test_outputs_come_after_the_end() -> None:
    async with calling(task("bare", seconds=100)) as caller:
        token = await caller.run()
        caller.clock.jump(60)
        bare = await caller.detail(token)
        assert (bare["pexit"], bare["outputs"]) == ("0", [])
        caller.clock.jump(100)
        assert len((await caller.detail(token))["outputs"]) == 1


async def test_a_list_of_outputs_grows_after_the_end() -> None:
    async with calling(task("grows", seconds=100)) as caller:
        token = await caller.run(samples=3)
        caller.clock.jump(60)
        seen = [output["name"] for output in (await caller.detail(token))["outputs"]]
        caller.clock.jump(100)
        assert seen == ["0.png", "1.png"]
        assert len((await caller.detail(token))["outputs"]) == 3


async def test_outputs_are_listed_in_another_order_at_each_look() -> None:
    async with calling(task("turns")) as caller:
        token = await caller.run(samples=3)
        caller.clock.jump(60)
        looks = [[output["name"][0] for output in (await caller.detail(token))["outputs"]] for _ in range(3)]
        assert looks == [["1", "2", "0"], ["2", "0", "1"], ["0", "1", "2"]]


async def test_statuses_are_strange_until_the_end() -> None:
    async with calling(task("strange", text="task_dreaming")) as caller:
        token = await caller.run()
        assert (await caller.detail(token))["status"] == "task_dreaming"
        caller.clock.jump(60)
        assert (await caller.detail(token))["status"] == "task_postprocess_end"


async def test_single_tasks_are_shown_in_the_older_form() -> None:
    async with calling(task("older", where={"prompt": "a"})) as caller:
        older, newer = [await caller.detail(await caller.run(prompt)) for prompt in "ab"]
        assert ("createtime" in older, "pexit" in older) == (True, False)
        assert ("createtime" in newer, "pexit" in newer) == (False, True)


async def test_the_list_lags() -> None:
    async with calling(listing("lags", seconds=5, where={"prompt": "a"})) as caller:
        await caller.run("a")
        await caller.run("b")
        before = await caller.listed()
        caller.clock.jump(5)
        assert (len(before), len(await caller.listed())) == (1, 2)


async def test_the_list_has_gaps_now_and_then() -> None:
    async with calling(listing("gaps", share=0.5)) as caller:
        for prompt in "abcdefgh":
            await caller.run(prompt)
        counts = [len(await caller.listed()) for _ in range(6)]
        assert len(set(counts)) > 1
        assert max(counts) < 8


async def test_the_list_lies_about_its_length() -> None:
    for by, total in ((5, "6"), (-5, "0")):
        async with calling(listing("lies", number=by)) as caller:
            await caller.run()
            assert (await caller.call("Task/List"))["total"] == total


async def test_the_list_moves_while_it_is_read() -> None:
    for by, second in ((1, "dc"), (-1, "ba")):
        async with calling(listing("moves", number=by)) as caller:
            for prompt in "abcde":
                await caller.run(prompt)
            pages = [await caller.listed(start=str(start), limit="2") for start in (0, 2)]
            assert ["".join(entry["parameters"]["prompt"] for entry in page) for page in pages] == ["ed", second]


async def test_pages_are_small() -> None:
    async with calling(listing("small", number=2)) as caller:
        for prompt in "abc":
            await caller.run(prompt)
        assert [len(await caller.listed(start=str(start), limit="50")) for start in (0, 2)] == [2, 1]


async def test_the_list_lacks_parameters_and_spells_others_its_own_way() -> None:
    async with calling(listing("lacks", names=frozenset({"steps"})), listing("respells")) as caller:
        token = await caller.run(steps=20, seed="42", scale="0.8", scheduler="DDIMScheduler", width=512.5)
        assert (await caller.listed())[0]["parameters"] == {
            "PROMPT": "a pier",
            "SAMPLES": "1.0",
            "SEED": 42,
            "SCALE": 0.8,
            "SCHEDULER": "DDIMScheduler",
            "WIDTH": "512.5",
        }
        assert (await caller.detail(token))["parameters"]["steps"] == 20
    async with calling(listing("lacks")) as caller:
        await caller.run()
        assert (await caller.listed())[0]["parameters"] == {}


async def test_files_are_late_or_unavailable() -> None:
    async with calling(file("error", status=404, times=1)) as caller:
        url = (await caller.finished())["outputs"][0]["url"]
        assert [(await caller.get(url))[0] for _ in range(3)] == [404, 200, 200]
        assert caller.emulator.stats.downloads == {"404": 1, "200": 2}


@pytest.mark.parametrize("kind", ["lost", "hangs", "short"])
async def test_files_break_off(kind: str) -> None:
    async with calling(file(kind, times=1 if kind == "short" else 2)) as caller:  # aiohttp asks again once by itself
        url = (await caller.finished())["outputs"][0]["url"]
        with pytest.raises((aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)):
            await caller.get(url)
        assert len((await caller.get(url))[1]) == BYTES


@pytest.mark.parametrize("kind", ["cut", "corrupt", "html", "empty", "slow"])
async def test_files_are_not_what_they_should_be(kind: str) -> None:
    async with calling(file(kind, times=1, number=10_000)) as caller:
        url = (await caller.finished())["outputs"][0]["url"]
        (_, wrong, _), (_, right, _) = [await caller.get(url) for _ in range(2)]
        assert len(right) == BYTES
        assert (wrong == right) is (kind == "slow")
        length = {"cut": BYTES // 2, "corrupt": BYTES, "empty": 0, "slow": BYTES}.get(kind, len(wrong))
        assert len(wrong) == length


async def test_files_without_an_end() -> None:
    async with calling(file("endless", number=200_000)) as caller:
        url = (await caller.finished())["outputs"][0]["url"]
        with pytest.raises(aiohttp.ClientPayloadError):
            await caller.get(url)
        async with caller.session.get(url) as response:
            assert "Content-Length" not in response.headers
            assert len(await response.content.readexactly(BYTES + 100_000)) == BYTES + 100_000


async def test_who_hangs_up_in_the_middle_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async with calling(file("endless")) as caller:
        url = (await caller.finished())["outputs"][0]["url"]
        async with caller.session.get(url) as response:
            await response.content.readexactly(BYTES)
            response.close()
        while not caller.emulator.stats.downloads:
            await anyio.lowlevel.checkpoint()
    assert [record.message for record in caplog.records if record.name == "aiohttp.server"] == []


async def test_files_are_elsewhere() -> None:
    async with calling(file("redirected", text="file:///etc/hosts")) as caller:
        url = (await caller.finished())["outputs"][0]["url"]
        status, _, headers = await caller.get(url)
        assert (status, headers["Location"]) == (302, "file:///etc/hosts")


async def test_a_file_that_is_redirected_is_where_that_leads() -> None:
    """However often it is asked for, and with all else that its address says."""
    async with calling(file("redirected"), file("expired")) as caller:
        token = await caller.run()
        caller.clock.jump(60)
        _, url = [(await caller.detail(token))["outputs"][0]["url"] for _ in range(2)]
        for _ in range(2):
            status, _, headers = await caller.get(url)
            assert (status, headers["Location"]) == (302, f"{url.removeprefix(caller.emulator.cdn_url)}&again=")
            assert (await caller.get(caller.emulator.cdn_url + headers["Location"]))[0] == 200


async def test_addresses_expire_and_a_new_look_renews_them() -> None:
    async with calling(file("expired")) as caller:
        token = await caller.run()
        caller.clock.jump(60)
        first, second = [(await caller.detail(token))["outputs"][0]["url"] for _ in range(2)]
        assert [(await caller.get(url))[0] for url in (first, second, first)] == [403, 200, 403]
        assert (await caller.listed())[0]["outputs"][0]["url"] == second


async def test_files_without_ranges() -> None:
    async with calling(file("whole")) as caller:
        url = (await caller.finished())["outputs"][0]["url"]
        status, body, headers = await caller.get(url, Range="bytes=10-")
        assert (status, len(body), "Accept-Ranges" in headers, "ETag" in headers) == (200, BYTES, False, False)


async def test_files_come_compressed() -> None:
    async with calling(file("compressed", times=1)) as caller:
        url = (await caller.finished())["outputs"][0]["url"]
        (_, packed, headers), (_, plain, _) = [await caller.get(url) for _ in range(2)]
        assert headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed) == plain


async def test_what_is_told_of_files_is_not_so() -> None:
    name = "../" * 3 + "\0" + "n" * 300
    faults = file("resized", number=-1), file("retyped", text="text/html"), file("renamed", text=name)
    async with calling(*faults) as caller:
        (output,) = (await caller.finished())["outputs"]
        assert (output["size"], output["contenttype"], output["name"]) == (str(BYTES - 1), "text/html", name)
        _, body, headers = await caller.get(output["url"])
        assert (len(body), headers["Content-Type"]) == (BYTES, "text/html")


async def test_limits_move() -> None:
    changes = (
        Change(10, "concurrency", 1),
        Change(10, "rate", 2),
        Change(20, "rate", None),
        Change(20, "balance_usd", 0),
    )
    async with calling(changes=changes) as caller:
        await caller.run("a")
        await caller.run("b")
        caller.clock.jump(10)
        statuses = [(await caller.send("Task/List"))[0] for _ in range(3)]
        assert statuses == [200, 200, 429]
        caller.clock.jump(1)
        await caller.run("c")
        assert (await caller.call(RUN, prompt="d"))["errors"][0]["code"] == 96
        caller.clock.jump(20)
        assert (await caller.call(RUN, prompt="d"))["errors"][0]["code"] == 97


async def test_what_a_judge_needs_is_counted_and_shown() -> None:
    async with calling(reply("error", share=1, times=1, at=frozenset({"Run"}), when="before")) as caller:
        for _ in range(2):
            await caller.send(RUN, prompt="a pier", samples=1)
        caller.clock.jump(60)
        site = caller.emulator.base_url.removesuffix("/v1")
        _, stats, _ = await caller.get(f"{site}/emulator/stats")
        found = json.loads(stats)
        assert (found["faults"], found["peak_calls_per_second"]) == ({"reply: error": 1}, 2)
        _, tasks, _ = await caller.get(f"{site}/emulator/tasks")
        (seen,) = [json.loads(line) for line in tasks.splitlines()]
        assert seen["parameters"] == {"prompt": "a pier", "samples": 1}
        assert (seen["model"], seen["status"]) == ("Hevok/Studio-Trigger", "task_postprocess_end")
        assert (seen["billed_usd"], seen["ended_at"] - seen["accepted_at"]) == ("0.0035", 10)
        assert "token" not in tasks.decode()
