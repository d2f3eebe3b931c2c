"""The server over real connections: who is let in, what is handed out, and what it takes."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import aiohttp
import anyio
import pytest
from yarl import URL

from orchestrator.clock import SystemClock
from orchestrator.commands.status import read_status
from orchestrator.output.gallery import build, marks
from orchestrator.runs import RunFolder
from orchestrator.web.app import Site, serving
from orchestrator.web.guard import HEADER, HEADERS, Guard
from orchestrator.web.shelf import Shelf
from orchestrator.web.watch import MOST_READERS, Watch

TOKEN = "a-token-of-twenty-or-so"
PICTURE = bytes(range(256)) * 40
NASTY = 'fox"><script>alert(1)</script>'


@pytest.fixture(scope="module")
def folder(make_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    made = make_run(
        tmp_path_factory.mktemp("app") / "outputs" / "fox", {"sweep": {"prompt": ["a", "b"]}}, lambda _t, _n: PICTURE
    )
    with made.opened() as ledger:
        build(made.path, ledger, read_status(made), 1_800_000_000.0)
    (made.path / ".env").write_text("WIRO_API_KEY=secret")
    (made.path / "files" / "page.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>")
    (made.path / "files" / "page.html").write_text("<script>1</script>")
    (made.path / "files" / "out.png").symlink_to(made.ledger)
    return made


@dataclass
class Served:
    """A server and a client of it."""

    base: URL
    client: aiohttp.ClientSession
    guard: Guard
    watch: Watch
    folder: RunFolder
    ended: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    async def get(self, path: str, **headers: str) -> tuple[int, bytes, Any]:
        """Ask for an address exactly as it is written."""
        address = URL(f"{self.base}{path}", encoded=True)
        async with self.client.get(address, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.read(), answer.headers

    async def post(self, path: str, body: object = None, **headers: str) -> tuple[int, str]:
        async with self.client.post(
            f"{self.base}{path}", data=json.dumps({} if body is None else body), headers=headers
        ) as answer:
            return answer.status, await answer.text()

    def outputs(self) -> list[str]:
        lines = self.folder.path.joinpath("files").rglob("*-0.*")
        return [path.relative_to(self.folder.path).as_posix() for path in lines]


@asynccontextmanager
async def served(folder: RunFolder, token: str | None = None) -> AsyncIterator[Served]:
    shelf = Shelf([folder.path.parent])
    watch = Watch(shelf, read_status, SystemClock())
    guard = Guard("127.0.0.1", token)
    ended: list[str] = []
    told: list[str] = []
    site = Site(shelf, watch, guard, cancel=lambda name, _: ended.append(name), tell=told.append)
    async with serving(site, watch, "127.0.0.1", 0) as port:
        jar = aiohttp.CookieJar(unsafe=True)  # of an address instead of a name
        async with aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(20)) as client:
            yield Served(URL(f"http://127.0.0.1:{port}"), client, guard, watch, folder, ended, told)


@pytest.fixture
async def site(folder: RunFolder) -> AsyncIterator[Served]:
    async with served(folder) as running:
        yield running


async def test_every_answer_says_what_it_may_be_used_for(site: Served) -> None:
    for path in ("/", "/assets/style.css", "/run/fox/", "/run/fox/page/data/job.js", "/nothing", "/run/nobody/"):
        status, _, headers = await site.get(path)
        assert status in {200, 404}, path
        assert {name: headers[name] for name in HEADERS} == HEADERS, path
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "Python" not in headers["Server"]


async def test_pages_hold_no_scripts_of_their_own(site: Served) -> None:
    """The policy allows none, and a browser would say so."""
    for path in ("/", "/run/fox/"):
        _, page, _ = await site.get(path)
        text = page.decode()
        assert "<style" not in text
        assert " style=" not in text
        assert all("></script>" in part for part in text.split("<script")[1:])


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1.evil.example"])
async def test_another_name_is_not_answered(site: Served, host: str) -> None:
    status, body, _ = await site.get("/", Host=host)
    assert (status, body) == (403, b"This server does not go by that name.")


async def test_other_sites_get_nothing(site: Served) -> None:
    """A page elsewhere could load the data as a script, and read it."""
    for where in ("cross-site", "same-site"):
        asked = {"Sec-Fetch-Site": where, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
        status, _, _ = await site.get("/run/fox/page/data/job.js", **asked)
        assert status == 403
        followed = {"Sec-Fetch-Site": where, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert (await site.get("/", **followed))[0] == 200
        assert (await site.get("/", **{**followed, "Sec-Fetch-Dest": "iframe"}))[0] == 403
    assert (await site.get("/run/fox/page/data/job.js", **{"Sec-Fetch-Site": "same-origin"}))[0] == 200


async def test_with_a_token_nothing_is_shown_to_those_who_do_not_know_it(folder: RunFolder) -> None:
    async with served(folder, TOKEN) as site:
        for path in ("/", "/run/fox/", "/assets/style.css", "/events", f"/?token={TOKEN}x", "/?token="):
            status, body, _ = await site.get(path)
            assert status == 401, path
            assert b"orchestrator serve" in body
            assert TOKEN.encode() not in body
        status, _, headers = await site.get(f"/run/fox/?token={TOKEN}")
        assert (status, headers["Location"]) == (303, "/run/fox/")
        assert {"HttpOnly", "SameSite=Lax"} <= set(headers["Set-Cookie"].split("; "))
        assert (await site.get("/"))[0] == 200  # the cookie is kept
        assert (await site.post("/run/fox/cancel"))[0] == 403  # and is not enough to change anything


LEADING_OUT = (
    "/run/fox/ledger.sqlite",
    "/run/fox/.env",
    "/run/fox/run.log",
    "/run/fox/files/",
    "/run/fox/files",
    "/run/fox/files/..%2fledger.sqlite",
    "/run/fox/files/%2e%2e/ledger.sqlite",
    "/run/fox/files/../ledger.sqlite",
    "/run/fox/files/..%5cledger.sqlite",
    "/run/fox/files/%2fetc/passwd",
    "/run/fox/files//etc/passwd",
    "/run/fox/files/a%00.png",
    "/run/fox/files/out.png",
    "/run/fox/page/thumbnails/..%2f..%2fledger.sqlite",
    "/run/fox/page/data/..%2f..%2fledger.sqlite.js",
    "/run/..%2ffox/",
    "/run/%2e%2e/",
    "/assets/..%2fapp.py",
    "/run/fox/page/..%2f..%2f.env",
)


@pytest.mark.parametrize("path", LEADING_OUT)
async def test_nothing_leads_out_of_what_is_served(site: Served, path: str) -> None:
    status, body, _ = await site.get(path)
    assert status in {308, 404} or (status, b"Runs" in body) == (200, True)
    assert b"secret" not in body
    assert b"SQLite" not in body
    assert b"root:" not in body


async def test_outputs_come_whole_in_parts_and_once(site: Served) -> None:
    path = f"/run/fox/{site.outputs()[0]}"
    status, body, headers = await site.get(path)
    assert (status, body, headers["Accept-Ranges"]) == (200, PICTURE, "bytes")
    status, body, part = await site.get(path, Range="bytes=10-19")
    assert (status, body, part["Content-Range"]) == (206, PICTURE[10:20], f"bytes 10-19/{len(PICTURE)}")
    assert (await site.get(path, Range="bytes=-9"))[:2] == (206, PICTURE[-9:])
    assert (await site.get(path, Range="bytes=99999999-"))[0] == 416
    for several in ("bytes=0-3,10-19", "bytes=0-3, -5", "lines=1-2", "bytes=", "bytes=x-"):
        status, body, whole = await site.get(path, Range=several)
        assert (status, body) == (200, PICTURE), several
        assert {name: whole[name] for name in HEADERS if name != "Content-Security-Policy"}.items() <= HEADERS.items()
    assert (await site.get(path, **{"If-None-Match": headers["ETag"]}))[0] == 304


async def test_a_file_is_closed_where_whoever_asks_leaves_while_it_is_opened(
    site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_opening, has_left = threading.Event(), threading.Event()
    opened: list[IO[Any]] = []
    really = Path.open

    def slowly(path: Path, *how: Any, **more: Any) -> IO[Any]:
        file: IO[Any] = really(path, *how, **more)
        if path.name == "page.svg":
            opened.append(file)
            is_opening.set()
            has_left.wait(20)
        return file

    monkeypatch.setattr(Path, "open", slowly)
    async with await anyio.connect_tcp("127.0.0.1", site.base.port or 0) as stream:
        await stream.send(f"GET /run/fox/files/page.svg HTTP/1.1\r\nHost: {site.base.authority}\r\n\r\n".encode())
        await anyio.to_thread.run_sync(is_opening.wait, 20)
    await site.get("/")  # by now the server knows that the other one has gone
    has_left.set()
    with anyio.fail_after(20):
        while not opened[0].closed:
            await anyio.lowlevel.checkpoint()


async def test_data_comes_once(site: Served) -> None:
    _, _, headers = await site.get("/run/fox/page/data/head.js")
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert (await site.get("/run/fox/page/data/head.js", **{"If-None-Match": headers["ETag"]}))[0] == 304


async def test_what_a_model_has_made_runs_nothing(site: Served) -> None:
    """A picture may be an SVG with a script: opened by itself it is locked in, and a page is not shown as one."""
    _, _, headers = await site.get("/run/fox/files/page.svg")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; sandbox")
    _, _, headers = await site.get("/run/fox/files/page.html")
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_a_run_that_comes_later_is_found(site: Served, make_run: Callable[..., RunFolder]) -> None:
    path = site.folder.path.parent / NASTY.replace("/", "-")
    await anyio.to_thread.run_sync(lambda: make_run(path, {"sweep": {"prompt": ["a"]}}, lambda _t, _n: b""))
    name = URL.build(path=f"/run/{path.name}/").raw_path
    status, page, _ = await site.get(name)
    assert status == 200
    assert b"alert(1)" not in page
    status, _, headers = await site.get(name[:-1])
    assert (status, headers["Location"]) == (308, name)


async def test_changes_need_the_word_that_the_page_was_told(site: Served) -> None:
    _, page, _ = await site.get("/run/fox/")
    assert site.guard.page_token.encode() in page
    right = {HEADER: site.guard.page_token}
    for headers in (
        {},
        {HEADER: "guessed"},
        {**right, "Origin": "https://evil.example"},
        {**right, "Origin": "null"},
        {**right, "Sec-Fetch-Site": "cross-site"},
    ):
        assert (await site.post("/run/fox/cancel", **headers))[0] == 403
        assert (await site.post("/run/fox/marks", **headers))[0] == 403
    assert site.ended == []
    assert (await site.post("/run/fox/cancel", Origin=str(site.base), **right))[0] == 202
    assert site.ended == ["fox"]
    assert (await site.get("/run/fox/cancel"))[0] == 405


async def test_marks_are_put_into_the_run_folder(site: Served) -> None:
    right = {HEADER: site.guard.page_token}
    _, job, _ = await site.get("/run/fox/page/data/job.js")
    key = job.split(b'"key":"')[1][:16].decode()
    (site.folder.path / marks.NAME).unlink(missing_ok=True)
    told = {"format": 1, "key": key, "marks": {"a-0": {"stars": 4, "at": 10}}, "duels": []}
    assert (await site.post("/run/fox/marks", told, **right))[0] == 200
    told["marks"] = {"b-0": {"stars": 1, "at": 11}, "a-0": {"stars": 0, "at": 9}}
    assert (await site.post("/run/fox/marks", told, **right))[0] == 200
    held = (await anyio.to_thread.run_sync(marks.read, site.folder.path))["marks"]
    assert (held["a-0"]["stars"], held["b-0"]["stars"]) == (4, 1)
    _, data, _ = await site.get("/run/fox/page/data/marks.js")
    assert b"b-0" in data


async def test_what_many_people_mark_at_one_moment_is_kept(site: Served) -> None:
    _, job, _ = await site.get("/run/fox/page/data/job.js")
    key = job.split(b'"key":"')[1][:16].decode()
    answers: list[int] = []

    async def mark(number: int) -> None:
        told = {"format": 1, "key": key, "marks": {f"m-{number}": {"stars": 4, "at": 10}}, "duels": []}
        answers.append((await site.post("/run/fox/marks", told, **{HEADER: site.guard.page_token}))[0])

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(mark, number)
    held = (await anyio.to_thread.run_sync(marks.read, site.folder.path))["marks"]
    assert answers == [200] * 20
    assert held.keys() >= {f"m-{number}" for number in range(20)}


@pytest.mark.parametrize("body", ["", [], {"key": "another"}, {"marks": {}}])
async def test_what_is_no_marks_of_this_run_changes_nothing(site: Served, body: object) -> None:
    before = (site.folder.path / marks.NAME).exists() and (site.folder.path / marks.NAME).read_bytes()
    status, text = await site.post("/run/fox/marks", body, **{HEADER: site.guard.page_token})
    assert status in {400, 409}
    assert str(site.folder.path.parent) not in text
    assert before == ((site.folder.path / marks.NAME).exists() and (site.folder.path / marks.NAME).read_bytes())


async def test_too_much_is_not_taken(site: Served) -> None:
    body = io.BytesIO(b" " * 9_000_000)
    async with site.client.post(
        f"{site.base}/run/fox/marks", data=body, headers={HEADER: site.guard.page_token}
    ) as answer:
        assert answer.status == 413


async def test_changes_are_told_as_they_happen(site: Served) -> None:
    async with site.client.get(f"{site.base}/run/fox/events") as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        first = await stream.content.readuntil(b"\n\n")
        assert first.startswith(b"event: standing\ndata: {")
        site.watch.say("fox", NASTY)
        while not (told := await stream.content.readuntil(b"\n\n")).startswith(b"event: said"):
            pass
        assert json.loads(told.split(b"data: ")[1]) == NASTY
    with anyio.fail_after(5):
        while site.watch._readers:
            await anyio.lowlevel.checkpoint()  # the server notices that the page was closed


async def test_no_more_pages_are_followed_than_can_be(site: Served) -> None:
    readers = [site.watch.reading("other") for _ in range(MOST_READERS)]
    for reader in readers:
        reader.__enter__()
    status, _, headers = await site.get("/events")
    assert (status, headers["Retry-After"]) == (503, "5")
    for reader in readers:
        reader.__exit__(None, None, None)


async def test_a_page_that_reads_nothing_is_let_go(site: Served) -> None:
    stream = await anyio.connect_tcp("127.0.0.1", site.base.port or 0)
    async with stream:
        await stream.send(f"GET /run/fox/events HTTP/1.1\r\nHost: {site.base.authority}\r\n\r\n".encode())
        with anyio.fail_after(20):
            await stream.receive()
            while site.watch._readers:
                site.watch.say("fox", "x" * 100_000)
                await anyio.lowlevel.checkpoint()


async def test_a_bug_is_told_in_a_sentence(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LookupError(f"{folder.path} is broken")

    async with served(folder) as site:
        monkeypatch.setattr("orchestrator.web.files.data", broken)
        status, body, _ = await site.get("/run/fox/page/data/job.js")
        assert (status, body) == (500, b"This is a bug: the server's window says more.")
        assert "LookupError" in site.told[0]


async def test_a_folder_that_has_vanished_is_no_bug(make_run: Callable[..., RunFolder], tmp_path: Path) -> None:
    path = tmp_path / "outputs" / "gone"
    made = await anyio.to_thread.run_sync(lambda: make_run(path, {"sweep": {"prompt": ["a"]}}, lambda _t, _n: b""))
    async with served(made) as site:
        assert (await site.get("/run/gone/"))[0] == 200
        await anyio.to_thread.run_sync(made.path.rename, tmp_path / "elsewhere")
        for asked in ("files/a.png", "page/data/head.js"):
            assert (await site.get(f"/run/gone/{asked}"))[0] == 404
        assert (await site.post("/run/gone/marks", {}, **{HEADER: site.guard.page_token}))[0] in {404, 409}
        assert site.told == []
