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


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


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


@pytest.mark.parametrize(
    "tell",
    [
        lambda log: log.warning(SENTENCE),
        lambda log: log.warning("asked", key=KEY),
        lambda log: log.warning("asked", both=f"{SECRET}{KEY}"),
        lambda log: log.warning("asked", headers={"x-api-key": KEY, "deep": [{"signature": (SECRET,)}]}),
        lambda log: log.warning("asked", headers={KEY: "x"}),
        lambda log: log.warning("asked", raw=KEY.encode()),
        lambda log: log.warning("asked", holder=Holder()),
        lambda log: log.warning("asked", error=ValueError(f"bad {SECRET}")),
        lambda log: log.warning("asked", path=Path("/tmp") / KEY),  # noqa: S108 - only its text
        lambda log: log.warning("asked", names={KEY}),
        lambda log: log.warning(KEY),
        lambda log: log.warning("asked", **{KEY: 1}),
    ],
)
def test_no_secret_is_told(tmp_path: Path, tell: Callable[[Any], None]) -> None:
    """Wherever a secret hides in an event, neither the file nor the screen shows it."""
    path, screen = tmp_path / "run.log", io.StringIO()
    with logs.opened(path, secrets=SECRETS, screen=screen) as log:
        tell(log)
    for text in (path.read_text(), screen.getvalue()):
        assert KEY not in text
        assert SECRET not in text
    assert all("[secret]" in json.dumps(event) for event in events(path))


@given(st.permutations(["abcd", "abcdef", "xabcdef"]), st.sampled_from(["abcd", "abcdef", "xabcdef"]))
def test_a_secret_within_a_secret_leaves_no_rest(secrets: list[str], told: str) -> None:
    """Where one secret is a part of another, nothing of the longer one stays."""
    event = Redact(secrets)({"event": f"<{told}>", "deep": [{"x": f"<{told}>"}]})
    assert event == {"event": "<[secret]>", "deep": [{"x": "<[secret]>"}]}


def test_what_holds_no_secret_stays_as_it_is() -> None:
    """Numbers, nothing and other values are told in their own form, and what was handed in is not changed."""
    inner = {"seed": 42, "scale": 3.5, "ok": True, "none": None}
    secretive = {"key": [KEY]}
    event = Redact(SECRETS)({"event": "x", "inner": inner, "list": [1, "a"], "secretive": secretive})
    assert event == {"event": "x", "inner": inner, "list": [1, "a"], "secretive": {"key": ["[secret]"]}}
    assert secretive == {"key": [KEY]}


def test_the_screen_shows_warnings_only(tmp_path: Path) -> None:
    """People are told what they should look at, the file everything."""
    path, screen = tmp_path / "run.log", io.StringIO()
    with logs.opened(path, secrets=(), screen=screen) as log:
        log.info("run started")
        log.warning("unknown status", status="task_dreaming")
    assert "run started" not in screen.getvalue()
    told = events(path)
    assert screen.getvalue() == f"{told[1]['timestamp']} [warning] unknown status status=task_dreaming\n"
    assert [event["event"] for event in told] == ["run started", "unknown status"]


def test_the_screen_keeps_its_form_whatever_is_told(tmp_path: Path) -> None:
    """What the service says stands in quotes where it is more than a word, and cannot paint the screen."""
    screen = io.StringIO()
    with logs.opened(tmp_path / "run.log", secrets=(), screen=screen) as log:
        log.warning("odd", one="two words", two="\x1b[2J", three="", four=5, five="\udc80")
    assert screen.getvalue().endswith(
        r"[warning] odd one='two words' two='\x1b[2J' three='' four=5 five='\udc80'" + "\n"
    )


def test_a_level_has_a_colour_where_the_screen_shows_any(tmp_path: Path) -> None:
    screen = Terminal()
    with logs.opened(tmp_path / "run.log", secrets=(), screen=screen) as log:
        log.warning("odd")
    assert screen.getvalue().endswith("[\x1b[33mwarning\x1b[0m] odd\n")


def test_text_that_is_no_unicode_is_told_all_the_same(tmp_path: Path) -> None:
    """A file's name may hold bytes of any kind."""
    path = tmp_path / "run.log"
    with logs.opened(path, secrets=()) as log:
        log.info("read", name="\udc80.txt")
    assert [event["name"] for event in events(path)] == ["\udc80.txt"]


def test_a_screen_that_is_gone_costs_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What follows stands in the file all the same."""
    path, screen = tmp_path / "run.log", io.StringIO()
    screen.close()
    with logs.opened(path, secrets=(), screen=screen) as log:
        log.warning("odd")
        log.warning("odder")
    assert [event["event"] for event in events(path)] == ["odd", "odder"]
    assert capfd.readouterr() == ("", "")


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
    log.info("x")
    log.warning("x", key=KEY)
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
