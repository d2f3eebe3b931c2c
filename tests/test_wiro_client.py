from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from orchestrator.wiro import (
    CALLBACK,
    Acceptance,
    BalanceUsedUp,
    Client,
    ConcurrencyLimit,
    Credentials,
    CredentialsRefused,
    InvalidRequest,
    NoSuchModel,
    NoSuchTask,
    NotInState,
    NotSent,
    Phase,
    RateLimited,
    ReplyLost,
    Timeouts,
)

pytestmark = pytest.mark.anyio

RECORDINGS = Path(__file__).parent / "recordings"
KEY, SECRET, TOKEN = "the-key", "the-secret", "kT9vQ2hXw7LmZc4RbN8sJy1FdPgAe0"
MODEL = "Hevok/Studio-Trigger"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Service:
    """A server that answers each path as told and remembers what came."""

    url: str = ""
    answers: dict[str, Handler] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def plays(self, path: str, recording: str, status: int = 200) -> None:
        self.says(path, (RECORDINGS / f"{recording}.json").read_bytes(), status)

    def says(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(body=body, status=status, headers=named)

        self.answers[path] = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.removeprefix("/v1")
        self.requests.append((path, dict(request.headers), await request.read()))
        return await self.answers[path](request)

    def body(self, index: int = -1) -> dict[str, Any]:
        found = json.loads(self.requests[index][2])
        assert isinstance(found, dict)
        return found


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    found = Service()
    app = web.Application(client_max_size=10 * 2**20)
    app.router.add_route("*", "/{path:.*}", found.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield found
    await runner.cleanup()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with Client(Credentials(KEY, SECRET), service.url + "/") as found:
        yield found


@asynccontextmanager
async def raw_server(answer: bytes, *, read: bool = True) -> AsyncIterator[str]:
    """A server that answers each connection with these bytes and closes it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if read:
            await reader.readuntil(b"}")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_run_sends_the_parameters_and_gives_id_and_token(service: Service, client: Client) -> None:
    service.plays("/Run/Hevok/Studio-Trigger", "run_accepted")
    accepted = await client.run(MODEL, {"prompt": "a lighthouse \u2014 \ud83d", "steps": 4, "scale": "0.8", "on": True})
    assert (accepted.task_id, accepted.token) == ("2221", TOKEN)
    path, headers, _ = service.requests[0]
    assert path == "/Run/Hevok/Studio-Trigger"
    assert service.body() == {"prompt": "a lighthouse \u2014 \ud83d", "steps": 4, "scale": "0.8", "on": True}
    assert headers["Content-Type"] == "application/json"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"].startswith("orchestrator/")
    assert "Cookie" not in headers


async def test_every_attempt_is_signed_with_a_nonce_of_its_own(service: Service, client: Client) -> None:
    service.plays("/Task/Detail", "task_detail_done")
    await client.task(token=TOKEN)
    await client.task(token=TOKEN)
    nonces = set()
    for _, headers, _ in service.requests:
        nonces.add(headers["x-nonce"])
        message = SECRET + headers["x-nonce"]
        assert headers["x-api-key"] == KEY
        assert headers["x-signature"] == hmac.new(KEY.encode(), message.encode(), hashlib.sha256).hexdigest()
    assert len(nonces) == 2


async def test_a_project_without_a_secret_sends_its_key_alone(service: Service) -> None:
    service.plays("/Task/Detail", "task_detail_done")
    async with Client(Credentials(KEY), service.url) as client:
        await client.task(token=TOKEN)
    assert {name for name in service.requests[0][1] if name.startswith("x-")} == {"x-api-key"}


async def test_what_each_method_sends(service: Service, client: Client) -> None:
    for path in ("/Task/Cancel", "/Task/Kill", "/Task/InputOutputDelete"):
        service.plays(path, "done_nothing_more")
    service.plays("/Task/Detail", "task_detail_done")
    service.plays("/Task/List", "task_list")
    service.plays("/Tool/Detail", "tool_detail_studio_trigger")
    service.plays("/Tool/List", "tool_detail_studio_trigger")
    await client.cancel(task_id="7", token="t")
    await client.kill(task_id="7", token="t")
    await client.delete_outputs("t")
    assert (await client.task(task_id="534574")).phase is Phase.SUCCEEDED
    assert (await client.tasks(start=0, limit=20, model="studio-trigger")).total == 2
    assert (await client.tool(MODEL))["cps"] == "0.000585"
    assert [tool["id"] for tool in await client.tools("studio", 0, 20)] == ["901"]
    listing = {
        "type": "model",
        "sort": "id",
        "order": "DESC",
        "start": "0",
        "limit": "20",
        "modelName": "studio-trigger",
    }
    assert [(path, json.loads(body)) for path, _, body in service.requests] == [
        ("/Task/Cancel", {"taskid": "7", "tasktoken": "t"}),
        ("/Task/Kill", {"taskid": "7", "tasktoken": "t", "socketaccesstoken": "t"}),
        ("/Task/InputOutputDelete", {"tasktoken": "t"}),
        ("/Task/Detail", {"taskid": "534574"}),
        ("/Task/List", listing),
        ("/Tool/Detail", {"slugowner": "Hevok", "slugproject": "Studio-Trigger"}),
        ("/Tool/List", {"start": "0", "limit": "20", "search": "studio"}),
    ]


async def test_an_upload_is_a_form_with_the_file(service: Service, client: Client, tmp_path: Path) -> None:
    service.plays("/File/Upload", "file_upload")
    path = tmp_path / "boat.png"
    path.write_bytes(b"\x89PNG" + b"x" * 100_000)
    assert (await client.upload(path)).url == "https://cdn1.wiro.ai/71aa/boat.png"
    _, headers, body = service.requests[0]
    assert headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert b'name="file"; filename="boat.png"' in body
    assert path.read_bytes() in body
    assert headers["x-api-key"] == KEY


async def test_a_file_that_is_too_large_is_not_sent(service: Service, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(100_000_001)
    with pytest.raises(InvalidRequest, match=r"large\.bin has 100,000,001 bytes"):
        await client.upload(path)
    assert service.requests == []


async def test_a_large_request_is_sent_whole(service: Service, client: Client) -> None:
    service.plays("/Run/Hevok/Studio-Trigger", "run_accepted")
    await client.run(MODEL, {"image": "x" * 3_000_000})
    assert len(service.body()["image"]) == 3_000_000


@pytest.mark.parametrize(
    ("recording", "status", "outcome"),
    [
        ("error_balance", 200, BalanceUsedUp),
        ("error_concurrency_limit", 200, ConcurrencyLimit),
        ("error_no_such_model", 200, NoSuchModel),
        ("error_signature_http_401", 401, CredentialsRefused),
        ("error_validation", 200, InvalidRequest),
    ],
)
async def test_a_refused_run_is_certainly_not_accepted(
    service: Service, client: Client, recording: str, status: int, outcome: type[Exception]
) -> None:
    service.plays("/Run/Hevok/Studio-Trigger", recording, status)
    with pytest.raises(outcome) as caught:
        await client.run(MODEL, {})
    assert caught.value.accepted is Acceptance.NO  # type: ignore[attr-defined]  # each is a WiroError
    assert len(service.requests) == 1


async def test_a_reply_that_shows_another_task_is_no_answer(service: Service, client: Client) -> None:
    service.plays("/Task/Detail", "task_detail_done")
    for token, task_id in (("t", None), (None, "7"), ("t", "7")):
        with pytest.raises(ReplyLost, match="another task"):
            await client.task(token=token, task_id=task_id)
    assert (await client.task(token="t", task_id="534574")).token == TOKEN  # one of its names is proof enough
    assert service.body() == {"tasktoken": "t"}


async def test_refusals_of_the_other_endpoints(service: Service, client: Client) -> None:
    service.plays("/Task/Cancel", "error_not_cancellable")
    service.plays("/Task/Detail", "task_not_found")
    with pytest.raises(NotInState):
        await client.cancel(task_id="1", token=None)
    with pytest.raises(NoSuchTask):
        await client.task(token=TOKEN)


async def test_too_many_calls_tell_how_long_to_wait(service: Service) -> None:
    service.says("/Task/Detail", b"slow down", 429, Retry_After="Wed, 18 Dec 2024 09:23:59 GMT")
    async with Client(Credentials(KEY), service.url, now=lambda: 1_734_513_809.0) as client:
        with pytest.raises(RateLimited) as caught:
            await client.task(token=TOKEN)
    assert caught.value.retry_after_seconds == 30.0


@pytest.mark.parametrize(
    ("body", "status", "headers"),
    [
        (b"<html>busy</html>", 200, {}),
        (b"", 200, {}),
        (b'{"result": true, "errors": []}', 200, {}),
        (b'{"result": true, "taskid": "2', 200, {}),
        (b'{"result": true, "taskid": "\xff"}', 200, {}),
        (b'{"result": false, "errors": [{"code": 97, "message": "x"}]}', 503, {}),
        (b"{" + b'"a":[' * 100_000, 200, {}),
        (b'{"taskid": "' + b"1" * 17_000_000 + b'"}', 200, {}),
        (b"no gzip", 200, {"Content_Encoding": "gzip"}),
        (gzip.compress(b'{"taskid": "1"}')[:-6], 200, {"Content_Encoding": "gzip"}),
        (gzip.compress(b" " * 100_000_000 + b'{"taskid": "1"}'), 200, {"Content_Encoding": "gzip"}),
        (b"", 302, {"Location": "/v1/elsewhere"}),
        (b"", 307, {"Location": "/v1/elsewhere"}),
    ],
    ids=[
        "html",
        "empty",
        "no id",
        "cut off",
        "bad utf-8",
        "http 503",
        "too deep",
        "too long",
        "no gzip",
        "half a gzip",
        "gzip bomb",
        "http 302",
        "http 307",
    ],
)
async def test_a_reply_that_cannot_be_used_leaves_a_run_uncertain(
    service: Service, client: Client, body: bytes, status: int, headers: dict[str, str]
) -> None:
    service.says("/Run/Hevok/Studio-Trigger", body, status, **headers)
    with pytest.raises(ReplyLost) as caught:
        await client.run(MODEL, {})
    assert caught.value.accepted is Acceptance.UNCERTAIN
    assert [path for path, _, _ in service.requests] == ["/Run/Hevok/Studio-Trigger"], "neither repeated nor redirected"


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
async def test_a_reply_compressed_without_being_asked_is_read_all_the_same(
    service: Service, client: Client, compress: Callable[[bytes], bytes]
) -> None:
    body = (RECORDINGS / "run_accepted.json").read_bytes()
    service.says("/Run/Hevok/Studio-Trigger", compress(body), Content_Encoding="gzip")
    assert (await client.run(MODEL, {})).task_id == "2221"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: minus\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 5000,
        b"HTTP/1.1 999999 What\r\n\r\n",
        b"\x16\x03\x01\x00\x00 this is no HTTP\r\n\r\n",
    ],
)
async def test_a_dropped_or_broken_reply_leaves_a_run_uncertain_and_is_not_repeated(answer: bytes) -> None:
    asked: list[str] = []

    async def count(endpoint: str) -> None:
        asked.append(endpoint)

    async with raw_server(answer) as url, Client(Credentials(KEY), url, before_send=count) as client:
        with pytest.raises(ReplyLost) as caught:
            await client.run(MODEL, {"a": 1})
    assert caught.value.accepted is Acceptance.UNCERTAIN
    assert asked == ["/Run"]


async def test_a_kept_connection_that_drops_is_not_repeated(service: Service, client: Client) -> None:
    """A library may repeat what failed on a kept connection; a POST must not be among it."""
    service.plays("/Run/Hevok/Studio-Trigger", "run_accepted")
    await client.run(MODEL, {})

    async def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    service.answers["/Run/Hevok/Studio-Trigger"] = drop
    with pytest.raises(ReplyLost):
        await client.run(MODEL, {})
    assert len(service.requests) == 2


async def test_a_reply_that_does_not_come_in_time(service: Service) -> None:
    gone = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await gone.wait()
        return web.Response()

    service.answers["/Run/Hevok/Studio-Trigger"] = wait
    async with Client(Credentials(KEY), service.url, timeouts=Timeouts(connect=1, total=0.05)) as client:
        with pytest.raises(ReplyLost, match=r"no answer within 0\.05 s"):
            await client.run(MODEL, {})
    gone.set()


async def test_a_look_waits_no_longer_than_it_is_to(service: Service) -> None:
    """Another call may take a minute."""
    gone = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await gone.wait()
        return web.Response()

    service.answers["/Task/Detail"] = wait
    async with Client(Credentials(KEY), service.url) as client:
        with pytest.raises(ReplyLost, match=r"no answer within 0\.05 s"):
            await client.task(token=TOKEN, seconds=0.05)
    gone.set()


async def test_a_reply_that_trickles_does_not_come_in_time(service: Service) -> None:
    gone = asyncio.Event()

    async def trickle(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        await reply.write(b'{"taskid": "1"')
        await gone.wait()
        return reply

    service.answers["/Run/Hevok/Studio-Trigger"] = trickle
    async with Client(Credentials(KEY), service.url, timeouts=Timeouts(connect=1, total=0.05)) as client:
        with pytest.raises(ReplyLost, match="no answer"):
            await client.run(MODEL, {})
    gone.set()


async def test_without_a_connection_nothing_was_sent() -> None:
    async with raw_server(b"") as url:
        pass  # the port is free again
    async with Client(Credentials(KEY), url) as client:
        with pytest.raises(NotSent, match="could not be reached") as caught:
            await client.run(MODEL, {})
    assert caught.value.accepted is Acceptance.NO


async def test_without_tls_nothing_was_sent() -> None:
    async with (
        raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n", read=False) as url,
        Client(Credentials(KEY), url.replace("http:", "https:")) as client,
    ):
        with pytest.raises(NotSent, match="TLS") as caught:
            await client.run(MODEL, {})
    assert caught.value.accepted is Acceptance.NO


async def test_an_empty_list_of_tasks_is_no_such_task_and_an_unreadable_one_is_lost(
    service: Service, client: Client
) -> None:
    service.says("/Task/Detail", b'{"result": true, "tasklist": []}')
    with pytest.raises(NoSuchTask):
        await client.task(token=TOKEN)
    for body in (b'{"result": true}', b'{"result": true, "tasklist": [{"status": "task_queue"}]}'):
        service.says("/Task/List", body)
        with pytest.raises(ReplyLost):
            await client.tasks(start=0, limit=10)


async def test_an_empty_catalogue_is_no_such_model(service: Service, client: Client) -> None:
    service.says("/Tool/Detail", b'{"result": true, "tool": []}')
    with pytest.raises(NoSuchModel, match=MODEL):
        await client.tool(MODEL)
    service.says("/Tool/Detail", b'{"result": true}')
    with pytest.raises(ReplyLost):
        await client.tool(MODEL)


async def test_secrets_that_the_service_repeats_are_not_passed_on(service: Service, client: Client) -> None:
    said = {"result": False, "errors": [{"code": 0, "message": f"broken for {KEY}, {SECRET} and {TOKEN}"}]}
    service.says("/Task/Detail", json.dumps(said).encode())
    with pytest.raises(Exception, match="broken for") as caught:
        await client.task(token=TOKEN)
    shown = f"{caught.value} {caught.value!r} {vars(caught.value)}"
    assert not any(secret in shown for secret in (KEY, SECRET, TOKEN))


async def test_an_address_for_callbacks_that_the_service_repeats_is_not_passed_on(
    service: Service, client: Client
) -> None:
    """It holds a secret, and the words of a refusal get into the manifest."""
    url = "https://hooks.example.com/nobody-guesses-this/task-1"
    said = {"result": False, "errors": [{"code": 0, "message": f"Request parameter callbackUrl invalid: {url}."}]}
    service.says("/Run/Hevok/Studio-Trigger", json.dumps(said).encode())
    with pytest.raises(InvalidRequest) as caught:
        await client.run(MODEL, {"prompt": "x", CALLBACK: url})
    assert "nobody-guesses" not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


async def test_secrets_that_a_failed_task_repeats_are_not_passed_on(service: Service, client: Client) -> None:
    """Its words get into the manifest, which is for others."""
    entry = {"id": "1", "socketaccesstoken": TOKEN, "debugerror": f"refused {KEY}, {SECRET} and {TOKEN}"}
    service.says("/Task/Detail", json.dumps({"result": True, "tasklist": [entry]}).encode())
    task = await client.task(token=TOKEN)
    assert (task.error_text, task.token) == ("refused …, … and …", TOKEN)


async def test_cookies_are_not_kept(service: Service) -> None:
    service.says("/Task/InputOutputDelete", b'{"result": true}', Set_Cookie="a=b")
    named = service.url.replace("127.0.0.1", "localhost")  # a jar takes none from a bare address
    async with Client(Credentials(KEY), named) as client:
        await client.delete_outputs("t")
        await client.delete_outputs("t")
    assert "Cookie" not in service.requests[1][1]


async def test_the_proxy_of_the_environment_is_ignored_and_a_given_one_used(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.plays("/Task/Detail", "task_detail_done")
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        async with Client(Credentials(KEY), service.url) as client:
            await client.task(token=TOKEN)
        async with Client(Credentials(KEY), service.url, proxy=proxy) as client:
            with pytest.raises(ReplyLost):
                await client.task(token=TOKEN)
    assert len(service.requests) == 1


@pytest.mark.parametrize("url", ["api.wiro.ai/v1", "ftp://x/v1", "https://", "https://user:pw@x/v1", "https://x/?a=b"])
def test_a_base_url_that_is_no_plain_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL") as caught:
        Client(Credentials(KEY), url)
    assert "pw" not in str(caught.value)


async def test_a_model_name_cannot_reach_another_address(service: Service, client: Client) -> None:
    with pytest.raises(ValueError, match="owner/model"):
        await client.run("../Task/List", {})
    assert service.requests == []
