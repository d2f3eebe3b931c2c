"""The emulator's endpoints, held to the recordings and to the API page."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from orchestrator.clock import VirtualClock
from orchestrator.emulator import Emulator, Profile

RECORDINGS = Path(__file__).parent / "recordings"
SEED_MODEL = "Run/Hevok/Studio-Trigger"
KEY_ONLY = Profile(api_key="key", api_secret=None, picture_side=16)
PARAMETERS = json.loads((RECORDINGS / "task_detail_done.json").read_text())["tasklist"][0]["parameters"]


def recording(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text())
    return content


def shape(value: object) -> object:
    """Return keys and JSON types; a list is the shape of its items, None where it is empty."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else None
    return type(value).__name__


@dataclass
class Caller:
    """An emulator with a clock that stands still, and a client for it."""

    emulator: Emulator
    clock: VirtualClock
    session: aiohttp.ClientSession

    async def send(self, endpoint: str, **request: Any) -> tuple[int, dict[str, Any]]:
        headers = {"x-api-key": "key"} | request.pop("headers", {})
        url = f"{self.emulator.base_url}/{endpoint}"
        async with self.session.post(url, headers=headers, **request) as response:
            return response.status, await response.json()

    async def call(self, endpoint: str, **fields: Any) -> dict[str, Any]:
        status, reply = await self.send(endpoint, json=fields)
        assert status == 200
        return reply

    async def run(self, **parameters: Any) -> str:
        reply = await self.call(SEED_MODEL, **({"prompt": "a pier"} | parameters))
        assert reply["result"], reply
        token: str = reply["socketaccesstoken"]
        return token

    async def detail(self, token: str) -> dict[str, Any]:
        reply = await self.call("Task/Detail", tasktoken=token)
        entry: dict[str, Any] = reply["tasklist"][0]
        return entry


@asynccontextmanager
async def calling(profile: Profile = KEY_ONLY) -> AsyncIterator[Caller]:
    clock = VirtualClock()
    async with Emulator(profile, now=clock.now) as emulator, aiohttp.ClientSession() as session:
        yield Caller(emulator, clock, session)


def key_only(**options: Any) -> Profile:
    return Profile(**({"api_key": "key", "api_secret": None, "picture_side": 16} | options))


async def refusal(caller: Caller, endpoint: str, **fields: Any) -> dict[str, Any]:
    reply = await caller.call(endpoint, **fields)
    assert reply["result"] is False
    error: dict[str, Any] = reply["errors"][0]
    return error


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "prompt", "seconds", "quirks"),
    [
        ("task_detail_done", "a pier", 60.0, ()),
        ("task_detail_failed", "a pier [fail]", 60.0, ()),
        ("task_detail_ended_before_it_ran", "a pier [error]", 60.0, ()),
        ("task_detail_running", "a pier", 5.0, ()),
        ("task_detail_parameters_as_text", "a pier", 60.0, ("parameters_as_text",)),
    ],
)
async def test_details_have_the_recorded_shape(name: str, prompt: str, seconds: float, quirks: tuple[str, ...]) -> None:
    profile = key_only(run_seconds_median=10, run_seconds_sigma=0, quirks=frozenset(quirks))
    async with calling(profile) as caller:
        token = await caller.run(**(PARAMETERS | {"prompt": prompt}))
        caller.clock.jump(seconds)
        reply = await caller.call("Task/Detail", tasktoken=token)
    expected = recording(name)
    assert shape(reply) == shape(expected)
    for key in ("status", "pexit"):
        assert reply["tasklist"][0][key] == expected["tasklist"][0][key]
    cost = Decimal(reply["tasklist"][0]["totalcost"])
    assert cost == Decimal(expected["tasklist"][0]["totalcost"])


@pytest.mark.anyio
async def test_a_cancelled_task_has_the_recorded_shape() -> None:
    async with calling() as caller:
        token = await caller.run(**PARAMETERS)
        assert await caller.call("Task/Cancel", taskid="", tasktoken=token) == recording("done_nothing_more")
        reply = await caller.call("Task/Detail", tasktoken=token)
        assert shape(reply) == shape(recording("task_detail_cancelled"))
        assert reply["tasklist"][0]["status"] == "task_cancel"
        caller.clock.jump(60)
        assert (await caller.detail(token))["totalcost"] == "0"
        assert caller.emulator.balance_usd == Decimal(200)


@pytest.mark.anyio
async def test_a_language_model_writes_text_in_the_recorded_shape() -> None:
    async with calling() as caller:
        reply = await caller.call("Run/acme/word-smith", prompt="Hello")
        caller.clock.jump(60)
        reply = await caller.call("Task/Detail", taskid=reply["taskid"])
    expected = recording("task_detail_language_model")
    expected["tasklist"][0]["outputs"][0]["content"]["answer"] = ["Hello!"]
    assert shape(reply) == shape(expected)
    output = reply["tasklist"][0]["outputs"][0]["content"]
    assert output["prompt"] == "Hello"
    assert reply["tasklist"][0]["debugoutput"] == output["raw"] == output["answer"][0]


@pytest.mark.anyio
async def test_the_older_form_has_the_recorded_shape() -> None:
    async with calling(key_only(form="older")) as caller:
        token = await caller.run(samples=1)
        caller.clock.jump(60)
        reply = await caller.call("Task/Detail", tasktoken=token)
    expected = recording("task_detail_older_form")
    expected["tasklist"][0]["parameters"] = reply["tasklist"][0]["parameters"]
    assert shape(reply) == shape(expected)
    task = reply["tasklist"][0]
    stamps = [task[f"{name}time"] for name in ("create", "accept", "preprocessstart", "preprocessend", "assign")]
    stamps += [task[f"{name}time"] for name in ("start", "end", "postprocessstart", "postprocessend")]
    assert stamps == sorted(stamps)
    assert stamps[0] == "1800000000"


@pytest.mark.anyio
async def test_the_list_has_the_recorded_shape_and_the_newest_first() -> None:
    async with calling(key_only(run_seconds_median=10, run_seconds_sigma=0)) as caller:
        first = await caller.run(**PARAMETERS)
        caller.clock.jump(60)
        second = await caller.run(**PARAMETERS)
        caller.clock.jump(5)
        third = await caller.call("Run/acme/word-smith", prompt="Hello")
        query = {"type": "model", "sort": "id", "order": "DESC", "start": "0", "limit": "10"}
        reply = await caller.call("Task/List", **query, modelName="Hevok/Studio-Trigger")
        assert [task["socketaccesstoken"] for task in reply["tasklist"]] == [second, first]
        assert shape(reply) == shape(recording("task_list"))
        assert [task["status"] for task in reply["tasklist"]] == ["task_start", "task_postprocess_end"]
        everything = await caller.call("Task/List", **query)
        assert everything["total"] == "3"
        assert everything["tasklist"][0]["id"] == third["taskid"]
        page = await caller.call("Task/List", **(query | {"start": "1", "limit": "1"}))
        assert [task["socketaccesstoken"] for task in page["tasklist"]] == [second]
        assert (await caller.call("Task/List", **(query | {"start": "3"})))["tasklist"] == []


@pytest.mark.anyio
async def test_run_replies_have_the_recorded_shapes() -> None:
    async with calling() as caller:
        assert shape(await caller.call(SEED_MODEL, prompt="x")) == shape(recording("run_accepted"))
    async with calling(key_only(quirks=frozenset({"run_under_data"}))) as caller:
        assert shape(await caller.call(SEED_MODEL, prompt="x")) == shape(recording("run_accepted_under_data"))


@pytest.mark.anyio
async def test_mistakes_are_refused_in_the_recorded_words() -> None:
    async with calling() as caller:
        assert await caller.call(SEED_MODEL, steps=4) == recording("error_validation")
        assert await caller.call("Run/acme/paper-cut", prompt="x", steps=101) == recording("error_validation_range")
        assert await caller.call("Run/acme/nothing", prompt="x") == recording("error_no_such_model")
        assert await caller.call("Task/Detail", tasktoken="unknown") == recording("task_not_found")
        assert await caller.call("Task/Detail", taskid="9" * 30) == recording("task_not_found")
        assert (await caller.send("Task/Nothing", json={})) == (404, recording("error_endpoint_http_404"))
        assert (await caller.send("Run/acme", json={})) == (404, recording("error_endpoint_http_404"))
        status, reply = await caller.send("Task/List", json={}, headers={"x-api-key": "wrong"})
        assert (status, reply) == (401, recording("error_signature_http_401"))
        assert caller.emulator.stats.refusals == {"0": 2, "1": 3, "404": 2, "401": 1}
    async with calling(key_only(quirks=frozenset({"errors_as_text"}))) as caller:
        assert await caller.call(SEED_MODEL) == recording("error_as_text")


@pytest.mark.anyio
async def test_only_post_is_an_endpoint() -> None:
    async with calling() as caller, caller.session.get(f"{caller.emulator.base_url}/Task/List") as response:
        assert response.status == 404
        assert await response.json() == recording("error_endpoint_http_404")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"seed": True}, "[seed] invalid"),
        ({"steps": "many"}, "[steps] invalid"),
        ({"steps": float("1e400")}, "[steps] invalid"),
        ({"scheduler": "Other"}, "[scheduler] invalid"),
        ({"samples": 0}, "[samples] must be between 1 and 100"),
        ({"colour": "red"}, "[colour] invalid"),
        ({"prompt": ""}, "[prompt] required"),
    ],
)
async def test_parameters_are_held_to_the_schema(wrong: dict[str, Any], word: str) -> None:
    async with calling() as caller:
        error = await refusal(caller, SEED_MODEL, **({"prompt": "a pier"} | wrong))
    assert error == {"code": 0, "message": f"Request parameter {word}"}


@pytest.mark.anyio
async def test_a_signature_project_takes_nothing_else() -> None:
    secret, nonce = "secret", "1734513809"
    good = hmac.new(b"key", (secret + nonce).encode(), hashlib.sha256).hexdigest()
    swapped = hmac.new((secret + nonce).encode(), b"key", hashlib.sha256).hexdigest()
    async with calling(key_only(api_secret=secret, refuse_reused_nonces=True)) as caller:
        for headers, status in [
            ({}, 401),
            ({"x-nonce": nonce, "x-signature": swapped}, 401),
            ({"x-nonce": "1", "x-signature": good}, 401),
            ({"x-nonce": nonce, "x-signature": "\udcff"}, 401),
            ({"x-nonce": nonce, "x-signature": good}, 200),
            ({"x-nonce": nonce, "x-signature": good}, 401),
        ]:
            assert (await caller.send("Task/List", json={}, headers=headers))[0] == status


@pytest.mark.anyio
async def test_the_concurrency_limit_follows_the_balance() -> None:
    async with calling(key_only(balance_usd=Decimal(50))) as caller:
        tokens = [await caller.run() for _ in range(5)]
        assert await caller.call(SEED_MODEL, prompt="x") == recording("error_concurrency_limit")
        await caller.call("Task/Kill", tasktoken=tokens[0])
        await caller.run()
        caller.emulator.balance_usd = Decimal("250.01")
        for _ in range(30):
            await caller.run()
        caller.emulator.concurrency = 3
        assert "up to 3 tasks" in (await refusal(caller, SEED_MODEL, prompt="x"))["message"]
        assert caller.emulator.stats.peak_concurrency == 35
        caller.clock.jump(60)
        assert caller.emulator.active == 0


@pytest.mark.anyio
async def test_the_balance_is_reserved_and_only_successes_are_paid() -> None:
    profile = key_only(balance_usd=Decimal("0.0281"), concurrency=9)
    async with calling(profile) as caller:
        await caller.run()
        await caller.run(prompt="a pier [fail]")
        assert await caller.call(SEED_MODEL, prompt="x", samples=1) == recording("error_balance")
        caller.clock.jump(60)
        assert caller.emulator.balance_usd == Decimal("0.0141")
        assert caller.emulator.stats.billed_usd == Decimal("0.014")
        await caller.run()


@pytest.mark.anyio
async def test_the_rate_holds_in_any_sliding_second() -> None:
    async with calling(key_only(rate=2, retry_after_seconds=1.5)) as caller:
        url, headers = f"{caller.emulator.base_url}/Task/List", {"x-api-key": "key"}
        statuses = []
        for pause in (0.0, 0.6, 0.3, 0.2, 2.0):
            caller.clock.jump(pause)
            async with caller.session.post(url, json={}, headers=headers) as response:
                statuses.append(response.status)
                assert response.headers.get("Retry-After") == ("1.5" if response.status == 429 else None)
        assert statuses == [200, 200, 429, 429, 200]
        caller.emulator.rate = None
        for _ in range(5):
            await caller.call("Task/List")


@pytest.mark.anyio
async def test_killing_cancelling_and_deleting_depend_on_the_status() -> None:
    async with calling(key_only(run_seconds_median=10, run_seconds_sigma=0)) as caller:
        token = await caller.run()
        assert (await refusal(caller, "Task/InputOutputDelete", tasktoken=token))["code"] == 1
        caller.clock.jump(5)
        assert await caller.call("Task/Cancel", tasktoken=token) == recording("error_not_cancellable")
        assert await caller.call("Task/Kill", socketaccesstoken=token) == recording("done_nothing_more")
        assert (await caller.detail(token))["status"] == "task_cancel"
        assert await caller.call("Task/Kill", tasktoken=token) == recording("error_not_cancellable")
        for _ in range(2):
            assert await caller.call("Task/InputOutputDelete", tasktoken=token) == recording("done_nothing_more")


@pytest.mark.anyio
async def test_progress_grows_while_the_task_runs() -> None:
    async with calling(key_only(run_seconds_median=10, run_seconds_sigma=0, queue_seconds=(1, 1))) as caller:
        token = await caller.run(steps=40)
        seen = []
        for _ in range(12):
            caller.clock.jump(1)
            seen.append((await caller.detail(token))["debugoutput"])
    bars = [text for text in seen if text]
    steps = [int(text.split("| ")[-1].split("/")[0]) for text in bars]
    assert steps == sorted(steps)
    assert len(set(steps)) > 5
    assert steps[0] < 10
    assert bars[-1].startswith("100%|##########| 40/40 [")


@pytest.mark.anyio
async def test_uploads_and_forms() -> None:
    async with calling() as caller:
        form = aiohttp.FormData()
        form.add_field("file", b"\x89PNG\r\n--x\r\n", filename="../a boat.png", content_type="image/png")
        _, reply = await caller.send("File/Upload", data=form)
        assert shape(reply) == shape(recording("file_upload"))
        upload = reply["list"][0]
        assert (upload["name"], upload["size"]) == ("a boat.png", "11")
        async with caller.session.get(upload["url"]) as response:
            assert await response.read() == b"\x89PNG\r\n--x\r\n"
            assert response.content_type == "image/png"
        assert (await refusal(caller, "File/Upload"))["message"] == "Request files [file] required"

        error = await refusal(caller, "Run/acme/fresh-coat", prompt="x")
        assert error["message"] == "Request files [inputImage] required"
        sent = await caller.call("Run/acme/fresh-coat", prompt="x", inputImage="", inputImageUrl=upload["url"])
        assert sent["result"]
        form = aiohttp.FormData({"prompt": "x", "strength": "0.5"})
        form.add_field("inputImage", b"picture", filename="in.png", content_type="image/png")
        _, sent = await caller.send("Run/acme/fresh-coat", data=form)
        parameters = (await caller.detail(sent["socketaccesstoken"]))["parameters"]
        assert parameters["strength"] == "0.5"
        async with caller.session.get(parameters["inputImage"]) as response:
            assert await response.read() == b"picture"


@pytest.mark.anyio
async def test_json_is_read_under_the_header_of_a_form() -> None:
    async with calling() as caller:
        _, reply = await caller.send(
            SEED_MODEL, data=b'{"prompt": "x"}', headers={"Content-Type": "multipart/form-data"}
        )
        assert reply["result"]
        _, reply = await caller.send(SEED_MODEL, data=b"prompt=x")
        assert reply["errors"] == [{"code": 0, "message": "Request body invalid"}]


@pytest.mark.anyio
async def test_the_catalogue_is_shown() -> None:
    async with calling() as caller:
        tool = await caller.call("Tool/Detail", slugowner="hevok", slugproject="studio-trigger")
        assert tool == recording("tool_detail_studio_trigger")
        short = await caller.call("Tool/Detail", slugowner="Hevok", slugproject="Studio-Trigger", summary=True)
        assert "parameters" not in short["tool"][0]
        names = [tool["slugproject"] for tool in (await caller.call("Tool/List"))["tool"]]
        assert names == ["Studio-Trigger", "fresh-coat", "paper-cut", "word-smith"]
        assert len((await caller.call("Tool/List", start="1", limit="2"))["tool"]) == 2
        for query in ({"search": "paper"}, {"slugowner": "hevok"}, {"categories": ["llm"]}):
            assert len((await caller.call("Tool/List", **query))["tool"]) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(("when", "accepted"), [("before", 0), ("after", 1)])
async def test_replies_can_be_lost(when: Any, accepted: int) -> None:
    async with calling() as caller:
        caller.emulator.lose_replies = lambda endpoint, nth: when if (endpoint, nth) == ("Run", 1) else None
        with pytest.raises(aiohttp.ClientConnectionError):
            await caller.call(SEED_MODEL, prompt="x")
        assert len(caller.emulator.stats.accepted) == accepted
        await caller.run()
        assert caller.emulator.stats.calls["Run"] == 2


@pytest.mark.anyio
async def test_double_payments_are_counted_and_failures_are_none() -> None:
    async with calling() as caller:
        for prompt in ("x", "x", "x [fail]", "x [fail]", "y"):
            await caller.run(prompt=prompt)
        caller.clock.jump(60)
        stats = caller.emulator.stats
        assert stats.double_payments == 1
        assert sorted(stats.accepted_by_parameters().values()) == [1, 2, 2]
        async with caller.session.get(caller.emulator.base_url.replace("/v1", "/emulator/stats")) as response:
            seen = await response.json()
        assert seen["billed_usd"] == "0.0420"
        assert (seen["accepted"], seen["billed"], seen["double_payments"]) == (5, 3, 1)
        assert seen["calls"] == {"Run": 5}
        assert [endpoint for _, endpoint in stats.arrivals] == ["Run"] * 5
