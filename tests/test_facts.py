"""What a ledger says of its run is read strictly, and what makes no sense is told with what to do."""

from __future__ import annotations

import functools
import json
import math
import operator

import pytest

from orchestrator.engines.delays import Delay
from orchestrator.errors import RefusedError
from orchestrator.facts import WRITTEN, check, delays_of, forgotten, frozen_tool, readable, resolved_job, tasks_of
from orchestrator.sweep import Callback, Job, LocalFile, Outputs, Uploads
from orchestrator.sweep.recipe import Recipe

FACTS = {
    "job": "{}",
    "tool": '{"parameters": []}',
    "model": "a/b",
    "source": "/jobs/harbour.yaml",
    "service": "https://api.wiro.ai/v1",
    "account": "a1b2c3",
    "edition": "1",
    "total": "4",
    "started_at": "1795000000.5",
}


@pytest.mark.parametrize(
    ("asked", "stays"), [("99.5", False), ("100.0", True), ("100.5", True), ("soon", False), (None, False)]
)
def test_only_what_was_asked_of_us_is_obeyed(asked: str | None, stays: bool) -> None:
    """A process that was killed may have left a cancel; one that is asked for while we begin is ours."""
    facts = FACTS if asked is None else FACTS | {"cancel": asked}
    assert ("cancel" not in forgotten(facts, 100.0)) is stays


def test_all_of_it_or_nothing() -> None:
    check({})
    check({"cancel": "1"})
    check(FACTS)
    for name in WRITTEN:
        with pytest.raises(ValueError, match=f"does not say {name}"):
            check({other: value for other, value in FACTS.items() if other != name})


@pytest.mark.parametrize(
    "name", ["edition", "entered", "total", "started_at", "updated_at", "seconds_left", "progress"]
)
@pytest.mark.parametrize("value", ["", "x", "nan", "-1", "1e999", "9" * 400])
def test_what_makes_no_sense_is_told_and_left_out(name: str, value: str) -> None:
    facts = FACTS | {name: value}
    with pytest.raises(ValueError, match=r"is no|could not convert"):
        check(facts)
    assert name not in readable(facts)


@pytest.mark.parametrize(
    "value", ["", "x", "5", "[5]", "{}1", '[{"tasks": 1}]', '[{"tasks": "1", "why": "It sleeps."}]']
)
def test_waits_that_make_no_sense_are_left_out(value: str) -> None:
    assert readable(FACTS | {"waiting": value}).get("waiting", "") == ""


def test_waits_are_read_as_they_were_written() -> None:
    assert delays_of('[{"tasks": 2, "why": "It sleeps."}]') == (Delay(2, "It sleeps."),)
    assert delays_of(None) == ()


def test_what_cannot_be_read_is_left_out() -> None:
    """The job here is an object, and no job."""
    assert readable(FACTS).keys() == FACTS.keys() - {"job"}
    assert readable(FACTS | {"tool": "[]"}).keys() == FACTS.keys() - {"job", "tool"}


@pytest.mark.parametrize("text", ["", "[", "5", "[" * 100_000])
def test_what_is_kept_of_job_and_model_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(RefusedError, match="orchestrator recover"):
        resolved_job({"job": text})
    with pytest.raises(RefusedError, match="orchestrator recover"):
        frozen_tool({"tool": text})


JOB = Job(
    "harbour",
    Recipe("a/b", {}, path="x"),
    outputs=Outputs("x"),
    files=Uploads({"image": "imageUrl"}, {"a1": LocalFile("a1", "/jobs/a.png", "a.png", 3)}),
    callback=Callback("https://here"),
)


@pytest.mark.parametrize(
    ("way", "values"),
    [
        ("name", (5, None, ["x"])),
        ("tracking", ("x", 5, [])),
        ("warnings", ([5],)),
        *[(f"limits {name}", (0, -1, "x", True, math.nan, math.inf)) for name in ("concurrency", "max_tasks")],
        ("limits requests_per_second", (0, -1, "x", True, None, math.nan, math.inf)),
        ("limits task_timeout_seconds", (0, -1, "x", None, [])),
        ("limits settle_after_seconds", (0, -1, "x", None, math.inf)),
        *[(f"limits {name}", ("0", "-1", "x", "nan", "Infinity", [])) for name in ("budget_usd", "price_usd")],
        ("retry attempts", (0, "x", 1.5, None)),
        ("outputs path", (5, None)),
        *[(f"outputs {name}", ("x", 1, None)) for name in ("delete_remote", "thumbnails")],
        ("recipe repeat", (0, "x", None)),
        ("recipe shuffled", ("x", 1)),
        ("recipe model", (5, None)),
        ("files files 0 path", (5, None)),
        ("files files 0 bytes", ("x", None)),
        ("files places image", (5, None)),
        ("callback port", ("x", None)),
    ],
)
def test_a_job_that_nobody_wrote_is_none(way: str, values: tuple[object, ...]) -> None:
    """Text where a number was would break the next run, or be the end of a limit."""
    assert resolved_job({"job": json.dumps(JOB.to_json())}) == JOB
    *before, last = [int(each) if each.isdigit() else each for each in way.split()]
    for value in values:
        told = json.loads(json.dumps(JOB.to_json()))
        functools.reduce(operator.getitem, before, told)[last] = value
        with pytest.raises(RefusedError, match="orchestrator recover"):
            resolved_job({"job": json.dumps(told)})


@pytest.mark.parametrize("text", [None, "", "[", "5", "{}", "[]"])
def test_a_job_that_cannot_be_read_has_no_tasks(text: str | None) -> None:
    assert tasks_of(text) is None


def test_the_part_of_a_job_that_makes_its_tasks() -> None:
    assert tasks_of('{"recipe": 1, "outputs": {"path": "x", "thumbnails": false}, "limits": 3}') == (1, "x")
