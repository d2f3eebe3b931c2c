"""What is read back from a disk is believed only where it can be what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from orchestrator.lifecycle import Ending, Failure, Output, Record
from orchestrator.sense import MOST, is_moment, read_json, sensible, stays_inside
from orchestrator.tasks import Task

TASK = Task("k" * 24, 3, {"steps": 4}, {"scale": "3.5"}, {"scale": "low"}, "fog/a", cells=({"scale": "4"},))
ENDING = Ending("task_postprocess_end", 0, Decimal("0.01"), 2.0, 13.0)
DONE = (
    Record(TASK)
    .intended(10.0, Decimal("0.02"), 7)
    .accepted("8", "token", 11.0)
    .succeeded(ENDING)
    .delivered((Output("files/fog/a-k-0.png", "https://c/1", "image/png", 3, "0" * 64),), ("small",), 14.0)
)
FAILED = replace(DONE, failure=Failure("lost", "gone"), outputs=())


def test_what_was_written_is_given_back() -> None:
    for record in (DONE, FAILED, Record(TASK), Record(replace(TASK, index=-1, cells=(), labels={}), dropped=True)):
        assert sensible(record) is record


def test_the_largest_that_the_service_may_say_is_believed() -> None:
    """Its numbers are read up to this, and what was once written down is no damage."""
    for number in (-MOST, 0, MOST):
        record = attempt(exit_code=number, elapsed_seconds=float(number))
        assert sensible(record) is record


def test_half_a_character_is_none() -> None:
    """It stands in no text that was encoded, and none can hold it; the other way to write a whole one is fine."""
    for text in (r'"\ud83d"', r'{"\uDE00": 1}', r'["\ude00\ud83d"]'):
        with pytest.raises(ValueError, match="surrogates"):
            read_json(text)
    assert read_json(r'["\ud83d\ude00", "\u001b", "\\ud83d"]') == ["\U0001f600", "\x1b", "\\ud83d"]


def task(**wrong: Any) -> Record:
    return replace(DONE, task=replace(TASK, **wrong))


def attempt(**wrong: Any) -> Record:
    return replace(DONE, attempt=replace(DONE.sent, **wrong))


def output(**wrong: Any) -> Record:
    return replace(DONE, outputs=(replace(DONE.outputs[0], **wrong),))


def record(**wrong: Any) -> Record:
    return replace(DONE, **wrong)


def failure(**wrong: Any) -> Record:
    return replace(FAILED, failure=replace(Failure("lost", "gone"), **wrong))


WRONG: list[tuple[Callable[..., Record], str, Any]] = [
    (task, "id", "../../x"),
    (task, "id", 7),
    (task, "index", -2),
    (task, "index", "3"),
    (task, "index", 2**63),
    (task, "parameters", []),
    (task, "axes", None),
    (task, "axes", {"scale": ["4"]}),
    (task, "labels", {"scale": 5}),
    (task, "path", "../a"),
    (task, "path", "/a"),
    (task, "repeat", None),
    (task, "repeat", -1),
    (task, "cells", (5,)),
    (attempt, "number", "1"),
    (attempt, "number", 2**63 - 1),
    (attempt, "intent_at", "now"),
    (attempt, "gave_up_at", 1e300),
    (attempt, "submitted_at", -1.0),
    (attempt, "ended_at", float("inf")),
    (attempt, "remote_id", 8),
    (attempt, "token", b"token"),
    (attempt, "status", 5),
    (attempt, "exit_code", "0"),
    (attempt, "exit_code", 10**30),
    (attempt, "exit_code", 0.5),
    (attempt, "elapsed_seconds", 1e300),
    (attempt, "elapsed_seconds", float("nan")),
    (attempt, "cost_usd", Decimal("nan")),
    (output, "path", "files/../../x"),
    (output, "path", "files\\..\\x"),
    (output, "path", "elsewhere/a-0.png"),
    (output, "path", "files/a-one.png"),
    (output, "path", "files/a-\u0663.png"),
    (output, "path", "files/a-999999.png"),
    (output, "path", "files/a"),
    (output, "url", 5),
    (output, "content_type", None),
    (output, "bytes", "3"),
    (output, "bytes", 2**63),
    (output, "bytes", -5),
    (output, "sha256", 0),
    (record, "tries", "1"),
    (record, "tries", 2**63),
    (record, "tries", -1),
    (record, "failures", None),
    (record, "failures", -1),
    (record, "warnings", (5,)),
    (record, "finished_at", "then"),
    (failure, "kind", 5),
    (failure, "message", None),
]


@pytest.mark.parametrize(("changed", "name", "value"), WRONG)
def test_what_cannot_have_been_written_is_not_believed(
    changed: Callable[..., Record], name: str, value: object
) -> None:
    with pytest.raises(ValueError, match="ever written"):
        sensible(changed(**{name: value}))


@pytest.mark.parametrize("path", ["", "..", "a/..", "/a", "a//b", "./a", "a\\b", "a\0b"])
def test_a_path_that_may_lead_out(path: str) -> None:
    assert not stays_inside(path)


def test_a_path_that_leads_down() -> None:
    assert stays_inside("a/..b/c.png")


def test_times_are_those_that_a_date_can_have() -> None:
    assert is_moment(0)
    assert is_moment(1_795_000_000.5)
    assert not any(map(is_moment, (None, "5", -1, 1e12, float("nan"))))
