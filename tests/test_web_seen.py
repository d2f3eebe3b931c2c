from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from orchestrator.commands.status import read_status
from orchestrator.output.gallery import Place, build, marks
from orchestrator.runs import RunFolder
from orchestrator.tasks import Task
from orchestrator.web.seen import Event, Seen, event, rate, seen

JOB = {"sweep": {"prompt": ["a fox", "a boat"], "seed": [1, 2, 3, 4]}}


def picture(task: Task, _number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (500, 500), (task.index * 9, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(make_run: Callable[..., RunFolder], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    made = make_run(tmp_path_factory.mktemp("seen") / "run", JOB, picture)
    with made.opened() as ledger:
        build(made.path, ledger, read_status(made), 1_800_000_000.0)
    return made


def told(events: list[Event]) -> dict[str, Any]:
    return {each.name: json.loads(each.data) for each in events}


def test_a_look_finds_all_that_the_overview_shows(folder: RunFolder) -> None:
    found = seen(folder, read_status, None).summary("run")
    assert (found["name"], found["model"], found["trouble"]) == ("run", "Hevok/Studio-Trigger", None)
    assert (found["status"]["state"], found["status"]["counts"]["done"]) == ("finished", 8)
    assert len(found["thumbnails"]) == 6
    assert all((folder.path / path).is_file() for path in found["thumbnails"])
    assert str(folder.path.parent) not in json.dumps(found)


def test_what_has_not_changed_is_not_read_again(folder: RunFolder) -> None:
    def never(_: RunFolder) -> Any:
        pytest.fail("it was read again")

    first = seen(folder, read_status, None)
    assert seen(folder, never, first) is first


def test_a_page_is_told_what_is_new_and_no_more(folder: RunFolder, tmp_path: Path) -> None:
    here = RunFolder(tmp_path / "run")
    shutil.copytree(folder.path, here.path)
    first = seen(here, read_status, None)
    assert set(told(list(first.news(None)))) == {"standing", "page", "marks"}
    marks.save(Place(here.path), {"marks": {"a-0": {"stars": 3, "at": 5}}})
    second = seen(here, read_status, first)
    assert list(told(list(second.news(first)))) == ["marks"]
    Place(here.path).write("head", {})
    third = seen(here, read_status, second)
    assert list(told(list(third.news(second)))) == ["page"]
    assert third.thumbnails == ()  # a page that is damaged shows none


def test_pages_are_told_of_marks_once_they_can_load_them(folder: RunFolder, tmp_path: Path) -> None:
    """What they load is a file of its own: told before it is written, they would load the old one and hear no more."""
    here = RunFolder(tmp_path / "run")
    shutil.copytree(folder.path, here.path)
    place, before = Place(here.path), seen(here, read_status, None)
    (here.path / marks.NAME).write_text(json.dumps({"format": 1, "marks": {"a-0": {"stars": 3, "at": 5}}}))
    between = seen(here, read_status, before)
    assert "marks" not in told(list(between.news(before)))
    place.write("marks", marks.read(here.path))
    assert "marks" in told(list(seen(here, read_status, between).news(between)))


def test_a_run_that_was_killed_is_seen_to_have_stopped(folder: RunFolder) -> None:
    """A kill changes no file: that the lock is free says it."""
    with folder.held():
        running = seen(folder, read_status, None)
        assert running.is_running
        assert seen(folder, read_status, running) is running
    assert not seen(folder, read_status, running).is_running


@pytest.mark.parametrize(
    ("content", "trouble"), [(b"nonsense" * 100, "damaged"), (b"", "damaged"), (None, "damaged"), (0, "no run")]
)
def test_a_run_that_cannot_be_read_says_so_without_its_folder(
    folder: RunFolder, tmp_path: Path, content: bytes | int | None, trouble: str
) -> None:
    here = RunFolder(tmp_path / "run")
    if content == 0:
        here.path.mkdir()
    else:
        shutil.copytree(folder.path, here.path)
        here.ledger.unlink()
        if isinstance(content, bytes):
            here.ledger.write_bytes(content)
    found = seen(here, read_status, None).standing()
    assert found["status"] is None
    assert trouble in found["trouble"]
    assert str(tmp_path) not in found["trouble"]


def test_an_error_of_the_disk_is_no_traceback(folder: RunFolder) -> None:
    def broken(_: RunFolder) -> Any:
        raise OSError(5, "Input/output error")

    assert seen(folder, broken, None).trouble == "The run cannot be read just now."


def test_the_rate_is_that_of_the_last_minute() -> None:
    points = [[0, 0, "0", 0, 1], [600, 10, "0", 0, 1], [640, 20, "0", 0, 1], [655, 65, "0", 0, 1]]
    assert rate(points, 655) == 65.0  # ten had ended a minute ago
    assert rate(points, 690) == 55.0
    assert rate(points, 4000) == 0.0  # nothing ended lately
    assert rate([[0, 0], [30, 3]], 30) == 6.0  # there is no whole minute yet
    assert rate([[0, 0]], 0) is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.sampled_from(["columns", "output_columns", "shards"]), each),
    max_leaves=10,
)


@given(ANYTHING | st.lists(st.lists(st.floats() | st.integers(), min_size=2)), st.floats(0, 1e11))
def test_whatever_stands_in_a_page_a_rate_is_a_number_or_nothing(progress: Any, now: float) -> None:
    assert isinstance(rate(progress, now), float | None)


@settings(max_examples=30)
@given(st.fixed_dictionaries(dict.fromkeys(("job", "head", "tasks-00000"), ANYTHING)))
def test_whatever_stands_in_a_page_a_look_finds_something(
    folder: RunFolder, tmp_path_factory: pytest.TempPathFactory, held: dict[str, Any]
) -> None:
    here = RunFolder(tmp_path_factory.getbasetemp() / "whatever")
    if not here.path.exists():
        shutil.copytree(folder.path, here.path)
    for name, value in held.items():
        Place(here.path).write(name, value)
    event("runs", [seen(here, read_status, None).summary("run")]).encoded()


@given(st.text())
def test_an_event_is_two_lines_whatever_it_says(text: str) -> None:
    encoded = event("said", text).encoded() if text.isprintable() else event("said", json.dumps(text)).encoded()
    assert encoded.count(b"\n") == 3
    assert encoded.endswith(b"\n\n")


def test_what_was_not_seen_before_is_news() -> None:
    assert Seen(("",) * 6).standing() == {"status": None, "trouble": None, "per_minute": None}
