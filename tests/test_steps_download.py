"""Outputs brought home from a server that does its worst."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from fileserver import Reply, Server, chunked, reply, serving
from PIL import Image

from orchestrator.clock import VirtualClock
from orchestrator.steps.download import GATHER_BYTES, Downloaded, DownloadFailed, Wanted, download, save_content
from orchestrator.wiro.addresses import AddressPolicy
from orchestrator.wiro.files import Body, Files
from orchestrator.wiro.wire import parse

PAGE = b"<!doctype html><title>Please wait</title>"
STEM = "DDIM/harbour-k3v9x2ab-0"
NAME = f"{STEM}.png"


def picture(size: int = 8) -> bytes:
    """A PNG of noise, so that its bytes are as many as its pixels and no two parts are alike."""
    out = io.BytesIO()
    Image.frombytes("RGB", (size, size), os.urandom(3 * size * size)).save(out, "PNG")
    return out.getvalue()


PNG = picture()
LARGE = picture(700)


def up_to(count: int | None, whole: bytes = LARGE, etag: str = '"v1"') -> Reply:
    """A server that knows ranges and drops the line after `count` bytes."""

    def script(head: str) -> bytes:
        fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
        start = 0
        if fields.get("If-Range") == etag:
            start = int(fields["Range"].removeprefix("bytes=").removesuffix("-"))
        rest = whole[start:]
        if not start:
            return reply(200, rest[:count], ETag=etag, Content_Length=len(rest))
        place = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        return reply(206, rest[:count], ETag=etag, Content_Length=len(rest), Content_Range=place)

    return script


@dataclass
class Bench:
    """A folder, a client and a clock that keeps what was waited for."""

    folder: Path
    files: Files
    clock: VirtualClock

    async def attempt(self, wanted: Wanted) -> Downloaded | DownloadFailed:
        outcome: Downloaded | DownloadFailed | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self.clock.run)
            try:
                outcome = await download(self.files, wanted, self.folder, self.clock)
            except DownloadFailed as error:
                outcome = error
            group.cancel_scope.cancel()
        assert outcome is not None
        return outcome

    async def fetch(self, server: Server, content_type: str | None = None, size: int | None = None) -> Downloaded:
        outcome = await self.attempt(Wanted(server.url, STEM, content_type, size))
        assert isinstance(outcome, Downloaded), outcome
        return outcome

    async def failure(self, server: Server) -> DownloadFailed:
        outcome = await self.attempt(Wanted(server.url, STEM))
        assert isinstance(outcome, DownloadFailed)
        return outcome

    def left(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with Files(AddressPolicy(allow_loopback=True), max_bytes=2**21) as files:
        yield Bench(tmp_path / "files", files, VirtualClock())


async def test_a_picture_comes_home(bench: Bench) -> None:
    async with serving(reply(200, PNG, Content_Type="image/png")) as server:
        done = await bench.fetch(server, "image/png", len(PNG))
    assert done == Downloaded(NAME, len(PNG), hashlib.sha256(PNG).hexdigest(), "image/png")
    assert (bench.folder / NAME).read_bytes() == PNG
    assert bench.left() == [NAME]


async def test_what_has_no_end_is_broken_off_and_fetched_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a server says no length, far more than the size that is stated is not the file; nothing is kept of it."""
    monkeypatch.setattr("orchestrator.steps.download.MOST_BYTES_MORE", 2**19)
    endless, whole = chunked(bytes(2**20)), reply(200, PNG)
    async with serving(endless, whole) as server:
        done = await bench.fetch(server, size=len(PNG))
    assert (done.sha256, bench.left()) == (hashlib.sha256(PNG).hexdigest(), [NAME])
    async with serving(endless) as server:
        failed = await bench.attempt(Wanted(server.url, "other", None, len(PNG)))
    assert isinstance(failed, DownloadFailed)
    assert (failed.kind, failed.kept, bench.left()) == ("broken", "", [NAME])
    assert "far more came" in failed.message


async def test_a_small_file_costs_one_trip_to_a_thread(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    trips = []
    run_sync = anyio.to_thread.run_sync

    async def counted(function: Callable[[], object]) -> object:
        trips.append(function)
        return await run_sync(function)

    monkeypatch.setattr(anyio.to_thread, "run_sync", counted)
    async with serving(reply(200, PNG)) as server:
        await bench.fetch(server)
    assert len(trips) == 1


async def test_a_broken_download_goes_on_where_it_broke(bench: Bench) -> None:
    async with serving(up_to(GATHER_BYTES + 1000), up_to(500), up_to(None)) as server:
        done = await bench.fetch(server)
    assert (bench.folder / NAME).read_bytes() == LARGE
    assert done.sha256 == hashlib.sha256(LARGE).hexdigest()
    assert "Range" not in server.heads[0]
    assert f"Range: bytes={GATHER_BYTES + 1000}-\r\n" in server.heads[1]
    assert f"Range: bytes={GATHER_BYTES + 1500}-\r\n" in server.heads[2]


async def test_a_server_that_is_away_for_a_moment_costs_nothing_of_what_is_here(bench: Bench) -> None:
    async with serving(up_to(5000), reply(503), up_to(None)) as server:
        await bench.fetch(server)
    assert (bench.folder / NAME).read_bytes() == LARGE
    assert "Range: bytes=5000-\r\n" in server.heads[2]


async def test_a_file_that_changed_meanwhile_is_fetched_anew(bench: Bench) -> None:
    other = picture(700)
    async with serving(up_to(GATHER_BYTES + 1000), up_to(700, other, '"v2"'), up_to(None, other, '"v2"')) as server:
        done = await bench.fetch(server)
    assert (bench.folder / NAME).read_bytes() == other
    assert done.sha256 == hashlib.sha256(other).hexdigest()
    assert "Range: bytes=700-" in server.heads[2]


async def test_a_server_without_ranges_starts_again(bench: Bench) -> None:
    async with serving(up_to(GATHER_BYTES + 1000), reply(200, LARGE)) as server:
        await bench.fetch(server)
    assert (bench.folder / NAME).read_bytes() == LARGE


async def test_without_a_validator_it_starts_again(bench: Bench) -> None:
    async with serving(reply(200, LARGE[:5000], Content_Length=len(LARGE)), reply(200, LARGE)) as server:
        await bench.fetch(server)
    assert "Range" not in server.heads[1]
    assert (bench.folder / NAME).read_bytes() == LARGE


@pytest.mark.parametrize(
    "nonsense", [reply(206, b"abc", Content_Range="bytes 0-2/3"), reply(416), reply(206, b"abc", ETag='"v2"')]
)
async def test_a_resumption_that_fails_is_not_tried_twice(bench: Bench, nonsense: Reply) -> None:
    async with serving(up_to(5000), nonsense, up_to(None)) as server:
        await bench.fetch(server)
    assert "Range" in server.heads[1]
    assert "Range" not in server.heads[2]
    assert (bench.folder / NAME).read_bytes() == LARGE


async def test_a_long_way_in_short_steps_is_not_given_up(bench: Bench) -> None:
    """Attempts count only while nothing is gained."""
    whole = picture(830)
    step = GATHER_BYTES + 1
    steps = [up_to(count, whole) for count in (100, 100, 100, step, 100, 100)]
    async with serving(*steps, up_to(None, whole)) as server:
        await bench.fetch(server)
    assert (bench.folder / NAME).read_bytes() == whole
    assert len(server.heads) == 7


async def test_a_web_page_or_half_a_picture_is_fetched_again(bench: Bench) -> None:
    scripts = (reply(200, PAGE, ETag='"p"'), reply(200, PNG[:-9], ETag='"h"'), reply(200, PNG))
    async with serving(*scripts) as server:
        await bench.fetch(server)
    assert not any("Range" in head for head in server.heads)
    assert bench.left() == [NAME]


@pytest.mark.parametrize(
    ("script", "extension", "reason"),
    [
        (reply(200, PAGE, Content_Type="image/png"), "html", "a web page came instead"),
        (reply(200, LARGE[:-9]), "png", "the png lacks its end"),
        (reply(200, LARGE[:GATHER_BYTES], Content_Length=len(LARGE)), "png", "the answer broke off or is not HTTP"),
    ],
)
async def test_what_stays_broken_is_kept_aside(bench: Bench, script: Reply, extension: str, reason: str) -> None:
    """The reason is the same for whatever breaks alike; where it is kept stands beside it."""
    start = bench.clock.now()
    async with serving(script) as server:
        failure = await bench.failure(server)
    kept = f".suspect/{STEM}.{extension}"
    assert failure.kind == "broken"
    assert failure.kept == f"files/{kept}"
    assert str(failure) == f"A file from 127.0.0.1 did not arrive whole: {reason}."
    assert bench.left() == [kept]
    assert len(server.heads) == 4
    assert bench.clock.now() - start == 1 + 2 + 4


async def test_nothing_at_all_is_broken_and_leaves_nothing(bench: Bench) -> None:
    async with serving(reply(200)) as server:
        assert (await bench.failure(server)).kind == "broken"
    assert bench.left() == []


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_expired_address_is_told_at_once(bench: Bench, status: int) -> None:
    async with serving(up_to(GATHER_BYTES + 1000), reply(status, PAGE)) as server:
        failure = await bench.failure(server)
    assert failure.kind == "expired"
    assert len(server.heads) == 2
    assert bench.left() == []


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://10.0.0.1/x"])
async def test_a_redirect_astray_is_told_apart_from_an_address_that_is_refused(bench: Bench, location: str) -> None:
    async with serving(reply(302, Location=location)) as server:
        assert (await bench.failure(server)).kind == "misled"
    assert len(server.heads) == 1


async def test_what_comes_compressed_is_checked_and_hashed_as_it_was_before(bench: Bench) -> None:
    """Cut off, it starts again: places in what is compressed are none in the file."""
    packed = gzip.compress(LARGE)
    cut = reply(200, packed[:-GATHER_BYTES], ETag='"v1"', Content_Encoding="gzip", Content_Length=len(packed))
    async with serving(lambda _: cut, reply(200, packed, ETag='"v1"', Content_Encoding="gzip")) as server:
        done = await bench.fetch(server, size=len(LARGE))
    assert (done.bytes, done.sha256, done.warnings) == (len(LARGE), hashlib.sha256(LARGE).hexdigest(), ())
    assert not any("Range" in head for head in server.heads)


@pytest.mark.parametrize("keep", [True, False])
async def test_what_may_yet_come_whole_is_not_kept_broken(bench: Bench, keep: bool) -> None:
    async with serving(reply(200, PNG[:-8])) as server, anyio.create_task_group() as group:
        group.start_soon(bench.clock.run)
        with pytest.raises(DownloadFailed) as failed:
            await download(bench.files, Wanted(server.url, STEM), bench.folder, bench.clock, keep=keep)
        group.cancel_scope.cancel()
    assert (bool(failed.value.kept), bool(bench.left())) == (keep, keep)


async def test_a_server_that_says_nothing_is_asked_again_soon_and_one_that_is_slow_is_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost request is sent again after a short while; the patience with those that are merely slow grows with it."""
    patience = []
    opened = Files.open

    def noted(files: Files, url: str, *, answer_seconds: float, **rest: Any) -> AbstractAsyncContextManager[Body]:
        patience.append(answer_seconds)
        return opened(files, url, answer_seconds=answer_seconds / 1000, **rest)

    monkeypatch.setattr(Files, "open", noted)
    start = bench.clock.now()
    async with serving(b"", stalls=True) as server:
        failure = await bench.failure(server)
    assert failure.kind == "unavailable"
    assert patience == [10, 20, 40, 80]
    assert bench.clock.now() - start == 1 + 2 + 4

    bench.files.arrivals.usual_seconds = 8.0
    async with serving(reply(200, PNG)) as server:
        await bench.fetch(server)
    assert patience[4:] == [24]


async def test_a_server_that_stays_away_passes_some_day(bench: Bench) -> None:
    start = bench.clock.now()
    async with serving(reply(503, b"", Retry_After="20"), reply(429, b"", Retry_After="9999"), reply(500)) as server:
        failure = await bench.failure(server)
    assert failure.kind == "unavailable"
    assert bench.clock.now() - start == 20 + 60 + 4
    assert bench.left() == []


@pytest.mark.parametrize(
    "script",
    [
        reply(200, bytes(2**21 + 1)),
        lambda _: b"HTTP/1.1 200 OK\r\n\r\n" + PNG + bytes(2**21),
    ],
)
async def test_what_is_not_accepted_is_not_asked_for_twice(bench: Bench, script: Reply) -> None:
    async with serving(script) as server:
        assert (await bench.failure(server)).kind == "refused"
    assert len(server.heads) == 1
    assert bench.left() == []


@pytest.mark.parametrize(
    ("body", "content_type", "size", "expected"),
    [
        (PNG, "image/jpeg", None, ["The stated content type does not fit: by its bytes the file is image/png."]),
        (PNG, None, 3, [f"The service states 3 bytes, the file has {len(PNG)}."]),
        (b"\x00abc", "image/png", 4, ["The file is of no known type and kept as .bin."]),
        (PNG, "image/png", len(PNG), []),
        (PNG, None, None, []),
    ],
)
async def test_statements_that_do_not_fit_are_warnings(
    bench: Bench, body: bytes, content_type: str | None, size: int | None, expected: list[str]
) -> None:
    async with serving(reply(200, body)) as server:
        done = await bench.fetch(server, content_type, size)
    assert list(done.warnings) == expected
    is_png = body == PNG
    assert done.path == f"{STEM}.{'png' if is_png else 'bin'}"
    assert done.content_type == ("image/png" if is_png else "application/octet-stream")


async def test_the_header_speaks_where_the_service_does_not(bench: Bench) -> None:
    async with serving(reply(200, PNG, Content_Type="text/html")) as server:
        assert len((await bench.fetch(server)).warnings) == 1
        assert len((await bench.fetch(server, "image/png")).warnings) == 0


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "Make room"), (errno.EDQUOT, "Make room"), (errno.EIO, "Fix the cause")]
)
async def test_a_full_disk_is_told_apart(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def full(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    bench.folder.mkdir()
    (bench.folder / "DDIM").mkdir()
    monkeypatch.setattr(os, "fsync", full)
    async with serving(reply(200, PNG)) as server:
        failure = await bench.failure(server)
    assert (failure.kind, failure.errno) == ("disk", number)
    assert str(failure).startswith(f"The output files/{STEM} could not be written: {os.strerror(number)}. {remedy}")
    assert len(server.heads) == 1
    assert bench.left() == []


@pytest.mark.parametrize("taken", ["DDIM", f"{STEM}.png/x"])
async def test_what_stands_at_its_place_is_no_fault_of_the_disk(bench: Bench, taken: str) -> None:
    """A file where a folder belongs, or a folder where the file belongs: only the user can say what it is."""
    (bench.folder / taken).parent.mkdir(parents=True)
    (bench.folder / taken).write_text("in the way")
    async with serving(reply(200, PNG)) as server:
        failure = await bench.failure(server)
    assert failure.kind == "blocked"
    assert str(failure).endswith("Move away what stands at its place.")
    assert bench.left() == [taken]


async def test_a_cancelled_download_leaves_at_most_its_part_and_the_next_one_clears_it(bench: Bench) -> None:
    async with serving(up_to(GATHER_BYTES * 2), stalls=True) as server, anyio.create_task_group() as group:
        group.start_soon(download, bench.files, Wanted(server.url, STEM), bench.folder, bench.clock)
        await server.stalled.wait()
        while not bench.left():
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert bench.left() == ["DDIM/.harbour-k3v9x2ab-0.part"]
    async with serving(reply(200, PNG)) as server:
        await bench.fetch(server)
    assert bench.left() == [NAME]


async def test_text_within_a_reply_becomes_json(bench: Bench) -> None:
    content = {"prompt": "ein Leuchtturm in der Dämmerung", "answer": ["a", {"b": None}], "raw": "\ud83d"}
    done = await save_content(content, STEM, bench.folder)
    text = (bench.folder / f"{STEM}.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert "Dämmerung" in text
    assert text.startswith('{\n  "prompt"')
    assert done == Downloaded(
        f"{STEM}.json", len(text.encode()), hashlib.sha256(text.encode()).hexdigest(), "application/json"
    )
    assert (await save_content({}, "empty", bench.folder)).bytes == 3


async def test_fractions_within_text_stay_numbers(bench: Bench) -> None:
    content = parse(b'{"score": 0.5, "all": [1.25, 1e400], "count": 3}')
    saved = await save_content(content, STEM, bench.folder)
    assert json.loads((bench.folder / saved.path).read_text()) == {"score": 0.5, "all": [1.25, "1E+400"], "count": 3}


async def test_text_that_cannot_be_written_is_the_disks_fault(bench: Bench) -> None:
    bench.folder.write_text("a file where a folder belongs")
    with pytest.raises(DownloadFailed) as caught:
        await save_content({"a": 1}, STEM, bench.folder)
    assert caught.value.kind == "disk"
