"""Contact sheets: what stands where, read from the pixels and from what the file says of itself."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestrator.errors import RefusedError
from orchestrator.facts import frozen_tool, resolved_job
from orchestrator.lifecycle import State
from orchestrator.output.checked import Checked, Condition
from orchestrator.output.discretion import Discretion
from orchestrator.output.export.choice import Choice
from orchestrator.output.sheet import COLOURS, ContactSheets, Look, contact_sheets, layout
from orchestrator.output.sheet.layout import laid_out
from orchestrator.output.sheet.lettering import Lettering
from orchestrator.runs import RunFolder
from orchestrator.sweep import Schema
from orchestrator.tasks import Task

MakeRun = Callable[..., RunFolder]
SEEDS = [7, 42, 99]
JOB = {
    "name": "harbours",
    "parameters": {"samples": 1},
    "sweep": {
        "prompt": [{"value": "a fox", "label": "fox"}, "a harbour"],
        "seed": SEEDS,
        "scheduler": ["DDIMScheduler", "PNDMScheduler"],
    },
}


def colour(task: Task, number: int) -> tuple[int, int, int]:
    shade = {"DDIMScheduler": 200, "PNDMScheduler": 40}[str(task.parameters["scheduler"])]
    return shade, int(task.parameters["seed"]), 90 * number + 60 * ("fox" in str(task.parameters["prompt"]))


def picture(task: Task, number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (60, 40), colour(task, number)).save(file, "PNG")
    return file.getvalue()


def ends(task: Task) -> State:
    return {2: State.FAILED, 3: State.PENDING}.get(task.index, State.DONE)


@pytest.fixture
def folder(make_run: MakeRun, tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run", JOB, picture, state=ends)


def sheets(folder: RunFolder, look: Look = Look(), fits: Callable[[Task], bool] = lambda _: True) -> ContactSheets:  # noqa: B008 - it is frozen
    with ExitStack() as stack:
        ledger = stack.enter_context(folder.opened())
        facts = ledger.facts()
        job = resolved_job(facts)
        discretion = Discretion(job, Schema.from_tool(frozen_tool(facts)), Path(facts["source"]).parent)
        choice = Choice(fits, frozenset(State), 0, {}, discretion)
        return contact_sheets(Checked(folder.path), job, discretion, choice.of(ledger), look)


def drawn(of: ContactSheets, folder: Path, ending: str = ".png") -> dict[str, Image.Image]:
    found: dict[str, Image.Image] = {}
    for name, save in of.files():
        save(folder / f"x{name}{ending}", ending)
        with Image.open(folder / f"x{name}{ending}") as picture:
            picture.load()
            found[name] = picture
    return found


def told(picture: Image.Image) -> dict[str, Any]:
    held: dict[str, Any] = json.loads(picture.info["orchestrator"])
    return held


def test_every_picture_stands_in_its_place(folder: RunFolder, tmp_path: Path) -> None:
    made = sheets(folder, Look(x=["scheduler"], side=64))
    (found,) = drawn(made, tmp_path).values()
    (sheet,) = made.drawn
    placed = laid_out(sheet, made.ratio, made.lettering.width, 64)
    assert (placed.width, placed.height) == (64, 43)
    with folder.opened() as ledger:
        for record in ledger.everything():
            row = sheet.rows.index(
                (str(record.task.labels.get("prompt", record.task.axes["prompt"])), f"seed {record.task.axes['seed']}")
            )
            column = sheet.columns.index((str(record.task.axes["scheduler"]),))
            at = placed.x(column) + 32, placed.y(row) + 5
            expected = {
                State.DONE: colour(record.task, 0),
                State.FAILED: (0xFB, 0xEA, 0xE8),
                State.PENDING: (0xE9, 0xEB, 0xEF),
            }[record.state]
            assert found.getpixel(at) == expected, record.task.axes


def test_the_file_says_what_it_shows(folder: RunFolder, tmp_path: Path) -> None:
    (found,) = drawn(sheets(folder, Look(x=["scheduler"])), tmp_path).values()
    assert (found.info["Title"], found.info["Source"]) == ("harbours", "Hevok/Studio-Trigger")
    assert told(found)["columns"] == [["DDIMScheduler"], ["PNDMScheduler"]]
    assert told(found)["rows"][:2] == [["fox", "seed 7"], ["fox", "seed 42"]]
    assert (told(found)["x"], told(found)["y"], told(found)["page"]) == (["scheduler"], ["prompt", "seed"], {})


def test_what_was_chosen_of_an_axis_is_told(folder: RunFolder, tmp_path: Path) -> None:
    chosen = sheets(folder, fits=lambda task: task.labels.get("prompt") == "fox" and task.axes["seed"] == 7)
    (found,) = drawn(chosen, tmp_path).values()
    assert found.info["Description"] == "scheduler across · fox · seed 7"


def test_labels_stand_beside_their_rows_and_above_their_columns(folder: RunFolder, tmp_path: Path) -> None:
    made = sheets(folder, Look(x=["scheduler"], side=96))
    (found,) = drawn(made, tmp_path).values()
    placed = laid_out(made.drawn[0], made.ratio, made.lettering.width, 96)
    ground = Image.new("RGB", found.size, COLOURS["light"].ground)

    def has_ink(box: tuple[int, int, int, int]) -> bool:
        return found.crop(box).tobytes() != ground.crop(box).tobytes()

    for row in range(6):
        assert has_ink((0, placed.y(row), placed.left - 12, placed.y(row) + placed.height))
    for column in range(2):
        left = placed.x(column)
        assert has_ink((left, placed.top - 30, left + placed.width, placed.top - 6))
    assert not has_ink((placed.x(1) + placed.width, 0, found.width, found.height))


def test_the_dark_one_is_dark(folder: RunFolder, tmp_path: Path) -> None:
    (found,) = drawn(sheets(folder, Look(theme="dark")), tmp_path).values()
    assert found.getpixel((1, 1)) == (0x0E, 0x10, 0x13)


def test_axes_run_where_they_are_told_to_and_the_others_make_pages(folder: RunFolder, tmp_path: Path) -> None:
    found = drawn(sheets(folder, Look(x=["seed"], y=["prompt"], side=32)), tmp_path)
    assert list(found) == ["-1-DDIMScheduler", "-2-PNDMScheduler"]
    first, second = found.values()
    assert told(first)["columns"] == [["seed 7"], ["seed 42"], ["seed 99"]]
    assert (told(first)["page"], told(second)["page"]) == (
        {"scheduler": "DDIMScheduler"},
        {"scheduler": "PNDMScheduler"},
    )


def test_what_is_chosen_alone_is_on_it(folder: RunFolder, tmp_path: Path) -> None:
    made = sheets(
        folder, Look(x=["seed"], y=[]), lambda task: task.axes["scheduler"] == "PNDMScheduler" and task.index > 5
    )
    (found,) = drawn(made, tmp_path).values()
    assert (told(found)["columns"], told(found)["rows"]) == ([["seed 7"], ["seed 42"], ["seed 99"]], [[]])


def test_the_outputs_of_a_task_share_its_cell_or_have_columns_of_their_own(make_run: MakeRun, tmp_path: Path) -> None:
    job = {**JOB, "parameters": {"samples": 3}}
    folder = make_run(tmp_path / "run", job, picture, state=ends)
    (shared,) = sheets(folder).drawn
    assert shared.most == 3
    apart = sheets(folder, Look(x=["scheduler", "output"], side=32))
    (sheet,) = apart.drawn
    assert (
        sheet.columns[:4]
        == tuple((name, f"output {number}") for name in ("DDIMScheduler", "PNDMScheduler") for number in (1, 2, 3))[:4]
    )
    assert sheet.most == 1
    (found,) = drawn(apart, tmp_path).values()
    placed = laid_out(sheet, apart.ratio, apart.lettering.width, 32)
    pixel = found.getpixel((placed.x(2) + 16, placed.y(0) + 8))
    assert pixel == (200, 7, 240)


def test_one_long_axis_flows_with_its_words_below(make_run: MakeRun, tmp_path: Path) -> None:
    job = {
        "parameters": {"prompt": "x", "samples": 1, "scheduler": "DDIMScheduler"},
        "sweep": {"seed": list(range(40))},
    }
    made = sheets(make_run(tmp_path / "run", job, picture), Look(side=40))
    (sheet,) = made.drawn
    assert (len(sheet.columns), len(sheet.rows)) == (8, 5)
    assert sheet.cells[4, 7].word == "seed 39"
    assert len(drawn(made, tmp_path)) == 1


def test_a_sheet_that_is_too_large_comes_in_parts(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "MOST_PIXELS", 1_000_000)
    job = {**JOB, "sweep": {**JOB["sweep"], "seed": {"from": 1, "to": 150, "step": 1}}}  # type: ignore[dict-item]  # it is a mapping
    folder = make_run(tmp_path / "run", job, lambda *_: b"", state=lambda _: State.FAILED)
    found = drawn(sheets(folder, Look(x=["scheduler"], y=["prompt", "seed"], side=32)), tmp_path)
    assert list(found) == ["-1", "-2", "-3"]
    assert [len(told(each)["rows"]) for each in found.values()] == [100] * 3
    assert all("part" in each.info["Description"] for each in found.values())


def test_missing_and_broken_files_are_told(folder: RunFolder, tmp_path: Path) -> None:
    first, second, *_ = sorted(folder.files.rglob("*.png"))
    first.unlink()
    second.write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    made = sheets(folder, Look(side=100))
    (found,) = drawn(made, tmp_path).values()
    assert sorted(made.checked.unwell.values(), key=str) == [Condition.DAMAGED, Condition.MISSING]
    colours = {shade: count for count, shade in found.getcolors(found.width * found.height) or []}
    assert colours[0xFB, 0xEA, 0xE8] > 3 * 100 * 60  # the failed one and these two


def test_a_failed_cell_says_why(folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    write = Lettering.write

    def heard(*given: Any, **options: Any) -> None:
        said.append(given[3])
        write(*given, **options)

    monkeypatch.setattr(Lettering, "write", heard)
    drawn(sheets(folder, Look(side=160)), tmp_path)
    assert "failed: the model gave up <b>here</b>" in said
    assert "pending" in said
    assert "failed" not in said
    drawn(sheets(folder, Look(side=40)), tmp_path)
    assert "failed" in said  # there is no room for more


def test_an_axis_that_is_not_there_is_refused(folder: RunFolder) -> None:
    with pytest.raises(RefusedError, match=r"no axis sed\. Did you mean `seed`"):
        sheets(folder, Look(x=["sed"]))
    with pytest.raises(RefusedError, match="two places"):
        sheets(folder, Look(x=["seed"], y=["seed"]))


def test_too_many_pages_are_refused(make_run: MakeRun, tmp_path: Path) -> None:
    job = {**JOB, "sweep": {**JOB["sweep"], "seed": {"from": 1, "to": 150, "step": 1}}}  # type: ignore[dict-item]  # it is a mapping
    folder = make_run(tmp_path / "run", job, lambda *_: b"", state=lambda _: State.PENDING)
    with pytest.raises(RefusedError, match=r"seed would make 150 sheets.*--only"):
        sheets(folder, Look(x=["scheduler"], y=["prompt"]))


def test_folded_cells_show_the_same_task_at_each_place(make_run: MakeRun, tmp_path: Path) -> None:
    job = {
        "parameters": {"samples": 1, "scheduler": "DDIMScheduler"},
        "variables": {"style": ["ink", "oil"]},
        "sweep": {"prompt": ["a fox, {style}", "a harbour"], "seed": [7]},
    }
    folder = make_run(tmp_path / "run", job, picture)
    (sheet,) = sheets(folder).drawn
    assert len(sheet.cells) == 4
    assert replace(sheet.cells[0, 1]) == sheet.cells[1, 1] or sheet.cells[1, 0] == sheet.cells[1, 1]
