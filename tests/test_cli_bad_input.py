"""What a user can get wrong: an exit code, a sentence that says what, where and what to do, and nothing left behind."""

from __future__ import annotations

import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from child import child
from given import NOBODY, Ended, give
from hurry import HurriedClock
from served import served, settings_of

from orchestrator.cli import runs
from orchestrator.emulator import Profile
from orchestrator.errors import Exit

ROOT = Path(__file__).parent.parent
NOWHERE = "http://127.0.0.1:9/v1"
CLEAN = {"PATH": "", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
KEY, SECRET = "a-key-nobody-has", "a-secret-nobody-has"
JOB = """\
model: Hevok/Studio-Trigger
parameters: {samples: 1}
sweep:
  prompt: [a boat]
  seed: [1, 2]
"""


SENTENCE = r"orchestrator: [^\n]+\n(  +\d+ \| [^\n]*\n +\| +\^\n)?(  Hint: [^\n]+\n)?"
"""One sentence, and where it speaks of the job file the line, a caret and what to do."""


class Desk:
    """A folder to work in, with a good job file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("job.yaml", JOB)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, "utf-8")

    def held(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    def run(self, *arguments: str, settings: Mapping[str, str] = NOBODY) -> Ended:
        return give(*arguments, cwd=self.folder, settings={"WIRO_BASE_URL": NOWHERE, **settings})

    def refused(
        self, *arguments: str, says: str, code: Exit = Exit.REFUSED, settings: Mapping[str, str] = NOBODY
    ) -> str:
        """Give a command that has to fail, and return its sentence.

        Nothing may be printed to stdout, and nothing made or removed in the folder.
        """
        before = self.held()
        done = self.run(*arguments, settings=settings)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert self.held() == before
        assert "Traceback" not in done.stderr
        assert KEY not in done.stderr
        assert SECRET not in done.stderr
        assert re.search(says, done.stderr), done.stderr
        assert re.fullmatch(SENTENCE, done.stderr), done.stderr
        return done.stderr


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(scope="module")
def service() -> Iterator[Mapping[str, str]]:
    """The settings that lead to an emulator."""
    with served(Profile(run_seconds_median=0.1)) as emulator:
        yield settings_of(emulator)


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


# The job file


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"job\.yaml"),
        ("# nothing\n", r"job\.yaml"),
        ("- a list\n", r"job\.yaml:1:1"),
        ("model: [\n", r"job\.yaml:\d+:\d+"),
        ("model: Hevok/Studio-Trigger\n\tsweep: 1\n", r"job\.yaml:2:1.*tab"),
        (JOB + "sweeps: 1\n", r"job\.yaml:6:1.*sweeps(.|\n)*sweep"),
        (JOB + "repeat: often\n", r"job\.yaml:6:9.*often"),
        (JOB + "limits: {concurrency: no}\n", r"job\.yaml:6:\d+"),
        (JOB + "limits: {concurrency: 99999999999999999999}\n", r"limits\.concurrency: .* from 1 to 100,000 is exp"),
        (JOB + "limits: {budget_usd: five}\n", r"Hint: Write US dollars"),
        (JOB + "limits: {requests_per_second: 0}\n", r"Hint: Write how many in a second"),
        (JOB + "limits: {settle_after: 5 minuets}\n", r"Hint: Write a number and its unit"),
        (JOB + "limits: {budget_usd: -1}\n", r"job\.yaml:6:\d+"),
        (JOB + "notify: me\n", r"job\.yaml:6:1.*notify"),
        (JOB.replace("samples", "sampels"), r"job\.yaml:2:\d+.*sampels(.|\n)*samples"),
        (JOB.replace("1}", "some}"), r"job\.yaml:2:\d+.*some"),
        (JOB.replace("Hevok/Studio-Trigger", "Studio-Trigger"), r"job\.yaml:1:8.*Studio-Trigger"),
        (JOB + "api_key: abc\n", r"job\.yaml:6:1.*api_key"),
    ],
)
def test_a_wrong_job_file(desk: Desk, text: str, says: str) -> None:
    """These sentences may go on with the line in question and a hint."""
    desk.write("job.yaml", text)
    done = desk.run("run", "job.yaml", "--emulate")
    assert (done.returncode, done.stdout) == (Exit.REFUSED, ""), done.stderr
    assert re.search(says, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert desk.held() == {"job.yaml"}


def test_several_mistakes_are_told_at_once(desk: Desk) -> None:
    desk.write("job.yaml", JOB + "sweeps: 1\nrepeat: often\n")
    done = desk.run("plan", "job.yaml")
    assert done.returncode == Exit.REFUSED
    assert "job.yaml:6:1" in done.stderr
    assert "job.yaml:7:9" in done.stderr


@pytest.mark.parametrize("name", ["nowhere.yaml", "."])
def test_no_job_file(desk: Desk, name: str) -> None:
    for arguments in (("run", name), ("plan", name)):
        done = desk.run(*arguments)
        assert (done.returncode, done.stdout) == (Exit.REFUSED, "")
        assert name in done.stderr
        assert "Traceback" not in done.stderr
    assert desk.held() == {"job.yaml"}


def test_a_job_file_with_the_secret_in_it(desk: Desk) -> None:
    desk.write("job.yaml", JOB.replace("a boat", SECRET))
    done = desk.run("plan", "job.yaml", settings={"WIRO_API_KEY": KEY, "WIRO_API_SECRET": SECRET})
    assert done.returncode == Exit.REFUSED
    assert SECRET not in done.stdout + done.stderr
    assert "job.yaml:4:12" in done.stderr


def test_too_many_tasks(desk: Desk) -> None:
    desk.write("job.yaml", JOB.replace("[1, 2]", "{from: 1, to: 20000, step: 1}"))
    desk.refused("run", "job.yaml", "--emulate", says=r"20,000.*limits\.max_tasks")


# Options


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--budget", "abc", r"--budget.*abc"),
        ("--budget", "-1", r"--budget.*-1"),
        ("--budget", "nan", r"--budget.*nan"),
        ("--rate", "0", r"--rate.*0"),
        ("--rate", "inf", r"--rate.*inf"),
        ("--progress", "loud", r"--progress.*loud.*auto"),
        ("--only", "colour=red", r"--only colour=red.*prompt, seed"),
        ("--only", "seed", r"--only seed.*axis=value"),
    ],
)
def test_a_wrong_option(desk: Desk, option: str, value: str, says: str) -> None:
    desk.refused("run", "job.yaml", "--emulate", option, value, says=says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--limit", "-1"], "--limit"),
        (["--limit", "few"], "--limit"),
        (["--concurrency", "0"], "--concurrency"),
        (["--rate", "fast"], "--rate"),
        (["--allow-files", "nowhere"], "nowhere"),
        (["--bugdet", "1"], "--budget"),
        (["--set", "steps=many"], "--set steps"),
        (["--set", "steps"], "name=value"),
        (["--set", "colour=red"], "colour"),
        (["more.yaml"], "more.yaml"),
    ],
)
def test_what_the_command_line_itself_refuses(desk: Desk, arguments: list[str], says: str) -> None:
    done = desk.run("plan" if "--set" in arguments else "run", "job.yaml", *arguments)
    assert (done.returncode, done.stdout) == (Exit.REFUSED, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert desk.held() == {"job.yaml"}


@pytest.mark.parametrize("arguments", [["--limit", "0"], ["--budget", "0"]])
def test_a_run_that_may_do_nothing_stops_and_can_go_on(desk: Desk, arguments: list[str]) -> None:
    done = desk.run("run", "job.yaml", "--emulate", *arguments)
    assert done.returncode == Exit.STOPPED, done.stderr
    assert "0 of 2 tasks done, $0 spent" in done.stdout
    assert "Stopped: " in done.stdout
    assert desk.run("run", "job.yaml", "--emulate").returncode == Exit.DONE


# The service


def test_no_credentials(desk: Desk) -> None:
    desk.refused("run", "job.yaml", says=r"WIRO_API_KEY is not set.*\.env.*--emulate")


@pytest.mark.parametrize("wrong", [{"WIRO_API_KEY": KEY}, {"WIRO_API_SECRET": SECRET}])
def test_wrong_credentials(desk: Desk, service: Mapping[str, str], wrong: Mapping[str, str]) -> None:
    says = "refused the credentials.*WIRO_API_KEY and WIRO_API_SECRET"
    desk.refused("run", "job.yaml", says=says, code=Exit.STOPPED, settings={**service, **wrong})


def test_an_unknown_model(desk: Desk, service: Mapping[str, str]) -> None:
    desk.write("job.yaml", JOB.replace("Hevok", "Nobody"))
    for command in ("run", "plan"):
        desk.refused(command, "job.yaml", says=r"job\.yaml.*no model Nobody/Studio-Trigger", settings=service)


def test_an_address_that_nobody_answers(desk: Desk, closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "clock", lambda: HurriedClock(100))
    settings = {"WIRO_API_KEY": KEY, "WIRO_BASE_URL": f"http://127.0.0.1:{closed_port}"}
    says = r"could not be reached.*\. Check WIRO_BASE_URL"
    desk.refused("run", "job.yaml", says=says, code=Exit.STOPPED, settings=settings)


@pytest.mark.parametrize(
    "address", ["http://192.0.2.1/v1", "ftp://127.0.0.1", "https://", "nonsense", "https://me:pw@h"]
)
def test_an_address_that_is_not_to_be_used(desk: Desk, address: str) -> None:
    """It is refused before anything is sent, so at once."""
    settings = {"WIRO_API_KEY": KEY, "WIRO_BASE_URL": address}
    said = desk.refused("run", "job.yaml", says="WIRO_BASE_URL", settings=settings)
    assert "pw" not in said


def test_a_settings_file_that_is_not_text(desk: Desk) -> None:
    (desk.folder / ".env").write_bytes(b"WIRO_API_KEY=\xff\xfe")
    desk.refused("plan", "job.yaml", says=r"\.env cannot be read")


# The run folder


@pytest.mark.parametrize("place", ["job.yaml", "job.yaml/run", "/proc/run"])
def test_a_folder_that_cannot_be_made(desk: Desk, place: str) -> None:
    desk.refused("run", "job.yaml", "--emulate", "--out", place, says=f"{place} cannot be written.*--out")


@pytest.mark.parametrize("command", ["status", "verify", "retry", "cancel"])
def test_a_folder_without_a_run(desk: Desk, command: str) -> None:
    place = "nowhere" if command == "status" else "."
    desk.refused(command, place, says=rf"{re.escape(place)} is not a run folder", settings={"WIRO_API_KEY": KEY})


def test_a_port_that_is_none(desk: Desk) -> None:
    """The system would take it for another one, and the emulator would listen there."""
    for option, port in (("--port", "99999"), ("--cdn-port", "-1")):
        done = desk.run("emulator", option, port)
        assert (done.returncode, done.stdout) == (Exit.REFUSED, "")
        assert f"Invalid value for '{option}'" in done.stderr


def test_a_ledger_that_is_none(desk: Desk) -> None:
    desk.write("ledger.sqlite", "This is no database, however long one looks at it." * 50)
    for command in ("status", "verify", "retry", "cancel"):
        desk.refused(command, ".", says=r"ledger\.sqlite", settings={"WIRO_API_KEY": KEY})
    desk.refused("plan", "job.yaml", "--out", ".", says=r"ledger\.sqlite")


@pytest.mark.parametrize("begun", [False, True])
def test_a_ledger_that_a_kill_left_empty_is_gone_on_with(desk: Desk, service: Mapping[str, str], begun: bool) -> None:
    """Whether it was killed before the file was a database or after."""
    (desk.folder / "run").mkdir()
    with closing(sqlite3.connect(desk.folder / "run" / "ledger.sqlite")) as ledger:
        ledger.execute("PRAGMA journal_mode = WAL" if begun else "PRAGMA user_version")
    done = desk.run("run", "job.yaml", "--out", "run", settings=service)
    assert done.returncode == Exit.DONE, done.stderr


def test_the_folder_of_another_job(desk: Desk) -> None:
    assert desk.run("run", "job.yaml", "--emulate", "--out", "run", "--limit", "0").returncode == Exit.STOPPED
    desk.write("other.yaml", JOB)
    says = r"run belongs to the job file \S+/job\.yaml, not \S+/other\.yaml.*--out.*--rebind"
    desk.refused("run", "other.yaml", "--emulate", "--out", "run", says=says)
    says = rf"run belongs to the service emulator, not {NOWHERE}"
    desk.refused("run", "job.yaml", "--out", "run", says=says, settings={"WIRO_API_KEY": KEY})


def test_a_folder_in_which_somebody_is_at_work(desk: Desk) -> None:
    desk.write("job.yaml", JOB.replace("[1, 2]", "{from: 1, to: 500, step: 1}"))
    command = [sys.executable, "-m", "orchestrator", "run", "job.yaml", "--emulate", "--out", "run"]
    with child(command, cwd=desk.folder, env=CLEAN, stderr=subprocess.PIPE) as process:
        assert process.stderr
        assert "500 pending" in process.stderr.readline()
        desk.refused(*command[3:], says="Another process is at work in run.*status run", code=Exit.LOCKED)
        assert desk.run("status", "run").stdout.startswith("running: ")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == Exit.INTERRUPTED
    assert desk.run("status", "run").stdout.startswith("stopped: ")
