"""The command as people give it: what is written where, what is replaced, and what it says."""

from __future__ import annotations

import errno
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from orchestrator.errors import RefusedError
from orchestrator.lifecycle import State
from orchestrator.runs import RunFolder
from orchestrator.tasks import Task

MakeRun = Callable[..., RunFolder]
JOB = {
    "name": "foxes: dusk",
    "parameters": {"prompt": "a fox", "samples": 1},
    "sweep": {"seed": [7, 42], "steps": [20, 40]},
}


def picture(task: Task, number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (int(task.parameters["seed"]), number, 9)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(make_run: MakeRun, tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run", JOB, picture, state=lambda task: State.FAILED if task.index == 3 else State.DONE)


def export(folder: RunFolder, *options: str) -> Result:
    return CliRunner().invoke(app, ["export", str(folder.path), *options])


def refusal(folder: RunFolder, *options: str) -> str:
    done = export(folder, *options)
    assert isinstance(done.exception, RefusedError), done.output
    return str(done.exception)


def test_everything_goes_into_a_folder_of_its_own(folder: RunFolder) -> None:
    done = export(folder, "--to", "csv,json,parquet,zip,sheet")
    assert done.exit_code == 0, done.output
    names = ["foxes-dusk-sheet.png", *(f"foxes-dusk.{kind}" for kind in ("csv", "json", "parquet", "zip"))]
    assert sorted(path.name for path in (folder.path / "exports").iterdir()) == names
    assert done.stdout.splitlines()[-1] == "4 tasks, 3 outputs"
    assert all(line.startswith(str(folder.path)) for line in done.stdout.splitlines()[:-1])


def test_a_second_export_replaces_the_first(folder: RunFolder) -> None:
    assert export(folder, "--to", "csv").exit_code == 0
    before = (folder.path / "exports" / "foxes-dusk.csv").read_bytes()
    assert export(folder, "--to", "csv", "--only", "seed=7").exit_code == 0
    assert len((folder.path / "exports" / "foxes-dusk.csv").read_bytes()) < len(before)


def test_a_file_that_the_user_names_is_replaced_only_when_told_to(folder: RunFolder, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text("mine", "utf-8")
    assert "mine.csv is there already" in refusal(folder, "--to", "csv", "--out", str(mine))
    assert mine.read_text("utf-8") == "mine"
    assert export(folder, "--to", "csv", "--out", str(mine), "--force").exit_code == 0
    assert mine.read_text("utf-8").startswith("task,")


def test_several_go_into_the_folder_that_the_user_names(folder: RunFolder, tmp_path: Path) -> None:
    assert export(folder, "--to", "csv,json", "--out", str(tmp_path / "mine")).exit_code == 0
    assert export(folder, "--to", "zip", "--out", str(tmp_path / "mine")).exit_code == 0
    assert sorted(path.suffix for path in (tmp_path / "mine").iterdir()) == [".csv", ".json", ".zip"]
    assert "already" in refusal(folder, "--to", "csv", "--out", str(tmp_path / "mine"))


def test_nothing_half_written_stays(folder: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    assert "cannot be written" in refusal(folder, "--to", "csv", "--out", str(tmp_path / "file" / "x.csv"))
    (tmp_path / "there.csv").mkdir()
    assert export(folder, "--to", "csv", "--out", str(tmp_path / "there.csv")).exit_code == 0
    assert [path.name for path in (tmp_path / "there.csv").iterdir()] == ["foxes-dusk.csv"]


def test_json_says_what_was_written(folder: RunFolder) -> None:
    told: dict[str, Any] = json.loads(export(folder, "--to", "csv,sheet", "--json").stdout)
    assert [each["kind"] for each in told["files"]] == ["csv", "sheet"]
    assert all(Path(each["path"]).is_file() for each in told["files"])
    assert (told["format"], told["tasks"], told["outputs"], told["lacking"]) == (1, 4, 3, "")
    assert (told["missing"], told["damaged"], told["left_out"]) == (0, 0, [])


def test_what_is_chosen(folder: RunFolder) -> None:
    def counted(*options: str) -> tuple[int, int]:
        told = json.loads(export(folder, "--to", "json", "--json", *options).stdout)
        return told["tasks"], told["outputs"]

    with folder.opened() as ledger:
        first, second, *_ = [record.task.id for record in ledger.everything()]
    given = {f"{first}-0": {"stars": 5}, f"{second}-0": {"stars": 5, "reject": True}}
    marks = json.dumps({"format": 1, "marks": given, "duels": []})
    (folder.path / "marks.json").write_text(marks, "utf-8")
    assert counted("--only", "seed=7") == (2, 2)
    assert counted("--only", "seed=7", "--only", "steps=20") == (1, 1)
    assert counted("--state", "failed") == (1, 0)
    assert counted("--state", "failed,done") == (4, 3)
    assert counted("--min-rating", "4") == (1, 1)


def test_marks_of_another_run_choose_nothing(folder: RunFolder) -> None:
    with folder.opened() as ledger:
        first = next(ledger.everything()).task.id
    marks = {"format": 1, "key": "another", "marks": {f"{first}-0": {"stars": 5}}, "duels": []}
    (folder.path / "marks.json").write_text(json.dumps(marks), "utf-8")
    assert "holds the marks of another run" in refusal(folder, "--to", "csv", "--min-rating", "4")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--to", "xlsx"], "--to xlsx is not known"),
        (["--to", "shet"], "Did you mean `sheet`"),
        (["--to", ""], "--to names nothing"),
        (["--to", "csv", "--state", "finished"], "--state finished is not known"),
        (["--to", "csv", "--only", "seed=8"], "no task has the value 8"),
        (["--to", "csv", "--state", "cancelled"], "Nothing of the run fits"),
        (["--to", "csv", "--min-rating", "3"], "holds no marks. Download them from the page"),
        (["--to", "zip", "--pictures", "small"], "--pictures small is not known"),
        (["--to", "sheet", "--x", "colour"], "no axis colour"),
        (["--to", "sheet", "--font", "nothing.ttf"], "--font nothing.ttf cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused(folder: RunFolder, options: list[str], words: str) -> None:
    assert words in refusal(folder, *options)
    assert not (folder.path / "exports").exists()


def test_it_does_not_disturb_a_run_that_goes_on(folder: RunFolder) -> None:
    with folder.held():
        assert export(folder, "--to", "csv,zip,sheet").exit_code == 0


@pytest.mark.parametrize("kind", ["zip", "sheet", "zip,sheet"])
def test_what_is_missing_or_damaged_is_left_out_and_told(folder: RunFolder, kind: str) -> None:
    """A picture that can still be seen, too: it is not the one that was paid for."""
    gone, changed, _ = sorted(folder.files.rglob("*.png"))
    gone.unlink()
    changed.write_bytes(picture(Task("x", 0, {"seed": 9}, {}, {}, "x"), 200))
    named = [path.relative_to(folder.path).as_posix() for path in (gone, changed)]
    done = export(folder, "--to", kind)
    assert done.exit_code == 0
    assert f"2 files are left out: {named[0]} is missing, {named[1]} is damaged." in done.stderr
    assert f"orchestrator verify {folder.path} --repair" in done.stderr
    told = json.loads(export(folder, "--to", kind, "--json").stdout)
    assert (told["missing"], told["damaged"], told["left_out"]) == (1, 1, named)
    if "zip" in kind:
        with zipfile.ZipFile(folder.path / "exports" / "foxes-dusk.zip") as archive:
            held = [name for name in archive.namelist() if "/files/" in name]
        assert len(held) == 1


def test_of_many_files_that_are_left_out_a_few_are_named(make_run: MakeRun, tmp_path: Path) -> None:
    job = {"parameters": {"prompt": "a fox", "samples": 1}, "sweep": {"seed": list(range(8))}}
    folder = make_run(tmp_path / "other", job, picture)
    for path in folder.files.rglob("*.png"):
        path.unlink()
    done = export(folder, "--to", "sheet")
    assert done.stderr.count("png is missing") == 5
    assert "and 3 more." in done.stderr


def test_sheets_of_an_earlier_export_give_way(folder: RunFolder) -> None:
    def stand() -> list[str]:
        return sorted(path.name for path in (folder.path / "exports").iterdir())

    assert export(folder, "--to", "csv,sheet", "--x", "seed", "--y", "").exit_code == 0
    assert stand() == ["foxes-dusk-sheet-1-steps-20.png", "foxes-dusk-sheet-2-steps-40.png", "foxes-dusk.csv"]
    (folder.path / "exports" / "foxes-dusk-sheet mine.png").write_bytes(b"")
    assert export(folder, "--to", "sheet").exit_code == 0
    assert stand() == ["foxes-dusk-sheet mine.png", "foxes-dusk-sheet.png", "foxes-dusk.csv"]


def test_sheets_that_cannot_all_be_drawn_replace_none(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert export(folder, "--to", "sheet", "--x", "seed", "--y", "").exit_code == 0
    before = {path: path.read_bytes() for path in (folder.path / "exports").iterdir()}
    drawn: list[Path] = []

    def full(_picture: object, path: Path, *_: object) -> None:
        drawn.append(path)
        path.write_bytes(b"half")
        if len(drawn) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("orchestrator.output.sheet.files.save", full)
    assert "No space left" in refusal(folder, "--to", "sheet", "--x", "seed", "--y", "", "--dark")
    assert {path: path.read_bytes() for path in (folder.path / "exports").iterdir()} == before


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.output.sheet.lettering.FALLBACKS", ())


@pytest.mark.usefixtures("no_fonts")
def test_letters_that_cannot_be_drawn_are_told(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "other", {**JOB, "name": "狐"}, picture)
    done = export(folder, "--to", "sheet")
    assert "狐 (--font" in done.stderr


def test_a_run_folder_that_cannot_be_written_is_said(folder: RunFolder) -> None:
    (folder.path / "exports").write_text("in the way", "utf-8")
    assert "cannot be written" in refusal(folder, "--to", "csv")
