from __future__ import annotations

import errno
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import anyio.from_thread
import pytest
from child import child

from orchestrator.clock import SystemClock
from orchestrator.commands.serve import Canceller, Door, _address, _announcement, serve
from orchestrator.commands.status import read_status
from orchestrator.emulator import Profile
from orchestrator.errors import RefusedError
from orchestrator.reporting import root
from orchestrator.runs import RunFolder
from orchestrator.web.shelf import Shelf
from orchestrator.web.watch import Reader, Watch
from orchestrator.wiro.auth import Credentials


@pytest.fixture
def folder(make_run: Callable[..., RunFolder], tmp_path: Path) -> RunFolder:
    """A finished run of the emulated service's account."""
    made: RunFolder = make_run(tmp_path / "outputs" / "fox", {"sweep": {"prompt": ["a"]}}, lambda _t, _n: b"")
    profile = Profile()
    account = Credentials(profile.api_key, profile.api_secret).fingerprint
    with made.written() as store, store.transaction(durable=False):
        store.state({"account": account})
    return made


async def announced(places: list[Path], door: Door) -> str:
    """Serve until it says where; return that."""
    said: list[str] = []
    async with anyio.create_task_group() as group:

        def say(text: str) -> None:
            said.append(text)
            group.cancel_scope.cancel()

        await serve(places, door, clock=SystemClock(), say=say, tell=said.append)
    return said[0]


async def test_it_says_where_to_look(folder: RunFolder) -> None:
    said = await announced([folder.path], Door("127.0.0.1", 0))
    assert re.fullmatch(r"Serving 1 run at http://127\.0\.0\.1:\d+/\nCtrl-C ends it\.", said)
    said = await announced([folder.path.parent], Door("localhost", 0, token="a-token-of-my-own"))
    assert re.search(r"http://localhost:\d+/\?token=a-token-of-my-own\n", said)


async def test_a_browser_is_opened_if_asked_for(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    async with anyio.create_task_group() as group:

        def shown(address: str) -> bool:
            opened.append(address)
            anyio.from_thread.run_sync(group.cancel_scope.cancel)
            return True

        monkeypatch.setattr("webbrowser.open", shown)
        await serve([folder.path], Door("127.0.0.1", 0, opens=True), clock=SystemClock(), say=print, tell=print)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", opened[0])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "pictures.example"])  # noqa: S104 - nothing listens
def test_beyond_this_machine_a_token_is_made(host: str) -> None:
    token = Door(host, 0).key()
    assert token is not None
    assert len(token) == 32
    assert token != Door(host, 0).key()
    assert Door(host, 0, token="a-token-of-my-own").key() == "a-token-of-my-own"
    address = _address(host, 8080, token)
    assert address.endswith(f":8080/?token={token}")
    assert "Nothing is encrypted" in _announcement(1, address, host)


def test_an_address_can_be_opened_as_it_is_printed() -> None:
    assert Door("127.0.0.1", 0).key() is None
    assert _address("127.0.0.1", 80, None) == "http://127.0.0.1:80/"
    assert _address("::1", 80, None) == "http://[::1]:80/"
    assert _address("0.0.0.0", 80, None) == f"http://{socket.gethostname()}:80/"  # noqa: S104 - nothing listens
    assert "encrypted" not in _announcement(2, "http://[::1]:80/", "::1")


async def test_what_cannot_be_served_is_refused_with_a_sentence(folder: RunFolder, tmp_path: Path) -> None:
    for places, door, sentence in (
        ([tmp_path / "nowhere"], Door("127.0.0.1", 0), "nowhere is not a folder"),
        ([folder.path], Door("127.0.0.1", 0, token="short"), "--token is too easy to guess"),
        ([folder.path], Door("127.0.0.1", 0, token="a token; with spaces"), "--token is too easy to guess"),
    ):
        with pytest.raises(RefusedError, match=sentence):
            await serve(places, door, clock=SystemClock(), say=print, tell=print)


async def test_a_port_that_is_taken_is_refused_with_a_sentence(folder: RunFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BaseExceptionGroup) as caught:
        await announced([folder.path], Door("127.0.0.1", taken.getsockname()[1]))
    error = root(caught.value)
    assert isinstance(error, RefusedError)
    assert re.fullmatch(
        r"Port (\d+) of 127\.0\.0\.1 is taken, perhaps by another `orchestrator serve`: choose another one, such as"
        r" --port \d+, or any that is free with --port 0\.",
        str(error),
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "Port 80 is not open to you: choose one from 1024 on"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign"), "127.0.0.1 is not an address of this machine: choose another"),
        (
            socket.gaierror(-2, "Name or service not known"),
            "127.0.0.1 is not an address of this machine: choose another",
        ),
        (OSError(errno.ENFILE, "Too many open files"), "cannot be listened on at port 80: Too many open files"),
    ],
)
async def test_an_address_that_cannot_be_had_is_refused_with_a_way_out(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, error: OSError, words: str
) -> None:
    async def refused(_: object) -> None:
        raise error

    monkeypatch.setattr("aiohttp.web.TCPSite.start", refused)
    with pytest.raises(BaseExceptionGroup) as caught:
        await announced([folder.path], Door("127.0.0.1", 80))
    assert words in str(root(caught.value))


@pytest.fixture
async def page(folder: RunFolder) -> AsyncIterator[tuple[Watch, Reader]]:
    watch = Watch(Shelf([folder.path]), read_status, SystemClock())
    with watch.reading("fox") as reader:
        yield watch, reader


async def said(reader: Reader) -> str:
    with anyio.fail_after(30):
        return (await reader.events.receive()).data


async def test_cancelling_is_what_the_command_does(folder: RunFolder, page: tuple[Watch, Reader]) -> None:
    watch, reader = page
    told: list[str] = []
    async with anyio.create_task_group() as group:
        canceller = Canceller(group, watch, told.append)
        canceller.begin("fox", folder)
        canceller.begin("fox", folder)  # twice is once
        assert await said(reader) == '"What runs on the service is being ended."'
        assert await said(reader) == '"Nothing of the run goes on at the service any more."'
    assert told == []
    assert reader.events.statistics().current_buffer_used == 0


async def test_what_cannot_be_cancelled_is_said_in_the_window_alone(page: tuple[Watch, Reader], tmp_path: Path) -> None:
    watch, reader = page
    told: list[str] = []
    async with anyio.create_task_group() as group:
        Canceller(group, watch, told.append).begin("fox", RunFolder(tmp_path / "nothing"))
        await said(reader)
        assert await said(reader) == '"It was not cancelled: see the terminal of `orchestrator serve`."'
    assert "is not a run folder" in told[0]
    assert "Traceback" not in told[0]


def test_ctrl_c_ends_it_at_once_even_while_somebody_watches(folder: RunFolder) -> None:
    command = [sys.executable, "-m", "orchestrator", "serve", str(folder.path), "--port", "0"]
    with child(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        address = process.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"{address}run/fox/events", timeout=10) as stream:  # noqa: S310 - on this machine
            stream.readline()
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=5)
        assert process.returncode == 0
        assert rest.splitlines()[-1] == "Stopped serving."
