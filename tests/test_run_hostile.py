"""A whole run against a service that means harm: each task is marked with the reason, and the others get done."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from aiohttp import web
from hurry import HurriedClock
from PIL import Image

from orchestrator.commands.carrying import Result
from orchestrator.commands.options import Options
from orchestrator.commands.run import run
from orchestrator.commands.status import read_status
from orchestrator.commands.verify import Verification, verify
from orchestrator.config import Settings
from orchestrator.engines.control import Control
from orchestrator.engines.forecast import Forecast
from orchestrator.errors import Exit
from orchestrator.lifecycle import State
from orchestrator.runs import RunFolder
from orchestrator.steps import fetch
from orchestrator.wiro import seed_model

pytestmark = pytest.mark.anyio

TIMES_FASTER = 50
MUCH_FASTER = 1000
KEY, SECRET, TOKEN = "a-key-to-keep", "a-secret-to-keep", "a-token-to-keep"


def png(width: int = 8, height: int = 8) -> bytes:
    """A picture; a bomb to whoever decodes one that claims to be far larger than its data."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(out, "PNG")
    head = b"IHDR" + struct.pack(">II", width, height) + out.getvalue()[24:29]
    return out.getvalue()[:12] + head + zlib.crc32(head).to_bytes(4, "big") + out.getvalue()[33:]


PICTURE = png()
TOOL = seed_model()
NAMES = ("../../../../tmp/x.png", "/etc/x.png", "CON", "nul.png", "a\0b.png", "n" * 300, "twice.png", "twice.png")
DONE: dict[str, Any] = {"status": "task_postprocess_end", "pexit": "0", "totalcost": "0.01"}
PAGE = b"<!DOCTYPE html><title>Just a moment</title>"

FILES: Mapping[str, tuple[bytes, dict[str, str]]] = {
    "good": (PICTURE, {"Content-Type": "image/png"}),
    "page": (PAGE, {"Content-Type": "image/png"}),
    "zipped": (gzip.compress(bytes(2**20)), {"Content-Encoding": "gzip"}),
    "vast": (png(200_000, 200_000), {}),
    "half": (PICTURE[:-20], {}),
}


def output(file: str, **fields: Any) -> dict[str, Any]:
    """An output of the service's own, told as one that is fine."""
    return {"name": "x.png", "contenttype": "image/png", "url": f"{{here}}/cdn/{file}", **fields}


TASKS: Mapping[str, dict[str, Any]] = {
    "names": DONE | {"outputs": [output(f"good?{place}", name=name) for place, name in enumerate(NAMES)]},
    "lies": DONE | {"outputs": [output("good", size="7", contenttype="video/mp4")]},
    "a vast picture": DONE | {"outputs": [output("vast")]},
    "numbers": DONE | {"totalcost": 1e300, "elapsedseconds": "9" * 400, "outputs": [output("good", size=10**300)]},
    "text": DONE | {"outputs": [{"contenttype": "raw", "content": {"answer": "../x", "score": 0.25}}]},
    "a local file": DONE | {"outputs": [output("good", url="file:///etc/passwd")]},
    "a private address": DONE | {"outputs": [output("good", url="http://10.0.0.1/x.png")]},
    "a number": DONE | {"outputs": [output("good", url="http://2852039166/latest/meta-data")]},
    "a way to metadata": DONE | {"outputs": [output("away")]},
    "a page": DONE | {"outputs": [output("page")]},
    "half a picture": DONE | {"outputs": [output("half")]},
    "a bomb": DONE | {"outputs": [output("zipped")]},
    "nothing": DONE | {"outputs": []},
    "no address": DONE | {"outputs": [{"name": "x.png"}, "x", None]},
    "words": {"status": "task_error", "debugerror": f"\x1b]0;owned\x07 {KEY} {{token}}", "totalcost": "0"},
}
ENDS = {
    "names": None,
    "lies": None,
    "a vast picture": None,
    "numbers": None,
    "text": None,
    "a local file": "refused",
    "a private address": "refused",
    "a number": "refused",
    "a way to metadata": "refused",
    "a page": "broken",
    "half a picture": "broken",
    "a bomb": None,
    "nothing": "no_outputs",
    "no address": "refused",
    "words": "failed",
}

NONSENSE = (
    b"<html>Bad gateway</html>",
    b'{"result": true, "tasklist": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    b'{"result": true, "tasklist": [{"id": ' + b"9" * 5001 + b"}]}",
    b'{"result": true, "tasklist": [{"id": NaN}]}',
    b'{"result": true, "total": "1"}',
    b" " * (17 * 2**20),
)
"""What is answered to the first looks at each task."""


@dataclass
class Villain:
    """The service."""

    url: str = ""
    prompts: dict[str, str] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    leaks: list[str] = field(default_factory=list)
    cdn_status: int = 200
    delete_status: int = 200
    deletions: int = 0

    @property
    def settings(self) -> Settings:
        return Settings(KEY, SECRET, f"{self.url}/v1")

    async def api(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        reply: dict[str, Any] = {"result": True, "errors": []}
        match request.path.removeprefix("/v1/").split("/")[:2]:
            case ["Tool", _]:
                reply["tool"] = [TOOL]
            case ["Run", _]:
                number = str(len(self.prompts) + 1)
                self.prompts[number] = body["prompt"]
                reply |= {"taskid": number, "socketaccesstoken": TOKEN + number}
            case ["Task", "List"]:
                reply["tasklist"] = []
            case ["Task", "InputOutputDelete"]:
                self.deletions += 1
                return web.json_response(reply, status=self.delete_status)
            case _:
                number = body["tasktoken"].removeprefix(TOKEN)
                look = self.looks[number] = self.looks.get(number, -1) + 1
                if number == "1" and look < len(NONSENSE):
                    return web.Response(body=NONSENSE[look])
                said = json.dumps({"id": number, "socketaccesstoken": TOKEN + number} | TASKS[self.prompts[number]])
                reply["tasklist"] = [json.loads(said.replace("{here}", self.url).replace("{token}", TOKEN + number))]
        return web.json_response(reply, dumps=lambda value: json.dumps(value, default=str))

    async def cdn(self, request: web.Request) -> web.StreamResponse:
        heads = f"{request.headers} {request.url}"
        self.leaks += [word for word in (KEY, SECRET, TOKEN, "x-api-key") if word in heads]
        if request.match_info["file"] == "away":
            raise web.HTTPFound("http://169.254.169.254/latest/meta-data")
        body, headers = FILES[request.match_info["file"]]
        return web.Response(status=self.cdn_status, body=body, headers=headers)


@asynccontextmanager
async def villain() -> AsyncIterator[Villain]:
    found = Villain()
    app = web.Application()
    app.router.add_post("/v1/{path:.*}", found.api)
    app.router.add_get("/cdn/{file}", found.cdn)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


class Nobody:
    def show(self, _: object) -> None:
        pass


async def run_with(service: Villain, folder: Path, prompts: Iterable[str] = TASKS, **outputs: bool) -> Result:
    job = {
        "model": "Hevok/Studio-Trigger",
        "parameters": {"samples": 1},
        "limits": {"requests_per_second": 1000},
        "retry": {"attempts": 1},
        "sweep": {"prompt": list(prompts)},
        "outputs": {"path": "{prompt}"} | outputs,
    }
    (folder / "job.yaml").write_text(json.dumps(job))
    settings = service.settings
    options = Options(out=folder / "out")
    return await run(
        folder / "job.yaml", options, settings, control=Control(), clock=HurriedClock(TIMES_FASTER), watcher=Nobody()
    )


async def test_a_service_that_means_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written but in the run folder, nothing secret is told, each task ends with its reason."""
    monkeypatch.setattr(fetch, "LATE_SECONDS", 30.0)
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 0.02)
    async with villain() as service:
        result = await run_with(service, tmp_path)
    assert service.leaks == []
    assert result.exit_code is Exit.SOME_FAILED
    check(tmp_path)


def check(folder: Path) -> None:
    out = folder / "out"
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    ends = {line["parameters"]["prompt"]: line["error"] and line["error"]["kind"] for line in lines}
    assert ends == ENDS
    assert {path.name for path in folder.iterdir()} == {"job.yaml", "out"}
    recorded = {output["path"] for line in lines for output in line["outputs"]}
    found = {path.relative_to(out).as_posix() for path in (out / "files").rglob("*") if path.is_file()}
    suspect = {path for path in found if path.startswith("files/.suspect/")}
    assert (found - suspect, len(recorded), len(suspect)) == (recorded, len(NAMES) + 5, 2)
    told = (out / "manifest.jsonl").read_text() + (out / "run.log").read_text()
    assert not any(word in told for word in (KEY, SECRET, TOKEN, "\\u001b"))
    lies = next(line for line in lines if line["parameters"]["prompt"] == "lies")
    assert len(lies["warnings"]) == 2
    text = next(line for line in lines if line["parameters"]["prompt"] == "text")
    assert json.loads((out / text["outputs"][0]["path"]).read_text()) == {"answer": "../x", "score": 0.25}


async def repaired(service: Villain, folder: RunFolder, cdn_status: int) -> Verification:
    service.cdn_status = cdn_status
    return await verify(
        folder, service.settings, repair=True, control=Control(), clock=HurriedClock(MUCH_FASTER), watcher=Nobody()
    )


def harm(folder: Path) -> None:
    """Damage one file, delete another."""
    first, second, *_ = sorted((folder / "files").iterdir())
    first.write_bytes(b"something else")
    second.unlink()


async def test_a_repair_that_cannot_be_made_now_is_made_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told as lost that may be had again, the whole files of a task count as such, nothing is paid again."""
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 0.02)
    folder = RunFolder(tmp_path / "out")
    async with villain() as service:
        assert (await run_with(service, tmp_path, ["names"])).exit_code is Exit.DONE
        await anyio.to_thread.run_sync(harm, folder.path)
        spent = (await anyio.to_thread.run_sync(read_status, folder)).cost_usd
        found = await repaired(service, folder, 503)
        assert (found.checked, found.ok, found.missing, found.damaged) == (8, 6, 1, 1)
        assert (found.repaired, found.lost, found.well, len(found.problems)) == (0, 0, False, 2)
        assert "could not be had" in (found.halt or "")
        found = await repaired(service, folder, 200)
        assert (found.missing, found.damaged, found.repaired, found.lost, found.well) == (1, 1, 2, 0, True)
        assert (found.problems, found.halt) == ((), None)
        status = await anyio.to_thread.run_sync(read_status, folder)
        assert (status.counts[State.DONE], status.cost_usd, len(service.prompts)) == (1, spent, 1)


async def test_what_is_gone_from_the_service_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, the task is told as paid and not delivered, and what else it made is kept."""
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 0.02)
    folder = RunFolder(tmp_path / "out")
    async with villain() as service:
        await run_with(service, tmp_path, ["names"])
        await anyio.to_thread.run_sync(harm, folder.path)
        found = await repaired(service, folder, 404)
        assert (found.checked, found.ok, found.repaired, found.lost, found.well) == (8, 6, 0, 1, False)
        [line] = (await anyio.Path(folder.manifest).read_text()).splitlines()
        told = json.loads(line)
        assert (told["state"], told["error"]["kind"], len(told["outputs"])) == ("failed", "lost", 6)
        found = await repaired(service, folder, 404)
        assert (found.checked, found.ok, found.lost, found.well) == (6, 6, 1, False)


async def test_a_deletion_that_the_service_does_not_answer_is_made_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which has nothing else to do; and then never again."""
    monkeypatch.setattr(Forecast, "next_look", lambda _, course, *_rest: course.seen_at + 0.02)
    async with villain() as service:
        service.delete_status = 502
        assert (await run_with(service, tmp_path, ["lies"], delete_remote=True)).exit_code is Exit.DONE
        assert service.deletions == 1
        service.delete_status = 200
        for _ in range(2):
            assert (await run_with(service, tmp_path, ["lies"], delete_remote=True)).exit_code is Exit.DONE
            assert service.deletions == 2
