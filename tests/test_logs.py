from __future__ import annotations

import io
import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator import logs
from orchestrator.errors import RefusedError
from orchestrator.logs import Redact

KEY, SECRET = "k-0123456789abcdef", "s-fedcba9876543210"
SECRETS = (KEY, SECRET)
SENTENCE = f"asked with {KEY}"


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@dataclass
class Holder:
    """Something whose repr holds a secret, as an exception or a request might."""

    inside: str = KEY

    def __str__(self) -> str:
        return "holder"


def test_each_event_is_a_line_of_json(tmp_path: Path) -> None:
    """An event has its words, its level, its time in UTC and what it was told with."""
    path = tmp_path / "run.log"
    with logs.opened(path, secrets=SECRETS) as log:
        log.info("run started", tasks=3, name="灯台\nharbour")
        log.warning("unknown status", status="task_dreaming")
    first, second = events(path)
    assert first.pop("timestamp").endswith("Z")
    assert first == {"event": "run started", "level": "info", "tasks": 3, "name": "灯台\nharbour"}
    assert (second["event"], second["level"], second["status"]) == ("unknown status", "warning", "task_dreaming")


def test_a_log_is_appended_to(tmp_path: Path) -> None:
    """A second run's events stand after the first one's."""
    path = tmp_path / "run.log"
    for number in range(2):
        with logs.opened(path, secrets=()) as log:
            log.info("run started", number=number)
    assert [event["number"] for event in events(path)] == [0, 1]


@pytest.mark.parametrize(("verbose", "told"), [(False, ["info", "warning"]), (True, ["debug", "info", "warning"])])
def test_moves_are_told_on_request(tmp_path: Path, verbose: bool, told: list[str]) -> None:
    """Every move of every task is told only where that was asked for."""
    path = tmp_path / "run.log"
    with logs.opened(path, secrets=(), verbose=verbose) as log:
        log.debug("task moved")
        log.info("run started")
        log.warning("odd")
    assert [event["level"] for event in events(path)] == told


@pytest.mark.parametrize(
    "tell",
    [
        lambda log: log.info(SENTENCE),
        lambda log: log.info("asked", key=KEY),
        lambda log: log.info("asked", both=f"{SECRET}{KEY}"),
        lambda log: log.info("asked", headers={"x-api-key": KEY, "deep": [{"signature": (SECRET,)}]}),
        lambda log: log.info("asked", headers={KEY: "x"}),
        lambda log: log.info("asked", raw=KEY.encode()),
        lambda log: log.info("asked", holder=Holder()),
        lambda log: log.info("asked", error=ValueError(f"bad {SECRET}")),
        lambda log: log.info("asked", path=Path("/tmp") / KEY),  # noqa: S108 - only its text
        lambda log: log.info("asked", names={KEY}),
        lambda log: log.info("asked %s", KEY),
        lambda log: log.info("asked", **{KEY: 1}),
    ],
)
def test_no_secret_is_told(tmp_path: Path, tell: Callable[[Any], None]) -> None:
    """Wherever a secret hides in an event, neither the file nor the screen shows it."""
    path, screen = tmp_path / "run.log", io.StringIO()
    with logs.opened(path, secrets=SECRETS, screen=screen) as log:
        tell(log)
        tell(log.bind(more=1))
    for text in (path.read_text(), screen.getvalue()):
        assert KEY not in text
        assert SECRET not in text
    assert all("[secret]" in json.dumps(event) for event in events(path))


@pytest.mark.parametrize("method", ["exception", "warning"])
def test_no_secret_is_told_by_a_traceback(tmp_path: Path, method: str) -> None:
    """Neither an exception's text nor its causes give a secret away, in the file or on the screen."""
    path, screen = tmp_path / "run.log", io.StringIO()

    def look_up() -> None:
        raise KeyError(KEY)

    def fail() -> None:
        try:
            look_up()
        except KeyError as error:
            raise RuntimeError(f"cannot sign with {SECRET}") from error

    with logs.opened(path, secrets=SECRETS, screen=screen) as log:
        try:
            fail()
        except RuntimeError:
            getattr(log, method)("failed", exc_info=True)
    (event,) = events(path)
    assert "RuntimeError: cannot sign with [secret]" in event["exception"]
    for text in (path.read_text(), screen.getvalue()):
        assert KEY not in text
        assert SECRET not in text


@given(st.permutations(["abcd", "abcdef", "xabcdef"]), st.sampled_from(["abcd", "abcdef", "xabcdef"]))
def test_a_secret_within_a_secret_leaves_no_rest(secrets: list[str], told: str) -> None:
    """Where one secret is a part of another, nothing of the longer one stays."""
    event = Redact(secrets)(None, "", {"event": f"<{told}>", "deep": [{"x": f"<{told}>"}]})
    assert event == {"event": "<[secret]>", "deep": [{"x": "<[secret]>"}]}


def test_what_holds_no_secret_stays_as_it_is() -> None:
    """Numbers, nothing and other values are told in their own form, and what was handed in is not changed."""
    inner = {"seed": 42, "scale": 3.5, "ok": True, "none": None}
    secretive = {"key": [KEY]}
    event = Redact(SECRETS)(None, "", {"event": "x", "inner": inner, "list": [1, "a"], "secretive": secretive})
    assert event == {"event": "x", "inner": inner, "list": [1, "a"], "secretive": {"key": ["[secret]"]}}
    assert secretive == {"key": [KEY]}


def test_the_screen_shows_warnings_only(tmp_path: Path) -> None:
    """People are told what they should look at, the file everything."""
    path, screen = tmp_path / "run.log", io.StringIO()
    with logs.opened(path, secrets=(), screen=screen) as log:
        log.info("run started")
        log.warning("unknown status", status="task_dreaming")
    assert "run started" not in screen.getvalue()
    assert "unknown status" in screen.getvalue()
    assert "task_dreaming" in screen.getvalue()
    assert "\x1b" not in screen.getvalue()
    assert len(events(path)) == 2


def test_two_runs_in_one_process_do_not_mix(tmp_path: Path) -> None:
    """Each run's events stand in its own log."""
    one, two = tmp_path / "one.log", tmp_path / "two.log"
    with logs.opened(one, secrets=()) as first, logs.opened(two, secrets=()) as second:
        first.info("one")
        second.info("two")
    assert [event["event"] for event in events(one)] == ["one"]
    assert [event["event"] for event in events(two)] == ["two"]


def test_a_log_leaves_nothing_behind(tmp_path: Path) -> None:
    """Everything told is written once the log is closed, and its thread is gone."""
    before = threading.active_count()
    with logs.opened(tmp_path / "run.log", secrets=()) as log:
        for number in range(500):
            log.info("move", number=number)
    assert [event["number"] for event in events(tmp_path / "run.log")] == list(range(500))
    assert threading.active_count() == before


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """A file that cannot be made is told of at once, and no thread is left."""
    before = threading.active_count()
    with pytest.raises(OSError, match=r"run\.log"), logs.opened(tmp_path / "missing" / "run.log", secrets=()):
        raise AssertionError
    assert threading.active_count() == before


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    """To open a pipe that nobody reads from would never end."""
    path = tmp_path / "run.log"
    make: dict[str, Callable[[], None]] = {
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to("no/where"),
    }
    make[kind]()
    with pytest.raises(RefusedError, match=r"run\.log is not a file"), logs.opened(path, secrets=()):
        raise AssertionError


def test_a_silent_logger_tells_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    """It takes everything and shows nothing."""
    log = logs.silent()
    log.debug("x")
    log.warning("x", key=KEY)
    log.critical("x")
    assert capfd.readouterr() == ("", "")


def test_a_log_that_cannot_be_written_is_passed_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A full disk stops the run by its other files; the log prints no traceback over their sentence."""
    if not Path("/dev/full").exists():
        pytest.skip("needs a device that is always full")
    (tmp_path / "run.log").symlink_to("/dev/full")
    with logs.opened(tmp_path / "run.log", secrets=()) as log:
        log.info("a task is done")
    assert capfd.readouterr() == ("", "")


def test_a_log_whose_folder_goes_is_passed_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The thread that writes it would end with a traceback on the screen."""
    folder = tmp_path / "run"
    folder.mkdir()
    with logs.opened(folder / "run.log", secrets=()) as log:
        shutil.rmtree(folder)
        log.info("a task is done")
    assert capfd.readouterr() == ("", "")
