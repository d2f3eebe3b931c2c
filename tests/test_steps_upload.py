"""Where uploaded files are, as the log tells it: nothing in doubt is looked for at an address that may be another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator import logs
from orchestrator.clock import SystemClock
from orchestrator.ledger import Ledger, SqliteLedger
from orchestrator.steps.calls import Calls, First, Urgency
from orchestrator.steps.upload import Uploader, logged_urls
from orchestrator.sweep import LocalFile, Uploads
from orchestrator.wiro import Client, Upload

pytestmark = pytest.mark.anyio

KEY = "3f2c9a51d7"
PLAIN = "https://files.example/1/harbour.png"


@pytest.fixture(autouse=True)
def blocking_calls_are_errors() -> None:
    """Nothing else goes on while a file is uploaded here."""


class Service(Client):
    """Puts each file at the same address."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def upload(self, _path: Path, *, name: str | None = None) -> Upload:
        return Upload(self.url, name or "", None)


class Open:
    @asynccontextmanager
    async def turn(self, _urgency: Urgency, _first: First | None = None) -> AsyncIterator[None]:
        yield

    def refused(self, _retry_after_seconds: float | None) -> None:
        """The pace is not what is tested here."""


@asynccontextmanager
async def uploader(folder: Path, url: str, *, again: bool = False) -> AsyncIterator[tuple[Uploader, str]]:
    path, picture = folder / "harbour.png", b"a harbour"
    path.write_bytes(picture)
    digest = hashlib.sha256(picture).hexdigest()
    uploads = Uploads({"image": "imageUrl"}, {digest: LocalFile(digest, str(path), path.name, len(picture))})
    with SqliteLedger(folder / "ledger.sqlite") as store, logs.opened(folder / "run.log", secrets=[KEY]) as log:
        ledger = Ledger(store, SystemClock())
        calls = Calls(Service(url), Open(), SystemClock())
        async with anyio.create_task_group() as writing:
            writing.start_soon(ledger.run)
            yield Uploader(uploads, {}, calls, ledger, frozenset({digest} if again else ()), log), digest
            ledger.close()


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "run.log").read_text().splitlines()]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (PLAIN, True),
        (f"{PLAIN}?signature=1b22", False),
        ("https://somebody:word@files.example/harbour.png", False),
        ("https://[files.example/harbour.png", False),
        (f"https://files.example/{KEY}/harbour.png", False),
    ],
)
async def test_an_address_is_told_unless_it_holds_a_secret(tmp_path: Path, url: str, told: bool) -> None:
    async with uploader(tmp_path, url) as (ready, digest):
        sent = await ready.ready({"image": f"sha256:{digest}"})
        assert sent == {"image": "", "imageUrl": url}
    assert logged_urls(events(tmp_path)) == ({digest: url} if told else {})
    said = (tmp_path / "run.log").read_text()
    assert KEY not in said
    assert "signature" not in said
    assert "word" not in said


async def test_a_second_address_is_not_told(tmp_path: Path) -> None:
    """What was sent at the first one, which is lost, must not be looked for at this one."""
    async with uploader(tmp_path, PLAIN, again=True) as (ready, digest):
        await ready.ready({"image": f"sha256:{digest}"})
    assert not events(tmp_path)


def test_where_two_addresses_are_told_none_is_believed() -> None:
    told = [{"event": "file uploaded", "sha256": "a1", "url": f"https://files.example/{n}"} for n in (1, 1, 2)]
    assert logged_urls(told[:2]) == {"a1": "https://files.example/1"}
    assert logged_urls(told) == {}
    assert logged_urls([{"event": "file uploaded", "sha256": 1}, {"event": "run started"}, {}]) == {}
