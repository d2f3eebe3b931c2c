from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.status import read_status
from orchestrator.errors import RefusedError
from orchestrator.lifecycle import State
from orchestrator.output.gallery import Built, Place, build
from orchestrator.output.manifest import moment
from orchestrator.runs import RunFolder
from orchestrator.tasks import Task

MakeRun = Callable[..., RunFolder]
JOB = {"parameters": {"prompt": "x", "samples": 2}, "sweep": {"seed": [1, 2, 3]}}
NOW = 1_800_000_000.0


def picture(task: Task, number: int) -> bytes:
    """Draw one that is too large to be its own thumbnail."""
    file = io.BytesIO()
    Image.new("RGB", (500, 400), (int(task.parameters["seed"]) * 20, number * 90, 60)).save(file, "PNG")
    return file.getvalue()


def made(folder: RunFolder) -> Built:
    status = read_status(folder)
    with folder.opened() as ledger:
        return build(folder.path, ledger, status, NOW)


@pytest.fixture
def folder(make_run: MakeRun, tmp_path: Path) -> RunFolder:
    states = {"1": State.DONE, "2": State.FAILED, "3": State.RUNNING}
    return make_run(tmp_path / "run", JOB, picture, state=lambda task: states[task.parameters["seed"]])


def test_the_page_holds_what_has_ended_and_what_is_under_way(folder: RunFolder) -> None:
    built = made(folder)
    assert (built.tasks, built.outputs, built.thumbnails) == (2, 2, 2)
    place = Place(folder.path)
    assert [(row[1], row[2]) for row in place.read("tasks-00000")] == [(0, "done"), (1, "failed")]
    head = place.read("head")
    assert (head["shards"], head["active"], head["generation"]) == ([2], [[[2], "running", 1]], NOW)
    assert head["status"]["counts"]["done"] == 1
    assert place.read("job")["key"] == head["key"]


def test_every_file_that_the_page_names_is_there(folder: RunFolder) -> None:
    made(folder)
    place = Place(folder.path)
    outputs = [output for row in place.read("tasks-00000") for output in row[7]]
    assert len(outputs) == 2
    assert all((folder.path / output[0]).is_file() and (place.folder / output[3]).is_file() for output in outputs)
    page = place.index.read_text("utf-8")
    named = [part.partition('"')[0] for part in page.replace('href="', 'src="').split('src="')[1:]]
    assert len(named) > 20
    assert [name for name in named if name != "data:," and not (folder.path / name).is_file()] == []


def test_a_second_build_replaces_the_first(folder: RunFolder) -> None:
    made(folder)
    before = sorted(path.name for path in Place(folder.path).folder.rglob("*"))
    with folder.opened() as ledger:
        build(folder.path, ledger, read_status(folder), NOW + 5)
    assert sorted(path.name for path in Place(folder.path).folder.rglob("*")) == before
    assert Place(folder.path).read("head")["generation"] == NOW + 5


def test_what_was_noted_of_the_runs_progress_stays(folder: RunFolder) -> None:
    made(folder)
    place = Place(folder.path)
    head = place.read("head")
    early = [[1.0, 0, "0", 0, 0], [2.0, 1, "0.5", 7, 3]]
    place.write("head", {**head, "progress": early})
    made(folder)
    assert place.read("head")["progress"][:2] == early
    place.write("head", {**head, "key": "another run", "progress": early})
    made(folder)
    assert place.read("head")["progress"][0][0] == NOW


def test_the_same_amount_in_other_digits_is_no_progress(folder: RunFolder) -> None:
    status = read_status(folder)
    with folder.opened() as ledger:
        for usd in ("0.0840", "0.084"):
            build(folder.path, ledger, replace(status, cost_usd=Decimal(usd)), NOW)
    assert [point[2] for point in Place(folder.path).read("head")["progress"]] == ["0.084"]


def test_a_page_that_is_built_later_ends_its_progress_where_the_run_ended(folder: RunFolder) -> None:
    with folder.opened() as ledger:
        build(folder.path, ledger, replace(read_status(folder), updated_at=moment(NOW - 3600)), NOW)
    assert [point[0] for point in Place(folder.path).read("head")["progress"]] == [NOW - 3600]


def test_tasks_that_the_grid_alone_does_not_tell_are_listed(make_run: MakeRun, tmp_path: Path) -> None:
    job = {**JOB, "exclude": [{"seed": 2}]}
    folder = make_run(tmp_path / "run", job, picture, state=lambda task: [State.DONE, State.PENDING][task.index])
    made(folder)
    rows = Place(folder.path).read("tasks-00000")
    assert [(row[1], row[2]) for row in rows] == [(0, "pending"), (1, "pending"), (0, "done")]


def test_marks_are_taken_over(folder: RunFolder) -> None:
    (folder.path / "marks.json").write_text('{"format": 1, "marks": {"a-0": {"stars": 5}}, "duels": []}', "utf-8")
    made(folder)
    assert Place(folder.path).read("marks")["marks"] == {"a-0": {"stars": 5}}
    (folder.path / "marks.json").write_text("hm", "utf-8")
    with pytest.raises(RefusedError, match="not a file of marks"):
        made(folder)


def test_nothing_of_the_page_names_a_folder_or_a_token(folder: RunFolder) -> None:
    made(folder)
    for path in [Place(folder.path).index, *Place(folder.path).folder.rglob("*.js")]:
        text = path.read_text("utf-8")
        assert "secret-token" not in text
        assert str(folder.path.parent) not in text


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_command_builds_it(folder: RunFolder, arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["gallery", str(folder.path), *arguments])
    assert done.exit_code == 0, done.output
    assert str(folder.path / "index.html") in done.stdout
    assert (folder.path / "index.html").is_file()


def test_the_command_leaves_a_folder_alone_in_which_a_process_is_at_work(folder: RunFolder) -> None:
    with folder.held():
        done: Any = CliRunner().invoke(app, ["gallery", str(folder.path)])
    assert "at work" in str(done.exception)
    assert not (folder.path / "index.html").exists()


def test_the_command_says_where_it_cannot_write(folder: RunFolder) -> None:
    (folder.path / "page").write_text("in the way", "utf-8")
    done = CliRunner().invoke(app, ["gallery", str(folder.path)])
    assert isinstance(done.exception, RefusedError)
    assert "cannot be written" in str(done.exception)
