"""What a ledger says of its run is read strictly, and what makes no sense is told with what to do."""

from __future__ import annotations

import pytest

from orchestrator.errors import RefusedError
from orchestrator.facts import WRITTEN, check, forgotten, frozen_tool, readable, resolved_job, tasks_of

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


@pytest.mark.parametrize("text", [None, "", "[", "5", "{}", "[]"])
def test_a_job_that_cannot_be_read_has_no_tasks(text: str | None) -> None:
    assert tasks_of(text) is None


def test_the_part_of_a_job_that_makes_its_tasks() -> None:
    assert tasks_of('{"recipe": 1, "outputs": {"path": "x", "thumbnails": false}, "limits": 3}') == (1, "x")
