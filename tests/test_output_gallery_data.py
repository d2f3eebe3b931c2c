from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.facts import frozen_tool, resolved_job
from orchestrator.lifecycle import Failure, Record, State
from orchestrator.output.gallery.data import COLUMNS, OUTPUT_COLUMNS, Coder, Preview, encoded
from orchestrator.runs import RunFolder
from orchestrator.wiro.catalogue import seed_model

MakeRun = Callable[..., RunFolder]
FOG = "a harbour in fog, {style}"
JOB = {
    "name": "harbours",
    "parameters": {"steps": 20, "samples": 2},
    "variables": {"style": ["ink", "oil"]},
    "sweep": {
        "prompt": [FOG, {"value": "a fox", "label": "fox"}],
        "seed": {"random": 2, "from": 1, "to": 2**53 + 2**60},
        "scale": [3.5, 4],
        "width": [512, 1024],
        "height": [768, 512],
    },
    "zip": [["width", "height"]],
}


def nothing(*_: Any) -> bytes:
    return b""


@pytest.fixture
def folder(make_run: MakeRun, tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run", JOB, nothing, state=lambda task: State.DONE if task.index else State.FAILED)


def coder(folder: RunFolder) -> Coder:
    with folder.opened() as ledger:
        facts = ledger.facts()
    return Coder(resolved_job(facts), frozen_tool(facts), Path(facts["source"]).parent)


def records(folder: RunFolder) -> list[Record]:
    with folder.opened() as ledger:
        return list(ledger.everything())


def told(folder: RunFolder) -> dict[str, Any]:
    held: dict[str, Any] = json.loads(encoded(coder(folder).job("harbours", "2026-11-22T10:00:00.000Z")))
    return held


def unpacked(row: list[Any]) -> dict[str, Any]:
    return dict(zip(COLUMNS, row, strict=True))


def sent(job: dict[str, Any], row: dict[str, Any]) -> dict[str, str]:
    """Put a task's parameters together as the page does, as text."""
    found: dict[str, Any] = dict(job["parameters"])
    for axis, at in zip(job["axes"], row["at"], strict=True):
        values = axis["values"][at] if isinstance(at, int) else at
        found |= {name: value for name, goes, value in zip(axis["names"], axis["sent"], values, strict=True) if goes}
    found |= row["parameters"]
    return {name: str(value) for name, value in found.items() if value is not None}


def test_parameters_can_be_put_together_from_the_job_and_a_row(folder: RunFolder) -> None:
    """What is not said in a row follows from the job: all of what was sent, nothing else."""
    job, code = told(folder), coder(folder)
    for record in records(folder):
        row = json.loads(encoded(code.row(record)))
        assert sent(job, unpacked(row)) == {name: str(value) for name, value in record.task.parameters.items()}


def test_a_row_says_long_values_by_their_number(folder: RunFolder) -> None:
    row = unpacked(coder(folder).row(records(folder)[1]))
    assert FOG not in encoded(list(row.values()))
    assert row["parameters"]["prompt"] == "a harbour in fog, ink"  # what a template gives is the row's own


def test_a_part_of_the_job_has_the_values_of_its_tasks_alone(folder: RunFolder) -> None:
    """Their numbers count from 0 again, and from them follows all of what was sent."""
    chosen = [record for record in records(folder) if record.task.index in {12, 14, 15}]
    code = coder(folder).narrowed(record.task for record in chosen)
    job = json.loads(encoded(code.job("harbours", None)))
    assert [len(axis["values"]) for axis in job["axes"]] == [len({*column}) for column in columns(chosen)]
    assert [len(axis["values"]) for axis in job["axes"]] == [2, 1, 1, 2, 2]
    assert [axis["labels"] for axis in job["axes"] if axis["names"] == ["prompt"]] == [{"0": ["fox"]}]
    for record in chosen:
        row = json.loads(encoded(code.row(record)))
        assert sent(job, unpacked(row)) == {name: str(value) for name, value in record.task.parameters.items()}


def columns(held: list[Record]) -> list[list[Any]]:
    """Return for each axis what these tasks have of it, those at several places all of these."""
    places = [place for record in held for place in (record.task.axes, *record.task.cells)]
    names = [("style",), ("prompt",), ("seed",), ("scale",), ("width", "height")]
    return [[tuple(place[name] for name in group) for place in places] for group in names]


def test_axes_that_move_together_are_one(folder: RunFolder) -> None:
    axis = told(folder)["axes"][-1]
    assert (axis["names"], axis["values"]) == (["width", "height"], [[512, 768], [1024, 512]])


def test_labels_stand_beside_their_values(folder: RunFolder) -> None:
    prompt = next(axis for axis in told(folder)["axes"] if axis["names"] == ["prompt"])
    assert prompt["labels"] == {"1": ["fox"]}


def test_numbers_that_the_page_cannot_hold_stand_as_text(folder: RunFolder) -> None:
    (seeds,) = (axis["values"] for axis in told(folder)["axes"] if axis["names"] == ["seed"])
    assert all(isinstance(seed, str) and int(seed) > 2**53 for [seed] in seeds)
    assert unpacked(coder(folder).row(records(folder)[0]))["at"][2] == seeds[0]


def test_a_row_tells_what_became_of_the_task(folder: RunFolder) -> None:
    failed, done, *_ = records(folder)
    assert unpacked(coder(folder).row(failed))["error"] == ["failed", "the model gave up <b>here</b>"]
    row = unpacked(coder(folder).row(done, [Preview("thumbnails/a.webp", 512, 768), Preview(text="hm")]))
    assert (row["state"], row["cost_usd"], row["attempts"]) == ("done", "0.0035", 1)
    first, second = (dict(zip(OUTPUT_COLUMNS, output, strict=True)) for output in row["outputs"])
    assert (first["thumbnail"], first["width"], first["height"], first["text"]) == ("thumbnails/a.webp", 512, 768, None)
    assert (second["thumbnail"], second["text"]) == (None, "hm")


def test_no_token_and_no_folder_of_anybodys_is_told(folder: RunFolder) -> None:
    text = encoded([told(folder), *map(coder(folder).row, records(folder))])
    assert "secret-token" not in text
    assert str(folder.path.parent) not in text


def test_a_task_that_the_job_no_longer_holds_keeps_its_values(folder: RunFolder) -> None:
    last = records(folder)[-1]
    axes = {**last.task.axes, "scale": "99.5", "style": None}
    row = unpacked(coder(folder).row(replace(last, task=replace(last.task, axes=axes), dropped=True)))
    assert row["index"] is None
    assert ["99.5"] in row["at"]
    assert row["at"][0] is None


def test_what_the_job_fixes_and_a_task_does_not_send_is_said(folder: RunFolder) -> None:
    last = records(folder)[-1]
    parameters = {name: value for name, value in last.task.parameters.items() if name != "steps"}
    row = unpacked(coder(folder).row(replace(last, task=replace(last.task, parameters=parameters))))
    assert row["parameters"]["steps"] is None


@pytest.mark.parametrize(
    ("keys", "whole"),
    [({}, True), ({"exclude": [{"seed": 1}]}, False), ({"sample": {"count": 2}}, False), ({"repeat": 2}, True)],
)
def test_tasks_are_listed_where_the_grid_does_not_tell_them(
    keys: dict[str, Any], whole: bool, make_run: MakeRun, tmp_path: Path
) -> None:
    job = {"parameters": {"prompt": "x"}, "sweep": {"seed": [1, 2, 3]}, **keys}
    folder = make_run(tmp_path / "run", job, nothing, state=lambda _: State.PENDING)
    code = coder(folder)
    assert code.is_whole is whole
    tasks = [record.task for record in records(folder)]
    planned = [unpacked(code.planned(task)) for task in code.hidden()]
    assert [(row["task"], row["state"]) for row in planned] == [] if whole else [(each.id, "pending") for each in tasks]


def test_local_files_are_named_without_the_folders_above_the_job(make_run: MakeRun, tmp_path: Path) -> None:
    items = [{"id": "image", "type": "fileinput", "required": True}, {"id": "mask", "type": "fileinput"}]
    tool = {**seed_model(), "parameters": [{"items": items}]}
    (tmp_path / "inputs").mkdir()
    for name in ("cat.png", "dog.png", "mask.png"):
        (tmp_path / "inputs" / name).write_bytes(name.encode())
    absolute = str(tmp_path / "inputs" / "dog.png")
    job = {"parameters": {"mask": "inputs/mask.png"}, "sweep": {"image": ["inputs/cat.png", absolute]}}
    folder = make_run(tmp_path / "run", job, nothing, tool=tool)
    held = told(folder)
    assert held["axes"][0]["values"] == [["inputs/cat.png"], ["inputs/dog.png"]]
    assert sorted(held["files"].values()) == ["inputs/cat.png", "inputs/dog.png", "inputs/mask.png"]
    assert [coder(folder).row(record)[3] for record in records(folder)] == [[0], [1]]
    stranger = replace(records(folder)[0].task, axes={"image": absolute + "x"})
    assert coder(folder).row(Record(stranger))[3] == [["inputs/dog.pngx"]]
    failed = replace(records(folder)[0], failure=Failure("invalid", f"{absolute} has changed"))
    assert coder(folder).row(failed)[COLUMNS.index("error")] == ["invalid", "inputs/dog.png has changed"]
    assert str(tmp_path) not in encoded([held, *map(coder(folder).row, records(folder))])


def test_runs_are_told_apart_by_their_key(folder: RunFolder) -> None:
    first, second = (coder(folder).job("harbours", moment)["key"] for moment in ("monday", "tuesday"))
    assert first != second
    assert first == coder(folder).job("harbours", "monday")["key"]
