"""What the program is plugged into may be closed, full or gone: no task is hurt by it, and the exit code stays true."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import termios
from array import array
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import pytest
from child import child
from served import served, settings_of

from orchestrator.commands.status import read_status
from orchestrator.emulator import Profile
from orchestrator.errors import Exit
from orchestrator.lifecycle import State
from orchestrator.runs import RunFolder
from orchestrator.streams import linked

ROOT = Path(__file__).parent.parent
CLEAN = {"PATH": "", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "TERM": "xterm", "COLUMNS": "200"}
NOBODY: Mapping[str, str] = MappingProxyType({})
JOB = """\
model: Hevok/Studio-Trigger
parameters: {samples: 1, prompt: a boat}
sweep: {seed: {from: 1, to: 2000, step: 1}}
"""
PLAN = ("plan", "job.yaml", "--tasks", "--json")
TWO = ("run", "job.yaml", "--emulate", "--out", "out", "--limit", "2")
CLOSED = 'exec "$@" <&- >&- 2>&-'
Process: TypeAlias = AbstractContextManager[subprocess.Popen[str]]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="file descriptors and terminals of POSIX")


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    (tmp_path / "job.yaml").write_text(JOB)
    return tmp_path


def started(desk: Path, *arguments: str, how: str = 'exec "$@"', **more: Any) -> Process:
    """Start a command by way of a shell, with a pipe for each stream that is not given."""
    command = ["/bin/sh", "-c", how, "sh", sys.executable, "-m", "orchestrator", *arguments]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    settings: dict[str, Any] = {"cwd": desk, "env": CLEAN} | streams | more
    return child(command, **settings)


def counts(desk: Path) -> Mapping[State, int]:
    """What became of the tasks."""
    return read_status(RunFolder(desk / "out")).counts


def test_who_has_seen_enough_of_a_plan_may_go(desk: Path) -> None:
    """`plan --tasks | head -1`: no error, and no million lines for nobody."""
    with started(desk, *PLAN) as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["index"] == 0
        process.stdout.close()
        assert process.wait(20) == Exit.DONE
        assert process.stderr
        assert process.stderr.read() == ""


def test_a_run_outlives_its_readers(desk: Path) -> None:
    with started(desk, *TWO, "--progress", "plain") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stderr.close()
        assert process.wait(30) == Exit.STOPPED
    assert counts(desk)[State.DONE] == 2


def test_a_run_needs_no_streams_at_all(desk: Path) -> None:
    """Closed ones lead nowhere; above all no file of ours takes their numbers."""
    with started(desk, *TWO, how=CLOSED) as process:
        assert process.wait(30) == Exit.STOPPED
    assert counts(desk)[State.DONE] == 2


def test_nobody_is_asked_where_there_is_no_input(desk: Path) -> None:
    with started(desk, "run", "job.yaml", how='exec "$@" <&-') as process:
        assert "WIRO_API_KEY is not set" in process.communicate(timeout=20)[1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize(("arguments", "code"), [(("plan", "job.yaml"), Exit.REFUSED), (TWO, Exit.STOPPED)])
def test_output_that_cannot_be_written_is_told(desk: Path, arguments: tuple[str, ...], code: Exit) -> None:
    """In a sentence; where something was done, the exit code tells how that ended."""
    with Path("/dev/full").open("w") as full, started(desk, *arguments, stdout=full.fileno()) as process:
        told = process.communicate(timeout=30)[1]
        assert process.returncode == code
    assert code == Exit.STOPPED or told == "orchestrator: The output cannot be written: No space left on device.\n"
    assert "Traceback" not in told


@contextmanager
def terminal(
    desk: Path, *arguments: str, settings: Mapping[str, str] = NOBODY
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a command on a terminal of its own, at whose other end we sit."""
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)  # the first one that the leader of a session opens is the session's own
    with started(
        desk,
        *arguments,
        how=f'exec "$@" <{name} >{name} 2>{name}',
        env={**CLEAN, **settings},
        start_new_session=True,
    ) as process:
        try:
            yield process, ours
        finally:
            os.close(theirs)
            with suppress(OSError):
                os.close(ours)


def read_until(ours: int, word: bytes) -> str:
    shown = b""
    while word not in shown:
        assert select.select([ours], [], [], 30)[0], f"{word!r} does not come after {shown!r}"
        shown += os.read(ours, 65536)
    return shown.decode()


def test_a_terminal_that_is_closed_stops_the_run(desk: Path) -> None:
    """SIGHUP, and nobody to write to: what runs stays for the next run, and the log has its last word."""
    with terminal(desk, "run", "job.yaml", "--emulate", "--out", "out") as (process, ours):
        shown = read_until(ours, b"running")
        os.close(ours)
        assert process.wait(30) == Exit.TERMINATED
    assert "None" not in shown  # the bar waits until there is something to show
    assert counts(desk)[State.RUNNING] > 0
    last = json.loads((desk / "out" / "run.log").read_text().splitlines()[-1])
    assert (last["event"], last["exit_code"], last["halt"][:16]) == ("run ended", 143, "Ended by SIGHUP.")


@pytest.mark.parametrize(
    ("typed", "said", "code"),
    [(b"\x03", b"Interrupted.", Exit.INTERRUPTED), (b"n\n", b"Nothing was submitted.", Exit.STOPPED)],
)
def test_a_question_can_be_left(desk: Path, service: Mapping[str, str], typed: bytes, said: bytes, code: Exit) -> None:
    """Ctrl-C at the question ends the program, which nothing keeps waiting for an answer."""
    with terminal(desk, "run", "job.yaml", "--out", "out", settings=service) as (process, ours):
        read_until(ours, b"[y/N] ")
        os.write(ours, typed)
        read_until(ours, said)
        assert process.wait(30) == code


@pytest.fixture
def service() -> Iterator[Mapping[str, str]]:
    """The settings that lead to an emulator."""
    with served(Profile()) as emulator:
        yield settings_of(emulator)


@pytest.mark.skipif(sys.platform != "linux", reason="how much a pipe holds")
def test_a_reader_that_does_not_read_holds_nobody_who_interrupts(desk: Path) -> None:
    """The pipe is full, and stays so: Ctrl-C ends the program all the same, though not all of it is printed."""
    with started(desk, *PLAN) as process:
        assert process.stdout
        assert process.stdout.read(1) == "{"
        held = array("i", [0])
        while held[0] < 2**16 - 2**12:
            fcntl.ioctl(process.stdout, termios.FIONREAD, held)
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == Exit.INTERRUPTED


def test_what_was_to_be_ignored_stays_ignored(desk: Path) -> None:
    """`nohup orchestrator run …` is not stopped by the terminal that goes away."""
    with started(desk, *TWO, "--progress", "plain", how="trap '' HUP; exec \"$@\"") as process:
        assert process.stderr
        assert "pending" in process.stderr.readline()
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=30)
        assert process.returncode == Exit.STOPPED
    assert counts(desk)[State.DONE] == 2


@pytest.mark.parametrize(
    ("settings", "has_links"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({}, False), ({"WT_SESSION": "1"}, True)],
)
def test_a_file_is_a_link_on_a_terminal_that_has_some(
    monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str], has_links: bool
) -> None:
    path = Path("out", "a page.html")
    assert linked(path, settings) == str(path)  # nothing but text leaves through a pipe
    reader, writer = os.openpty()
    with os.fdopen(reader), os.fdopen(writer, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        told = linked(path, settings)
        monkeypatch.undo()
    assert told.replace(f"\x1b]8;;{path.absolute().as_uri()}\x1b\\", "").replace("\x1b]8;;\x1b\\", "") == str(path)
    assert ("\x1b" in told) is has_links
