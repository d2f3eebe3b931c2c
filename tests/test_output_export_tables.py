"""Tables hold everything that is known, no formula and no folder; they are what their formats say."""

from __future__ import annotations

import builtins
import csv
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet  # type: ignore[import-untyped]  # it ships no types
import pytest
from hypothesis import given, strategies as st

from orchestrator.errors import RefusedError
from orchestrator.facts import frozen_tool, resolved_job
from orchestrator.lifecycle import Record, State
from orchestrator.output.discretion import Discretion
from orchestrator.output.export import parquet
from orchestrator.output.export.choice import Choice, Chosen
from orchestrator.output.export.parquet import CHUNK, Kind, in_form, kind_of, wider
from orchestrator.output.export.rows import OWN, columns, rows
from orchestrator.output.export.tables import Content, cell, write_csv, write_json, write_parquet
from orchestrator.output.gallery.marks import Mark
from orchestrator.runs import RunFolder
from orchestrator.sweep import Schema
from orchestrator.tasks import Task

MakeRun = Callable[..., RunFolder]
PROMPT = '=HYPERLINK("x") a "fox", שלום 🦊\n+ more'
JOB = {
    "name": "harbours",
    "parameters": {"samples": 2},
    "sweep": {
        "prompt": [{"raw": PROMPT, "label": "@fox"}, "a harbour"],
        "scale": [3, 3.5],
        "seed": [7, -1],
    },
}


def ends(task: Task) -> State:
    return {1: State.FAILED, 2: State.PENDING, 3: State.RUNNING}.get(task.index, State.DONE)


@pytest.fixture
def folder(make_run: MakeRun, tmp_path: Path) -> RunFolder:
    return make_run(tmp_path / "run", JOB, lambda *_: b"{}", state=ends)


def told(folder: RunFolder, **options: Any) -> Content:
    opened = folder.opened()
    facts = opened.facts()
    job = resolved_job(facts)
    discretion = Discretion(job, Schema.from_tool(frozen_tool(facts)), Path(facts["source"]).parent)
    wanted = {"fits": lambda _: True, "states": frozenset(State), "least_stars": 0, "marks": {}, **options}
    choice = Choice(**wanted, discretion=discretion)

    def chosen() -> Any:
        with folder.opened() as ledger:
            yield from choice.of(ledger)

    opened.close()
    return Content(job.name, job.model, tuple(job.axes_groups()), chosen)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_output_and_for_each_task_without_one(folder: RunFolder, tmp_path: Path) -> None:
    write_csv(told(folder), tmp_path / "t.csv")
    found = table(tmp_path / "t.csv")
    assert [(row["index"], row["output"], row["state"]) for row in found] == [
        ("0", "0", "done"),
        ("0", "1", "done"),
        ("1", "", "failed"),
        ("2", "", "pending"),
        ("3", "", "running"),
        *[(str(index), number, "done") for index in range(4, 8) for number in "01"],
    ]
    assert found[2]["error.message"] == "the model gave up <b>here</b>"
    assert list(found[0])[: len(OWN)] == list(OWN)
    assert list(found[0])[len(OWN) :][:4] == ["axes.prompt", "axes.scale", "axes.seed", "labels.prompt"]


def test_costs_add_up_to_what_was_paid(folder: RunFolder, tmp_path: Path) -> None:
    write_csv(told(folder), tmp_path / "t.csv")
    paid = sum(Decimal(row["cost_usd"]) for row in table(tmp_path / "t.csv") if row["cost_usd"])
    with folder.opened() as ledger:
        assert paid == ledger.totals().spent_usd > 0


def test_the_table_keeps_texts_and_numbers_as_they_are(folder: RunFolder, tmp_path: Path) -> None:
    write_csv(told(folder), tmp_path / "t.csv")
    found = table(tmp_path / "t.csv")
    assert found[0]["axes.prompt"] == f"'{PROMPT}"
    assert found[0]["labels.prompt"] == "'@fox"
    assert {row["axes.scale"] for row in found} == {"3", "3.5"}
    assert found[2]["axes.seed"] == "-1"
    text = (tmp_path / "t.csv").read_bytes()
    assert text.count(b"\r\n") == len(found) + 1


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_any_text_comes_back_and_none_is_a_formula(texts: list[str]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerow(["x", *map(cell, texts)])
    read = next(csv.reader(io.StringIO(file.getvalue(), newline="")))[1:]
    for text, back in zip(texts, read, strict=True):
        assert back in {text, f"'{text}"}
        assert not back.startswith(("=", "@", "\t", "\r"))
        assert back[:1] not in {"+", "-"} or float(back) is not None


@given(st.one_of(st.integers(), st.decimals(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False)))
def test_numbers_are_not_spoilt(number: Any) -> None:
    if not isinstance(number, float) or abs(number) != float("inf"):
        assert cell(number) == str(number).removesuffix(".0")


def test_the_json_is_one_document_with_an_object_for_each_task(folder: RunFolder, tmp_path: Path) -> None:
    write_json(told(folder), tmp_path / "t.json")
    held = json.loads((tmp_path / "t.json").read_text("utf-8"))
    assert (held["format"], held["name"], held["model"]) == (1, "harbours", "Hevok/Studio-Trigger")
    assert held["axes"] == [["prompt"], ["scale"], ["seed"]]
    assert [task["index"] for task in held["tasks"]] == list(range(8))
    first = held["tasks"][0]
    assert (first["axes"]["prompt"], first["axes"]["scale"], first["labels"]) == (PROMPT, 3, {"prompt": "@fox"})
    assert [output["output"] for output in first["outputs"]] == [0, 1]
    assert all((folder.path / output["path"]).is_file() for output in first["outputs"])
    assert "url" not in first["outputs"][0]


def test_a_run_without_tasks_is_an_empty_document(folder: RunFolder, tmp_path: Path) -> None:
    write_json(told(folder, states=frozenset({State.CANCELLED})), tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text("utf-8"))["tasks"] == []


def test_parquet_has_a_type_for_each_column(folder: RunFolder, tmp_path: Path) -> None:
    write_parquet(told(folder), tmp_path / "t.parquet")
    found = pyarrow.parquet.read_table(tmp_path / "t.parquet")
    kinds = {field.name: str(field.type) for field in found.schema}
    assert (kinds["axes.scale"], kinds["axes.seed"], kinds["parameters.seed"]) == ("double", "int64", "int64")
    assert kinds["finished_at"] == "timestamp[ms, tz=UTC]"
    first, failed = found.to_pylist()[0], found.to_pylist()[2]
    assert (first["axes.prompt"], first["axes.scale"], first["cost_usd"]) == (PROMPT, 3.0, Decimal("0.0035"))
    assert first["finished_at"] == datetime.fromtimestamp(1_795_000_006, UTC)
    assert (failed["path"], failed["error.kind"]) == (None, "failed")
    assert json.loads(found.schema.metadata[b"orchestrator"])["name"] == "harbours"


def test_a_label_that_looks_like_a_number_is_a_text(make_run: MakeRun, tmp_path: Path) -> None:
    job = {"parameters": {"prompt": "a boat"}, "sweep": {"seed": [{"value": 7, "label": "1"}, {"value": 8}]}}
    write_parquet(told(make_run(tmp_path / "run", job, lambda *_: b"{}")), tmp_path / "t.parquet")
    found = pyarrow.parquet.read_table(tmp_path / "t.parquet").column("labels.seed").to_pylist()
    assert set(found) == {"1", None}


def test_columns_that_come_late_are_in_all_rows(tmp_path: Path) -> None:
    """Also where they come rows after the first ones have been put aside, and with another kind of value."""
    own = dict.fromkeys(OWN)
    early = [{**own, "task": str(number), "axes.scale": number} for number in range(CHUNK)]
    late = [{**own, "task": "last", "axes.scale": "3.5", "parameters.seed": "9"}]
    parquet.write(tmp_path / "t.parquet", [*early, *late], {})
    found = pyarrow.parquet.read_table(tmp_path / "t.parquet")
    assert found.column_names[len(OWN) :] == ["axes.scale", "parameters.seed"]
    assert found.column("axes.scale").to_pylist() == [*map(float, range(CHUNK)), 3.5]
    assert found.column("parameters.seed").to_pylist() == [*[None] * CHUNK, 9]


def test_a_large_table_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    """Four times the rows; both are larger than what is held at once."""

    def peak(size: int) -> int:
        pool = pyarrow.proxy_memory_pool(pyarrow.system_memory_pool())
        before = pyarrow.default_memory_pool()
        rows = ({**dict.fromkeys(OWN), "task": str(n), "parameters.prompt": f"{n} {'x' * 2000}"} for n in range(size))
        pyarrow.set_memory_pool(pool)
        tracemalloc.start()
        try:
            parquet.write(tmp_path / "t.parquet", rows, {})
            return int(tracemalloc.get_traced_memory()[1]) + int(pool.max_memory())
        finally:
            tracemalloc.stop()
            pyarrow.set_memory_pool(before)

    small, large = peak(4000), peak(16_000)
    assert large < 1.15 * small
    assert pyarrow.parquet.ParquetFile(tmp_path / "t.parquet").metadata.num_row_groups > 4


def test_nothing_that_waits_is_left_behind(tmp_path: Path) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield {**dict.fromkeys(OWN), "task": "a"}
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        parquet.write(tmp_path / "t.parquet", broken(), {})
    assert list(tmp_path.iterdir()) == []


def test_without_the_library_it_says_which_extra_has_it(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(name: str, *rest: Any, original: Callable[..., Any] = builtins.__import__) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(RefusedError, match=r"orchestrator\[parquet\]"):
        write_parquet(told(folder), tmp_path / "t.parquet")


VALUES = st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False), st.text())


@given(st.lists(VALUES))
def test_a_column_holds_all_of_its_values(values: list[Any]) -> None:
    kind = Kind.NOTHING
    for value in values:
        kind = wider(kind, kind_of(value))
    for value in values:
        held = in_form(kind, value)
        assert (held is None) == (value is None)
        assert held is None or str(held).lower() == str(value).lower() or float(held) == float(value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, Kind.NOTHING),
        (True, Kind.FLAG),
        ("42", Kind.WHOLE),
        ("007", Kind.TEXT),
        ("3.50", Kind.NUMBER),
        (str(2**70), Kind.TEXT),
        ("", Kind.TEXT),
        ("1e3", Kind.TEXT),
    ],
)
def test_kinds(value: Any, kind: Kind) -> None:
    assert kind_of(value) is kind


def test_marks_stand_beside_their_outputs_and_choose_them(folder: RunFolder) -> None:
    with folder.opened() as ledger:
        task = next(ledger.everything()).task.id
    given_ = {f"{task}-1": Mark(4, tags=("sky", "keep"), note="best"), f"{task}-0": Mark(5, rejected=True)}
    all_rows = list(told(folder, marks=given_).rows())
    assert [(row["stars"], row["rejected"], row["tags"], row["note"]) for row in all_rows[:2]] == [
        (5, True, None, None),
        (4, False, "sky, keep", "best"),
    ]
    (best,) = told(folder, marks=given_, least_stars=3).chosen()
    assert (best.numbers, len(best.record.outputs)) == ((1,), 1)
    (row,) = rows(best, "owner/model")
    assert (row["output"], row["cost_usd"]) == (1, "0.0035")


def test_columns_of_all_tasks_are_there_whichever_comes_first() -> None:
    tasks = [
        Task("a", 0, {"b": 1}, {}, {}, "a"),
        Task("b", 1, {}, {"y": 1}, {"x": "2"}, "b"),
        Task("c", 2, {"b": 1, "a": 2}, {"y": 1}, {}, "c"),
    ]
    found = columns(Chosen(Record(task), (), ()) for task in tasks)
    assert found[len(OWN) :] == ["axes.y", "labels.x", "parameters.a", "parameters.b"]
