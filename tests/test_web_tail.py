from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.web.tail import MOST_LINES, Tail, told, without_folders


def line(event: str, **more: Any) -> str:
    return json.dumps({"event": event, "level": "info", "timestamp": "2026-11-22T10:00:00Z", **more}) + "\n"


def events(lines: list[dict[str, Any]]) -> list[str]:
    return [each["event"] for each in lines]


def test_lines_are_told_once_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    tail = Tail(path)
    assert tail.more() == []
    path.write_text(line("one") + line("two"), "utf-8")
    assert events(tail.more()) == ["one", "two"]
    assert tail.more() == []
    with path.open("a", encoding="utf-8") as log:
        whole = line("three")
        log.write(whole[:20])
        log.flush()
        assert tail.more() == []  # half a line
        log.write(whole[20:])
    assert events(tail.more()) == ["three"]


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text("".join(line(f"{number}") for number in range(5000)), "utf-8")
    found = events(Tail(path).more())
    assert found[-1] == "4999"
    assert len(found) == MOST_LINES


def test_a_log_that_was_begun_anew_is_told_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_text(line("one") + line("two"), "utf-8")
    tail = Tail(path)
    tail.more()
    path.write_text(line("new"), "utf-8")
    assert events(tail.more()) == ["new"]


def test_a_line_says_when_how_grave_and_what() -> None:
    found = told(line("task ended", task="k3v", state="failed", reason=None, level="warning").encode())
    assert found == {
        "at": "2026-11-22T10:00:00Z",
        "level": "warning",
        "event": "task ended",
        "more": "task: k3v, state: failed",
    }


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"nonsense", b'{"event": 1}', b"[" * 100_000, b"\xff"])
def test_what_is_no_line_of_ours_is_passed_over(text: bytes) -> None:
    assert told(text) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open /home/ann/secret/x.txt: no", "cannot open x.txt: no"),
        ("the folder is /srv/pictures/outputs/quick", "the folder is quick"),
        ("~/runs/a is locked", "a is locked"),
        (r"C:\Users\Ann\x.png gone", "x.png gone"),
        (r"\\nas\share\x.txt", "x.txt"),
        ("'/a/b'", "'b'"),
        ("see https://cdn1.wiro.ai/a/b.png", "see https://cdn1.wiro.ai/a/b.png"),
        ("files/DDIM/fox-7.png is damaged, 3/4", "files/DDIM/fox-7.png is damaged, 3/4"),
        ("owner/model", "owner/model"),
    ],
)
def test_no_folder_of_anybody_is_shown(text: str, shown: str) -> None:
    assert without_folders(text) == shown
    held = told(line("a", why=text).encode())
    assert held is not None
    assert held["more"] == f"why: {shown}"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_a_pipe_in_the_place_of_the_log_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.log")
    assert Tail(tmp_path / "run.log").more() == []
