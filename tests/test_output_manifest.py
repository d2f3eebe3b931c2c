from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from orchestrator.errors import Exit
from orchestrator.lifecycle import Attempt, Failure, Output, Record, State
from orchestrator.money import FREE
from orchestrator.output import manifest
from orchestrator.tasks import Task

MODEL = "Hevok/Studio-Trigger"
TASK = Task(
    id="k3v9x2abcdefghijklmnopqr",
    index=17,
    parameters={"prompt": "a harbour in fog, ink wash", "seed": "42", "scheduler": "DDIMScheduler"},
    axes={
        "prompt": "a harbour in fog, {style}",
        "style": "ink wash",
        "seed": 42,
        "scheduler": "DDIMScheduler",
        "scale": "3.5",
    },
    labels={"prompt": "harbour"},
    path="DDIMScheduler/harbour-42",
    model=MODEL,
)
ATTEMPT = Attempt(
    number=1,
    intent_at=1795345199.0,
    reserved_usd=Decimal("0.02"),
    newest_known=2220,
    remote_id="2221",
    token="eDcCm5yyUfIvMFspTwww49OUfgXkQt",
    submitted_at=1795345200.123,
    ended_at=1795345206.0,
    status="task_postprocess_end",
    exit_code=0,
    elapsed_seconds=6.0,
    cost_usd=Decimal("0.014000000000"),
)
OUTPUT = Output(
    path="files/DDIMScheduler/harbour-42-k3v9x2ab-0.png",
    url="https://cdn1.wiro.ai/u/0.png",
    content_type="image/png",
    bytes=202472,
    sha256="ab" * 32,
)
DONE = Record(TASK, State.DONE, tries=1, attempt=ATTEMPT, outputs=(OUTPUT,), finished_at=1795345207.5)
LINE = (
    '{"format": 1, "task": "k3v9x2abcdefghijklmnopqr", "index": 17, "state": "done", "model": "Hevok/Studio-Trigger",'
    ' "parameters": {"prompt": "a harbour in fog, ink wash", "seed": "42", "scheduler": "DDIMScheduler"},'
    ' "axes": {"prompt": "a harbour in fog, {style}", "style": "ink wash", "seed": 42, "scheduler": "DDIMScheduler",'
    ' "scale": "3.5"},'
    ' "labels": {"prompt": "harbour"}, "cells": [],'
    ' "remote": {"task_id": "2221", "status": "task_postprocess_end", "exit_code": 0},'
    ' "attempts": 1, "submitted_at": "2026-11-22T11:00:00.123Z", "finished_at": "2026-11-22T11:00:07.500Z",'
    ' "elapsed_seconds": 6.0, "cost_usd": "0.014",'
    ' "outputs": [{"path": "files/DDIMScheduler/harbour-42-k3v9x2ab-0.png", "url": "https://cdn1.wiro.ai/u/0.png",'
    ' "content_type": "image/png", "bytes": 202472, "sha256": "' + "ab" * 32 + '"}],'
    ' "error": null, "warnings": []}\n'
)


def test_the_line_is_the_contract_s() -> None:
    """Every key, in this order and form: other programs rely on it."""
    assert manifest.line(DONE, MODEL) == LINE


def test_a_failed_task_says_why() -> None:
    """State, kind and message tell a failure; what it cost stands there also when it was nothing."""
    failed = replace(
        DONE,
        state=State.FAILED,
        tries=3,
        attempt=replace(ATTEMPT, number=3, exit_code=1, cost_usd=FREE),
        outputs=(),
        failure=Failure("model", "the model ran out of memory"),
        warnings=("odd size",),
    )
    entry = manifest.entry(failed, MODEL)
    assert (entry["state"], entry["attempts"], entry["cost_usd"]) == ("failed", 3, "0")
    assert entry["error"] == {"kind": "model", "message": "the model ran out of memory"}
    assert entry["remote"]["exit_code"] == 1
    assert entry["warnings"] == ["odd size"]


def test_a_task_that_was_never_accepted_has_nothing_remote() -> None:
    """A task that the service refused has a line too, with null where there is nothing to tell."""
    rejected = Record(TASK, State.FAILED, failure=Failure("invalid", "no"), finished_at=1795345207.5)
    entry = manifest.entry(rejected, MODEL)
    assert entry["remote"] == {"task_id": None, "status": None, "exit_code": None}
    assert [entry[key] for key in ("attempts", "submitted_at", "elapsed_seconds", "cost_usd")] == [0, None, None, None]


def test_a_dropped_task_has_no_index() -> None:
    """A task that the job file no longer holds stays, with `index` null."""
    assert manifest.entry(replace(DONE, dropped=True), MODEL)["index"] is None


def test_a_task_of_an_earlier_edition_keeps_its_model() -> None:
    record = replace(DONE, task=replace(TASK, model="acme/paper-cut"))
    assert manifest.entry(record, MODEL)["model"] == "acme/paper-cut"


def test_folded_cells_stand_in_the_line() -> None:
    """All coordinates of a folded task are told, so that no cell of a grid is empty."""
    task = replace(TASK, cells=({"prompt": "the same", "scale": "3.50"},))
    assert manifest.entry(replace(DONE, task=task), MODEL)["cells"] == [{"prompt": "the same", "scale": "3.50"}]


def test_no_token_stands_in_a_line() -> None:
    """Whoever reads the manifest cannot speak to the service about the task."""
    assert ATTEMPT.token is not None
    assert ATTEMPT.token not in manifest.line(DONE, MODEL)


@given(st.text(max_size=50))
def test_a_line_is_one_line_of_json(text: str) -> None:
    """Whatever stands in a prompt, a line ends at its line feed and reads back as it was."""
    record = replace(DONE, task=replace(TASK, parameters={"prompt": text}))
    line = manifest.line(record, MODEL)
    assert line.count("\n") == 1
    assert line.endswith("}\n")
    assert json.loads(line)["parameters"] == {"prompt": text}


def test_text_reads_as_it_is_written() -> None:
    """Letters of every script stand as themselves."""
    line = manifest.line(replace(DONE, failure=Failure("model", "灯台 — Straße")), MODEL)
    assert "灯台 — Straße" in line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, None),
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1795345200.0, "2026-11-22T11:00:00.000Z"),
        (1795345200.1239, "2026-11-22T11:00:00.123Z"),
    ],
)
def test_moments_are_utc_with_milliseconds(seconds: float | None, text: str | None) -> None:
    """Times are ISO 8601 with a Z."""
    assert manifest.moment(seconds) == text


def test_lines_are_appended(tmp_path: Path) -> None:
    """Appending leaves what stands there, and makes the file where there is none."""
    path = tmp_path / manifest.NAME
    manifest.append(path, ["one\n"])
    manifest.append(path, ["two\n", "drei ß\n"])
    assert path.read_bytes() == "one\ntwo\ndrei ß\n".encode()


def test_rewriting_takes_the_finished_in_the_given_order(tmp_path: Path) -> None:
    """The new manifest holds the finished records and nothing else, and no draft stays behind."""
    path = tmp_path / manifest.NAME
    path.write_text("torn li")
    other = replace(DONE, task=replace(TASK, id="other", index=3))
    manifest.rewrite(path, [other, Record(TASK), replace(DONE, state=State.FETCHING), DONE], MODEL)
    assert path.read_text() == manifest.line(other, MODEL) + LINE
    assert list(tmp_path.iterdir()) == [path]


def test_a_rewrite_that_fails_leaves_the_old_manifest(tmp_path: Path) -> None:
    """The old manifest stands until the new one is whole."""
    path = tmp_path / manifest.NAME
    path.write_text("old\n")

    def broken() -> Iterator[Record]:
        yield DONE
        raise OSError

    with pytest.raises(manifest.ManifestError, match=f"{path} cannot be written"):
        manifest.rewrite(path, broken(), MODEL)
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def at(place: int) -> Record:
    """Return a finished task that stands there in the grid."""
    return replace(DONE, task=replace(TASK, id=f"task-{place}", index=place, labels={"prompt": "ß" * place}))


@given(st.permutations(range(5)))
def test_lines_are_put_in_order_as_they_are(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    """What comes of it is what writing them anew gives, in whatever order they came."""
    path = tmp_path_factory.mktemp("run") / manifest.NAME
    manifest.append(path, [manifest.line(at(3 * number), MODEL) for number in order])
    assert manifest.put_in_order(path, [(f"task-{3 * number}", 3 * number) for number in range(5)])
    assert path.read_text() == "".join(manifest.line(at(3 * number), MODEL) for number in range(5))
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("lines", "places"),
    [
        pytest.param([at(1), at(0)], [("task-0", 0)], id="a line too many"),
        pytest.param([at(0)], [("task-0", 0), ("task-1", 1)], id="a line is missing"),
        pytest.param([at(1), at(0), at(1)], [("task-0", 0), ("task-1", 1)], id="a task has two"),
        pytest.param([at(1), at(0)], [("task-0", 0), ("other", 1)], id="another task"),
        pytest.param([at(1), at(0)], [("task-0", 0), ("task-1", 2)], id="another place"),
        pytest.param([at(0), replace(at(1), dropped=True)], [("task-0", 0), ("task-1", None)], id="no place"),
        pytest.param([], [("task-0", 0)], id="no line at all"),
    ],
)
def test_lines_that_do_not_fit_are_left_as_they_are(
    tmp_path: Path, lines: list[Record], places: list[tuple[str, int | None]]
) -> None:
    path = tmp_path / manifest.NAME
    manifest.append(path, [manifest.line(each, MODEL) for each in lines])
    before = path.read_bytes()
    assert not manifest.put_in_order(path, places)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_putting_lines_in_order_takes_little_memory(tmp_path: Path) -> None:
    """What is held for each line is two numbers, however the lines lie."""
    path, count = tmp_path / manifest.NAME, 24 * manifest.RUN
    scattered = sorted(range(count), key=lambda number: number * 7919 % count)
    manifest.append(
        path, [f'{{"format": 1, "task": "t{number}", "index": {number}, "rest": 0}}\n' for number in scattered]
    )
    tracemalloc.start()
    try:
        assert manifest.put_in_order(path, ((f"t{number}", number) for number in range(count)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 28 * count
    told = [json.loads(text)["index"] for text in path.read_text("utf-8").splitlines()]
    assert told == list(range(count))


@pytest.mark.parametrize(
    "torn", ["{", LINE[:-1], '{"format": 1, "task": "x", "index": 1e3, "state": "done"}\n', "\xff\n"]
)
def test_what_is_no_line_of_ours_is_not_put_in_order(tmp_path: Path, torn: str) -> None:
    path = tmp_path / manifest.NAME
    path.write_text(LINE + torn, "latin-1")
    assert not manifest.put_in_order(path, [(TASK.id, TASK.index), ("x", 1000)])
    assert path.read_text("latin-1") == LINE + torn


def test_a_manifest_is_read_back(tmp_path: Path) -> None:
    """A line says again what it was written of, all but the token and what was known before the request."""
    path = tmp_path / manifest.NAME
    failed = replace(
        DONE, state=State.FAILED, outputs=(), attempt=None, tries=0, failure=Failure("invalid", "no such seed")
    )
    manifest.append(path, [manifest.line(DONE, MODEL), "torn li", "\n[1, 2]\n", manifest.line(failed, MODEL)])
    first, second = manifest.read(path)
    assert first.attempt
    assert replace(first, attempt=None) == replace(DONE, attempt=None)
    assert (first.attempt.remote_id, first.attempt.cost_usd, first.attempt.token) == ("2221", Decimal("0.014"), None)
    assert (second.state, second.attempt, second.failure) == (State.FAILED, None, failed.failure)
    assert list(manifest.read(tmp_path / "none")) == []


def test_a_manifest_that_cannot_be_written_stops_the_run(tmp_path: Path) -> None:
    """It is said which file and why; the ledger holds all that it is to say."""
    (tmp_path / manifest.NAME).mkdir()
    with pytest.raises(manifest.ManifestError, match=r"Is a directory.*run the same command again") as raised:
        manifest.append(tmp_path / manifest.NAME, [LINE])
    assert raised.value.exit_code is Exit.STOPPED
